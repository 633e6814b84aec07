"""What can't be computed is refused in Python, in one sentence, and never reaches a kernel."""

from typing import Any

import jax.numpy as jnp
import pytest

from convnets.errors import InvalidValue
from convnets.layers import implementation
from convnets.layers.batch_norm import batch_norm
from convnets.layers.convolution import convolution
from convnets.layers.fully_connected import fully_connected
from convnets.layers.pooling import max_pool
from convnets.layers.transposed_convolution import transposed_convolution


def maps(*shape: int, dtype: Any = jnp.float32) -> Any:
    return jnp.ones(shape, dtype)


KERNEL = (3, 3, 4, 6)
CONVOLUTIONS = {
    "fewer channels": ((2, 5, 5, 3), KERNEL, {}, r"\(2, 5, 5, 3\) by kernel \(3, 3, 4, 6\)"),
    "groups that don't divide the channels": ((2, 5, 5, 4), (3, 3, 1, 6), {"groups": 3}, "in 3 groups"),
    "groups that don't divide the filters": ((2, 5, 5, 8), (3, 3, 2, 6), {"groups": 4}, "in 4 groups"),
    "a kernel for other groups": ((2, 5, 5, 4), KERNEL, {"groups": 2}, "in 2 groups"),
    "maps of three axes": ((5, 5, 4), KERNEL, {}, r"of \(5, 5, 4\)"),
    "maps of five axes": ((1, 2, 5, 5, 4), KERNEL, {}, r"of \(1, 2, 5, 5, 4\)"),
    "a kernel of three axes": ((2, 5, 5, 4), (3, 3, 4), {}, r"kernel \(3, 3, 4\)"),
    "no stride": ((2, 5, 5, 4), KERNEL, {"stride": 0}, "stride 0"),
    "no dilation": ((2, 5, 5, 4), KERNEL, {"dilation": (1, 0)}, "dilation"),
    "no groups": ((2, 5, 5, 4), KERNEL, {"groups": 0}, "groups 0"),
    "a bias of another length": ((2, 5, 5, 4), KERNEL, {"bias": maps(4)}, r"bias .*\(4,\), and must have \(6,\)"),
    "a factor of another length": ((2, 5, 5, 4), KERNEL, {"factor": maps(4)}, r"factor .*must have \(6,\)"),
    "a bias of two axes": ((2, 5, 5, 4), KERNEL, {"bias": maps(1, 6)}, r"\(1, 6\), and must have \(6,\)"),
    "a residual of another size": ((2, 5, 5, 4), KERNEL, {"residual": maps(2, 5, 5, 6)}, r"must have \(2, 3, 3, 6\)"),
    "a residual to be broadcast": ((2, 5, 5, 4), KERNEL, {"residual": maps(1, 3, 3, 6)}, r"must have \(2, 3, 3, 6\)"),
}


@pytest.mark.parametrize("choice", ["onednn", "xla", "plain"])
@pytest.mark.parametrize(("shape", "kernel", "options", "sentence"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions_that_do_not_fit_are_refused(onednn, choice, shape, kernel, options, sentence):
    with implementation.use(choice), pytest.raises(InvalidValue, match=sentence):
        convolution(maps(*shape), maps(*kernel), **options)


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((2, 5, 5, 4), (3, 3, 6, 3), {}),
        ((5, 5, 4), (3, 3, 6, 4), {}),
        ((4,), (3, 3, 6, 4), {}),
        ((2, 5, 5, 4), (3, 4), {}),
        ((2, 5, 5, 4), (3, 3, 6, 4), {"stride": 2, "output_padding": 2}),
        ((2, 1, 1, 4), (3, 3, 6, 4), {"padding": 2}),
        ((2, 5, 5, 4), (3, 3, 6, 4), {"stride": 0}),
    ],
)
def test_transposed_convolutions_that_do_not_fit_are_refused(onednn, shape, kernel, options):
    with implementation.use("onednn"), pytest.raises(InvalidValue):
        transposed_convolution(maps(*shape), maps(*kernel), **options)


@pytest.mark.parametrize("choice", ["onednn", "xla", "plain"])
@pytest.mark.parametrize(
    ("operation", "arguments", "options"),
    [
        (fully_connected, [(2, 3), (4, 5)], {}),
        (fully_connected, [(2, 1, 4), (4, 5)], {}),
        (fully_connected, [(2, 4), (4,)], {}),
        (fully_connected, [(2, 4), (4, 5), (4,)], {}),
        (batch_norm, [(2, 3, 3, 4), (3,), (4,)], {"epsilon": 0.1}),
        (batch_norm, [(2, 3, 3, 4), (4,), (1,)], {"epsilon": 0.1}),
        (batch_norm, [(2, 3, 3, 4), (4,), (4,), (1, 3, 3, 4)], {"epsilon": 0.1}),
        (batch_norm, [(), (), ()], {"epsilon": 0.1}),
        (max_pool, [(6, 6, 3)], {"size": 2, "stride": 2}),
        (max_pool, [(2, 6, 6, 3)], {"size": 0, "stride": 2}),
        (max_pool, [(2, 6, 6, 3)], {"size": 2, "stride": 0}),
    ],
)
def test_other_operations_on_shapes_that_do_not_fit_are_refused(onednn, choice, operation, arguments, options):
    with implementation.use(choice), pytest.raises(InvalidValue):
        operation(*(maps(*shape) for shape in arguments), **options)


@pytest.mark.parametrize("choice", ["onednn", "xla", "plain"])
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8, jnp.bool_, jnp.complex64])
def test_what_is_not_floating_point_is_refused(onednn, choice, dtype):
    image, vector = maps(2, 5, 5, 4, dtype=dtype), maps(4)
    with implementation.use(choice):
        for call in (
            lambda: convolution(image, maps(*KERNEL)),
            lambda: convolution(maps(2, 5, 5, 4), maps(*KERNEL, dtype=dtype)),
            lambda: transposed_convolution(image, maps(3, 3, 6, 4)),
            lambda: fully_connected(image[:, 0, 0], maps(4, 5)),
            lambda: batch_norm(image, vector, vector, epsilon=0.1),
            lambda: max_pool(image, 2, 2),
        ):
            with pytest.raises(InvalidValue, match=jnp.dtype(dtype).name):
                call()
