"""Sums over devices, counted in the trace of a function of one device."""

import jax
import jax.numpy as jnp
import pytest

from convnets.analysis.operation_counts import AllReduce, all_reduces
from convnets.analysis.trace import operations_of
from convnets.errors import InvalidValue


def counted(function, *inputs, axis="devices"):
    """The sums over an axis of two devices, where another axis of three is there as well."""
    trace = jax.make_jaxpr(function, axis_env=[("devices", 2), ("others", 3)])(*inputs)
    return list(all_reduces(operations_of(trace)[0], axis))


def test_every_array_of_a_tree_counts_in_its_type():
    tree = {"a": jnp.zeros((3, 5)), "b": jnp.zeros((), jnp.int32), "c": jnp.zeros(7, jnp.bfloat16)}
    found = counted(lambda tree: jax.lax.psum(tree, "devices"), tree)
    assert found == [AllReduce((3, 5), "float32"), AllReduce((), "int32"), AllReduce((7,), "bfloat16")]
    assert [one.bytes for one in found] == [60, 4, 14]


def test_means_are_sums_and_other_axes_do_not_count():
    def function(x):
        return jax.lax.pmean(x, "devices") + jax.lax.psum(x, "others") + jax.lax.psum(x, ("others", "devices"))

    assert counted(function, jnp.zeros(4)) == [AllReduce((4,), "float32")] * 2
    assert counted(lambda x: 2 * x, jnp.zeros(4)) == []


def test_the_gradient_of_a_sum_that_is_used_is_a_sum_again():
    def loss(x):
        return jnp.sum(jnp.square(x - jax.lax.pmean(x, "devices")))

    assert len(counted(loss, jnp.zeros(4))) == 1
    assert len(counted(jax.grad(loss), jnp.zeros(4))) == 2


@pytest.mark.parametrize("wrapped", [jax.jit, jax.checkpoint], ids=["jit", "checkpoint"])
def test_wrapped_functions_are_looked_into(wrapped):
    inner = wrapped(lambda x: jax.lax.psum(x, "devices"))
    assert counted(lambda x: inner(inner(x)), jnp.zeros(4)) == [AllReduce((4,), "float32")] * 2


def test_a_sum_in_a_loop_counts_as_often_as_it_runs():
    def function(x):
        return jax.lax.scan(lambda carry, _: (jax.lax.psum(carry, "devices"), None), x, None, length=5)[0]

    assert counted(function, jnp.zeros(4)) == [AllReduce((4,), "float32")] * 5


def test_a_sum_that_may_be_left_out_is_refused():
    def function(x):
        return jax.lax.cond(x[0] > 0, lambda x: jax.lax.psum(x, "devices"), lambda x: x, x)

    with pytest.raises(InvalidValue, match="inside a 'cond'"):
        counted(function, jnp.zeros(4))
