"""All networks, or the runs in a folder, as a table, CSV and JSON."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from convnets.analysis.families import family_of
from convnets.analysis.human_units import short_bytes
from convnets.analysis.network_costs import KnownNetwork, NetworkCost
from convnets.analysis.published import ONE_CROP, Published
from convnets.cli.runs import FinishedRun


@dataclass(frozen=True)
class CountedNetwork:
    """A registered network, what it costs, and what it was reported to reach."""

    network: KnownNetwork
    cost: NetworkCost
    published: list[Published]

    @property
    def name(self) -> str:
        """Its names in one: `vgg_d (vgg16)`."""
        first, *others = self.network.names
        return f"{first} ({', '.join(others)})" if others else first

    @property
    def family(self) -> str:
        """Of its name."""
        return family_of(self.network.names[0])


def as_csv(counted: Sequence[CountedNetwork]) -> str:
    """A line for each network under a line of names; of several published accuracies that of one crop, the first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ("parameters", "multiply_adds", "activation_bytes", "receptive_field", "stride")
    published = ("top1", "top5", "weights", "protocol", "data")
    names = ("network", "aliases", "family", "image_shape", "classes", *columns)
    writer.writerow([*names, *(f"published_{field}" for field in published)])
    for one in counted:
        first, *aliases = one.network.names
        shape = "x".join(map(str, one.cost.image_shape))
        best = [getattr(one.published[0], field) for field in published] if one.published else [""] * len(published)
        counts = [getattr(one.cost, column) for column in columns]
        writer.writerow([first, " ".join(aliases), one.family, shape, one.network.classes, *counts, *best])
    return text.getvalue()


def as_record(one: CountedNetwork) -> dict[str, Any]:
    """All that is known of a network, for `json.dumps`."""
    return {
        "names": one.network.names,
        "family": one.family,
        "classes": one.network.classes,
        **asdict(one.cost),
        "published": [asdict(entry) for entry in one.published],
    }


def table_of_networks(counted: Sequence[CountedNetwork]) -> Table:
    """A row for each network; several published accuracies stand below each other."""
    title = "All networks at their native size, for 1,000 classes (images of 32 pixels: 10)"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption = (
        "GMACs: billions of multiply-adds of one image; activations: of one image, float32; sees: receptive field of "
        "the last map before the classifier, and its stride; published: top-1 / top-5 in %"
    )
    table.caption_justify = "left"
    for column in ("network", "image", "parameters", "GMACs", "activations", "sees", "stride", "published"):
        table.add_column(column, justify="left" if column in ("network", "published") else "right")
    for i, one in enumerate(counted):
        if i and counted[i - 1].family != one.family:
            table.add_section()
        cost = one.cost
        table.add_row(
            one.name,
            "×".join(map(str, cost.image_shape)),
            f"{cost.parameters:,}",
            _billions(cost.multiply_adds),
            short_bytes(cost.activation_bytes),
            str(cost.receptive_field or ""),
            str(cost.stride or ""),
            "\n".join(_reported(entry) for entry in one.published),
        )
    return table


def _billions(number: int) -> str:
    """To three decimals, as publications do; to four where those would be zeros."""
    return f"{number / 1e9:.{3 if number >= 1e7 else 4}f}"


def _reported(entry: Published) -> str:
    accuracies = " / ".join("–" if top is None else f"{top:.2f}" for top in (entry.top1, entry.top5))
    data = "" if entry.data == "ImageNet" else f", {entry.data}"
    protocol = "" if entry.protocol == ONE_CROP else f", {entry.protocol}"
    return f"{accuracies} {entry.weights}{protocol}{data}"


def table_of_runs(runs: Sequence[FinishedRun], folder: Path) -> Table:
    """A row for each run."""
    title = f"Runs below {folder}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("run", "network", "data", "image", "top-1", "parameters", "GMACs"):
        table.add_column(column, justify="left" if column in ("run", "network", "data") else "right")
    for run in runs:
        table.add_row(
            run.name,
            run.network,
            run.data,
            "×".join(map(str, run.cost.image_shape)),
            f"{run.accuracy:.2%}",
            f"{run.cost.parameters:,}",
            _billions(run.cost.multiply_adds),
        )
    return table
