"""The contact sheet: what is drawn where, read back from the figure."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from convnets.plots import style
from convnets.plots.contact_sheet import contact_sheet_figure, plot_contact_sheet

CLASSES = ("shirt", "shoe")


@pytest.fixture
def originals():
    random = np.random.default_rng(0)
    mask = np.zeros((2, 12, 10), np.int32)
    mask[:, 2:6, 3:8], mask[:, 0] = 1, 255
    return {
        "image": random.uniform(size=(2, 12, 10, 3)).astype(np.float32),
        "label": np.array([0, 1]),
        "boxes": np.array([[[2, 3, 6, 8], [0, 0, 0, 0]]] * 2, np.float32),
        "mask": mask,
    }


def drawn(figure, row, column, columns):
    return figure.axes[row * columns + column]


def test_there_is_a_row_for_each_image_and_a_column_for_each_draw(originals):
    draws = [originals | {"image": 1 - originals["image"]}] * 3
    figure = contact_sheet_figure(originals, draws, CLASSES, "a title")
    assert len(figure.axes) == 2 * 4
    heads = [drawn(figure, 0, column, 4).get_title() for column in range(4)]
    assert heads == ["original", "epoch 0", "epoch 1", "epoch 2"]
    assert [drawn(figure, row, 0, 4).get_xlabel() for row in (0, 1)] == ["shirt", "shoe"]


def test_boxes_are_framed_where_they_are_and_empty_ones_are_not(originals):
    figure = contact_sheet_figure(originals, [originals], CLASSES, "")
    [box] = [patch for patch in drawn(figure, 0, 1, 2).patches if isinstance(patch, Rectangle)]
    assert (box.get_xy(), box.get_width(), box.get_height()) == ((2.5, 1.5), 5, 4)


def test_a_mask_tints_labels_and_leaves_the_background(originals):
    figure = contact_sheet_figure(originals, [originals], CLASSES, "")
    shown = np.asarray(drawn(figure, 0, 1, 2).images[0].get_array())
    plain = originals["image"][0]
    labelled, background, ignored = (3, 4), (9, 1), (0, 5)
    np.testing.assert_allclose(shown[background], plain[background], atol=1e-6)
    blue = np.array([0x00, 0x72, 0xB2]) / 255
    assert style.PALETTE[0] == "#0072B2"
    np.testing.assert_allclose(shown[labelled], 0.55 * plain[labelled] + 0.45 * blue, atol=1e-6)
    np.testing.assert_allclose(shown[ignored], 0.55 * plain[ignored] + 0.45 * 0.5, atol=1e-6)


def test_mixed_images_say_what_they_are_mixed_of(originals):
    shares = {"labels": np.array([[0, 1, 0], [1, 1, 1]]), "label_shares": np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])}
    figure = contact_sheet_figure(originals, [originals | shares], CLASSES, "")
    assert [drawn(figure, row, 1, 2).get_xlabel() for row in (0, 1)] == ["70% shirt\n30% shoe", "100% shoe"]


def test_images_of_one_channel_and_of_another_size_are_drawn(tmp_path):
    originals = {"image": np.linspace(0, 1, 2 * 8 * 8).reshape(2, 8, 8, 1)}
    plot_contact_sheet(originals, [{"image": originals["image"][:, :5, :6]}], CLASSES, "grey", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert min(picture.size) > 200
