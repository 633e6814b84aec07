"""The picture of a classifier slid over an image."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from convnets.plots.sliding_window_picture import (
    COLOURS,
    OPACITY,
    OTHERS,
    Shown,
    cells,
    class_colours,
    plot_sliding_window,
    sliding_window_figure,
)

HEADINGS = (("an image", "above"), ("windows", "one by one"), ("one pass", "at once"))


def shown(height: int = 11, width: int = 8, classes: int = 3) -> Shown:
    """Windows of 5 x 4 every 3 x 2 pixels: three by three of them, the pass of another mind in two places."""
    windows = np.arange(9).reshape(3, 3) % classes
    one_pass = windows.copy()
    one_pass[0, 1], one_pass[2, 2] = (one_pass[0, 1] + 1) % classes, (one_pass[2, 2] + 1) % classes
    image = np.random.default_rng(0).integers(0, 256, (height, width, 1), np.uint8)
    return Shown(image, windows, one_pass, [f"class ${i}$" for i in range(classes)], (5, 4), (3, 2))


def test_a_cell_is_as_large_as_the_stride_and_has_the_middle_of_its_window() -> None:
    assert cells(shown(), 0, 0) == (1, 1), "the middle of rows 0 to 5 is 2.5, and that of columns 0 to 4 is 2"
    assert cells(shown(), 2, 1) == (7, 3)


def test_few_classes_have_their_own_colours_and_of_many_the_most_frequent() -> None:
    assert class_colours(np.array([[2, 0], [2, 2]]), 4) == {0: COLOURS[0], 2: COLOURS[2]}
    said = np.repeat(np.arange(20), [1] * 8 + [2] * 12)
    found = class_colours(said, 1000)
    assert list(found) == list(range(8, 18)) and list(found.values()) == list(COLOURS)
    assert len(set(COLOURS)) == 10


def test_windows_that_differ_are_crossed_out_in_the_panel_of_the_pass() -> None:
    figure = sliding_window_figure(shown(), "a title", HEADINGS)
    image, windows, one_pass = figure.axes
    assert (len(image.collections), len(windows.collections), len(one_pass.collections)) == (0, 0, 1)
    assert one_pass.collections[0].get_offsets().tolist() == [[4, 2.5], [6, 8.5]], "x and y of the cells' centres"
    assert [frame.get_bbox().bounds for frame in image.patches] == [(2, 0, 4, 5), (0, 0, 4, 5)]


def test_cells_have_the_colour_of_their_class_over_a_paled_image() -> None:
    white = Shown(np.full((11, 8, 3), 255, np.uint8), *(np.full((3, 3), 1),) * 2, ["a", "b"], (5, 4), (3, 2))
    picture = sliding_window_figure(white, "", HEADINGS).axes[1].images[0].get_array()
    assert picture is not None and picture.shape == (22, 16, 3)
    expected = OPACITY * np.array(to_rgb(COLOURS[1])) + 1 - OPACITY
    np.testing.assert_allclose(picture[2:20, 2:14], np.broadcast_to(expected, (18, 12, 3)))
    assert (picture[:2] == 1).all() and (picture[20:] == 1).all() and (picture[:, 14:] == 1).all()


def test_classes_beyond_the_colours_are_named_together() -> None:
    many = Shown(
        np.zeros((64, 64, 3), np.uint8), *(np.arange(144).reshape(12, 12) % 13,) * 2, "abcdefghijklm", (8, 8), (4, 4)
    )
    [legend] = sliding_window_figure(many, "", HEADINGS).legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [*"abcdefghij", "3 other classes"]
    assert legend.get_patches()[-1].get_facecolor()[:3] == pytest.approx(to_rgb(OTHERS))


@pytest.mark.parametrize("size", [(11, 8), (11, 40), (60, 8)])
def test_images_of_any_shape_are_drawn_to_a_file(tmp_path: Path, size: tuple[int, int]) -> None:
    plot_sliding_window(shown(*size), "$a$ title", HEADINGS, tmp_path / "slide.png")
    with Image.open(tmp_path / "slide.png") as picture:
        assert picture.width > 900 and 250 < picture.height < 900
