"""The cheapest assignment, against SciPy's."""

import jax.numpy as jnp
import numpy as np
import pytest
from convnets.tasks.localization.matching import cheapest
from scipy.optimize import linear_sum_assignment


@pytest.mark.parametrize("objects", [1, 2, 3, 6])
def test_it_costs_as_little_as_scipys(objects):
    costs = np.random.default_rng(objects).normal(0, 5, (20, objects, objects)).astype(np.float32)
    found = np.asarray(cheapest(jnp.asarray(costs)))
    for matrix, order in zip(costs, found, strict=True):
        assert sorted(order) == list(range(objects))
        assert matrix[np.arange(objects), order].sum() == pytest.approx(matrix[linear_sum_assignment(matrix)].sum())


def test_equal_costs_still_give_each_object_to_one_answer():
    assert np.sort(cheapest(jnp.zeros((3, 4, 4)))).tolist() == [[0, 1, 2, 3]] * 3
