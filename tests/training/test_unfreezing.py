"""Runs whose layers are unfrozen one after the other: a run that was stopped anywhere ends as the one left alone."""

import functools
import io
import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from rich.console import Console
from stripes import config_of, striped

from convnets.data.source import Splits
from convnets.parallel import Devices
from convnets.pretrained.patterns import flat
from convnets.training.checkpoints import Checkpoints, restore_variables
from convnets.training.loop import Loop
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state
from convnets.training.workdir import Workdir

TRAIN, TEST = striped(64), striped(32, seed=1)
STEPS, FIRST, SECOND = 8, 3, 6
FIELDS = {
    # The last frees nothing more, but freezes again.
    "freeze.schedule": (("0 steps", "pre_logits"), (f"{FIRST} steps", "stage2"), (f"{SECOND} steps", "stage3")),
    "train.duration": f"{STEPS} steps",
    "train.average_decay": 0.8,
    "train.steps_per_dispatch": 2,
    "train.batch_size": 16,
    "evaluation.every": "3 steps",
    "evaluation.checkpoint": "last",
    "evaluation.batch_size": 32,
    "checkpoint.every": "1 steps",
    "checkpoint.keep": 20,
}
CONFIG = config_of(FIELDS, network="lenet5_bn", optimizer="adamw")


class StoppedAt(Loop):
    """A loop that a signal stops when it stands at a step."""

    at: int = -1

    def _save(self) -> None:
        super()._save()
        # Each step is saved; a signal is heard at the next.
        if self.step == self.at - 1:
            signal.raise_signal(signal.SIGTERM)


def run(folder: Path, stop: int = -1, console: Console | None = None, config: Any = CONFIG) -> Any:
    """Trains in the folder up to a step, or to the end."""
    model = build_model(config, TRAIN.info)
    plan = make_plan(config, model, len(TRAIN))
    workdir = Workdir(folder)
    workdir.claim(config, TRAIN.info, {})
    devices = Devices(config.train.wrapper, jax.devices()[:1])
    loop = StoppedAt(config, model, plan, Splits(TRAIN, None, TEST), devices, workdir, console)
    loop.at = stop
    return loop.run()


@functools.cache
def shape_from(start: int) -> Any:
    """A state of the phase that begins at a step."""
    model = build_model(CONFIG, TRAIN.info)
    return initial_state(CONFIG, model, make_plan(CONFIG, model, len(TRAIN)), at=start)


def states(folder: Path) -> dict[int, Any]:
    """The state at each step that was saved."""
    with Checkpoints(Workdir(folder).checkpoints) as checkpoints:
        return {
            step: checkpoints.restore(step, shape_from(max(start for start in (0, FIRST, SECOND) if start <= step)))
            for step in checkpoints.steps
        }


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a run that is left alone, and what it printed."""
    folder, said = tmp_path_factory.mktemp("left_alone") / "run", io.StringIO()
    run(folder, console=Console(file=said, width=200))
    return folder, said.getvalue()


@pytest.fixture(scope="module")
def left_alone(whole) -> dict[int, Any]:
    return states(whole[0])


@pytest.mark.parametrize("stop", [FIRST - 1, FIRST])
def test_a_run_that_was_stopped_around_a_change_goes_on_to_the_same_bits(left_alone, tmp_path, stop):
    assert run(tmp_path, stop).interrupted == signal.SIGTERM
    assert max(states(tmp_path)) == stop
    assert run(tmp_path).step == STEPS
    for step, state in states(tmp_path).items():
        jax.tree.map(np.testing.assert_array_equal, state, left_alone[step])


def test_each_layer_begins_to_move_with_its_phase_and_stops_when_it_is_frozen_again(left_alone):
    def moved(before: int, after: int, part: str) -> set[str]:
        one, other = (flat(getattr(left_alone[step], part)) for step in (before, after))
        return {path[0] for path in one if np.any(one[path] != other[path])}

    head, middle = {"fc4", "norm4", "logits"}, {"conv2", "norm2"}
    tail = {"fc3", "norm3"}
    assert moved(1, FIRST, "params") == head
    assert moved(FIRST, SECOND, "params") == head | middle | tail
    assert moved(SECOND, STEPS, "params") == head | tail
    assert moved(FIRST, SECOND, "batch_stats") == {"norm2", "norm3", "norm4"}
    assert moved(SECOND, STEPS, "batch_stats") == {"norm3", "norm4"}
    saved = {step: {path[0] for path in flat(state.average)} for step, state in left_alone.items()}
    assert saved[FIRST - 1] == head and saved[FIRST] == head | middle | tail and saved[SECOND] == head | tail


def test_adamw_counts_the_steps_of_each_parameter_from_its_own_beginning(left_alone):
    leaves = jax.tree_util.tree_leaves_with_path(left_alone[FIRST + 2].optimizer_state)
    counts = {jax.tree_util.keystr(path): int(leaf) for path, leaf in leaves if "count" in jax.tree_util.keystr(path)}
    assert {count for name, count in counts.items() if "conv2" in name or "norm2" in name} == {2}
    assert {count for name, count in counts.items() if "logits" in name or "fc4" in name} == {FIRST + 2}


def test_the_networks_of_all_phases_are_restored(whole, left_alone):
    workdir, model = Workdir(whole[0]), build_model(CONFIG, TRAIN.info)
    for step, state in left_alone.items():
        if step in (FIRST - 1, FIRST, SECOND + 1):
            _, variables = restore_variables(workdir, CONFIG, model, str(step))
            jax.tree.map(np.testing.assert_array_equal, variables, state.variables())


def test_the_best_checkpoint_of_an_earlier_phase_is_tested(tmp_path, monkeypatch):
    config = config_of(FIELDS | {"evaluation.checkpoint": "best"}, network="lenet5_bn", optimizer="adamw")
    monkeypatch.setattr(Loop, "_best_step", lambda self: 2)
    outcome = run(tmp_path, config=config)
    assert outcome.test_step == 2
    expected = states(tmp_path)[2].variables()
    jax.tree.map(np.testing.assert_array_equal, outcome.variables, expected)


def test_a_line_at_the_start_of_each_phase_says_what_is_trained(whole):
    lines = [line for line in whole[1].splitlines() if line.startswith("from step")]
    assert [line.split(" layers")[0] for line in lines] == [
        "from step 0 on 3 of 9",
        f"from step {FIRST} on 7 of 9",
        f"from step {SECOND} on 5 of 9",
    ]
