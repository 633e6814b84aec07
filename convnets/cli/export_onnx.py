"""A network as an ONNX model, by jax2onnx.

jax2onnx 0.17 makes of a pool over `[N, H, W, C]` one over four axes, which ONNX Runtime refuses, and does not pad where
the number of images is left open. So the traced function is written in other operations first: pools over the same
windows, and concatenation with zeros, give the same numbers.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var

from convnets.cli.export_formats import Exported, Trained, images_of, in_words, prediction
from convnets.errors import InvalidValue
from convnets.layers import implementation
from convnets.pretrained.files.hub import quiet

NEEDED = ("onnx", "onnx_ir", "jax2onnx")
VERSION = ">=0.17,<0.18"

CALLS = {"jit": "jaxpr", "custom_jvp_call": "call_jaxpr", "remat2": "jaxpr"}
"""Operations that only call a function, and the parameter that holds it."""


def check_installed() -> None:
    """Refuses where the converter is not installed.

    Raises:
      InvalidValue: with what to install, or what does without.
    """
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        raise InvalidValue(
            f"--format=onnx takes {' and '.join(missing)}, not installed here: pip install -r requirements-onnx.txt && "
            f'pip install --no-deps "jax2onnx{VERSION}", or use --format=stablehlo, which takes nothing more'
        )


def as_onnx(trained: Trained) -> Exported:
    """An ONNX model that computes in float32, whatever the run did: ONNX Runtime has little else for a CPU."""
    network = trained.model.network.clone(dtype=jnp.float32)
    trained = dataclasses.replace(trained, model=dataclasses.replace(trained.model, network=network))
    images = images_of(trained)
    with implementation.use("plain"):
        traced, outputs = jax.make_jaxpr(prediction(trained), return_shape=True)(images)
    # Otherwise it is said which libraries jax2onnx could convert if they were installed.
    with quiet("jax2onnx", "onnx_ir"):
        from onnx.helper import set_model_props

        to_onnx = import_module("jax2onnx").to_onnx
        model = to_onnx(rewritten(traced), [images], input_names=["images"], output_names=sorted(outputs))
    set_model_props(model, {name: json.dumps(said) for name, said in trained.about().items()})
    return Exported(model.SerializeToString(), f"ONNX, {in_words(images, outputs)}")


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
