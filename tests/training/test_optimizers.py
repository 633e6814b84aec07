"""Optimizers over several steps against their formulas in NumPy."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import pytest

from convnets.errors import InvalidValue
from convnets.training import optimizers

RATE, STEPS = 0.05, 6

KERNELS = {"conv1": {"kernel": True, "bias": False}, "norm1": {"scale": False, "bias": False}, "fc": {"kernel": True}}


def tree(seed: int) -> dict[str, dict[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    shapes = {"kernel": (2, 2, 1, 3), "bias": (3,), "scale": (3,)}
    return {
        layer: {name: random.normal(size=shapes[name]).astype(np.float32) for name in names}
        for layer, names in KERNELS.items()
    }


GRADIENTS = [tree(seed) for seed in range(1, STEPS + 1)]


def descend(optimizer: optax.GradientTransformation) -> dict[str, Any]:
    """What the train step does: the parameters less the learning rate times the direction."""
    params = tree(0)
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for gradient in GRADIENTS:
        direction, state = update(gradient, state, params)
        params = jax.tree.map(lambda p, d: p - np.float32(RATE) * np.asarray(d), params, direction)
    return params


def by_hand(rule: Callable[[np.ndarray, list[np.ndarray], bool], np.ndarray]) -> dict[str, Any]:
    """Each array on its own, float64."""

    def one(kernel: bool, start: np.ndarray, *gradients: np.ndarray) -> np.ndarray:
        return rule(start.astype(np.float64), [gradient.astype(np.float64) for gradient in gradients], kernel)

    return jax.tree.map(one, KERNELS, tree(0), *GRADIENTS)


def assert_close(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), actual, expected)


@pytest.mark.parametrize("name", list(optimizers.optimizers))
def test_every_optimizer_is_a_function_of_the_decay_with_options_that_have_defaults(name):
    decay, *options = inspect.signature(optimizers.optimizers[name]).parameters.values()
    assert decay.name == "decay"
    assert all(option.kind is option.KEYWORD_ONLY and option.default is not option.empty for option in options)


@pytest.mark.parametrize(
    ("momentum", "nesterov", "decay_all"), [(0.0, False, False), (0.9, False, True), (0.9, True, False)]
)
def test_sgd_with_momentum_and_decay_in_the_gradient(momentum, nesterov, decay_all):
    """Sutskever et al. 2013, as PyTorch writes it: v = m v + g; the direction is v, or g + m v."""

    def rule(p: np.ndarray, gradients: list[np.ndarray], kernel: bool) -> np.ndarray:
        velocity = np.zeros_like(p)
        for gradient in gradients:
            gradient = gradient + 0.02 * p if kernel or decay_all else gradient
            velocity = momentum * velocity + gradient
            p = p - RATE * (gradient + momentum * velocity if nesterov else velocity)
        return p

    given = {"momentum": momentum, "nesterov": nesterov, "decay_bias_and_norm": decay_all}
    # Without an option its default: momentum 0.9, not Nesterov's, decay of kernels alone.
    defaults = {"momentum": 0.9, "nesterov": False, "decay_bias_and_norm": False}
    options = {name: value for name, value in given.items() if value != defaults[name]}
    assert_close(descend(optimizers.create("sgd", weight_decay=0.02, **options)), by_hand(rule))


@pytest.mark.parametrize("decay_all", [False, True])
def test_adamw_with_decay_beside_the_gradient(decay_all):
    """Algorithm 2 of Loshchilov and Hutter 2019, the decay times the learning rate."""

    def rule(p: np.ndarray, gradients: list[np.ndarray], kernel: bool) -> np.ndarray:
        first, second = np.zeros_like(p), np.zeros_like(p)
        for t, gradient in enumerate(gradients, 1):
            first = 0.8 * first + 0.2 * gradient
            second = 0.95 * second + 0.05 * gradient**2
            direction = first / (1 - 0.8**t) / (np.sqrt(second / (1 - 0.95**t)) + 1e-3)
            p = p - RATE * (direction + (0.1 * p if kernel or decay_all else 0))
        return p

    optimizer = optimizers.create(
        "adamw", weight_decay=0.1, decay_bias_and_norm=decay_all, b1=0.8, b2=0.95, epsilon=1e-3
    )
    assert_close(descend(optimizer), by_hand(rule))


def test_only_kernels_are_taken_for_kernels():
    assert optimizers.is_kernel(tree(0)) == KERNELS


@pytest.mark.parametrize("norm", [0.5, 5.0])
def test_a_gradient_longer_than_the_limit_is_scaled_to_it_as_a_whole(norm):
    """The norm is that of all arrays together, and the direction stays."""
    gradient = GRADIENTS[0]
    length = np.sqrt(sum(np.sum(leaf.astype(np.float64) ** 2) for leaf in jax.tree.leaves(gradient)))
    gradient = jax.tree.map(lambda leaf: leaf * np.float32(norm / length), gradient)
    optimizer = optimizers.create("sgd", momentum=0.0, gradient_clip=2.0)
    clipped, _ = optimizer.update(gradient, optimizer.init(tree(0)), tree(0))
    scale = min(1.0, 2.0 / norm)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, scale * b, rtol=1e-5), clipped, gradient)


def test_the_gradient_is_clipped_before_the_decay_is_added():
    params, gradient = {"fc": {"kernel": np.full(4, 10, np.float32)}}, {"fc": {"kernel": np.full(4, 3, np.float32)}}
    optimizer = optimizers.create("sgd", momentum=0.0, gradient_clip=1.0, weight_decay=0.5)
    direction, _ = optimizer.update(gradient, optimizer.init(params), params)
    np.testing.assert_allclose(direction["fc"]["kernel"], np.full(4, 0.5 + 5.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("sdg", {}, "unknown optimizer 'sdg': did you mean 'sgd'"),
        ("sgd", {"nestrov": True}, "the optimizer 'sgd' has no option 'nestrov': did you mean 'nesterov'"),
        ("adamw", {"momentum": 0.9}, "the optimizer 'adamw' has no option 'momentum'"),
        ("sgd", {"momentum": 1.0}, r"optimizer.momentum is 1.0, and must lie in \[0, 1\)"),
        ("sgd", {"momentum": -0.1}, r"optimizer.momentum is -0.1, and must lie in \[0, 1\)"),
    ],
)
def test_what_cannot_be_is_refused(name, options, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        optimizers.create(name, **options)


def test_a_parameter_that_is_trained_later_counts_its_steps_from_then_on():
    """AdamW divides by 1 - b^t: with the t of the others, the first steps would be three times too long."""
    optimizer = optimizers.create("adamw", separately=True)
    alone = optax.scale_by_adam(0.9, 0.999, 1e-8)
    gradient = {"old": {"kernel": np.float32([1.0, -2.0])}, "new": {"kernel": np.float32([3.0])}}
    part = {"old": gradient["old"]}
    state = optimizer.init(part)
    for _ in range(3):
        _, state = optimizer.update(part, state, part)
    fresh = optimizer.init(gradient)
    kept = dict(jax.tree_util.tree_leaves_with_path(state))
    state = jax.tree_util.tree_map_with_path(lambda path, leaf: kept.get(path, leaf), fresh)
    direction, _ = optimizer.update(gradient, state, gradient)
    expected, _ = alone.update(gradient["new"], alone.init(gradient["new"]))
    np.testing.assert_array_equal(direction["new"]["kernel"], expected["kernel"])
    np.testing.assert_allclose(direction["new"]["kernel"], [1.0], rtol=1e-5)


@pytest.mark.parametrize("name", list(optimizers.optimizers))
def test_counting_steps_separately_changes_no_direction_where_all_began_together(name):
    random = np.random.default_rng(0)
    params = {"a": {"kernel": random.normal(size=3), "bias": random.normal(size=2)}, "b": {"kernel": np.ones(4)}}
    params = jax.tree.map(np.float32, params)
    options = {"weight_decay": 0.1, "gradient_clip": 1.0}
    one, each = (optimizers.create(name, separately=separately, **options) for separately in (False, True))
    state, states = one.init(params), each.init(params)
    for number in range(3):
        gradient = jax.tree.map(lambda p: p * (number + 1), params)  # noqa: B023
        direction, state = one.update(gradient, state, params)
        directions, states = each.update(gradient, states, params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), directions, direction)
