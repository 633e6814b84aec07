"""Statistics of pixels, against NumPy on all pixels at once and against fractions."""

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnets.data import statistics
from convnets.data.source import ArraySource, SourceInfo
from convnets.data.statistics import PixelStatistics, pixel_statistics
from convnets.data.views import Subset
from convnets.errors import InvalidValue


def source_of(images: Any) -> ArraySource:
    images = np.asarray(images, np.uint8)
    info = SourceInfo("pixels", ("a",), images.shape[1:], {"train": len(images)})
    return ArraySource({"image": images, "label": np.zeros(len(images), np.int32)}, info)


def colourful(seed: int, channels: int = 3, length: int = 11) -> ArraySource:
    """Channels that go together in part, as those of photographs do."""
    random = np.random.default_rng(seed)
    weights = random.uniform(-1, 1, (channels, channels))
    images = 120 + 40 * random.normal(size=(length, 6, 5, channels)) @ weights
    return source_of(np.clip(images, 0, 255))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 2, 3, 4]), st.integers(1, 12))
def test_they_are_numpys_mean_covariance_and_singular_vectors(seed, channels, batch_size):
    source = colourful(seed, channels)
    pixels = source.batch(np.arange(11))["image"].reshape(-1, channels) / 255
    found = pixel_statistics(source, batch_size=batch_size)
    covariance = np.cov(pixels.T, bias=True).reshape(channels, channels)
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(0), rtol=1e-12)
    components = np.array(found.components)
    np.testing.assert_allclose(components.T @ components, covariance, atol=1e-13)
    _, singular, directions = np.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    lengths = singular / np.sqrt(len(pixels))
    np.testing.assert_allclose(np.linalg.norm(components, axis=1), lengths, atol=1e-10)
    for component, length, direction in zip(components, lengths, directions, strict=True):
        sign = np.sign(direction[np.argmax(np.abs(direction))])
        np.testing.assert_allclose(component, sign * length * direction, atol=1e-8)
    assert (found.images, found.pixels) == (11, 330)


def test_two_colours_have_one_component_along_their_difference():
    """(255, 0) and (0, 51) are 1 and 1/5 apart; half of that is the deviation, and the longer entry is positive."""
    found = pixel_statistics(source_of([[[[255, 0], [0, 51]]]]))
    np.testing.assert_allclose(found.mean, (0.5, 0.1), rtol=1e-15)
    np.testing.assert_allclose(found.std, (0.5, 0.1), rtol=1e-15)
    np.testing.assert_allclose(found.components, [(0.5, -0.1), (0, 0)], atol=1e-8)


def test_small_deviations_of_bright_pixels_are_exact(monkeypatch):
    monkeypatch.setattr(statistics, "PIXELS_AT_ONCE", 1000)
    levels = np.full((5, 100, 101, 1), 255)
    levels[2, 3, 4] = 254
    count, total = levels.size, int(levels.sum())
    found = pixel_statistics(source_of(levels), batch_size=2)
    assert found.mean == (float(Fraction(total, 255 * count)),)
    variance = Fraction(count - 1, (255 * count) ** 2)
    assert found.std[0] == pytest.approx(float(variance) ** 0.5, rel=1e-15)


def test_the_order_of_examples_and_the_size_of_batches_change_no_bit_nor_does_json():
    source = colourful(5)
    found = pixel_statistics(source)
    shuffled = Subset(source, np.random.default_rng(0).permutation(11))
    told: list[tuple[int, int]] = []
    for size in (1, 3, 4):
        told.clear()
        assert pixel_statistics(shuffled, batch_size=size, progress=lambda *done: told.append(done)) == found
    assert told == [(4, 11), (8, 11), (11, 11)]
    assert PixelStatistics.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    "change",
    [
        {"pixel": 3},
        {"mean": [0.5, "grey", 0.5]},
        {"components": 3},
        {"mean": [0.5]},
        {"components": [[1, 2, 3], [1, 2, 3]]},
    ],
)
def test_other_json_is_refused(change):
    with pytest.raises(InvalidValue, match="pixel statistics have mean, std, components, images, pixels, as many"):
        PixelStatistics.from_json(pixel_statistics(colourful(2)).to_json() | change)


def test_nothing_to_count_is_refused():
    with pytest.raises(InvalidValue, match=r"at least one pixel, and 'pixels' has 0 images of \(2, 2, 1\)"):
        pixel_statistics(source_of(np.zeros((0, 2, 2, 1))))


def test_images_that_are_not_bytes_are_refused():
    info = SourceInfo("floats", (), (1, 1, 1), {})
    with pytest.raises(ValueError, match="uint8 images, but 'floats' serves float32"):
        pixel_statistics(ArraySource({"image": np.zeros((2, 1, 1, 1), np.float32)}, info))
