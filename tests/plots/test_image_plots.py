"""Pictures of images, filters, masks, boxes and maps, read back from the figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from convnets.analysis.transposed_convolution import example
from convnets.data.label_map import IGNORED
from convnets.plots import localization, sliding_window, style
from convnets.plots.contact_sheet import plot_contact_sheet
from convnets.plots.filters import plot_filters
from convnets.plots.segmentation import class_colours, plot_boundary_iu, plot_class_iu, plot_segmentations
from convnets.plots.transposed_convolution import plot_transposed_convolution

CLASSES = ("shirt", "shoe")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "picture.png"


@pytest.fixture
def originals() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    mask = np.zeros((2, 12, 10), np.int32)
    mask[:, 2:6, 3:8], mask[:, 0] = 1, 255
    return {
        "image": random.uniform(size=(2, 12, 10, 3)).astype(np.float32),
        "label": np.array([0, 1]),
        "boxes": np.array([[[2, 3, 6, 8], [0, 0, 0, 0]]] * 2, np.float32),
        "mask": mask,
    }


def test_a_contact_sheet_has_a_row_for_each_image_and_a_column_for_each_draw(originals, out) -> None:
    draws = [originals | {"image": 1 - originals["image"]}] * 3
    axes = np.reshape(plot_contact_sheet(originals, draws, CLASSES, "a title", out).axes, (2, 4))
    assert [one.get_title() for one in axes[0]] == ["original", "epoch 0", "epoch 1", "epoch 2"]
    assert [one.get_xlabel() for one in axes[:, 0]] == ["shirt", "shoe"]
    assert [len(one.patches) for one in axes.flat] == [1] * 8, "empty boxes are not drawn"


def test_a_mask_tints_labels_and_leaves_the_background(originals, out) -> None:
    axes = plot_contact_sheet(originals, [originals], CLASSES, "", out).axes[1]
    shown, plain = np.asarray(axes.images[0].get_array()), originals["image"][0]
    labelled, background, ignored = (3, 4), (9, 1), (0, 5)
    np.testing.assert_allclose(shown[background], plain[background], atol=1e-6)
    np.testing.assert_allclose(shown[labelled], 0.55 * plain[labelled] + 0.45 * np.array(to_rgb(style.BLUE)), atol=1e-6)
    np.testing.assert_allclose(shown[ignored], 0.55 * plain[ignored] + 0.45 * 0.5, atol=1e-6)


def test_mixed_images_of_one_channel_and_another_size_say_what_they_are_mixed_of(out) -> None:
    originals = {"image": np.linspace(0, 1, 2 * 8 * 8).reshape(2, 8, 8, 1)}
    shares = {"labels": np.array([[0, 1, 0], [1, 1, 1]]), "label_shares": np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])}
    figure = plot_contact_sheet(originals, [{"image": originals["image"][:, :5, :6]} | shares], CLASSES, "grey", out)
    assert [axes.get_xlabel() for axes in figure.axes[1::2]] == ["70% shirt\n30% shoe", "100% shoe"]
    with Image.open(out) as picture:
        assert min(picture.size) > 200


def kernel(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def mosaic(figure: Figure) -> np.ma.MaskedArray:
    array = figure.axes[0].images[0].get_array()
    assert isinstance(array, np.ma.MaskedArray)
    return array


def note(figure: Figure) -> str:
    return figure.axes[0].texts[0].get_text()


def test_grey_filters_share_one_scale_symmetric_about_zero(out) -> None:
    weights = kernel(5, 5, 1, 6)
    weights[0, 0, 0, 0] = -9.0
    figure = plot_filters(weights, out)
    assert figure.axes[0].images[0].get_clim() == (-9.0, 9.0)
    assert len(figure.axes) == 2, "the second is the colour bar"
    # Each weight is a block of cells; the filters' cells are exactly the weights, the gaps are masked.
    values = mosaic(figure).compressed()
    np.testing.assert_allclose(np.unique(values), np.unique(weights))
    assert values[0] == -9.0 and len(values) % weights.size == 0


def test_rgb_filters_have_zero_at_grey_and_their_largest_weight_at_full_colour_unless_they_are_dead(out) -> None:
    weights = np.zeros((3, 3, 3, 2))
    weights[1, 1, 0, 0], weights[1, 1, 2, 1] = 0.5, -0.25
    colours = {tuple(colour) for colour in np.asarray(mosaic(plot_filters(weights, out))).reshape(-1, 3)}
    assert colours == {(0.5, 0.5, 0.5), (1.0, 0.5, 0.5), (0.5, 0.5, 0.0), (1.0, 1.0, 1.0)}
    weights = kernel(7, 7, 3, 2)
    weights[..., 1] *= 1e-4
    cells = np.asarray(mosaic(plot_filters(weights, out)))
    assert np.abs(cells[:, -cells.shape[1] // 3 :] - 0.5).max() < 0.01


def test_what_is_averaged_left_out_or_not_finite_is_said(out) -> None:
    weights = kernel(3, 3, 16, 97)
    weights[0, 0, 0, :2] = (np.nan, np.inf)
    figure = plot_filters(weights, out, title="conv1")
    for words in ("mean over the 16 input channels", "the first 96 of 97 filters", "2 weights are not finite"):
        assert words in note(figure)


def test_masks_of_several_networks_stand_beside_the_truth_with_their_accuracy(out) -> None:
    image, truth = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.int32)
    truth[0], truth[1] = IGNORED, 1
    said = {"all ground": [np.zeros_like(truth)] * 2, "right": [np.where(truth == 1, 1, 0)] * 2}
    figure = plot_segmentations([image] * 2, [truth] * 2, said, ("ground", "thing"), out)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["image", "truth", "all ground: 66.7%", "right: 100.0%"] * 2
    shown = np.asarray(figure.axes[3].images[0].get_array())
    assert (shown[0] == 255).all() and (shown[1] == class_colours()[1]).all()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ground", "thing"]
    one = plot_segmentations([image] * 3, [truth] * 3, {"prediction": [truth] * 3}, ("ground", "thing"), out)
    assert [axes.get_title() for axes in one.axes][:6] == ["image", "truth", "prediction: 100.0%"] * 2


def test_iu_by_class_and_near_boundaries(out) -> None:
    confusion = np.array([[6, 2, 0], [1, 1, 0], [0, 0, 0]])
    axes = plot_class_iu(confusion, ("a", "b", "c"), out).axes[0]
    texts = [text.get_text() for text in axes.texts[1:]]
    assert texts[:3] == ["66.7 %", "25.0 %", "neither there nor predicted"]
    assert texts[3:] == ["80.0 % of the pixels", "20.0 % of the pixels", "0.0 % of the pixels"]
    bands = np.stack([confusion] * 6)
    assert len(plot_boundary_iu(bands, out).axes[0].texts) == 1 + 6


def test_boxes_stand_on_their_images_with_their_overlap(out) -> None:
    box = np.array([[2.0, 3.0, 8.0, 9.0]])
    one = localization.Shown(
        np.zeros((12, 10, 1), np.uint8), np.array([1]), np.array([0]), np.array([0.75]), box, box + 1, np.array([0.5])
    )
    figure = localization.plot_localizations([one], CLASSES, out)
    axes = figure.axes[0]
    assert axes.get_title() == "shirt 75%\ntrue: shoe"
    assert [patch.get_xy() for patch in axes.patches] == [(2.5, 1.5), (3.5, 2.5)]
    assert [text.get_text() for text in axes.texts] == ["0.50"]
    counts = np.array([0, 0, 5, 15])
    found = localization.plot_accuracy_by_iou(counts, out).axes[0]
    assert found.texts[-1].get_text() == "100.0 % at 0.5"


HEADINGS = (("an image", "above"), ("windows", "one by one"), ("one pass", "at once"))


def slid(height: int = 11, width: int = 8, classes: int = 3) -> sliding_window.Shown:
    """Windows of 5 x 4 every 3 x 2 pixels: three by three of them, of which the pass says two otherwise."""
    windows = np.arange(9).reshape(3, 3) % classes
    one_pass = windows.copy()
    one_pass[0, 1], one_pass[2, 2] = (one_pass[0, 1] + 1) % classes, (one_pass[2, 2] + 1) % classes
    image = np.random.default_rng(0).integers(0, 256, (height, width, 1), np.uint8)
    return sliding_window.Shown(image, windows, one_pass, [f"class ${i}$" for i in range(classes)], (5, 4), (3, 2))


def test_few_classes_have_their_own_colours_and_of_many_the_most_frequent() -> None:
    colours = sliding_window.COLOURS
    assert sliding_window.colours_of(np.array([[2, 0], [2, 2]]), 4) == {0: colours[0], 2: colours[2]}
    found = sliding_window.colours_of(np.repeat(np.arange(20), [1] * 8 + [2] * 12), 1000)
    assert list(found) == list(range(8, 18)) and list(found.values()) == list(colours)
    assert len(set(colours)) == 10


def test_windows_that_differ_are_crossed_out_in_the_panel_of_the_pass(out) -> None:
    figure = sliding_window.plot_sliding_window(slid(), "a title", HEADINGS, out)
    image, windows, one_pass = figure.axes
    assert (len(image.collections), len(windows.collections), len(one_pass.collections)) == (0, 0, 1)
    assert one_pass.collections[0].get_offsets().tolist() == [[4, 2.5], [6, 8.5]], "x and y of the cells' centres"
    assert [frame.get_bbox().bounds for frame in image.patches] == [(2, 0, 4, 5), (0, 0, 4, 5)]


def test_cells_have_the_colour_of_their_class_over_a_paled_image(out) -> None:
    maps: Any = (np.full((3, 3), 1),) * 2
    white = sliding_window.Shown(np.full((11, 8, 3), 255, np.uint8), *maps, ["a", "b"], (5, 4), (3, 2))
    picture = sliding_window.plot_sliding_window(white, "", HEADINGS, out).axes[1].images[0].get_array()
    assert picture is not None and picture.shape == (22, 16, 3)
    expected = sliding_window.OPACITY * np.array(to_rgb(sliding_window.COLOURS[1])) + 1 - sliding_window.OPACITY
    np.testing.assert_allclose(picture[2:20, 2:14], np.broadcast_to(expected, (18, 12, 3)))
    assert (picture[:2] == 1).all() and (picture[20:] == 1).all() and (picture[:, 14:] == 1).all()


def test_classes_beyond_the_colours_are_named_together(out) -> None:
    maps: Any = (np.arange(144).reshape(12, 12) % 13,) * 2
    many = sliding_window.Shown(np.zeros((64, 64, 3), np.uint8), *maps, "abcdefghijklm", (8, 8), (4, 4))
    [legend] = sliding_window.plot_sliding_window(many, "", HEADINGS, out).legends
    assert [text.get_text() for text in legend.get_texts()] == [*"abcdefghij", "3 other classes"]


@pytest.mark.parametrize("numbers", [(1, 1, 0, 1), (7, 2, 3, 16)], ids=str)
def test_a_transposed_convolution_is_drawn_whole(numbers, out) -> None:
    plot_transposed_convolution(example(*numbers), out)
    with Image.open(out) as picture:
        border = np.asarray(picture.convert("L"))
    assert all((edge == 255).all() for edge in (border[0], border[-1], border[:, 0], border[:, -1])), "cut off"


def test_titles_and_sums_are_those_of_the_transposed_convolution(out) -> None:
    figure = plot_transposed_convolution(example(3, 2, 1, 6), out)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "M_F, the convolution as a matrix of 9 × 36",
        "Map of 3 × 3, stretched",
        "F rotated",
        "Result of 6 × 6",
    ]
    matrix, stretched, rotated, result = figure.axes
    assert [text.get_text() for text in rotated.texts[:2]] == ["$F_{33}$", "$F_{32}$"]
    assert [text.get_text() for text in result.texts if text.get_text().isdigit()][:3] == ["1", "2", "1"]
    # The entry F_11 in the matrix has the colour that it has in the rotated filter.
    corner = rotated.images[0].get_array()[2, 2]
    np.testing.assert_array_equal(matrix.images[0].get_array()[4, 7], corner)
    assert (matrix.patches[0].get_xy(), stretched.patches[0].get_xy()) == ((7, 0), (1, 1))
