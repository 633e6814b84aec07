"""Every experiment of the folder resolves, fits its data, and moves its parameters in two steps at a tiny width."""

import jax
import numpy as np
import pytest
from experiments_folder import EXAMPLES, FILES, ROOT, SIZES, experiments, noise_for_data, words_of

from convnets.commands.experiments import load_experiment, override
from convnets.data.pipeline import TrainingBatches
from convnets.errors import InvalidValue
from convnets.training.evaluation import views_of_run
from convnets.training.parallel import Devices
from convnets.training.plan import make_plan
from convnets.training.rehearsal import rehearse
from convnets.training.setup import build_model, check_batch_size, initial_state, load_splits, mapped_train_step

NARROW = ("--config.network.width=0.03125", "--config.validation.examples=0")


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(autouse=True)
def compiled_quickly():
    """Each program runs twice: slower code and plainer random numbers compile in half the time."""
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.default_prng_impl("rbg"):
        yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_there_are_experiments_with_and_without_words():
    assert {"experiments/imagenet_resnet.py:50", "experiments/imagenet_alexnet.py"} <= set(experiments())
    assert words_of("experiments/imagenet_vgg.py") == ["A", "A_lrn", "B", "C", "D", "E"]


@pytest.mark.parametrize("file", [file for file in FILES if words_of(file) != [""]])
def test_another_word_is_refused_with_those_that_there_are(file):
    with pytest.raises(InvalidValue, match=f"'nonsense' is not one of .*{words_of(file)[-1]}"):
        load_experiment(f"{file}:nonsense")


@pytest.mark.parametrize("experiment", experiments())
def test_it_resolves_for_its_data_and_moves_every_layer_in_two_steps(experiment):
    with noise_for_data():
        whole = override(load_experiment(experiment), [])
        overrides = NARROW if "width" in whole.network else NARROW[1:]
        config = override(load_experiment(experiment), overrides)
        splits = load_splits(config)
    _, examples = SIZES[config.data.get("dataset", "")]
    model = build_model(config, splits.train.info)
    resolved = make_plan(whole, model.task, examples - whole.validation.examples)
    rates = [float(resolved.schedule(step)) for step in np.linspace(0, resolved.steps - 1, 9, dtype=int)]
    assert resolved.steps > 1000
    assert all(0 <= rate <= resolved.learning_rate * 1.0001 for rate in rates) and max(rates) > 0
    assert len(views_of_run(config, model)) > 0
    check_batch_size(whole, Devices("pmap"))
    rehearse(config, model, splits.train, resolved)

    config.train.batch_size = 2
    plan = make_plan(config, model.task, EXAMPLES)
    devices = Devices("pmap", jax.devices()[:1])
    train_step = mapped_train_step(config, model, plan, devices)
    before = jax.device_get(initial_state(config, model, plan))
    state = devices.replicate(before)
    batches = TrainingBatches(splits.train, batch_size=2, seed=config.seed, steps=2)
    for number in range(2):
        batch = {name: values[None] for name, values in batches[number].items()}
        state, figures = train_step(state, devices.split(batch, batch_axis=1))
        assert np.isfinite(jax.device_get(figures)["objective"]).all()
    after = dict(jax.tree_util.tree_leaves_with_path(jax.device_get(state.params)))
    for path, old in jax.tree_util.tree_leaves_with_path(before.params):
        if path[-1].key == "kernel":
            assert np.isfinite(after[path]).all() and np.any(after[path] != old), jax.tree_util.keystr(path)
