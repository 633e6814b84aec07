"""`launch.py explain scaling`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from rich.table import Table

from convnets.analysis.interconnects import MACHINES, Machine, check_power_of_two
from convnets.analysis.scaling import StepTime, Work, strong_scaling, sustained_rate, weak_scaling
from convnets.cli.printing import new_table, picture_path
from convnets.cli.step_traffic import named_work
from convnets.cli.topics import Explanation, topics
from convnets.errors import InvalidValue, nearest
from convnets.plots.scaling import Curves, plot_scaling

NETWORKS = ("alexnet", "vgg16", "googlenet", "resnet50")
SHOWN = (2, 8, 64, 256)
"""Numbers of devices that a table has columns of, besides the largest."""
LEFT = ("network",)
"""Columns of words."""


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
    chosen = _machines(machine)
    _check(network, devices, batch, global_batch, utilization, images_per_second)
    counts = [2**power for power in range(devices.bit_length())]
    works = [work for name in ([network] if network else NETWORKS) for work in _works(name, scope)]

    def rate(work: Work, machine: Machine) -> float:
        return images_per_second or sustained_rate(work, machine, utilization / 100)

    weak, strong = (
        {
            name: {work: scaled(work, one, counts, size, rate(work, one)) for work in works}
            for name, one in chosen.items()
        }
        for scaled, size in ((weak_scaling, batch), (strong_scaling, global_batch))
    )
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
    return Explanation(
        [
            _traffic(works, batch),
            _times(chosen, weak, columns, batch),
            _efficiencies(f"Efficiency with {batch} images a device", chosen, weak, columns),
            _efficiencies(f"Efficiency with {global_batch:,} images shared by the devices", chosen, strong, columns),
        ],
        lines,
        {
            "networks": [_record(work) for work in works],
            "machines": {name: asdict(one) for name, one in chosen.items()},
            "batch_per_device": batch,
            "global_batch": global_batch,
            "utilization": None if images_per_second else utilization / 100,
            "images_per_second": images_per_second or None,
            "weak_scaling": _points(weak),
            "strong_scaling": _points(strong),
        },
    )


def _machines(names: str) -> dict[str, Machine]:
    chosen = names.split(",") if names else list(MACHINES)
    for name in chosen:
        if name not in MACHINES:
            raise InvalidValue(f"--machine has {name!r}: {nearest(name, MACHINES)}")
    return {name: MACHINES[name] for name in chosen}


def _works(network: str, scope: str) -> list[Work]:
    """A network with its batch norms as the scope says; with both, if that makes a difference."""
    if scope != "both":
        return [named_work(network, scope)]
    together = named_work(network)
    return [together, named_work(network, "device")] if together.traffic.statistics else [together]


def _label(work: Work) -> str:
    return work.name + (", norms apart" if work.norms_apart else "")


def _check(network: str, devices: int, batch: int, global_batch: int, utilization: int, images_per_second: int) -> None:
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


def _traffic(works: Sequence[Work], batch: int) -> Table:
    """What one step sums, of one device's arrays."""
    columns = ("network", "gradients", "batch norms", "their sums", "metrics", "GMACs", f"FLOP a byte at {batch}")
    table = new_table("What one step sums over the devices, in bytes of one device's arrays", columns, left=LEFT)
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


def _times(machines: Mapping[str, Machine], curves: Curves, counts: Sequence[int], batch: int) -> Table:
    """Milliseconds of computing and of the sums."""
    title = f"Milliseconds of a step: computing {batch} images, and the sums on so many devices"
    table = new_table(title, ("network", "computing", *(f"{count:,}" for count in counts)), left=LEFT)
    for name, machine in machines.items():
        table.add_section()
        table.add_row(f"[bold]{machine.title}")
        for work, points in curves[name].items():
            sums = {point.devices: point.time.summing for point in points}
            cells = (f"{1000 * sums[count]:.2f}" if count in sums else "–" for count in counts)
            table.add_row(_label(work), f"{1000 * points[0].time.computing:.2f}", *cells)
    return table


def _efficiencies(title: str, machines: Mapping[str, Machine], curves: Curves, counts: Sequence[int]) -> Table:
    """In percent, without overlap and with all that there can be."""
    table = new_table(f"{title}, in %", ("network", *(f"{count:,}" for count in counts)), left=LEFT)
    for name, machine in machines.items():
        table.add_section()
        table.add_row(f"[bold]{machine.title}")
        for work, points in curves[name].items():
            found = {point.devices: point.time for point in points}
            table.add_row(_label(work), *(_bounds(found.get(count)) for count in counts))
    return table


def _bounds(time: StepTime | None) -> str:
    if time is None:
        return "–"
    return f"{100 * time.efficiency_without_overlap:.1f} – {100 * time.efficiency_with_overlap:.1f}"


def _record(work: Work) -> dict[str, Any]:
    return {
        "network": work.name,
        "batch_norm_scope": _scope(work),
        "multiply_adds": work.multiply_adds,
        "gradient_bytes": work.traffic.gradients,
        "statistics_bytes": sum(work.traffic.statistics),
        "statistics_sums": len(work.traffic.statistics),
        "metrics_bytes": sum(work.traffic.metrics),
    }


def _scope(work: Work) -> str | None:
    if not work.traffic.statistics:
        return None
    return "device" if work.norms_apart else "synchronized"


def _points(curves: Curves) -> list[dict[str, Any]]:
    return [
        {
            "machine": machine,
            "network": work.name,
            "batch_norm_scope": _scope(work),
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
