"""Receptive fields by hand."""

import doctest

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax
from small_networks import Functional, by_path, convolution, field, square

from convnets.analysis import layer_kinds, receptive_field, summary_table
from convnets.analysis.receptive_field import Field
from convnets.analysis.summary import summarize
from convnets.layers import TransposedConvolution


@pytest.mark.parametrize("module", [receptive_field, layer_kinds, summary_table])
def test_examples_in_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0 < doctest.testmod(module).attempted


def test_a_stack_of_windows_sees_one_more_than_the_sum_of_what_each_reaches():
    # Size, stride and padding of VGG-16's layers up to the last pool: 212 pixels, 32 apart.
    convolutions = [(3, 1, 1)]
    pool = [(2, 2, 0)]
    layers = [layer for count in (2, 2, 3, 3, 3) for layer in convolutions * count + pool]
    found = Field()
    for size, stride, padding in layers:
        found = found.window(size, stride, padding)
    strides = np.cumprod([1, *(stride for _, stride, _ in layers)])
    assert found.size == 1 + sum((size - 1) * jump for (size, _, _), jump in zip(layers, strides, strict=False)) == 212
    assert found.stride == strides[-1] == 32
    assert found.offset == -sum(padding * jump for (_, _, padding), jump in zip(layers, strides, strict=False))


def three(module, x):
    """The lecture's three layers of 3x3 that see as much as one of 7x7."""
    for _ in range(3):
        x = nn.relu(convolution(module, x, 3, padding=1))
    return x


def residual(module, x):
    y = convolution(module, convolution(module, x, 3, 2, 1), 3, padding=1)
    return nn.relu(y + convolution(module, x, 1, 2))


def inception(module, x):
    ways = [
        convolution(module, x, 1),
        convolution(module, x, 3, padding=1),
        convolution(module, x, 5, padding=2),
        convolution(module, nn.max_pool(x, (3, 3), (1, 1), [(1, 1)] * 2), 1),
    ]
    return jnp.concatenate(ways, -1)


def shortcut(module, x):
    """Pads filters and skips positions."""
    return jnp.pad(lax.slice(x, (0, 0, 0, 0), x.shape, (1, 2, 2, 1)), [(0, 0), (0, 0), (0, 0), (0, 3)])


def sides(module, x):
    """Sees a row above and another one below."""
    up = jnp.pad(x, [(0, 0), (3, 0), (0, 0), (0, 0)])[:, :-3]
    return up + jnp.pad(x[:, 2:], [(0, 0), (0, 2), (0, 0), (0, 0)])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda m, x: x, square(1, 1, 0)),
        (three, square(7, 1, -3)),
        (residual, square(3 + 2 * 2, 2, -3)),
        (
            lambda m, x: x[:, :, :, :1] + convolution(m, x, 3, padding=[(0, 2), (2, 0)], features=1),
            ((3, 3), (1, 1), (0, -2)),
        ),
        (sides, ((6, 1), (1, 1), (-3, 0))),
        (shortcut, square(1, 2, 0)),
        (lambda m, x: shortcut(m, convolution(m, x, 3, padding=1)[:, 1:, 1:]), square(3, 2, 0)),
        (inception, square(5, 1, -2)),
        (lambda m, x: inception(m, nn.max_pool(x, (2, 2), (2, 2))), square(2 + 4 * 2, 2, -4)),
        (lambda m, x: convolution(m, x, 11, 4), square(11, 4, 0)),
        (lambda m, x: convolution(m, x, 7, 2, 3), square(7, 2, -3)),
        (lambda m, x: convolution(m, x, 3, padding=2, dilation=2), square(5, 1, -2)),
        (lambda m, x: convolution(m, convolution(m, x, 3, 2), 3, dilation=3), square(3 + 6 * 2, 2, 0)),
        (lambda m, x: convolution(m, x, 3, padding=1, groups=2, features=4), square(3, 1, -1)),
        (lambda m, x: convolution(m, x, (3, 5), (1, 2), [(1, 0), (2, 2)]), ((3, 5), (1, 2), (-1, -2))),
        (lambda m, x: nn.max_pool(x, (3, 3), (2, 2), [(0, 1)] * 2), square(3, 2, 0)),
        (lambda m, x: nn.avg_pool(x, (2, 2), (2, 2)), square(2, 2, 0)),
        (lambda m, x: -nn.max_pool(-x, (3, 2), (2, 1)), ((3, 2), (2, 1), (0, 0))),
        (lambda m, x: nn.pooling.min_pool(convolution(m, x, 5, 2), (3, 3), (2, 2)), square(5 + 2 * 2, 4, 0)),
        (lambda m, x: nn.avg_pool(x, (3, 3), (1, 1), [(1, 1)] * 2, count_include_pad=False), square(3, 1, -1)),
    ],
)
def test_windows_and_branches_grow_and_shift_the_field(function, expected):
    assert field(function) == expected


@pytest.mark.parametrize("pool", [lambda x: x.mean((1, 2)), lambda x: x.max((1, 2), keepdims=True)])
def test_a_global_pool_sees_the_whole_of_a_non_square_image(pool):
    # 64 x 48 pixels in steps of 2: 31 and 23 windows of 3, from the first pixel on.
    assert field(lambda m, x: pool(convolution(m, x, 3, 2))) == ((3 + 30 * 2, 3 + 22 * 2), (2, 2), (0, 0))


def test_a_fully_connected_layer_sees_all_that_it_flattens():
    def flat(module, x):
        x = nn.avg_pool(convolution(module, x, 5), (2, 2), (2, 2))
        return nn.Dense(3, parent=module)(nn.Dense(4, parent=module)(x.reshape(len(x), -1)))

    assert field(flat, (32, 20, 2), batch=3) == ((32, 20), (2, 2), (0, 0))


