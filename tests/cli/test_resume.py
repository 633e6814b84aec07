"""A run that was stopped, however, resumes to exactly where the one left alone ended."""

import os
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from launching import ROOT, evaluations, losses, start

from convnets.cli.command_line import main
from convnets.training.checkpoints import Checkpoints
from convnets.training.interruption import Interruption
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state
from convnets.training.workdir import Workdir

LAST = 60
# Everything that a run remembers: batch statistics, momentum, an average, the plateau's counters.
TRAIN = (
    "train",
    f"--config={ROOT / 'tests/cli/failing_experiment.py'}",
    "--config.schedule.name=plateau",
    "--config.schedule.warmup=10 steps",
    "--config.schedule.patience=1",
    "--config.schedule.tolerance=0.5",
    "--config.train.average_decay=0.9",
    "--config.train.batch_size=32",
    f"--config.train.duration={LAST} steps",
    "--config.evaluation.every=10 steps",
    "--config.checkpoint.every=10 steps",
    "--config.checkpoint.keep=3",
    "--config.log.every=5 steps",
)


def train(workdir: Path) -> int:
    return main(["", *TRAIN, f"--workdir={workdir}"])


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory) -> Path:
    """The workdir of a run that nobody touched."""
    workdir = tmp_path_factory.mktemp("left_alone") / "run"
    assert train(workdir) == 0
    return workdir


def final_state(folder: Path):
    workdir = Workdir(folder)
    config = workdir.config()
    model = build_model(config, workdir.info())
    plan = make_plan(config, model, 200 - config.validation.examples)
    with Checkpoints(workdir.checkpoints) as checkpoints:
        assert checkpoints.steps[-1] == LAST
        return checkpoints.restore(LAST, initial_state(config, model, plan))


def assert_same_run(one: Path, other: Path) -> None:
    jax.tree.map(np.testing.assert_array_equal, final_state(one), final_state(other))
    assert evaluations(one) == evaluations(other)
    assert len(losses(one).keys() & losses(other).keys()) > 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_says_how_to_go_on_and_the_rest_is_bitwise_the_same(
    left_alone, tmp_path, capsys, monkeypatch, number
):
    original, calls = Interruption.requested, []

    def requested(self):
        calls.append(0)
        if len(calls) == 27:
            os.kill(os.getpid(), number)
        return original(self)

    monkeypatch.setattr(Interruption, "requested", requested)
    workdir = tmp_path / "run"
    assert train(workdir) == 128 + number
    said = capsys.readouterr().out
    assert f"stopped by {number.name} at step" in said
    assert "the same command again goes on from there" in " ".join(said.split())
    stopped = max(int(step.name) for step in (workdir / "checkpoints").iterdir())
    assert 10 < stopped < LAST
    assert train(workdir) == 0
    assert f"resuming at step {stopped} of {LAST}" in capsys.readouterr().out
    assert_same_run(left_alone, workdir)


@pytest.mark.processes
def test_a_kill_during_a_save_leaves_the_checkpoint_before_and_the_rest_is_bitwise_the_same(
    left_alone, tmp_path, capsys
):
    workdir = tmp_path / "run"

    def saving() -> bool:
        try:
            names = [entry.name for entry in (workdir / "checkpoints").iterdir()]
        except FileNotFoundError:
            return False
        return len(names) > 1 and any("tmp" in name for name in names)

    # As many devices as this process has, for the same roundings.
    with start([*TRAIN, f"--workdir={workdir}"], devices=jax.device_count()) as process:
        deadline = time.monotonic() + 300
        while not saving():
            assert process.poll() is None, "the run ended before it could be stopped"
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert train(workdir) == 0
    assert "resuming at step" in capsys.readouterr().out
    assert_same_run(left_alone, workdir)
    assert all(entry.name.isdigit() for entry in (workdir / "checkpoints").iterdir())


def test_the_plateau_schedule_lowered_the_rate_so_its_memory_was_needed(left_alone):
    assert float(final_state(left_alone).plateau.scale) < 0.5


def test_a_finished_run_started_again_changes_nothing(left_alone):
    before, curve = final_state(left_alone), losses(left_alone)
    assert train(left_alone) == 0
    jax.tree.map(np.testing.assert_array_equal, final_state(left_alone), before)
    assert losses(left_alone) == curve
