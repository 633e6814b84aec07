"""`launch.py explain small-filters` and `bottleneck`: stacks of convolutions compared, counted and measured."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from rich.table import Table

from convnets.analysis.small_filters import BOTTLENECK, SMALL_FILTERS, Cost, Option, compare
from convnets.analysis.summary_table import short_bytes
from convnets.analysis.timing import Timing
from convnets.cli.printing import new_table, picture_path
from convnets.cli.topics import Explanation, topics
from convnets.plots.comparisons import plot_cost_bars


def small_filters(*, depth: int = 64, size: int = 56, batch: int = 8, seconds: int = 10, out: str = "") -> Explanation:
    """One 7×7 layer against three of 3×3, and one 5×5 against two: what they see and what they cost."""
    return _explain(SMALL_FILTERS, depth=depth, size=size, batch=batch, seconds=seconds, out=out)


def bottleneck(*, depth: int = 256, size: int = 28, batch: int = 4, seconds: int = 10, out: str = "") -> Explanation:
    """Two layers of 3×3 against 1×1, 3×3, 1×1 at half the depth (lecture) and at a quarter (ResNet)."""
    return _explain(BOTTLENECK, depth=depth, size=size, batch=batch, seconds=seconds, out=out)


topics.variant("small-filters", small_filters)
topics.register(bottleneck)


def _explain(
    comparisons: Mapping[str, Sequence[Option]], *, depth: int, size: int, batch: int, seconds: int, out: str
) -> Explanation:
    """The comparisons at one depth, on maps of one size, and their picture if it is asked for."""
    path = picture_path(out)
    each = seconds / len(comparisons)
    costs = {
        title: compare(options, depth=depth, size=size, batch=batch, seconds=each)
        for title, options in comparisons.items()
    }
    device = jax.devices()[0].device_kind
    setting = f"D = {depth}, maps of {size} × {size}"
    times = f"times of {batch} map{'s' if batch > 1 else ''} in float32 on one {device}"
    lines = [
        f"{setting}; stride 1, zero padding, no biases; multiply-adds and activations (float32) of one map",
        "by hand: size² × channels × filters, summed over layers, as in the lecture; training: forward and gradient",
    ]
    if seconds > 0:
        lines.append(f"{times}: medians, and how many times the first option's median and minimum")
    if path:
        plot_cost_bars(costs, path, note=f"{setting}; {times}" if seconds > 0 else setting)
        lines.append(f"picture: {path}")
    record = {
        "depth": depth,
        "size": size,
        "batch": batch,
        "device": device,
        "comparisons": [
            {"title": title, "options": [_record(cost, compared[0]) for cost in compared]}
            for title, compared in costs.items()
        ],
    }
    return Explanation([_table(title, compared) for title, compared in costs.items()], lines, record)


def _table(title: str, costs: Sequence[Cost]) -> Table:
    """One column an option: so it stays narrow however many quantities there are."""
    table = new_table(title, ("", *(cost.option.name for cost in costs)), left=("",))
    rows: tuple[tuple[str, Callable[[Cost], str]], ...] = (
        ("layers", lambda cost: str(cost.layers)),
        ("sees", lambda cost: f"{cost.receptive_field} × {cost.receptive_field}"),
        ("non-linearities", lambda cost: str(cost.nonlinearities)),
        ("parameters", lambda cost: f"{cost.parameters:,}"),
        ("  by hand", lambda cost: f"{float(cost.option.formula):.6g} D² = {cost.formula_parameters:,}"),
        ("multiply-adds", lambda cost: f"{cost.multiply_adds:,}"),
        ("  by hand", lambda cost: f"{float(cost.option.formula):.6g} W H D² = {cost.formula_multiply_adds:,}"),
        ("activations", lambda cost: short_bytes(cost.activation_bytes)),
    )
    for head, cell in rows:
        table.add_row(head, *map(cell, costs))
    for name in ("forward", "training"):
        timings = [timing for cost in costs if (timing := getattr(cost, name))]
        if timings:
            ratios = [timing.over(timings[0]) for timing in timings]
            table.add_row(name, *(f"{1000 * timing.median:,.2f} ms" for timing in timings))
            table.add_row("  medians", *(f"× {ratio['ratio_of_medians']:.2f}" for ratio in ratios))
            table.add_row("  minima", *(f"× {ratio['ratio_of_minima']:.2f}" for ratio in ratios))
    return table


def _record(cost: Cost, first: Cost) -> dict[str, Any]:
    def seconds(timing: Timing | None, other: Timing | None) -> dict[str, float] | None:
        if timing is None or other is None:
            return None
        return {"median_seconds": timing.median, "minimum_seconds": timing.minimum, **timing.over(other)}

    return {
        "name": cost.option.name,
        "layers": cost.layers,
        "receptive_field": cost.receptive_field,
        "nonlinearities": cost.nonlinearities,
        "parameters": cost.parameters,
        "parameters_by_hand": cost.formula_parameters,
        "multiply_adds": cost.multiply_adds,
        "multiply_adds_by_hand": cost.formula_multiply_adds,
        "activation_bytes": cost.activation_bytes,
        "forward": seconds(cost.forward, first.forward),
        "training": seconds(cost.training, first.training),
    }
