"""Transposed convolution: the lecture's matrices by hand, its three forms, SciPy, PyTorch, and gradients."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import convolve2d

from convnets.errors import InvalidValue
from convnets.layers import Convolution, TransposedConvolution, implementation
from convnets.layers.convolution import convolution
from convnets.layers.initializers import transposed_he_normal
from convnets.layers.lecture_matrices import by_inserted_zeros, by_matrix, convolution_matrix
from convnets.layers.transposed_convolution import output_size, transposed_convolution

GRID = [
    dict(zip(("size", "stride", "padding", "output_padding", "dilation"), numbers, strict=True))
    for numbers in itertools.product((1, 3, 4), (1, 2, 3), (0, 2), (0, 1), (1, 2))
    if numbers[2] <= (numbers[0] - 1) * numbers[4] and numbers[3] < numbers[1]
]
"""Every geometry there is within these numbers, with holes and without."""


def named(options: dict[str, int]) -> str:
    return "-".join(map(str, options.values()))


def arrays(size: int, channels: int = 3, features: int = 2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(size)
    x, kernel = (random.normal(size=shape) for shape in ((2, 3, 4, channels), (size, size, features, channels)))
    return x.astype(np.float32), kernel.astype(np.float32)


def scipys(x: np.ndarray, kernel: np.ndarray, options: dict[str, int]) -> np.ndarray:
    """Copies of the filter laid down `stride` pixels apart and added, with SciPy's true convolution in float64."""
    stride, padding, dilation = options["stride"], options["padding"], options["dilation"]
    count, height, width, channels = x.shape
    spread = np.zeros((count, (height - 1) * stride + 1, (width - 1) * stride + 1, channels))
    spread[:, ::stride, ::stride] = x
    reach = (len(kernel) - 1) * dilation + 1
    filters = np.zeros((reach, reach, *kernel.shape[2:]))
    filters[::dilation, ::dilation] = kernel
    full = [
        [sum(convolve2d(image[..., c], filters[..., f, c]) for c in range(channels)) for f in range(kernel.shape[2])]
        for image in spread
    ]
    extra = options["output_padding"]
    whole = np.pad(np.moveaxis(np.array(full), 1, -1), ((0, 0), (0, extra), (0, extra), (0, 0)))
    return whole[:, padding : whole.shape[1] - padding, padding : whole.shape[2] - padding]


def layer(options: dict[str, int], **fields: Any) -> TransposedConvolution:
    return TransposedConvolution(2, **options, holes=True, **fields)


ONE, TWO = (np.array(rows, np.float32) for rows in ([[11, 12, 13], [21, 22, 23], [31, 32, 33]], [[11, 12], [21, 22]]))
"""Filters in which F_21 is 21, as the slides write them."""


def test_the_matrix_of_3x3_filters_at_stride_1_is_the_slides():
    np.testing.assert_array_equal(
        convolution_matrix(ONE, 4),
        [
            [11, 12, 13, 0, 21, 22, 23, 0, 31, 32, 33, 0, 0, 0, 0, 0],
            [0, 11, 12, 13, 0, 21, 22, 23, 0, 31, 32, 33, 0, 0, 0, 0],
            [0, 0, 0, 0, 11, 12, 13, 0, 21, 22, 23, 0, 31, 32, 33, 0],
            [0, 0, 0, 0, 0, 11, 12, 13, 0, 21, 22, 23, 0, 31, 32, 33],
        ],
    )


def test_the_matrix_of_2x2_filters_at_stride_2_is_the_slides():
    np.testing.assert_array_equal(
        convolution_matrix(TWO, 4, stride=2),
        [
            [11, 12, 0, 0, 21, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 11, 12, 0, 0, 21, 22, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 11, 12, 0, 0, 21, 22, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 12, 0, 0, 21, 22],
        ],
    )


