"""Receptive fields as they are counted against what the gradient of one response says.

Pools take means here: the gradient of a maximum knows only the pixel that won.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import by_path, convolution, seen_by_gradient, with_output

from convnets import models
from convnets.analysis.summary import group, summarize
from convnets.layers import average_pool
from convnets.models import alexnet, googlenet, resnet, vgg


def places(shape):
    """The position in the middle of maps, and the first one."""
    return [(shape[1] // 2, shape[2] // 2), (0, 0)]


def expected(row, image_shape, position):
    """The first and last pixel that the response sees, of those that the image has."""
    starts = [offset + stride * i for offset, stride, i in zip(row.offset, row.stride, position, strict=True)]
    return tuple(
        (max(0, start), min(length, start + size) - 1)
        for start, size, length in zip(starts, row.receptive_field, image_shape, strict=False)
    )


def window(random, module, x):
    size, stride = (tuple(int(n) for n in random.integers(1, high, 2)) for high in (5, 4))
    return convolution(module, x, size, stride, [tuple(int(n) for n in random.integers(0, 3, 2)) for _ in "hw"])


def dilated(random, module, x):
    return convolution(module, x, 3, padding=int(random.integers(0, 3)), dilation=int(random.integers(1, 4)))


def pool(random, module, x):
    size = int(random.integers(2, 4))
    return nn.avg_pool(x, (size, size), (2, 1), [(0, 1), (1, 0)])


def residual(random, module, x):
    size = int(random.choice([3, 5]))
    return x + nn.relu(convolution(module, x, size, padding=size // 2))


def parallel(random, module, x):
    first = convolution(module, x, (1, 2), 2, [(0, 0), (1, 0)])
    second = convolution(module, x, 3, 2, int(random.integers(1, 3)))
    height, width = (min(way.shape[axis] for way in (first, second)) for axis in (1, 2))
    return convolution(module, jnp.concatenate([way[:, :height, :width] for way in (first, second)], -1), 1)


def cut(random, module, x):
    return jnp.pad(x[:, 1:, ::2], [(0, 0), (2, 0), (1, 1), (0, 0)])


def random_network(seed):
    """A function of five random layers."""

    def network(module, x):
        random = np.random.default_rng(seed)
        for layer in random.choice([window, dilated, pool, residual, parallel, cut], 5):
            x = layer(random, module, x)
        return x

    return network


@pytest.mark.parametrize("seed", range(8))
def test_any_stack_of_layers_sees_the_pixels_that_its_gradient_reaches(seed):
    network, image_shape = with_output(random_network(seed)), (150, 131, 2)
    row = by_path(summarize(network, image_shape))["output"]
    # Away from the borders, where steps and dilations skip over the padding of the maps in between.
    position, _ = places(row.output_shape)
    [seen] = seen_by_gradient(network, image_shape, seed, [position])
    assert seen == expected(row, image_shape, position)


class Stage(nn.Module):
    """One of a network's maps."""

    network: nn.Module
    stage: str

    def __call__(self, images, train=False):
        maps = self.network(images, train=False)[1]
        return maps[self.stage], maps


@pytest.mark.parametrize(
    ("name", "stage", "last", "width", "height"),
    [
        # The height lets one response see all that it can; the width is that of the classifier's window.
        ("lenet5", "stage2", "pool2", 32, 40),
        ("alexnet", "pool3", "pool3", 67, 300),
        ("vgg_a_lrn", "pool5", "pool5", 32, 250),
        ("vgg_c", "pool5", "pool5", 32, 250),
        ("googlenet", "stage4", "inception_5b", 32, 860),
        ("resnet18", "stage4", "stage4_block2", 32, 540),
        ("resnet50", "stage4", "stage4_block3", 32, 600),
        ("plain18", "stage4", "stage4_block2", 32, 540),
        ("resnet20", "stage3", "stage3_block3", 8, 140),
    ],
)
def test_every_architecture_sees_the_pixels_that_its_gradient_reaches(monkeypatch, name, stage, last, width, height):
    for module in (alexnet, googlenet, resnet, vgg):
        monkeypatch.setattr(module, "max_pool", average_pool)
    options = {} if name == "lenet5" else {"image_size": width}
    options |= {"auxiliary": False} if "googlenet" in name else {}
    network, image_shape = models.create(name, 2, **options), (height, width, 3)
    row = next(row for row in group(summarize(network, image_shape), 1) if row.path == last)
    position = (row.output_shape[1] // 2, row.output_shape[2] // 2)
    (top, bottom), columns = expected(row, image_shape, position)
    assert 0 < top < bottom < height - 1, "the image holds the whole field"
    assert bottom - top + 1 == row.receptive_field[0]
    # A tanh of large responses has no gradient.
    largest = 0.01 if name == "lenet5" else 1.0
    [seen] = seen_by_gradient(Stage(network, stage), image_shape, 0, [position], largest)
    assert seen == ((top, bottom), columns)
