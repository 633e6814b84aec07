"""Training and inference against PyTorch on the same CPU, network by network."""

import math
from collections.abc import Iterator, Sequence
from itertools import product

from rich.console import Console

from benchmarks.measuring import Result, Row
from benchmarks.side_by_side.cases import MODES, NETWORKS, TYPES, Case
from benchmarks.side_by_side.floor import measured_rates
from benchmarks.side_by_side.match import available, play
from benchmarks.side_by_side.process import CONTESTANTS, THEIRS
from benchmarks.side_by_side.rows import rows_of

Plan = tuple[Case, tuple[str, ...], str]
"""A case, its contestants, and what becomes of memory that they free: "kept" or "returned"."""

RIVALS = ("compiled", "eager")

QUICK = ("resnet20", "alexnet_owt")

CLOSER = ("resnet20", "alexnet_owt", "resnet18")
"""Networks that all contestants compute; with the others it is this library's kernels against eager PyTorch. (All with
all, as `python -m benchmarks.side_by_side` plays them, take more than an hour, most of it `torch.compile`'s.)"""

RETURNING = ("resnet20", "alexnet_owt", "googlenet_bn")
"""Networks that are trained in float32 with the C library's defaults as well."""

COLUMNS = (
    "network",
    "mode",
    "dtype",
    "memory",
    "contestant",
    "images_a_second",
    *(f"{statistic}_over_{name}" for name in THEIRS for statistic in ("medians", "minima")),
    "share_of_matrix_product",
    "first_call_s",
    "peak_mb",
)


def plans(quick: bool) -> Iterator[Plan]:
    """What is played, in this order."""
    for network, mode, dtype in product(NETWORKS, MODES, TYPES):
        if quick and (network not in QUICK or dtype != "float32"):
            continue
        case = Case(network, mode, dtype)
        yield case, ("compiled", "xla", "eager") if quick else CONTESTANTS if network in CLOSER else RIVALS, "kept"
        if network in RETURNING and (mode, dtype) == ("training", "float32") and not quick:
            yield case, RIVALS, "returned"


def run(quick: bool) -> Result:
    """Batches of 128 images of 32 x 32 pixels, and of 16 of 224 x 224 or 227 x 227."""
    rates = measured_rates()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    rows: list[Row] = []
    for case, contestants, memory in plans(quick):
        played = play(case, available(contestants), seconds=1 if quick else 4, memory=memory)
        found = rows_of(case, played, memory=memory, rate=rates[case.dtype])
        console.print(f"{case}, memory {memory}: {' '.join(short(row) for row in found)}", style="dim")
        rows += found
    return Result(
        "Training and inference against PyTorch on the same CPU (lenet5 and resnet20 at batch 128, the others at 16)",
        [{column: row[column] for column in COLUMNS} for row in rows],
        reading(rows, rates),
    )


def short(row: Row) -> str:
    """A contestant and its ratio of medians to eager PyTorch's time, or what there is instead."""
    ratio = row["medians_over_eager"]
    said = row["failure"] or (f"{ratio:.3f}" if isinstance(ratio, float) else f"{row['ms_a_step']:.1f} ms")
    return f"{row['contestant']} {said}"


def reading(rows: Sequence[Row], rates: dict[str, float]) -> str:
    """Geometric means over the networks, what failed, and how fast the machine is."""
    found = []
    for mode, dtype in product(MODES, TYPES):
        here = [row for row in rows if (row["mode"], row["dtype"], row["memory"]) == (mode, dtype, "kept")]
        means = [mean_ratio(here, name) for name in CONTESTANTS if name != "eager"]
        if any(means):
            found.append(f"{mode} in {dtype} {', '.join(filter(None, means))}")
    if found:
        said = f"of eager PyTorch's time take, in the geometric mean over the networks: {'; '.join(found)}"
    else:
        said = "PyTorch is not installed, so only this library's contestants ran"
    speeds = ", ".join(f"{rate / 1e9:.0f} Gflop/s in {dtype}" for dtype, rate in rates.items())
    failures = [
        f"{row['contestant']} on {row['network']} {row['mode']} {row['dtype']}: {row['failure']}"
        for row in rows
        if row["failure"]
    ]
    return "; ".join([f"{said} (matrix products here: {speeds})", *(f"failed {failure}" for failure in failures)])


def mean_ratio(rows: Sequence[Row], contestant: str) -> str:
    """The geometric mean of a contestant's ratios of medians to eager PyTorch, and over how many; empty without any."""
    ratios = [row["medians_over_eager"] for row in rows if row["contestant"] == contestant]
    logarithms = [math.log(ratio) for ratio in ratios if isinstance(ratio, float)]
    if not logarithms:
        return ""
    return f"{contestant} {math.exp(sum(logarithms) / len(logarithms)):.2f} (of {len(logarithms)})"