def test_positions_in_another_order_of_dimensions_are_followed():
    def channels_first(module, x):
        y = convolution(module, x, (3, 5)).transpose(0, 3, 1, 2)
        y = lax.conv_general_dilated(
            y, jnp.ones((2, 2, 3, 3)), (2, 1), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW")
        )
        return jnp.moveaxis(y, 1, -1)

    assert field(channels_first) == ((3 + 2, 5 + 2), (2, 1), (0, 0))


def test_what_only_mixes_channels_changes_no_field():
    def mixed(module, x):
        x = convolution(module, x, 3, features=8)
        x = nn.softmax(nn.LayerNorm(parent=module)(x))
        x = nn.GroupNorm(num_groups=2, reduction_axes=-1, parent=module)(x)
        first, second = jnp.split(x, 2, -1)
        x = jnp.stack([first, second], -2).reshape(*x.shape[:3], -1)
        return jnp.einsum("nhwc,cd->nhwd", nn.gelu(x), jnp.ones((8, 3)))

    assert field(mixed) == square(3, 1, 0)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: jnp.cumsum(x, 1),
        lambda m, x: x[:, ::-1],
        lambda m, x: jnp.sort(x, 2),
        lambda m, x: jnp.roll(x, 1, 1),
        lambda m, x: jnp.fft.fft2(x, axes=(1, 2)).real,
        lambda m, x: jax.image.resize(x, (*x.shape[:1], 32, 24, *x.shape[3:]), "bilinear"),
        lambda m, x: jax.image.resize(x, (*x.shape[:1], 128, 96, *x.shape[3:]), "nearest"),
        lambda m, x: jnp.take(x, jnp.arange(48) // 2, axis=2),
        lambda m, x: nn.ConvTranspose(2, (3, 3), (2, 2), parent=m)(x),
        lambda m, x: TransposedConvolution(2, 4, 2, 1, parent=m)(x),
        lambda m, x: x + TransposedConvolution(2, 4, 2, 1, parent=m)(convolution(m, x, 2, 2)),
        lambda m, x: lax.while_loop(lambda y: y.sum() < 0, lambda y: y + y[:, ::-1], x),
        lambda m, x: lax.scan(lambda y, _: (y[:, ::-1] + y, None), x, length=2)[0],
        lambda m, x: x * x.mean((1, 2), keepdims=True),
        lambda m, x: jnp.concatenate([x[:, 5:], x[:, :5]], 1),
        lambda m, x: x[:, ::2] + x[:, :32],
        lambda m, x: lax.pad(x, 0.0, [(0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)]),
        lambda m, x: nn.Conv(2, (3,), parent=m)(x.reshape(len(x), -1, 2)),
        lambda m, x: x.reshape(len(x), -1, 2)[:, 1:],
        lambda m, x: x + jnp.repeat(nn.avg_pool(x, (2, 2), (2, 2)), 2, 1).repeat(2, 2),
        lambda m, x: lax.conv(x.transpose(3, 0, 1, 2), x.transpose(3, 0, 1, 2), (1, 1), "VALID"),
        lambda m, x: x.reshape(len(x), 32, 2, 48, -1).sum(2),
    ],
)
def test_what_no_rule_covers_is_unknown_and_stays_so(function):
    assert field(function) is None
    assert field(lambda m, x: convolution(m, function(m, x), 3) if function(m, x).ndim == 4 else function(m, x)) is None


def test_a_transposed_convolution_of_stride_1_sees_what_a_convolution_of_the_rotated_filter_does():
    assert field(lambda m, x: TransposedConvolution(2, 3, padding=1, parent=m)(x)) == square(3, 1, -1)
    assert field(lambda m, x: TransposedConvolution(2, 3, padding=1, dilation=2, parent=m)(x)) == square(5, 1, -3)
    behind = field(lambda m, x: TransposedConvolution(2, 3, parent=m)(convolution(m, x, 2, 2)))
    assert behind == square(2 + 2 * 2, 2, -2 * 2)


def test_an_unknown_field_of_a_map_does_not_hide_the_pools_behind_it():
    network = Functional(lambda m, x: nn.max_pool(nn.ConvTranspose(2, (3, 3), (2, 2), parent=m)(x), (2, 2), (2, 2)))
    pool = by_path(summarize(network, (16, 12, 2)))["pool1"]
    assert (pool.kind, pool.output_shape, pool.receptive_field) == ("max pool 2×2/2", (1, 16, 12, 2), None)


def test_a_field_is_found_through_jit_rematerialization_and_custom_derivatives():
    @jax.custom_vjp
    def doubled(x: Array) -> Array:
        return 2 * x

    doubled.defvjp(lambda x: (doubled(x), None), lambda _, g: (2 * g,))

    @jax.jit
    def pooled(x: Array) -> Array:
        return nn.relu(nn.max_pool(doubled(x), (3, 3), (2, 2)))

    assert field(lambda m, x: jax.checkpoint(pooled)(convolution(m, x, 3))) == square(3 + 2, 2, 0)


def test_fields_of_different_strides_have_a_union_where_there_is_one_response_of_each():
    assert Field(3, 2, -1).union(Field(8, 3, 1)) == Field(10, 6, -1)

    def both(module, x):
        ways = [convolution(module, x, 3, stride).mean((1, 2)) for stride in (2, 3)]
        return jnp.concatenate(ways, -1)

    assert field(both) == ((63, 47 + 1), (6, 6), (0, 0))
