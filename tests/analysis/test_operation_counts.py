"""Multiply-adds by hand, and sums over devices in the trace of a function of one device."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from small_networks import Functional, convolution

from benchmarks import multiply_adds as benchmark
from convnets import models
from convnets.analysis.operations import all_reduces
from convnets.analysis.summary import summarize, total
from convnets.analysis.trace import operations_of
from convnets.errors import InvalidValue
from convnets.layers import TransposedConvolution


def count(function, image_shape=(9, 7, 4), batch=1):
    return total(summarize(Functional(function), image_shape, batch)).multiply_adds


def by_loops(image_shape, size, stride, padding, dilation, groups, features):
    """Every product that a convolution written with loops computes, those with the padding's zeros too."""
    (height, width, channels), products = image_shape, 0
    reach = (size - 1) * dilation + 1
    for _row in range(0, height + 2 * padding - reach + 1, stride):
        for _column in range(0, width + 2 * padding - reach + 1, stride):
            products += features * size * size * (channels // groups)
    return products


@pytest.mark.parametrize(
    "options",
    [
        {"size": 3, "stride": 2, "padding": 1, "dilation": 1, "groups": 1, "features": 5},
        {"size": 3, "stride": 1, "padding": 2, "dilation": 2, "groups": 1, "features": 5},
        {"size": 5, "stride": 1, "padding": 2, "dilation": 1, "groups": 2, "features": 6},
        {"size": 3, "stride": 1, "padding": 1, "dilation": 1, "groups": 4, "features": 8},
        {"size": 1, "stride": 2, "padding": 0, "dilation": 1, "groups": 1, "features": 3},
    ],
)
def test_a_convolution_takes_what_loops_take(options):
    expected = by_loops((9, 7, 4), **options)
    assert count(lambda m, x: convolution(m, x, **options), batch=3) == 3 * expected


def test_a_product_takes_inputs_times_outputs_and_a_batch_as_often():
    assert count(lambda m, x: nn.Dense(11, parent=m)(x.reshape(len(x), -1))) == 9 * 7 * 4 * 11
    assert count(lambda m, x: nn.Dense(11, parent=m)(x), batch=5) == 5 * 9 * 7 * 4 * 11
    assert count(lambda m, x: nn.DenseGeneral((3, 2), axis=(1, 3), parent=m)(x)) == 7 * (9 * 4) * (3 * 2)


def test_a_valid_convolution_agrees_with_the_operations_that_the_compiler_counts():
    kernel = jnp.ones((3, 3, 4, 5))

    def one(x):
        return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    cost = jax.jit(one).lower(jnp.ones((2, 9, 7, 4))).cost_analysis()
    # A multiply-add is two operations.
    assert 2 * count(lambda m, x: convolution(m, x, 3, features=5), batch=2) == cost["flops"]


def test_a_transposed_convolution_takes_each_pixel_times_the_kernel():
    # PyTorch's counters say H W C k^2 F.
    transposed = lambda m, x: nn.ConvTranspose(5, (4, 4), (2, 2), parent=m)(x)  # noqa: E731
    assert count(transposed) == 9 * 7 * 4 * 4 * 4 * 5
    ours = lambda m, x: TransposedConvolution(5, 4, 2, 1, parent=m)(x)  # noqa: E731
    assert count(ours, batch=3) == 3 * count(transposed)
    assert count(lambda m, x: TransposedConvolution(5, 3, parent=m)(x)) == 11 * 9 * 4 * 3 * 3 * 5


def test_only_products_of_the_image_with_weights_count():
    band = np.eye(4, dtype=np.float32)

    def network(module, x):
        kernel = module.param("kernel", nn.initializers.ones, (4, 4))
        x = nn.BatchNorm(use_running_average=True, parent=module)(nn.max_pool(x, (2, 2)))
        x = x @ (kernel @ kernel)
        return nn.softmax(x @ band) * kernel[0]

    assert count(network) == 8 * 6 * 4 * 4


def test_training_takes_three_times_as_much_but_for_the_gradient_of_the_image():
    lenet = models.create("lenet5", 10)
    forward = [28 * 28 * 6 * 25, 10 * 10 * 16 * 25 * 6, 400 * 120, 120 * 84, 84 * 10]
    assert benchmark.of_an_image(lenet, (32, 32, 1)) == (sum(forward), 3 * sum(forward) - forward[0])


@pytest.mark.parametrize(
    ("loop", "name"),
    [
        (lambda f, x: lax.fori_loop(0, 3, lambda _, y: f(y), x), "scan"),
        (lambda f, x: lax.while_loop(lambda y: y.sum() < 9, f, x), "while"),
        (lambda f, x: lax.cond(x.sum() < 9, f, lambda y: y, x), "cond"),
    ],
)
def test_products_in_loops_and_conditions_are_refused_and_not_missed(loop, name):
    def network(module, x):
        kernel = module.param("kernel", nn.initializers.ones, (4, 4))
        return loop(lambda y: y @ kernel, x)

    with pytest.raises(InvalidValue, match=f"inside a '{name}', which has a 'dot_general'"):
        count(network)
    count(lambda m, x: loop(lambda y: y + 1, x))


FOUR = jax.ShapeDtypeStruct((4,), jnp.float32)


def counted(function, *inputs, axis="devices"):
    """The sums over an axis of two devices, where another axis of three is there as well."""
    trace = jax.make_jaxpr(function, axis_env=[("devices", 2), ("others", 3)])(*inputs)
    return list(all_reduces(operations_of(trace)[0], axis))


def test_every_array_of_a_tree_counts_in_its_type():
    tree = {"a": jnp.zeros((3, 5)), "b": jnp.zeros((), jnp.int32), "c": jnp.zeros(7, jnp.bfloat16)}
    found = counted(lambda tree: lax.psum(tree, "devices"), tree)
    assert found == [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in tree.values()]


def test_means_are_sums_and_other_axes_do_not_count():
    def function(x):
        return lax.pmean(x, "devices") + lax.psum(x, "others") + lax.psum(x, ("others", "devices"))

    assert counted(function, jnp.zeros(4)) == [FOUR] * 2
    assert counted(lambda x: 2 * x, jnp.zeros(4)) == []


def test_the_gradient_of_a_sum_that_is_used_is_a_sum_again():
    def loss(x):
        return jnp.sum(jnp.square(x - lax.pmean(x, "devices")))

    assert len(counted(loss, jnp.zeros(4))) == 1
    assert len(counted(jax.grad(loss), jnp.zeros(4))) == 2


@pytest.mark.parametrize("wrapped", [jax.jit, jax.checkpoint], ids=["jit", "checkpoint"])
def test_wrapped_functions_are_looked_into(wrapped):
    inner = wrapped(lambda x: lax.psum(x, "devices"))
    assert counted(lambda x: inner(inner(x)), jnp.zeros(4)) == [FOUR] * 2


def test_a_sum_in_a_loop_counts_as_often_as_it_runs():
    def function(x):
        return lax.scan(lambda carry, _: (lax.psum(carry, "devices"), None), x, None, length=5)[0]

    assert counted(function, jnp.zeros(4)) == [FOUR] * 5


def test_a_sum_that_may_be_left_out_is_refused():
    def function(x):
        return lax.cond(x[0] > 0, lambda x: lax.psum(x, "devices"), lambda x: x, x)

    with pytest.raises(InvalidValue, match="inside a 'cond'"):
        counted(function, jnp.zeros(4))
