"""A traced function in the operations that the converter to ONNX, and runtimes of ONNX, know in this form.

jax2onnx 0.17 makes of a pool over `[N, H, W, C]` one over four axes, which ONNX Runtime refuses, and does not pad where
the number of images is left open. Pools over the same windows and concatenation with zeros give the same numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var

CALLS = {"jit": "jaxpr", "custom_jvp_call": "call_jaxpr", "remat2": "jaxpr"}
"""Operations that only call a function, and the parameter that holds it."""


def rewritten(traced: ClosedJaxpr) -> Callable[..., list[Array]]:
    """The traced function without calls in it, constants computed beforehand, and with `REPLACEMENTS`."""
    return lambda *arguments: _evaluate(traced.jaxpr, traced.consts, arguments)


def _evaluate(jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    values: dict[Var, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True))

    def value(of: Any) -> Any:
        return of.val if isinstance(of, Literal) else values[of]

    for equation in jaxpr.eqns:
        inputs = [value(of) for of in equation.invars]
        if any(isinstance(each, jax.core.Tracer) for each in inputs):
            results = _apply(equation.primitive, inputs, equation.params)
        else:
            with jax.ensure_compile_time_eval():
                results = _apply(equation.primitive, inputs, equation.params)
        values.update(zip(equation.outvars, results, strict=True))
    return [value(of) for of in jaxpr.outvars]


def _apply(primitive: Any, inputs: list[Any], parameters: dict[str, Any]) -> list[Any]:
    if primitive.name in CALLS:
        called = parameters[CALLS[primitive.name]]
        jaxpr, constants = (called.jaxpr, called.consts) if isinstance(called, ClosedJaxpr) else (called, ())
        return _evaluate(jaxpr, constants, inputs)
    results = REPLACEMENTS.get(primitive.name, primitive.bind)(*inputs, **parameters)
    return results if primitive.multiple_results else [results]


def _max_pool(
    x: Array, *, window_dimensions: Sequence[int], window_strides: Sequence[int], padding: Any, **_: Any
) -> Array:
    """Over `[N x C, H, W]`, as the runtimes know no pool over more than three axes."""
    height, width, channels = x.shape[1:]
    maps = x.transpose(0, 3, 1, 2).reshape(-1, height, width)
    window, strides = (1, *window_dimensions[1:3]), (1, *window_strides[1:3])
    largest = lax.reduce_window(maps, -jnp.inf, lax.max, window, strides, ((0, 0), *padding[1:3]))
    return largest.reshape(-1, channels, *largest.shape[1:]).transpose(0, 2, 3, 1)


def _sum_pool(
    x: Array, *, window_dimensions: Sequence[int], window_strides: Sequence[int], padding: Any, **_: Any
) -> Array:
    """A convolution of each channel by itself with ones."""
    ones = jnp.ones((*window_dimensions[1:3], 1, x.shape[3]), x.dtype)
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, ones, window_strides[1:3], padding[1:3], dimension_numbers=numbers, feature_group_count=x.shape[3]
    )


def _pad(x: Array, value: Array, *, padding_config: Sequence[tuple[int, int, int]]) -> Array:
    """By concatenation; only padding at the ends is asked for here."""
    for axis, (before, after, _) in enumerate(padding_config):
        shapes = [(*x.shape[:axis], pixels, *x.shape[axis + 1 :]) for pixels in (before, after)]
        ends = [lax.broadcast(value, shape) for shape in shapes]
        parts = [ends[0], x, ends[1]]
        x = lax.concatenate([part for part in parts if part.shape[axis] != 0], axis)
    return x


REPLACEMENTS: dict[str, Callable[..., Array]] = {
    "reduce_window_max": _max_pool,
    "reduce_window_sum": _sum_pool,
    "pad": _pad,
}
"""By the names of JAX's operations, with their parameters."""
