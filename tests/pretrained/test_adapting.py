"""Parameters adapted to another network: filters for other images, and blocks that are the identity."""

from typing import Any

import jax
import numpy as np
import pytest
from scipy.signal import correlate
from small_variables import by_name, narrow, variables_of

from convnets.errors import InvalidValue
from convnets.pretrained.adapting import adapt_stem
from convnets.pretrained.surgery import Surgery, operate

KERNEL = np.random.default_rng(0).normal(size=(7, 7, 3, 8)).astype(np.float32)


def response(kernel: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Of the first filter to an image `[H, W, C]`."""
    return correlate(image.astype(np.float64), kernel[..., 0].astype(np.float64), "valid")[..., 0]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7])
def test_an_image_alike_in_all_channels_gives_the_response_of_one_alike_in_the_old_ones(channels):
    gray = np.random.default_rng(1).normal(size=(12, 12, 1))
    adapted, _ = adapt_stem(KERNEL, 7, channels)
    assert adapted.shape == (7, 7, channels, 8) and adapted.dtype == np.float32
    given, expected = response(adapted, gray.repeat(channels, -1)), response(KERNEL, gray.repeat(3, -1))
    np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "expected", "words"),
    [
        (1, lambda r, g, b: [r + g + b], "3 channels summed"),
        (2, lambda r, g, b: [r + b, g], "3 channels shared out to 2"),
        (4, lambda r, g, b: [r / 2, g, b, r / 2], "3 channels shared out to 4"),
        (6, lambda r, g, b: [r / 2, g / 2, b / 2] * 2, "3 channels shared out to 6"),
    ],
)
def test_red_green_and_blue_are_shared_out_in_turn(channels, expected, words):
    adapted, said = adapt_stem(KERNEL, 7, channels)
    np.testing.assert_allclose(adapted, np.stack(expected(*np.moveaxis(KERNEL, 2, 0)), 2), atol=1e-6)
    assert said == words


def test_filters_for_gray_images_see_colour_by_a_third_in_each_channel():
    gray = KERNEL[:, :, :1]
    np.testing.assert_allclose(adapt_stem(gray, 7, 3)[0], gray.repeat(3, 2) / 3, rtol=1e-6)


@pytest.mark.parametrize("size", [3, 5, 7, 11])
def test_the_response_to_an_even_patch_is_kept_at_another_size(size):
    adapted, _ = adapt_stem(KERNEL, size, 3)
    assert adapted.shape == (size, size, 3, 8)
    np.testing.assert_allclose(adapted.sum((0, 1)), KERNEL.sum((0, 1)), atol=1e-5)


def test_seven_pixels_lie_in_three_by_their_area():
    """A row of 1 to 7: three pixels of 7/3 each, whose borders cut the third and the fifth."""
    row = np.arange(1, 8, dtype=np.float32)
    kernel = (row[:, None] * row).reshape(7, 7, 1, 1)
    thirds = np.array([1 + 2 + 3 / 3, 3 * 2 / 3 + 4 + 5 * 2 / 3, 5 / 3 + 6 + 7])
    adapted, said = adapt_stem(kernel, 3, 1)
    np.testing.assert_allclose(adapted[..., 0, 0], np.outer(thirds, thirds), rtol=1e-6)
    assert said == "7x7 filters shared out to 3x3"


def test_both_at_once_are_said_and_filters_of_the_same_kind_stay_as_they_are():
    assert adapt_stem(KERNEL, 3, 1)[1] == "3 channels summed, 7x7 filters shared out to 3x3"
    same, said = adapt_stem(KERNEL, 7, 3)
    np.testing.assert_array_equal(same, KERNEL)
    assert said == ""


DEEPER = [
    ("resnet18", "resnet34", 8, {}),
    ("resnet50", "resnet101", 17, {}),
    ("resnet20", "resnet32", 6, {}),
    ("resnet20", "resnet32", 6, {"shortcut": "B", "width": 1 / 4}),
]
"""From, to, and by how many blocks."""


def images() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(4, 32, 32, 3)).astype(np.float32)


def logits(network: Any, variables: Any, train: bool) -> tuple[Any, Any]:
    """And the running statistics afterwards."""
    apply = jax.jit(
        lambda v, x: network.apply(v, x, train=train, mutable=["batch_stats"]),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    (result, _), changed = apply(variables, images())
    return np.asarray(result), changed


@pytest.mark.parametrize("train", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(("shallow", "deep", "blocks", "options"), DEEPER)
def test_new_blocks_are_the_identity_and_the_logits_those_of_the_shallow_network(shallow, deep, blocks, options, train):
    small, large = narrow(shallow, **options), narrow(deep, **options)
    theirs, mine = variables_of(small, 1), variables_of(large, 0)
    begun, report = operate(mine, theirs, Surgery(deepen=True))
    expected, statistics = logits(small, theirs, train)
    given, changed = logits(large, begun, train)
    np.testing.assert_allclose(given, expected, atol=1e-6 * np.abs(expected).max())
    for name, array in by_name(statistics).items():
        np.testing.assert_allclose(by_name(changed)[name], array, rtol=1e-5, atol=1e-6)
    assert report.count("identity") == 2 * blocks and report.count("taken") == len(by_name(theirs))


def test_only_the_last_norm_of_a_new_block_is_zero_and_the_rest_of_it_stays_as_it_was_drawn():
    theirs, mine = variables_of(narrow("resnet50"), 1), variables_of(narrow("resnet101"), 0)
    begun, report = operate(mine, theirs, Surgery(deepen=True))
    zero = {entry.name for entry in report.entries if entry.what == "identity"}
    assert zero == {f"stage3_block{b}/conv3/norm/{array}" for b in range(7, 24) for array in ("scale", "bias")}
    for name, array in by_name(begun).items():
        name_of_array, block = name.split("/", 1)[1], name.split("/")[1]
        if name_of_array in zero:
            assert array.dtype == np.float32 and not array.any()
        else:
            assert array is (by_name(theirs) if block in theirs["params"] else by_name(mine))[name]


def test_a_deeper_network_is_refused_unless_it_is_asked_for():
    with pytest.raises(InvalidValue, match=r"stage1_block3/conv1/.* is absent there"):
        operate(variables_of(narrow("resnet34")), variables_of(narrow("resnet18"), 1))


def test_a_shallower_network_is_no_deeper_one():
    with pytest.raises(InvalidValue, match=r"stage1_block3/conv1/.* there and absent here"):
        operate(variables_of(narrow("resnet18")), variables_of(narrow("resnet34"), 1), Surgery(deepen=True))
