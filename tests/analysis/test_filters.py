from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from convnets.plots.filters import filters_figure, plot_filters


def kernel(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def mosaic(figure: Figure) -> np.ma.MaskedArray:
    array = figure.axes[0].images[0].get_array()
    assert isinstance(array, np.ma.MaskedArray)
    return array


def note(figure: Figure) -> str:
    return figure.axes[0].texts[0].get_text()


def test_grey_filters_share_one_scale_symmetric_about_zero() -> None:
    weights = kernel(5, 5, 1, 6)
    weights[0, 0, 0, 0] = -9.0
    figure = filters_figure(weights)
    assert figure.axes[0].images[0].get_clim() == (-9.0, 9.0)
    assert len(figure.axes) == 2, "the second is the colour bar"
    # Each weight is a block of cells; the filters' cells are exactly the weights, the gaps are masked.
    values = mosaic(figure).compressed()
    np.testing.assert_allclose(np.unique(values), np.unique(weights))
    assert values[0] == -9.0
    assert len(values) % weights.size == 0


def test_rgb_filters_have_zero_at_grey_and_their_largest_weight_at_full_colour() -> None:
    weights = np.zeros((3, 3, 3, 2))
    weights[1, 1, 0, 0] = 0.5
    weights[1, 1, 2, 1] = -0.25
    colours = {tuple(colour) for colour in np.asarray(mosaic(filters_figure(weights))).reshape(-1, 3)}
    assert colours == {(0.5, 0.5, 0.5), (1.0, 0.5, 0.5), (0.5, 0.5, 0.0), (1.0, 1.0, 1.0)}


def test_a_dead_rgb_filter_is_not_blown_up() -> None:
    weights = kernel(7, 7, 3, 2)
    weights[..., 1] *= 1e-4
    cells = np.asarray(mosaic(filters_figure(weights)))
    dead = cells[:, -cells.shape[1] // 3 :]
    assert np.abs(dead - 0.5).max() < 0.01


def test_other_numbers_of_channels_are_averaged_and_it_says_so() -> None:
    weights = kernel(3, 3, 16, 4)
    figure = filters_figure(weights)
    assert "mean over the 16 input channels" in note(figure)
    np.testing.assert_allclose(np.unique(mosaic(figure).compressed()), np.unique(weights.mean(2)), rtol=1e-5)


def test_at_most_96_filters_are_drawn_and_it_says_so() -> None:
    assert "the first 96 of 97 filters" in note(filters_figure(kernel(3, 3, 3, 97)))
    assert note(filters_figure(kernel(3, 3, 3, 96))).startswith("96 filters")


def test_weights_that_are_not_finite_are_counted() -> None:
    weights = kernel(3, 3, 1, 4)
    weights[0, 0, 0, :2] = (np.nan, np.inf)
    assert "2 weights are not finite" in note(filters_figure(weights))


@pytest.mark.parametrize("shape", [(5, 5, 1, 6), (11, 11, 3, 96), (1, 1, 64, 3), (3, 7, 3, 1), (28, 28, 1, 10)])
def test_filters_are_square_to_the_eye(shape: tuple[int, ...], tmp_path: Path) -> None:
    plot_filters(kernel(*shape), tmp_path / "filters.png", title="conv1")
    with Image.open(tmp_path / "filters.png") as picture:
        assert 0.3 < picture.height / picture.width < 2.0
    assert filters_figure(kernel(*shape)).axes[0].get_aspect() == 1.0


def test_a_kernel_of_zeros_is_drawn(tmp_path: Path) -> None:
    plot_filters(np.zeros((3, 3, 1, 2)), tmp_path / "a.png")
    plot_filters(np.zeros((3, 3, 3, 2)), tmp_path / "b.png")


@pytest.mark.parametrize("shape", [(5, 5, 6), (5, 5, 1, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[h, w, c, f\]"):
        filters_figure(np.zeros(shape))
