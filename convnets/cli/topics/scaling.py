"""`launch.py explain scaling`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Literal

from rich.table import Table

from convnets.analysis.interconnects import MACHINES, Machine, check_power_of_two
from convnets.analysis.scaling import Point, Work, scaling_steps, sustained_rate
from convnets.cli.printing import new_table, picture_path
from convnets.cli.step_traffic import named_work
from convnets.cli.topics import Explanation, topics
from convnets.errors import InvalidValue, nearest
from convnets.plots.comparisons import Curves, plot_scaling

NETWORKS = ("alexnet", "vgg16", "googlenet", "resnet50")
SHOWN = (2, 8, 64, 256)
"""Numbers of devices that a table has columns of, besides the largest."""


@topics.register
def scaling(
    *,
    network: str = "",
    machine: str = "",
    devices: int = 1024,
    batch: int = 64,
    global_batch: int = 8192,
    utilization: int = 20,
    images_per_second: int = 0,
    scope: Literal["both", "synchronized", "device"] = "both",
    out: str = "",
) -> Explanation:
    """What a step sums over the devices, the time that takes on published links, and the efficiency that is left."""
    path = picture_path(out)
    chosen = {}
    for name in machine.split(",") if machine else MACHINES:
        if name not in MACHINES:
            raise InvalidValue(f"--machine has {name!r}: {nearest(name, MACHINES)}")
        chosen[name] = MACHINES[name]
    check_power_of_two(devices)
    for flag, number in {"batch": batch, "global_batch": global_batch}.items():
        if number < 1:
            raise InvalidValue(f"--{flag} is {number}, and must be positive")
    if not 0 < utilization <= 100:
        raise InvalidValue(f"--utilization is {utilization}, and is a percentage of the peak from 1 to 100")
    if images_per_second < 0 or (images_per_second and not network):
        raise InvalidValue(
            f"--images_per_second is {images_per_second}: give what one device reaches with the one --network"
        )
    counts = [2**power for power in range(devices.bit_length())]
    works = [work for name in ([network] if network else NETWORKS) for work in _works(name, scope)]

    def curves(size: int, *, shared: bool) -> Curves:
        def points(work: Work, one: Machine) -> list[Point]:
            rate = images_per_second or sustained_rate(work, one, utilization / 100)
            return scaling_steps(work, one, counts, size, rate, shared=shared)

        return {name: {work: points(work, one) for work in works} for name, one in chosen.items()}

    weak, strong = curves(batch, shared=False), curves(global_batch, shared=True)
    computing = (
        f"{images_per_second:,} images/s by a device alone"
        if images_per_second
        else f"{utilization} % of the peak in bfloat16, forward and backward 3 times the multiply-adds"
    )
    lines = [
        f"computing: {computing}",
        "from – to: sums after the backward pass – beside it, except those of synchronized norms, which layers await",
        "bandwidths and latencies are published ones, so that efficiencies are upper bounds:",
        *(f"  {name}: {'; '.join(one.sources)}" for name, one in chosen.items()),
    ]
    if path:
        plot_scaling(chosen, weak, strong, path, batch=batch, global_batch=global_batch, note=computing)
        lines.append(f"picture: {path}")
    columns = [count for count in SHOWN if count < devices] + [devices]

    def of_points(title: str, curves: Curves, cell: Callable[[Point], str], *, computing: bool = False) -> Table:
        """A row for each machine and network, a column for each number of devices."""
        heads = ("network", *(["computing"] if computing else []), *(f"{count:,}" for count in columns))
        table = new_table(title, heads, left=("network",))
        for name, one in chosen.items():
            table.add_section()
            table.add_row(f"[bold]{one.title}")
            for work, points in curves[name].items():
                cells = {point.devices: cell(point) for point in points}
                first = [f"{1000 * points[0].time.computing:.2f}"] if computing else []
                table.add_row(_label(work), *first, *(cells.get(count, "–") for count in columns))
        return table

    return Explanation(
        [
            _traffic(works, batch),
            of_points(
                f"Milliseconds of a step: computing {batch} images, and the sums on so many devices",
                weak,
                lambda point: f"{1000 * point.time.summing:.2f}",
                computing=True,
            ),
            of_points(f"Efficiency with {batch} images a device, in %", weak, _efficiency),
            of_points(f"Efficiency with {global_batch:,} images shared by the devices, in %", strong, _efficiency),
        ],
        lines,
        {
            "networks": [
                _names(work)
                | {
                    "multiply_adds": work.multiply_adds,
                    "gradient_bytes": work.traffic.gradients,
                    "statistics_bytes": sum(work.traffic.statistics),
                    "statistics_sums": len(work.traffic.statistics),
                    "metrics_bytes": sum(work.traffic.metrics),
                }
                for work in works
            ],
            "machines": {name: asdict(one) for name, one in chosen.items()},
            "batch_per_device": batch,
            "global_batch": global_batch,
            "utilization": None if images_per_second else utilization / 100,
            "images_per_second": images_per_second or None,
            "weak_scaling": _points(weak),
            "strong_scaling": _points(strong),
        },
    )


def _works(network: str, scope: str) -> list[Work]:
    """A network with its batch norms as the scope says; with both, if that makes a difference."""
    if scope != "both":
        return [named_work(network, scope)]
    together = named_work(network)
    return [together, named_work(network, "device")] if together.traffic.statistics else [together]


def _label(work: Work) -> str:
    return work.name + (", norms apart" if work.norms_apart else "")


def _traffic(works: Sequence[Work], batch: int) -> Table:
    """What one step sums, of one device's arrays."""
    columns = ("network", "gradients", "batch norms", "their sums", "metrics", "GMACs", f"FLOP a byte at {batch}")
    title = "What one step sums over the devices, in bytes of one device's arrays"
    table = new_table(title, columns, left=("network",))
    for work in works:
        traffic = work.traffic
        table.add_row(
            _label(work),
            f"{traffic.gradients:,}",
            f"{sum(traffic.statistics):,}",
            str(len(traffic.statistics)),
            str(sum(traffic.metrics)),
            f"{work.multiply_adds / 1e9:.3f}",
            f"{work.intensity(batch):,.0f}",
        )
    return table


def _efficiency(point: Point) -> str:
    """In percent, without overlap and with all that there can be."""
    return f"{100 * point.time.efficiency_without_overlap:.1f} – {100 * point.time.efficiency_with_overlap:.1f}"


def _names(work: Work) -> dict[str, Any]:
    scope = ("device" if work.norms_apart else "synchronized") if work.traffic.statistics else None
    return {"network": work.name, "batch_norm_scope": scope}


def _points(curves: Curves) -> list[dict[str, Any]]:
    return [
        {
            "machine": machine,
            **_names(work),
            "devices": point.devices,
            "batch_per_device": point.batch,
            **asdict(point.time),
            "efficiency_without_overlap": point.time.efficiency_without_overlap,
            "efficiency_with_overlap": point.time.efficiency_with_overlap,
        }
        for machine, works in curves.items()
        for work, points in works.items()
        for point in points
    ]
