"""The lecture's tables on small filters and bottlenecks, counted from real layers."""

import jax
import numpy as np
import pytest

from convnets.analysis.small_filters import (
    BOTTLENECK_2,
    BOTTLENECK_4,
    ONE_5X5,
    ONE_7X7,
    THREE_3X3,
    TWO_3X3,
    Option,
    compare,
)
from convnets.errors import InvalidValue

OPTIONS = (ONE_7X7, THREE_3X3, ONE_5X5, TWO_3X3, BOTTLENECK_2, BOTTLENECK_4)


@pytest.mark.parametrize("depth", [8, 64])
@pytest.mark.parametrize(
    ("option", "weights"),
    # By hand: 1x1 to D/2 is D²/2, 3x3 there 9 D²/4, and back D²/2: 3.25 D². At D/4: 1/4 + 9/16 + 1/4 = 1.0625.
    [(ONE_7X7, 49), (THREE_3X3, 27), (ONE_5X5, 25), (TWO_3X3, 18), (BOTTLENECK_2, 3.25), (BOTTLENECK_4, 1.0625)],
)
def test_weights_and_multiply_adds_are_the_lectures(option: Option, weights: float, depth: int) -> None:
    [cost] = compare([option], depth=depth, size=10, batch=1, seconds=0)
    assert cost.parameters == weights * depth**2
    assert cost.multiply_adds == weights * depth**2 * 10 * 10
    assert (cost.formula_parameters, cost.formula_multiply_adds) == (cost.parameters, cost.multiply_adds)


def test_what_a_response_sees_how_often_it_is_bent_and_what_is_kept_of_every_layer() -> None:
    costs = compare(OPTIONS, depth=8, size=10, batch=1, seconds=0)
    assert [cost.receptive_field for cost in costs] == [7, 7, 5, 5, 3, 3]
    assert [cost.layers for cost in costs] == [cost.nonlinearities for cost in costs] == [1, 3, 1, 2, 3, 3]
    maps_of_full_depth = [cost.activation_bytes / (4 * 10 * 10 * 8) for cost in costs]
    assert maps_of_full_depth == [1, 3, 1, 2, 2, 1.5]


@pytest.mark.parametrize("option", [THREE_3X3, ONE_5X5, BOTTLENECK_2], ids=["three 3x3", "one 5x5", "bottleneck"])
def test_a_single_bright_pixel_lights_up_the_receptive_field_and_no_more(option: Option) -> None:
    [cost] = compare([option], depth=8, size=15, batch=1, seconds=0)
    network = option.network(8)
    maps = np.zeros((1, 15, 15, 8), np.float32)
    maps[0, 7, 7] = 1.0
    shapes = jax.eval_shape(network.init, jax.random.key(0), maps)
    variables = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)
    lit = np.argwhere(np.asarray(jax.jit(network.apply)(variables, maps))[0, :, :, 0] > 0)
    assert (np.ptp(lit, axis=0) + 1).tolist() == [cost.receptive_field] * 2


def test_times_are_measured_of_every_option_and_only_if_asked_for() -> None:
    costs = compare((ONE_7X7, TWO_3X3), depth=2, size=3, batch=1, seconds=1e-3)
    for cost in costs:
        assert cost.forward is not None and cost.training is not None
        assert min(*cost.forward.slices, *cost.training.slices) > 0
        assert len(cost.forward.slices) >= 3
    [cost] = compare((ONE_7X7,), depth=2, size=3, batch=1, seconds=0)
    assert cost.forward is cost.training is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"depth": 6}, "the depth is 6, and a bottleneck of D/4 needs a multiple of 4"),
        ({"depth": 0}, "the depth is 0, and must be positive"),
        ({"size": -1}, "the size is -1, and must be positive"),
        ({"batch": 0}, "the batch is 0, and must be positive"),
    ],
)
def test_what_can_not_be_built_is_refused(change: dict[str, int], sentence: str) -> None:
    with pytest.raises(InvalidValue, match=f"^{sentence}$"):
        compare(OPTIONS, **({"depth": 8, "size": 10, "batch": 1} | change), seconds=0)
