"""Sweeps of a few real steps of LeNet-5, for tests that start them as processes."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

EXPERIMENT = """
from convnets.sweeps.space import grid, log_uniform, product, seeds
from convnets.training.config import default_config


def get_config():
    config = default_config()
    config.train.batch_size = 32
    config.train.duration = "STEPS steps"
    config.schedule.warmup = "0 steps"
    config.validation.examples = 500
    config.evaluation.every = "EVALUATE steps"
    config.evaluation.batch_size = 500
    config.checkpoint.every = "SAVE steps"
    config.log.every = "5 steps"
    return config


def sweep():
    SWEEP
"""


def experiment(folder: Path, sweep: str, *, steps: int = 40, evaluate: int = 20, save: int = 5) -> str:
    """Writes an experiment with that `sweep()`; returns its flag.

    Args:
      evaluate, save: every so many steps.
    """
    text = EXPERIMENT.replace("SWEEP", sweep)
    for name, number in {"STEPS": steps, "EVALUATE": evaluate, "SAVE": save}.items():
        text = text.replace(name, str(number))
    path = folder / "experiment.py"
    path.write_text(text)
    return f"--config={path}"


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Waits for it, while the process runs."""
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