def test_its_transpose_is_the_slides_equivalent_convolution():
    """S~ with 3 - 1 zeros around it, by the filter rotated; at stride 2 with one between and 2 - 1 around."""
    x = np.arange(1.0, 5).reshape(2, 2)
    around = np.zeros((6, 6))
    around[2:4, 2:4] = x
    between = np.zeros((5, 5))
    between[1:4:2, 1:4:2] = x
    for filters, stride, padded in ((ONE, 1, around), (TWO, 2, between)):
        # SciPy rotates the filter itself.
        expected = convolve2d(padded, filters, mode="valid")
        by_hand = (np.asarray(convolution_matrix(filters, 4, stride)).T @ x.ravel()).reshape(4, 4)
        np.testing.assert_allclose(by_hand, expected, rtol=1e-6)


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("size", "stride", "padding"), [(1, 1, 0), (2, 1, 1), (3, 2, 1), (3, 3, 2), (4, 2, 0)])
def test_the_matrix_times_an_input_is_the_convolution_in_the_order_it_says(size, stride, padding, dilation):
    _, kernel = arrays(size, channels=4, features=3)
    x = np.random.default_rng(1).normal(size=(1, 8, 7, 3)).astype(np.float32)
    expected = convolution(x, kernel, stride=stride, padding=padding, dilation=dilation)
    matrix = convolution_matrix(kernel, (8, 7), stride, padding, dilation)
    assert matrix.shape == (expected.size, x.size)
    np.testing.assert_allclose((matrix @ x.ravel()).reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", GRID, ids=named)
def test_all_forms_are_scipys(options):
    x, kernel = arrays(options["size"])
    expected = scipys(x, kernel, options)
    assert expected.shape[1:3] == tuple(output_size(length, **options) for length in (3, 4))
    numbers = {name: number for name, number in options.items() if name != "size"}
    close = {"rtol": 1e-5, "atol": 2e-5}
    np.testing.assert_allclose(by_matrix(x, kernel, **numbers), expected, **close)
    with implementation.use("plain"):
        np.testing.assert_allclose(by_inserted_zeros(x, kernel, **numbers), expected, **close)
        np.testing.assert_allclose(transposed_convolution(x, kernel, **numbers), expected, **close)
    bias = np.array([0.5, -2.0], np.float32)
    y = layer(options).apply({"params": {"kernel": kernel, "bias": bias}}, x)
    np.testing.assert_allclose(y, expected + bias, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 1, 1), (4, 2, 1), (3, 2, 0)])
