"""Computing in float32 against computing in bfloat16, in training and in inference."""

from collections.abc import Callable
from typing import Any

import jax

from benchmarks.experiment import Experiment, load, training
from benchmarks.measuring import Result, Row
from convnets.analysis.timing import alternate
from convnets.evaluation.inference import Inference

TYPES = ("float32", "bfloat16")


def inference(experiment: Experiment) -> Callable[[], Any]:
    """A contestant: the evaluation step on one batch."""
    mapped = Inference(experiment.model, experiment.devices, experiment.config.evaluation)
    variables = load().state().variables()
    batch = experiment.devices.split(experiment.examples())
    return lambda: mapped(variables, batch)


def run(quick: bool) -> Result:
    """LeNet-5 at batch 128."""
    contestants: dict[str, Callable[[], Any]] = {}
    for dtype in TYPES:
        experiment = load(f"network.dtype={dtype}")
        contestants[f"training {dtype}"] = training(experiment.mapped_step(), load().state(), experiment.batches())
        if not quick:
            contestants[f"inference {dtype}"] = inference(experiment)
    timings = alternate(contestants, seconds=0.5 if quick else 10)
    rows: list[Row] = []
    found = []
    for what in ("training",) if quick else ("training", "inference"):
        for dtype in TYPES:
            timing = timings[f"{what} {dtype}"]
            ratios = timing.over(timings[f"{what} float32"])
            rows.append(
                {
                    "what": what,
                    "dtype": dtype,
                    "ms_a_step": timing.median * 1e3,
                    "images_a_second": round(experiment.batch_size / timing.median),
                    **ratios,
                }
            )
        found.append(f"{ratios['ratio_of_medians']:.2f} in {what}")
    kind = jax.devices()[0].device_kind
    return Result(
        "Precision, time per step against float32 (LeNet-5, batch 128)",
        rows,
        f"bfloat16 takes {' and '.join(found)} of float32's time on this device ({kind})",
    )
