"""Every experiment of the folder resolves and fits its data; some take two steps at a tiny width."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments_folder import FILES, ROOT, SIZES, experiments, noise_for_data, words_of

from convnets.cli.experiments import load_experiment, override
from convnets.data.pipeline import TrainingBatches
from convnets.errors import InvalidValue
from convnets.evaluation.inference import check_views
from convnets.parallel import Devices
from convnets.pretrained.surgery import Surgery, operate
from convnets.training.plan import make_plan
from convnets.training.setup import (
    build_model,
    check_batch_size,
    dry_run,
    initial_state,
    load_splits,
    mapped_train_step,
)

STEPPING = [
    "experiments/lenet_fashion_mnist.py",
    "experiments/imagenet_alexnet.py",
    "experiments/imagenet_resnet.py:18",
    "experiments/cifar10_resnet.py:20",
    "experiments/localization_scenes.py:agnostic",
    "experiments/segmentation_scenes.py:8s",
]
"""Those that are trained for two steps: each task, with and without batch norm, on small and on large images. Of all
the others `dry_run` traces the step."""


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(autouse=True)
def compiled_quickly(monkeypatch):
    """Programs run twice: slower code and plainer random numbers compile in half the time."""
    monkeypatch.setenv("CONVNETS_KERNELS", "xla")
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.default_prng_impl("rbg"):
        yield
    jax.config.update("jax_disable_most_optimizations", False)
    # Unoptimized programs are thousands of mapped pieces of memory each, of which the kernel allows 65,530.
    jax.clear_caches()


def test_there_are_experiments_with_and_without_words():
    assert {"experiments/imagenet_resnet.py:50", "experiments/imagenet_alexnet.py"} <= set(experiments())
    assert words_of("experiments/imagenet_vgg.py") == ["A", "A_lrn", "B", "C", "D", "E"]


@pytest.mark.parametrize("file", [file for file in FILES if words_of(file) != [""]])
def test_another_word_is_refused_with_those_that_there_are(file):
    with pytest.raises(InvalidValue, match=f"'nonsense' is not one of .*{words_of(file)[-1]}"):
        load_experiment(f"{file}:nonsense")


def resolved(experiment: str, *overrides: str) -> tuple[Any, Any, Any]:
    """The config, its splits of noise, and its model at a tiny width."""
    with noise_for_data():
        config = override(load_experiment(experiment), overrides)
        if "width" in config.network:
            config.network.width = 1 / 32
        config.validation.examples = 4
        splits = load_splits(config)
    return config, splits, build_model(config, splits.train.info)


@pytest.mark.parametrize("experiment", experiments())
def test_it_resolves_and_fits_its_data(experiment):
    config, splits, model = resolved(experiment)
    _, examples = SIZES[config.data.get("dataset", "")]
    held_out = override(load_experiment(experiment), []).validation.examples
    plan = make_plan(config, model, examples - held_out)
    rates = [float(plan.schedule(step)) for step in np.linspace(0, plan.steps - 1, 9, dtype=int)]
    assert plan.steps > (100 if "overfit" in experiment else 1000)
    assert all(0 <= rate <= plan.learning_rate * 1.0001 for rate in rates) and max(rates) > 0
    assert held_out > 0 or (plan.plateau is None and config.evaluation.checkpoint == "last")
    assert len(check_views(model, config.evaluation)) > 0
    check_batch_size(config, Devices("pmap", jax.devices()[: math.gcd(2, config.train.batch_size)]))
    if words_of(experiment.partition(":")[0])[0] == experiment.partition(":")[2]:
        dry_run(config, model, splits.train, plan)


@pytest.mark.parametrize("letter", ["B", "C", "D", "E"])
def test_a_deep_vgg_begins_with_layers_that_net_a_has_in_the_same_shapes(letter):
    deep, a = (resolved(f"experiments/imagenet_vgg.py:{net}") for net in (letter, "A"))
    own, source = (
        jax.eval_shape(model.network.init, jax.random.key(0), jnp.zeros((1, *model.image_shape)))
        for _, _, model in (deep, a)
    )
    _, report = operate(own, source, Surgery(layers=deep[0].initialize.layers))
    assert report.count("taken") == 14 and not a[0].initialize.layers


@pytest.mark.parametrize("experiment", STEPPING)
def test_two_steps_have_finite_losses_and_move_the_first_layer_and_the_last(experiment):
    config, splits, model = resolved(experiment, "--config.train.batch_size=2", "--config.schedule.warmup=0 steps")
    plan = make_plan(config, model, len(splits.train))
    devices = Devices("pmap", jax.devices()[:1])
    train_step = mapped_train_step(config, model, plan, devices)
    before = jax.device_get(initial_state(config, model, plan))
    state = devices.replicate(before)
    batches = TrainingBatches(splits.train, batch_size=2, seed=config.seed, steps=2)
    for number in range(2):
        batch = {name: values[None] for name, values in batches[number].items()}
        state, metrics = train_step(state, devices.split(batch, batch_axis=1))
        assert np.isfinite(jax.device_get(metrics)["objective"]).all()
    after = jax.device_get(state.params)
    assert all(np.isfinite(array).all() for array in jax.tree.leaves(after))
    moved = jax.tree.map(lambda old, new: np.any(old != new), before.params, after)
    for layer in ("logits" if "logits" in after else "head", "conv1" if "conv1" in after else "stage1_conv1"):
        assert all(jax.tree.leaves(moved[layer])), layer
