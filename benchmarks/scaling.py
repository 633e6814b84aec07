"""A step on 1, 2, 4 and 8 devices made of the same cores: what mapping and sums add, and what the sums alone take."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


def contestants(network: str) -> tuple[dict[str, Callable[[], Any]], StepTraffic]:
    """On each number of devices the training step ("step 2") and its sums alone ("sums 2"), and what these are."""
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

    def sums(params: Any, numbers: jax.Array) -> tuple[Any, jax.Array]:
        # Each waits for the one before, as the layers of a network do.
        waited = jnp.sum(numbers)
        for size in traffic.statistics:
            waited = sum_over_devices(jnp.full(size // 4, waited) + numbers[0])[0]
        return sum_over_devices(params), waited

    made: dict[str, Callable[[], Any]] = {}
    for count in COUNTS:
        devices = Devices(config.train.wrapper, jax.local_devices()[:count])
        batches = devices.split(batch, batch_axis=1)
        mapped = mapped_train_step(config, model, plan, devices)
        made[f"step {count}"] = training(mapped, devices.replicate(state), batches)
        alone = devices.wrap(sums, (REPLICATED, REPLICATED))
        params, numbers = devices.replicate(state.params), devices.split(np.arange(COUNTS[-1], dtype=np.float32))
        made[f"sums {count}"] = lambda alone=alone, params=params, numbers=numbers: alone(params, numbers)  # type: ignore[misc]
    return made, traffic


def measure(network: str, seconds: float) -> list[Row]:
    """A row for each number of devices."""
    made, traffic = contestants(network)
    timings = alternate(made, seconds=seconds)
    one, bare = timings["step 1"], timings["sums 1"]
    return [
        {
            "network": network,
            "devices": count,
            "ms_a_step": timings[f"step {count}"].median * 1e3,
            **timings[f"step {count}"].over(one),
            "summed_MB": traffic.bytes / 1e6,
            "sums": len(traffic.statistics),
            "ms_of_sums_alone": (timings[f"sums {count}"].median - bare.median) * 1e3,
            "predicted_ratio": 1 + (timings[f"sums {count}"].median - bare.median) / one.median,
        }
        for count in COUNTS
    ]


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
        f"{row['network']} {row['ratio_of_medians']:.2f} (predicted {row['predicted_ratio']:.2f})"
        for row in rows
        if row["devices"] == COUNTS[-1]
    ]
    return Result(
        "Devices made of the same cores, a step at the same global batch against that of one device",
        rows,
        f"on {COUNTS[-1]} devices a step takes, of its time on one: {', '.join(found)}",
    )


if __name__ == "__main__":
    short = "--quick" in sys.argv
    chosen = ["lenet5"] if short else list(NETWORKS)
    print(json.dumps([row for name in chosen for row in measure(name, 0.5 if short else 15)]))
