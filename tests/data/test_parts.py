"""The parts of pictures that are shown, by their geometry and their distribution."""

import numpy as np
import pytest

from convnets.data.resampling import Part, central_part, part_of_random_shape, scaled_part


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns", "expected"),
    [
        (100, 100, 50, 50, Part(0, 0, 100, 100)),
        (100, 200, 50, 50, Part(0, 50, 100, 100)),
        (200, 100, 50, 50, Part(50, 0, 100, 100)),
        (60, 40, 30, 10, Part(0, 10, 60, 20)),
        (1, 1, 8, 8, Part(0, 0, 1, 1)),
    ],
)
def test_the_centre_covers_the_result(height, width, rows, columns, expected):
    assert central_part(height, width, rows, columns) == expected


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (37, 301), (2, 9)])
def test_the_centre_lies_in_the_picture_and_keeps_its_aspect(height, width):
    part = central_part(height, width, 256, 256)
    assert part.top >= 0 and part.left >= 0
    assert part.top + part.height <= height and part.left + part.width <= width
    # To a pixel of the scaled picture.
    assert part.height == pytest.approx(part.width, abs=min(height, width) / 256)


def test_a_part_scales_with_its_picture():
    assert Part(2, 4, 6, 8).scaled(0.5, 0.25) == Part(1, 1, 3, 2)


def test_a_scaled_part_is_a_square_of_the_papers_sizes():
    generator = rng()
    parts = [scaled_part(generator, 375, 500, (256 / 224, 480 / 224)) for _ in range(4000)]
    assert all(part.height == part.width == int(part.height) for part in parts)
    # 224 of a short side brought to S is 375 * 224 / S of the picture's own pixels.
    sides = np.array([part.height for part in parts])
    assert sides.min() == round(375 * 224 / 480) and sides.max() == round(375 * 224 / 256)
    assert np.mean(375 * 224 / sides) == pytest.approx((256 + 480) / 2, rel=0.01)


def test_a_scaled_part_stands_anywhere_with_equal_chance():
    generator = rng()
    places = np.zeros((3, 5), int)
    for _ in range(15_000):
        part = scaled_part(generator, 4, 6, (2.0, 2.0))
        places[int(part.top), int(part.left)] += 1
    assert part.height == 2
    assert places.min() > 850 and places.max() < 1150


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (200, 200)])
def test_a_part_of_random_shape_has_the_shares_and_aspects_that_were_asked_for(height, width):
    generator = rng(1)
    parts = [part_of_random_shape(generator, height, width, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(3000)]
    for part in parts:
        assert 0 <= part.top <= height - part.height and 0 <= part.left <= width - part.width
        assert part.top == int(part.top) and part.height == int(part.height)
    shares = np.array([part.height * part.width / (height * width) for part in parts])
    aspects = np.array([part.width / part.height for part in parts])
    assert shares.min() > 0.075 and shares.max() > 0.85
    assert np.all((aspects > 0.72) & (aspects < 1.39))


def test_small_parts_of_random_shape_are_uniform_in_area_and_in_the_logarithm_of_their_aspect():
    generator = rng(2)
    parts = [part_of_random_shape(generator, 4000, 4000, (0.1, 0.3), (0.5, 2.0)) for _ in range(4000)]
    shares = np.array([part.height * part.width / 16e6 for part in parts])
    logs = np.log2([part.width / part.height for part in parts])
    np.testing.assert_allclose(np.quantile(shares, [0.25, 0.5, 0.75]), [0.15, 0.2, 0.25], atol=0.006)
    np.testing.assert_allclose(np.quantile(logs, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.06)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 400), (400, 1), (3, 90)])
def test_where_no_part_fits_the_last_is_cut_to_the_picture(height, width):
    for seed in range(50):
        for part in (
            part_of_random_shape(rng(seed), height, width, (0.5, 1.0), (3 / 4, 4 / 3)),
            scaled_part(rng(seed), height, width, (1.0, 2.0)),
        ):
            assert 1 <= part.height <= height and 1 <= part.width <= width
            assert 0 <= part.top <= height - part.height and 0 <= part.left <= width - part.width
