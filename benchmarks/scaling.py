"""A step on 1, 2, 4 and 8 devices made of the same cores, against what each device does for all parameters."""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.experiment import training
from benchmarks.measuring import Result, Row
from convnets.analysis.timing import alternate
from convnets.cli.step_traffic import step_traffic
from convnets.data.source import SourceInfo
from convnets.errors import ConvnetsError
from convnets.parallel import REPLICATED, Devices, sum_over_devices
from convnets.training.config import complete, default_config
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, initial_state, mapped_train_step

COUNTS = (1, 2, 4, 8)

NETWORKS: dict[str, tuple[dict[str, Any], tuple[int, int, int], int]] = {
    "lenet5": ({}, (32, 32, 1), 128),
    "resnet20": ({}, (32, 32, 3), 128),
    "alexnet": ({"width": 0.5}, (227, 227, 3), 16),
}
"""Options of a network, its images `(H, W, C)`, and how many of them the devices share."""


@dataclass(frozen=True)
class Measured:
    """A network on the devices of one process.

    Attributes:
      step, alone: seconds of the training step, and of its sums and its update alone, which more devices don't share:
        each of them sums and updates all parameters.
      step_processor, alone_processor: seconds of processor time.
      summed: bytes of one device's arrays.
    """

    step: float
    alone: float
    step_processor: float
    alone_processor: float
    summed: int


def measure(network: str, seconds: float) -> Measured:
    """A network on all devices of this process."""
    options, shape, batch_size = NETWORKS[network]
    config = default_config()
    config.network = {"name": network} | options
    config.normalization.mean = config.normalization.std = (0.5,) * shape[2]
    config.train.batch_size = batch_size
    config = complete(config)
    info = SourceInfo("random images", tuple("abcdefghij"), shape, {"train": batch_size, "test": batch_size})
    model = build_model(config, info)
    plan = make_plan(config, model, batch_size)
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

    devices = Devices(config.train.wrapper)
    mapped = mapped_train_step(config, model, plan, devices), devices.wrap(alone, (REPLICATED, REPLICATED), donate=True)
    # Something of which each device has a part, so that XLA takes no sum for known.
    inputs = devices.split(batch, batch_axis=1), devices.split(np.zeros(devices.count, np.float32))
    made = {
        name: training(function, devices.replicate(state), given)
        for name, function, given in zip(("step", "alone"), mapped, inputs, strict=True)
    }
    timings = alternate(made, seconds=seconds)
    processor = {name: statistics.median(timing.processor) for name, timing in timings.items()}
    return Measured(
        timings["step"].median, timings["alone"].median, processor["step"], processor["alone"], traffic.bytes
    )


def in_a_process(count: int, quick: bool) -> dict[str, Measured]:
    """The networks in a process that has so many devices.

    Raises:
      ConvnetsError: it failed, with its last words.
    """
    environment = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}
    if count > 1:
        # Fewer threads than twice the devices can starve their rendezvous.
        environment["NPROC"] = str(2 * count)
    command = [sys.executable, "-m", "benchmarks.scaling", *(["--quick"] if quick else [])]
    folder = Path(__file__).parent.parent
    worker = subprocess.run(command, cwd=folder, env=os.environ | environment, text=True, capture_output=True)
    if worker.returncode:
        raise ConvnetsError(f"the process with {count} devices failed: {worker.stderr.strip()[-300:]}")
    return {name: Measured(**measured) for name, measured in json.loads(worker.stdout).items()}


def run(quick: bool) -> Result:
    """LeNet-5, ResNet-20 and AlexNet with half of its filters, in a process for each number of devices.

    In a process of one device a step has all cores; where there are several, each device has a thread of its own.
    """
    found = {count: in_a_process(count, quick) for count in (COUNTS[:2] if quick else COUNTS)}
    rows: list[Row] = []
    for network, one in found[1].items():
        for count, networks in found.items():
            here = networks[network]
            rows.append(
                {
                    "network": network,
                    "devices": count,
                    "summed_MB": here.summed / 1e6,
                    "ms_a_step": here.step * 1e3,
                    "cores_busy": here.step_processor / here.step,
                    "ratio_of_medians": here.step / one.step,
                    "predicted_ratio": 1 + (here.alone - one.alone) / one.step,
                    "ratio_of_processor_time": here.step_processor / one.step_processor,
                    "predicted_of_processor_time": 1
                    + (here.alone_processor - one.alone_processor) / one.step_processor,
                }
            )
    most = [row for row in rows if row["devices"] == max(found)]
    ratios = [
        f"{row['network']} {row['ratio_of_medians']:.2f} (predicted {row['predicted_ratio']:.2f})" for row in most
    ]
    return Result(
        "Devices made of the same cores, a step at the same global batch against that of one device",
        rows,
        f"on {max(found)} devices a step takes, of its time on one: {', '.join(ratios)}",
    )


if __name__ == "__main__":
    short = "--quick" in sys.argv
    chosen = ["lenet5"] if short else list(NETWORKS)
    print(json.dumps({name: asdict(measure(name, 0.5 if short else 5)) for name in chosen}))
