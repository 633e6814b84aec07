"""A network slid over a larger image: what it costs."""

import pytest

from convnets.analysis.sliding_window import slide
from convnets.errors import InvalidValue

# VGG-16 by the lecture's table: channels in and out and the map's side, as a part of the image's, of each convolution.
VGG_16 = [
    *[(3, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 2), (128, 256, 4), (256, 256, 4), (256, 256, 4)],
    *[(256, 512, 8), (512, 512, 8), (512, 512, 8), (512, 512, 16), (512, 512, 16), (512, 512, 16)],
]


def vgg_16_by_hand(side: int) -> int:
    convolutions = sum(9 * channels * filters * (side // part) ** 2 for channels, filters, part in VGG_16)
    windows = (side // 32 - 6) ** 2
    return convolutions + windows * (7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000)


def test_vgg_16_on_an_image_of_384_as_counted_by_hand() -> None:
    found = slide("vgg16", 384)
    assert (found.window, found.stride, found.map_side) == (224, 32, 6)
    assert found.crop_multiply_adds == vgg_16_by_hand(224) == 15_470_264_320
    assert found.pass_multiply_adds == vgg_16_by_hand(384)
    assert found.windows_multiply_adds == 36 * 15_470_264_320
    assert found.saved == pytest.approx(36 * 15.470264320e9 / vgg_16_by_hand(384))
    assert 11.2 < found.saved < 11.3


@pytest.mark.parametrize(("network", "size", "side"), [("lenet5", 32, 1), ("lenet5", 47, 4), ("alexnet", 300, 3)])
def test_the_map_of_logits_has_a_place_for_every_window(network: str, size: int, side: int) -> None:
    found = slide(network, size)
    assert found.map_side == found.formula_map_side == side
    if side == 1:
        assert found.saved == 1


def test_only_crops_that_fit_count_where_padding_lets_the_map_have_one_more() -> None:
    found = slide("resnet18", 225)
    assert (found.map_side, found.formula_map_side) == (2, 1)
    assert found.windows_multiply_adds == found.crop_multiply_adds
    assert found.saved < 1


def test_an_image_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"^the image is 200 pixels wide, and the window of vgg16 is 224: give a"):
        slide("vgg16", 200)
    with pytest.raises(InvalidValue, match="unknown architecture 'vgg61': did you mean 'vgg19' or 'vgg16'"):
        slide("vgg61", 300)