def test_it_is_the_gradient_of_a_convolution_and_its_gradient_is_that_convolution(size, stride, padding):
    x, kernel = arrays(size, channels=5)
    side = [output_size(length, size, stride, padding, 0, 1) for length in x.shape[1:3]]
    image = np.random.default_rng(2).normal(size=(2, *side, 2)).astype(np.float32)
    forward = Convolution(5, size, stride, padding, use_bias=False)
    backward = TransposedConvolution(2, size, stride, padding, use_bias=False)
    params = {"params": {"kernel": kernel}}

    response, pull = jax.vjp(lambda image: forward.apply(params, image), image)
    result, pull_back = jax.vjp(lambda x: backward.apply(params, x), x)
    np.testing.assert_allclose(result, pull(x)[0], rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(pull_back(image)[0], response, rtol=1e-5, atol=2e-5)
    # <conv(X), S> = <X, conv^T(S)>.
    assert float(jnp.vdot(response, x)) == pytest.approx(float(jnp.vdot(image, result)), rel=1e-4)


@pytest.mark.parametrize("choice", ["auto", "xla", "plain"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_to_maps_and_kernel_are_those_of_the_matrix_under_jit_and_vmap(dtype, choice):
    x, kernel = arrays(4)
    numbers = {"stride": 2, "padding": 1}
    batches = np.stack([x, 2 * x - 1])

    def energy(transposed: Any, dtype: Any) -> Any:
        def of_one(x: Any, kernel: Any) -> Any:
            return jnp.sum(jnp.sin(transposed(x.astype(dtype), kernel, **numbers).astype(jnp.float32)))

        return jax.jit(jax.vmap(jax.value_and_grad(of_one, (0, 1)), in_axes=(0, None)))

    with implementation.use(choice):
        given = energy(transposed_convolution, dtype)(batches, kernel)
    expected = energy(by_matrix, jnp.float32)(batches, kernel)
    for one, other in zip(*map(jax.tree.leaves, (given, expected)), strict=True):
        assert one.dtype == np.float32
        # bfloat16 has 8 bits.
        close = (1e-5 if dtype == "float32" else 5e-2) * np.abs(other).max()
        np.testing.assert_allclose(one, other, atol=close, rtol=0)


def test_bfloat16_computes_with_float32_parameters():
    x, kernel = arrays(4)
    narrow = TransposedConvolution(2, 4, 2, 1, dtype=jnp.bfloat16)
    assert {p.dtype for p in jax.tree.leaves(jax.eval_shape(narrow.init, jax.random.key(0), x))} == {
        jnp.dtype("float32")
    }
    y = narrow.apply({"params": {"kernel": kernel, "bias": np.ones(2, np.float32)}}, x)
    assert y.dtype == jnp.bfloat16
    expected = by_matrix(x, kernel, stride=2, padding=1) + 1
    np.testing.assert_allclose(y.astype(jnp.float32), expected, rtol=0.02, atol=0.1)


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_kernel_is_that_of_the_convolution_it_transposes(use_bias):
    transposed = TransposedConvolution(7, 4, 2, use_bias=use_bias)
    params = jax.eval_shape(transposed.init, jax.random.key(0), jnp.zeros((1, 3, 3, 5)))["params"]
    shapes = {"kernel": (4, 4, 7, 5)} | ({"bias": (7,)} if use_bias else {})
    assert {name: value.shape for name, value in params.items()} == shapes


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (4, 2), (3, 2), (3, 3)])
def test_the_mean_square_of_responses_is_twice_that_of_the_maps_whatever_the_stride(size, stride):
    """So that a ReLU keeps it (He et al.); with PyTorch's fan-in it would fall by the square of the stride."""
    x = np.random.default_rng(0).normal(size=(4, 12, 12, 32)).astype(np.float32)
    layer = TransposedConvolution(48, size, stride)
    y, _ = jax.jit(layer.init_with_output)(jax.random.key(0, impl="rbg"), x)
    inner = y[:, size:-size, size:-size]
    # A whole number of strides, for the pixels between take part in more and fewer taps.
    inner = inner[:, : inner.shape[1] // stride * stride, : inner.shape[2] // stride * stride]
    assert float(jnp.mean(jnp.square(inner))) == pytest.approx(2, rel=0.05)
    kernel = transposed_he_normal(stride)(jax.random.key(1, impl="rbg"), (size, size, 48, 32))
    assert float(jnp.var(kernel)) == pytest.approx(2 * stride**2 / (size**2 * 32), rel=0.05)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"features": 0}, "has features 0, and must have at least 1"),
        ({"size": 0}, "has size 0, and must have at least 1"),
        ({"stride": 0}, "has stride 0, and must have at least 1"),
        ({"dilation": -1}, "has dilation -1, and must have at least 1"),
        ({"padding": 4}, "has padding 4, and its filters of 4 pixels allow 0 to 3"),
        ({"padding": 7, "dilation": 2, "stride": 1}, "has padding 7, and its filters of 7 pixels allow 0 to 6"),
        ({"padding": -1}, "has padding -1, and its filters"),
        ({"output_padding": 2}, "has output padding 2, and its stride of 2 allows 0 to 1"),
        ({"output_padding": -1}, "has output padding -1"),
        (
            {"stride": 5},
            "has stride 5 and filters of 4 x 4, which leave holes: use filters of at least 5 x 5, or holes=True",
        ),
        ({"dilation": 2}, "has stride 2 and dilation 2, which leave holes: use numbers without a common divisor"),
        ({"padding": 3}, "was given a map of 1 x 2, of which its padding of 3 leaves nothing"),
    ],
)
def test_what_is_no_up_sampling_is_refused(fields, sentence):
    transposed = TransposedConvolution(**({"features": 2, "size": 4, "stride": 2} | fields))
    with pytest.raises(InvalidValue, match=f"^the transposed convolution '' {sentence}") as error:
        transposed.init(jax.random.key(0), jnp.zeros((1, 1, 2, 3)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "fields", [{"stride": 5}, {"stride": 4}, {"stride": 2, "dilation": 2}, {"stride": 3, "dilation": 2}]
)
def test_holes_are_where_pixels_are_out_of_reach_of_all_taps(fields):
    options = {"size": 4, "padding": 0, "output_padding": 0, "dilation": 1} | fields
    reached = scipys(np.ones((1, 8, 8, 1)), np.ones((4, 4, 1, 1)), options)[0, 6:-6, 6:-6] > 0
    strict = TransposedConvolution(1, 4, **fields)
    if reached.all():
        strict.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
    else:
        with pytest.raises(InvalidValue, match="holes"):
            strict.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))


def test_a_matrix_of_a_filter_larger_than_the_input_is_refused():
    with pytest.raises(InvalidValue, match="a filter of 3 taps with dilation 2 and padding 0 does not fit into 4 pix"):
        convolution_matrix(ONE, 4, dilation=2)
