"""The plot of accuracy against operations: blobs, labels, key and panels."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.text import Annotation
from PIL import Image

from convnets.analysis.network_costs import NetworkCost
from convnets.plots import style
from convnets.plots.accuracy_and_operations import Point, plot_accuracy_and_operations, published_points

POINTS = [
    Point("AlexNet", "alexnet", 714_000_000, 61_000_000, 56.5),
    Point("VGG-16", "vgg", 15_470_000_000, 138_000_000, 71.6),
    Point("VGG-16 BN", "vgg", 15_470_000_000, 138_000_000, 73.4),
    Point("GoogLeNet", "googlenet", 1_498_000_000, 6_600_000, 69.8),
    Point("ResNet-18", "resnet", 1_814_000_000, 11_700_000, 69.8),
    Point("ResNet-50", "resnet", 4_089_000_000, 25_600_000, 76.1),
]
CROWD = [Point(f"run{i}", "vgg", 10, 10, 50.0) for i in range(60)]


def labels(axes: Axes) -> dict[str, Annotation]:
    names = {text.get_text(): text for text in axes.texts if isinstance(text, Annotation)}
    return {name: text for name, text in names.items() if not name.startswith("top-1 of")}


def test_each_network_is_a_blob_as_large_as_its_parameters_with_a_label_of_its_own(tmp_path: Path) -> None:
    figure = plot_accuracy_and_operations(POINTS, tmp_path / "networks.png")
    [axes] = figure.axes
    filled = [blob for blob in axes.collections if blob.get_alpha() == 0.28]
    by_size = sorted(POINTS, key=lambda point: -point.parameters)
    places = [tuple(map(float, blob.get_offsets()[0])) for blob in filled]
    assert places == [(point.multiply_adds, point.accuracy) for point in by_size]
    areas = np.array([blob.get_sizes()[0] for blob in filled])
    np.testing.assert_allclose(areas / areas[0], [point.parameters / 138e6 for point in by_size])
    colours = {point.family: to_hex(blob.get_facecolor()[0]) for point, blob in zip(by_size, filled, strict=True)}
    assert colours["vgg"] == style.BLUE.lower() and len(set(colours.values())) == 4

    found = labels(axes)
    assert found.keys() == {point.label for point in POINTS}
    boxes = [text.get_window_extent() for text in found.values()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    for text, box in zip(found.values(), boxes, strict=True):
        across = np.abs((box.p0 + box.p1) / 2 - axes.transData.transform(text.xy))
        assert (across < 120).all(), "a label stands by its blob"

    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["AlexNet", "VGG", "GoogLeNet", "ResNet"]
    key = axes.get_legend()
    assert key is not None and [text.get_text() for text in key.get_texts()] == ["10 M", "50 M", "100 M"]


def test_runs_have_a_panel_for_each_data_set(tmp_path: Path) -> None:
    runs = {
        "fashion_mnist": [Point(f"seed{i}", "lenet", 416_520, 61_706, 91.0 + i / 10) for i in range(5)],
        "cifar10": [Point("a$b$c", "resnet", 40_551_040, 269_722, 91.25)],
    }
    figure = plot_accuracy_and_operations(POINTS, tmp_path / "networks.png", runs=runs)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "Accuracy on ImageNet and operations, as published",
        "Accuracy on fashion_mnist and operations",
        "Accuracy on cifar10 and operations",
        "",
    ]
    assert labels(figure.axes[1]).keys() == {f"seed{i}" for i in range(5)}
    assert labels(figure.axes[2]).keys() == {r"a\$b\$c"}
    with Image.open(tmp_path / "networks.png") as picture:
        assert min(picture.size) > 1000


@pytest.mark.parametrize("points", [[], POINTS[:1], CROWD], ids=["none", "one", "far too many"])
def test_no_one_or_far_too_many_networks_still_give_a_picture(points: list[Point], tmp_path: Path) -> None:
    figure = plot_accuracy_and_operations(points, tmp_path / "networks.png")
    assert min(len(points), 1) <= len(labels(figure.axes[0])) <= len(points)


def test_points_are_the_published_one_crop_accuracies_of_counted_networks() -> None:
    costs = {name: NetworkCost((224, 224, 3), 25, 4, 1, 1, 1) for name in ("resnet50_v1_5", "resnet50", "alexnet")}
    # Those of the authors (resnet50) are of another training, and AlexNet's are of ten crops.
    assert published_points(costs) == [
        Point("ResNet-50", "resnet", 4, 25, 76.130),
        Point("ResNet-50 V2", "resnet", 4, 25, 80.858),
    ]
