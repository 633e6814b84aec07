"""Derivatives of derivatives, and batching, of every operation: as of JAX's own."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.layers import implementation
from convnets.layers.batch_norm import batch_norm
from convnets.layers.convolution import convolution
from convnets.layers.fully_connected import fully_connected
from convnets.layers.pooling import max_pool
from convnets.layers.transposed_convolution import transposed_convolution

pytestmark = pytest.mark.usefixtures("onednn")


def padded_convolution(x: Any, kernel: Any, bias: Any, residual: Any) -> Any:
    return convolution(x, kernel, bias, residual, stride=(2, 1), padding=((1, 0), (1, 2)), relu=True)


def grouped_convolution(x: Any, kernel: Any) -> Any:
    return convolution(x, kernel, dilation=2, groups=2)


def up_sampling(x: Any, kernel: Any) -> Any:
    return transposed_convolution(x, kernel, stride=2, padding=1)


def normalization(x: Any, scale: Any, bias: Any, residual: Any) -> Any:
    y, mean, variance = batch_norm(x, scale, bias, residual, epsilon=0.1, relu=True)
    return y + jnp.sin(mean) * variance


def pooling(x: Any) -> Any:
    return max_pool(x, 3, 2, (1, 0))


def product(x: Any, kernel: Any, bias: Any) -> Any:
    return fully_connected(x, kernel, bias, relu=True)


OPERATIONS: dict[Callable[..., Any], list[tuple[int, ...]]] = {
    padded_convolution: [(2, 5, 4, 3), (3, 2, 3, 4), (4,), (2, 2, 6, 4)],
    grouped_convolution: [(1, 6, 5, 4), (3, 2, 2, 6)],
    up_sampling: [(2, 3, 3, 4), (4, 4, 3, 4)],
    normalization: [(3, 2, 4, 3), (3,), (3,), (3, 2, 4, 3)],
    pooling: [(2, 6, 7, 3)],
    product: [(4, 6), (6, 5), (5,)],
}
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.__name__ for operation in OPERATIONS])


def arrays_of(operation: Callable[..., Any], *leading: int) -> tuple[Any, ...]:
    random = np.random.default_rng(0)
    return tuple(random.normal(size=(*leading, *shape)).astype(np.float32) for shape in OPERATIONS[operation])


def gradients_of(operation: Callable[..., Any], order: int) -> Callable[..., Any]:
    """The gradients, to all arguments, of the squared norm of the gradients ... of a curved function of the result."""

    def function(*arrays: Any) -> Any:
        return jnp.sum(jnp.sin(operation(*arrays)))

    for _ in range(order):
        function = _squared_norm_of_gradient(function, len(OPERATIONS[operation]))
    return jax.grad(function, argnums=tuple(range(len(OPERATIONS[operation]))))


def _squared_norm_of_gradient(function: Callable[..., Any], arguments: int) -> Callable[..., Any]:
    def norm(*arrays: Any) -> Any:
        gradients = jax.grad(function, argnums=tuple(range(arguments)))(*arrays)
        return sum(jnp.sum(jnp.square(gradient)) for gradient in gradients)

    return norm


def computed(choice: str, function: Callable[..., Any], arrays: Any) -> Any:
    """Each program runs once: one that is compiled in a fifth of the time is worth being slower."""
    with implementation.use(choice):
        return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})(*arrays)


def assert_close(given: Any, expected: Any, close: float = 2e-5) -> None:
    for one, other in zip(*map(jax.tree.leaves, (given, expected)), strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=close * max(1, np.abs(other).max()), rtol=0)


@EACH
def test_second_derivatives_are_those_of_jaxs_own_operations(operation):
    arrays = arrays_of(operation)
    expected = computed("plain", gradients_of(operation, 1), arrays)
    assert any(np.abs(gradient).max() > 0.1 for gradient in expected)
    assert_close(computed("onednn", gradients_of(operation, 1), arrays), expected)
    assert_close(computed("xla", gradients_of(operation, 1), arrays), expected)


@pytest.mark.parametrize("operation", [padded_convolution, product])
def test_third_derivatives_are_those_of_jaxs_own_operations(operation):
    arrays = arrays_of(operation)
    given, expected = (computed(choice, gradients_of(operation, 2), arrays) for choice in ("onednn", "plain"))
    assert_close(given, expected, 2e-4)


@EACH
def test_vmap_of_values_and_gradients_is_a_loop(operation):
    arrays = arrays_of(operation, 3)
    # One argument is common to all.
    axes = (0, *([None] * min(1, len(arrays) - 1)), *([0] * (len(arrays) - 2)))

    def both(*arrays: Any) -> Any:
        y, back = jax.vjp(operation, *arrays)
        return y, back(jnp.cos(y))

    common = [array if axis == 0 else array[0] for array, axis in zip(arrays, axes, strict=True)]
    given = computed("onednn", jax.vmap(both, in_axes=axes), common)
    with implementation.use("onednn"):
        one = jax.jit(both)
        loop = [one(*(a[i] if axis == 0 else a for a, axis in zip(common, axes, strict=True))) for i in range(3)]
    assert_close(given, jax.tree.map(lambda *parts: np.stack(parts), *loop), 1e-6)


@EACH
def test_rematerialization_and_loops_do_not_change_gradients(operation):
    arrays = arrays_of(operation)

    def total(*arrays: Any) -> Any:
        return jnp.sum(jnp.sin(operation(*arrays)))

    def looped(*arrays: Any) -> Any:
        return jax.lax.scan(lambda sum, _: (sum + jax.checkpoint(total)(*arrays), None), 0.0, None, length=2)[0] / 2

    everything = tuple(range(len(arrays)))
    given, expected = (computed("onednn", jax.grad(f, argnums=everything), arrays) for f in (looped, total))
    assert_close(given, expected, 1e-6)


@EACH
def test_forward_mode_is_refused_in_words(operation):
    arrays = arrays_of(operation)
    with implementation.use("onednn"), pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(operation, arrays, arrays)
