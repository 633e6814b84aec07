"""Matrix products."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from convnets.kernels.derivatives import relu_gradient
from convnets.kernels.library import call, multiplies_bfloat16

FEW_ROWS = 64
"""Up to so many examples a fully connected layer is a matter of reading its kernel, and of writing its gradient, once:
a float32 kernel is multiplied by as it is, since rounding it to bfloat16 first would take longer."""


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def fully_connected(x: Array, kernel: Array, bias: Array | None, relu: bool) -> Array:
    """`x @ kernel + bias`, then ReLU if asked, in the type of `x`.

    Args:
      x: `[N, K]`, float32 or bfloat16.
      kernel: `[K, F]`, float32 or the type of `x`.
      bias: `[F]`, float32.
    """
    working = _working_type(x, kernel)
    y = _product(x.astype(working), kernel.astype(working), bias=bias, relu=relu)
    return y.astype(x.dtype)


def _forward(x: Array, kernel: Array, bias: Array | None, relu: bool) -> tuple[Array, Any]:
    y = fully_connected(x, kernel, bias, relu)
    return y, (x, kernel, bias, y if relu else None)


def _backward(relu: bool, kept: Any, dy: Array) -> tuple[Array, Array, Array | None]:
    x, kernel, bias, y = kept
    sums = None
    if relu:
        dy, sums = relu_gradient(dy, y)
    elif bias is not None:
        sums = jnp.sum(dy, axis=0, dtype=jnp.float32)
    working = _working_type(x, kernel)
    dx = _product(dy.astype(working), kernel.astype(working), transpose_b=True).astype(x.dtype)
    # A long sum is kept in the type that it is handed out in.
    dkernel = _product(x, dy, transpose_a=True, result=kernel.dtype)
    return dx, dkernel, None if bias is None else sums


fully_connected.defvjp(_forward, _backward)


def _working_type(x: Array, kernel: Array) -> Any:
    few = x.shape[0] <= FEW_ROWS and kernel.dtype == jnp.float32
    return jnp.float32 if few or not multiplies_bfloat16() else x.dtype


def _product(
    a: Array,
    b: Array,
    *,
    bias: Array | None = None,
    transpose_a: bool = False,
    transpose_b: bool = False,
    relu: bool = False,
    result: Any = None,
) -> Array:
    """`a @ b`, either transposed first; differentiated as often as one likes."""
    return _linear(a, b, bias, transpose_a, transpose_b, relu, jnp.dtype(result or a.dtype))


@partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5, 6))
def _linear(
    a: Array, b: Array, bias: Array | None, transpose_a: bool, transpose_b: bool, relu: bool, result: Any
) -> Array:
    shape = a.shape[1] if transpose_a else a.shape[0], b.shape[0] if transpose_b else b.shape[1]
    options = {"transpose_a": transpose_a, "transpose_b": transpose_b, "relu": relu}
    return call("matrix_product", jax.ShapeDtypeStruct(shape, result), a, b, bias, **options)


def _linear_forward(a: Array, b: Array, bias: Array | None, *options: Any) -> tuple[Array, Any]:
    return _linear(a, b, bias, *options), (a, b)


def _linear_backward(
    transpose_a: bool, transpose_b: bool, relu: bool, result: Any, kept: Any, dc: Array
) -> tuple[Array, Array, None]:
    # Reached through the gradients above alone, which have neither bias nor ReLU.
    a, b = (x.T if transposed else x for x, transposed in zip(kept, (transpose_a, transpose_b), strict=True))
    dc = dc.astype(a.dtype)
    da, db = _product(dc, b, transpose_b=True), _product(a, dc, transpose_a=True)
    return da.T if transpose_a else da, db.T if transpose_b else db, None


_linear.defvjp(_linear_forward, _linear_backward)
