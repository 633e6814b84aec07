"""`launch.py` as a user starts it, on real Fashion-MNIST, for a run of a few seconds."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from convnets.data import fashion_mnist
from convnets.training.metrics_log import read_records

ROOT = Path(__file__).parents[2]
EXPERIMENT = "--config=experiments/lenet_fashion_mnist.py"

# Everything that a run remembers: batch statistics, momentum, an average, the plateau's counters.
SHORT = (
    EXPERIMENT,
    "--config.network.name=lenet5_bn",
    "--config.schedule.name=plateau",
    "--config.schedule.warmup=10 steps",
    "--config.schedule.patience=1",
    "--config.schedule.tolerance=0.5",
    "--config.train.average_decay=0.9",
    "--config.train.batch_size=32",
    "--config.train.duration=120 steps",
    "--config.validation.examples=500",
    "--config.evaluation.every=50 steps",
    "--config.evaluation.batch_size=500",
    "--config.checkpoint.every=20 steps",
    "--config.checkpoint.keep=3",
    "--config.log.every=5 steps",
)


def needs_data() -> pytest.MarkDecorator:
    """Skips where the data set is not, and says so."""
    try:
        fashion_mnist.find()
    except fashion_mnist.DataNotFound as error:
        return pytest.mark.skipif(True, reason=str(error))
    return pytest.mark.skipif(False, reason="")


def start(arguments: Sequence[str], devices: int = 1, **environment: str) -> subprocess.Popen[str]:
    """Starts `launch.py` in a process of its own, with so many devices."""
    devices_flag = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    return subprocess.Popen(
        [sys.executable, "launch.py", *arguments],
        cwd=ROOT,
        env=os.environ | devices_flag | {"PYTHONUNBUFFERED": "1"} | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def launch(arguments: Sequence[str], devices: int = 1) -> tuple[int, str]:
    """Runs `launch.py` to its end; returns the exit status and all it said."""
    with start(arguments, devices) as process:
        said, _ = process.communicate(timeout=300)
        return process.returncode, said


def losses(workdir: Path) -> dict[int, float]:
    """The training loss at each recorded step."""
    return {r["step"]: r["objective"] for r in read_records(workdir / "metrics.jsonl") if r["kind"] == "train"}


def evaluations(workdir: Path) -> list[tuple[object, ...]]:
    """Split, step, examples and metrics of each evaluation, without the times."""
    return [
        tuple(r[name] for name in ("split", "step", "examples", "loss", "top1", "top5"))
        for r in read_records(workdir / "metrics.jsonl")
        if r["kind"] == "evaluation"
    ]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
