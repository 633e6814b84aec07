"""`launch.py explain sliding-window`."""

from rich import box
from rich.table import Table

from convnets.analysis.human_units import short_count
from convnets.analysis.sliding_window import SlidingWindow, slide_named
from convnets.cli.topics.registry import Explanation, topics

NETWORKS = ("alexnet", "vgg16", "resnet50")
SIZES = (256, 384, 480, 640)
"""At which He et al. test their residual networks."""


def sliding_window(*, network: str = "", size: int | None = None) -> Explanation:
    """A network slid over a larger image, window by window, against one fully convolutional pass."""
    found = [
        slide_named(name, side)
        for name in ([network] if network else NETWORKS)
        for side in (SIZES if size is None else [size])
    ]
    lines = [
        "map: of logits, counted from the network; crops: (image - window) // stride + 1 along a side fit into it",
        "multiply-adds of all crops and of the one pass; saved: how many times as many the crops take",
    ]
    records = [
        {
            "network": one.network,
            "window": one.window[0],
            "size": one.image[0],
            "stride": one.stride[0],
            "map_side": one.map[0],
            "formula_map_side": one.crops[0],
            "crop_multiply_adds": one.crop_multiply_adds,
            "pass_multiply_adds": one.pass_multiply_adds,
            "windows_multiply_adds": one.windows_multiply_adds,
            "saved": one.saved,
        }
        for one in found
    ]
    return Explanation([_table(found)], lines, {"classes": 1000, "images": records})


topics.variant("sliding-window", sliding_window)


def _table(found: list[SlidingWindow]) -> Table:
    title = "A sliding window against one fully convolutional pass"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("network", "window", "stride", "image", "map", "crops", "windows", "one pass", "saved"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for one, before in zip(found, [None, *found], strict=False):
        if before and before.network != one.network:
            table.add_section()
        table.add_row(
            one.network,
            str(one.window[0]),
            str(one.stride[0]),
            str(one.image[0]),
            f"{one.map[0]}×{one.map[1]}",
            f"{one.crops[0]}×{one.crops[1]}",
            short_count(one.windows_multiply_adds),
            short_count(one.pass_multiply_adds),
            f"× {one.saved:.1f}",
        )
    return table
