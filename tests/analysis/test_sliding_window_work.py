"""A network slid over a larger image: what it costs."""

import flax.linen as nn
import pytest
from jax import Array

from convnets import models
from convnets.analysis.network_costs import native_shape
from convnets.analysis.sliding_window import SlidingWindow, slide
from convnets.errors import InvalidValue

# VGG-16 by the lecture's table: channels in and out and the map's side, as a part of the image's, of each convolution.
VGG_16 = [
    *[(3, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 2), (128, 256, 4), (256, 256, 4), (256, 256, 4)],
    *[(256, 512, 8), (512, 512, 8), (512, 512, 8), (512, 512, 16), (512, 512, 16), (512, 512, 16)],
]


def slide_named(name: str, size: int) -> SlidingWindow:
    network = models.create(name, 1000)
    return slide(network, native_shape(network), (size, size), name)


def vgg_16_by_hand(side: int) -> int:
    convolutions = sum(9 * channels * filters * (side // part) ** 2 for channels, filters, part in VGG_16)
    windows = (side // 32 - 6) ** 2
    return convolutions + windows * (7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000)


def test_vgg_16_on_an_image_of_384_as_counted_by_hand() -> None:
    found = slide_named("vgg16", 384)
    assert (found.window, found.stride, found.map) == ((224, 224), (32, 32), (6, 6))
    assert found.crop_multiply_adds == vgg_16_by_hand(224) == 15_470_264_320
    assert found.pass_multiply_adds == vgg_16_by_hand(384)
    assert found.windows_multiply_adds == 36 * 15_470_264_320
    assert found.saved == pytest.approx(36 * 15.470264320e9 / vgg_16_by_hand(384))
    assert 11.2 < found.saved < 11.3


@pytest.mark.parametrize(("network", "size", "side"), [("lenet5", 32, 1), ("lenet5", 47, 4), ("alexnet", 300, 3)])
def test_the_map_of_logits_has_a_place_for_every_window(network: str, size: int, side: int) -> None:
    found = slide_named(network, size)
    assert found.map == found.crops == (side, side)
    if side == 1:
        assert found.saved == 1


def test_only_crops_that_fit_count_where_padding_lets_the_map_have_one_more() -> None:
    found = slide_named("resnet18", 225)
    assert (found.map, found.crops) == ((2, 2), (1, 1))
    assert found.windows_multiply_adds == found.crop_multiply_adds
    assert found.saved < 1


def test_any_module_is_slid_over_images_that_are_not_square() -> None:
    network = models.create("resnet20", 7, width=1 / 4)
    found = slide(network, (32, 32, 1), (40, 63), "narrow")
    assert (found.network, found.window, found.image, found.stride) == ("narrow", (32, 32), (40, 63), (4, 4))
    assert (found.map, found.crops) == ((3, 9), (3, 8)), "63 columns end in a response that sees the padding"
    assert found.windows_multiply_adds == 24 * found.crop_multiply_adds
    with pytest.raises(
        InvalidValue, match=r"^the image is 31 pixels high, and the window of narrow is 32: give a larger"
    ):
        slide(network, (32, 32, 1), (31, 63), "narrow")


@pytest.mark.parametrize(("network", "padded"), [("lenet5", False), ("alexnet", True), ("resnet20", True)])
def test_padding_is_found_anywhere_in_the_network(network: str, padded: bool) -> None:
    assert slide_named(network, 240).padded is padded


class Pooled(nn.Module):
    """One vector of logits, however large the image is."""

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        return nn.Dense(3)(x.mean((1, 2))), {}


def test_logits_that_are_no_map_are_refused() -> None:
    with pytest.raises(InvalidValue, match=r"^the logits of pooled are no map of evenly spaced regions"):
        slide(Pooled(), (8, 8, 3), (16, 16), "pooled")


def test_an_image_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"^the image is 200 pixels wide, and the window of vgg16 is 224: give a"):
        slide_named("vgg16", 200)
