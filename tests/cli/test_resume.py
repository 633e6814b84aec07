"""A run that was stopped, however, goes on to exactly where the one left alone ended."""

import os
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from launching import SHORT, evaluations, launch, losses, needs_data, start

from convnets.training.checkpoints import Checkpoints
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state
from convnets.training.workdir import Workdir

pytestmark = needs_data()
LAST = 120


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory) -> Path:
    """The workdir of a run that nobody touched."""
    workdir = tmp_path_factory.mktemp("left_alone") / "run"
    status, said = launch(["train", *SHORT, f"--workdir={workdir}"])
    assert status == 0, said
    return workdir


def final_state(folder: Path):
    workdir = Workdir(folder)
    config = workdir.config()
    model = build_model(config, workdir.info())
    plan = make_plan(config, model, 60_000 - config.validation.examples)
    with Checkpoints(workdir.checkpoints) as checkpoints:
        assert checkpoints.steps[-1] == LAST
        return checkpoints.restore(LAST, initial_state(config, model, plan))


def assert_same_run(one: Path, other: Path) -> None:
    jax.tree.map(np.testing.assert_array_equal, final_state(one), final_state(other))
    assert evaluations(one) == evaluations(other)
    shared = losses(one).keys() & losses(other).keys()
    assert len(shared) > 10


def until(condition, process) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_says_how_to_go_on_and_the_rest_is_bitwise_the_same(left_alone, tmp_path, number):
    workdir = tmp_path / "run"
    with start(["train", *SHORT, f"--workdir={workdir}"]) as process:
        until(lambda: max(losses(workdir), default=0) >= 25, process)
        process.send_signal(number)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + number, said
    assert f"stopped by {number.name} at step" in said
    assert "the same command again goes on from there" in said
    stopped = max(int(step.name) for step in (workdir / "checkpoints").iterdir())
    assert 25 <= stopped < LAST
    status, said = launch(["train", *SHORT, f"--workdir={workdir}"])
    assert status == 0, said
    assert f"resuming at step {stopped} of {LAST}" in said
    assert_same_run(left_alone, workdir)


def test_a_kill_during_a_save_leaves_the_checkpoint_before_and_the_rest_is_bitwise_the_same(left_alone, tmp_path):
    workdir = tmp_path / "run"

    def saving() -> bool:
        try:
            names = [entry.name for entry in (workdir / "checkpoints").iterdir()]
        except FileNotFoundError:
            return False
        return len(names) > 1 and any("tmp" in name for name in names)

    with start(["train", *SHORT, f"--workdir={workdir}"]) as process:
        until(saving, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    assert process.returncode == -signal.SIGKILL
    status, said = launch(["train", *SHORT, f"--workdir={workdir}"])
    assert status == 0, said
    assert "resuming at step" in said
    assert_same_run(left_alone, workdir)
    assert all(entry.name.isdigit() for entry in (workdir / "checkpoints").iterdir())


def test_the_plateau_schedule_lowered_the_rate_so_its_memory_was_needed(left_alone):
    assert float(final_state(left_alone).plateau.scale) < 0.5


def test_a_finished_run_started_again_changes_nothing(left_alone):
    before, curve = final_state(left_alone), losses(left_alone)
    status, said = launch(["train", *SHORT, f"--workdir={left_alone}"])
    assert status == 0, said
    jax.tree.map(np.testing.assert_array_equal, final_state(left_alone), before)
    assert losses(left_alone) == curve
