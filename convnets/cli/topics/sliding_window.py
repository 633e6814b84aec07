"""`launch.py explain sliding-window`."""

from convnets import models
from convnets.analysis.network_costs import CLASSES, native_shape
from convnets.analysis.sliding_window import slide
from convnets.analysis.summary_table import short_count
from convnets.cli.printing import new_table
from convnets.cli.topics import Explanation, topics

NETWORKS = ("alexnet", "vgg16", "resnet50")
SIZES = (256, 384, 480, 640)
"""At which He et al. test their residual networks."""


def sliding_window(*, network: str = "", size: int | None = None) -> Explanation:
    """A network slid over a larger image, window by window, against one fully convolutional pass."""
    found = []
    for name in [network] if network else NETWORKS:
        module = models.create(name, CLASSES)
        for side in SIZES if size is None else [size]:
            found.append(slide(module, native_shape(module), (side, side), name))
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
    columns = ("network", "window", "stride", "image", "map", "crops", "windows", "one pass", "saved")
    table = new_table("A sliding window against one fully convolutional pass", columns, left=("network",))
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
    return Explanation([table], lines, {"classes": CLASSES, "images": records})


topics.variant("sliding-window", sliding_window)
