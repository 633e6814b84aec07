"""Fully convolutional = sliding window (the lecture's "Replace fully connected layer with convolutional layer").

The classifier over a larger image's last map gives exactly what it would say of each window of that map. Whether it
is also exactly what the network says of each *crop of the image* hangs on the padding: LeNet-5 has none, and there it
is (tested in test_lenet.py). AlexNet, VGG and ResNets pad with zeros inside, so a crop's maps differ near its border
from those of the larger image, which has pixels there; they are equal in the interior, where the receptive field lies
inside the crop.
"""

from typing import Any

import jax
import numpy as np
import pytest
from counting import images, random_variables

from convnets import models

CONV = (3, 1, 1)
POOL = (2, 2, 0)
CASES = {
    # Sides of a crop and of the larger image, stride of the logits, and (size, stride, padding) of all windows by map.
    "alexnet": (
        227,
        291,
        32,
        {
            "stage1": [(11, 4, 0)],
            "pool1": [(3, 2, 0)],
            "stage2": [(5, 1, 2)],
            "pool2": [(3, 2, 0)],
            "stage3": [CONV] * 3,
            "pool3": [(3, 2, 0)],
        },
    ),
    "vgg11": (
        160,
        224,
        32,
        {
            "stage1": [CONV],
            "stage2": [POOL, CONV],
            "stage3": [POOL, CONV, CONV],
            "stage4": [POOL, CONV, CONV],
            "pool4": [POOL],
            "stage5": [CONV, CONV],
        },
    ),
    "resnet18": (
        128,
        192,
        32,
        {
            "stem": [(7, 2, 3)],
            "stage1": [(3, 2, 1)] + [CONV] * 4,
            "stage2": [(3, 2, 1)] + [CONV] * 3,
        },
    ),
}


def interior(windows: list[tuple[int, int, int]], crop: int) -> tuple[int, slice]:
    """The stride of a map, and its positions whose receptive field lies inside a crop of that side."""
    size, stride, offset = 1, 1, 0
    for window, step, padding in windows:
        offset -= padding * stride
        size += (window - 1) * stride
        stride *= step
    first = -(offset // stride)
    last = (crop - size - offset) // stride
    return stride, slice(first, last + 1)


def classifier(params: Any, window: np.ndarray) -> np.ndarray:
    """What the network's head says of one window `[h, w, C]` of the last map."""
    if "fc6" not in params:
        x = window.mean((0, 1))
    else:
        x = window.reshape(-1)
        for name in ("fc6", "fc7"):
            kernel = np.asarray(params[name]["kernel"])
            x = np.maximum(x @ kernel.reshape(-1, kernel.shape[-1]) + params[name]["bias"], 0)
    return x @ np.asarray(params["logits"]["kernel"])[0, 0] + params["logits"]["bias"]


@pytest.mark.parametrize("name", CASES)
def test_the_map_of_logits_is_what_is_said_of_each_window_and_the_interior_that_of_each_crop(name):
    crop, side, stride, chain = CASES[name]
    network = models.create(name, 10, image_size=crop)
    x, variables = images(1, side), random_variables(network)
    apply = jax.jit(network.apply)
    logits, maps = apply(variables, x)
    places = (side - crop) // stride + 1
    assert logits.shape == (1, places, places, 10)

    last = np.asarray(maps[{"alexnet": "pool3", "vgg11": "pool5", "resnet18": "stage4"}[name]])[0]
    seen = last.shape[0] - places + 1
    for i in range(places):
        for j in range(places):
            expected = classifier(variables["params"], last[i : i + seen, j : j + seen])
            np.testing.assert_allclose(logits[0, i, j], expected, atol=1e-4 * np.abs(expected).max())

    top, left = (places - 1) * stride, stride
    alone_logits, alone = apply(variables, x[:, top : top + crop, left : left + crop])
    assert alone_logits.shape == (1, 10)
    windows = []
    for map_name, added in chain.items():
        windows += added
        step, inside = interior(windows, crop)
        assert inside.stop - inside.start >= 1, f"{map_name} has an interior"
        part = np.asarray(alone[map_name])[0]
        whole = np.asarray(maps[map_name])[0, top // step :, left // step :][: len(part), : len(part)]
        scale = 1e-4 * np.abs(whole).max()
        np.testing.assert_allclose(part[inside, inside], whole[inside, inside], atol=scale, err_msg=map_name)
        if any(padding for _, _, padding in windows):
            assert np.abs(part - whole).max() > 100 * scale, f"{map_name} differs at the border"
    assert np.abs(alone_logits[0] - logits[0, -1, 1]).max() > 1e-3, "so that the logits differ too"
