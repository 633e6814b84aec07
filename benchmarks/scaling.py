"""A step on 1, 2, 4 and 8 devices made of the same cores, against what each device does for all parameters."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.experiment import training
from benchmarks.measuring import Result, Row
from convnets.analysis.scaling import StepTraffic
from convnets.analysis.timing import alternate
from convnets.commands.step_traffic import step_traffic
from convnets.data.source import SourceInfo
from convnets.errors import ConvnetsError
from convnets.training.config import complete, default_config
from convnets.training.parallel import REPLICATED, Devices, sum_over_devices
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state, mapped_train_step

COUNTS = (1, 2, 4, 8)
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": f"--xla_force_host_platform_device_count={COUNTS[-1]}",
    # Fewer threads than twice the devices can starve their rendezvous.
    "NPROC": str(2 * COUNTS[-1]),
}

NETWORKS: dict[str, tuple[dict[str, Any], tuple[int, int, int], int]] = {
    "lenet5": ({}, (32, 32, 1), 128),
    "resnet20": ({}, (32, 32, 3), 128),
    "alexnet": ({"width": 0.5}, (227, 227, 3), 16),
}
"""Options of a network, its images `(H, W, C)`, and how many of them the devices share."""

NUMBERS = np.zeros(COUNTS[-1], np.float32)
"""Something of which each device has a part, so that XLA takes no sum for known."""


def contestants(network: str) -> tuple[dict[str, Callable[[], Any]], StepTraffic]:
    """On each number of devices the training step ("step 2"), and its sums and its update alone ("alone 2").

    These are what more devices don't share: each sums and updates all parameters.
    """
    options, shape, batch_size = NETWORKS[network]
    config = default_config()
    config.network = {"name": network} | options
    config.normalization.mean = config.normalization.deviation = (0.5,) * shape[2]
    config.train.batch_size = batch_size
    config = complete(config)
    info = SourceInfo("random images", tuple("abcdefghij"), shape, {"train": batch_size, "test": batch_size})
    model = build_model(config, info)
    plan = make_plan(config, model.task, batch_size)
    state = jax.device_get(initial_state(config, model, plan))
    traffic = step_traffic(config, info, "auto")
    random = np.random.default_rng(0)
    batch = {
        "image": random.integers(0, 256, (1, batch_size, *shape), np.uint8),
        "label": random.integers(0, len(info.classes), (1, batch_size), np.int32),
        "index": np.arange(batch_size)[None],
        "epoch": np.zeros((1, batch_size), np.int32),
        "weight": np.ones((1, batch_size), np.float32),
    }

    def alone(state: Any, numbers: jax.Array) -> tuple[Any, jax.Array]:
        # Each of these sums waits for the one before, as layers do.
        waited = numbers[0]
        for size in traffic.statistics:
            waited = sum_over_devices(jnp.full(size // 4, waited) + numbers[0])[0]
        gradient = sum_over_devices(jax.tree.map(lambda leaf: leaf * numbers[0], state.params))
        direction, optimizer_state = plan.optimizer.update(gradient, state.optimizer_state, state.params)
        params = optax.apply_updates(state.params, direction)
        return state.replace(params=params, optimizer_state=optimizer_state), waited

    made: dict[str, Callable[[], Any]] = {}
    for count in COUNTS:
        devices = Devices(config.train.wrapper, jax.local_devices()[:count])
        mapped = mapped_train_step(config, model, plan, devices)
        made[f"step {count}"] = training(mapped, devices.replicate(state), devices.split(batch, batch_axis=1))
        mapped = devices.wrap(alone, (REPLICATED, REPLICATED), donate=True)
        made[f"alone {count}"] = training(mapped, devices.replicate(state), devices.split(NUMBERS))
    return made, traffic


def measure(network: str, seconds: float) -> list[Row]:
    """A row for each number of devices; what is predicted is what the sums and the update alone add."""
    made, traffic = contestants(network)
    timings = alternate(made, seconds=seconds)
    one = timings["step 1"]
    processor = {name: statistics.median(timing.processor) for name, timing in timings.items()}
    rows: list[Row] = []
    for count in COUNTS:
        step, alone = f"step {count}", f"alone {count}"
        added = timings[alone].median - timings["alone 1"].median
        processor_added = processor[alone] - processor["alone 1"]
        rows.append(
            {
                "network": network,
                "devices": count,
                "summed_MB": traffic.bytes / 1e6,
                "ms_a_step": timings[step].median * 1e3,
                "cores_busy": processor[step] / timings[step].median,
                "ratio_of_medians": timings[step].median / one.median,
                "predicted_ratio": 1 + added / one.median,
                "ratio_of_processor_time": processor[step] / processor["step 1"],
                "predicted_of_processor_time": 1 + processor_added / processor["step 1"],
            }
        )
    return rows


def run(quick: bool) -> Result:
    """LeNet-5, ResNet-20 and AlexNet with half of its filters, in a process that has eight devices."""
    command = [sys.executable, "-m", "benchmarks.scaling", *(["--quick"] if quick else [])]
    worker = subprocess.run(
        command, cwd=Path(__file__).parent.parent, env=os.environ | ENVIRONMENT, text=True, capture_output=True
    )
    if worker.returncode:
        raise ConvnetsError(f"the process with {COUNTS[-1]} devices failed: {worker.stderr.strip()[-300:]}")
    rows: list[Row] = json.loads(worker.stdout)
    found = [
        f"{row['network']} {row['ratio_of_processor_time']:.2f} (predicted {row['predicted_of_processor_time']:.2f})"
        for row in rows
        if row["devices"] == COUNTS[-1]
    ]
    return Result(
        "Devices made of the same cores, a step at the same global batch against that of one device",
        rows,
        f"on {COUNTS[-1]} devices a step takes, of its processor time on one: {', '.join(found)}",
    )


if __name__ == "__main__":
    short = "--quick" in sys.argv
    chosen = ["lenet5"] if short else list(NETWORKS)
    print(json.dumps([row for name in chosen for row in measure(name, 0.5 if short else 15)]))
