"""Top-k accuracy against a stable sort in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from convnets.evaluation.metrics import top_k_correct

EXAMPLES, CLASSES = 6, 7

correct_of = jax.jit(top_k_correct)


def sorted_correct(logits: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """A stable sort keeps equal logits in the order of their classes."""
    best = np.argsort(-logits.astype(np.float64), axis=-1, kind="stable")[:, :k]
    numbers = ~np.isnan(logits).any(-1)
    return ((best == labels[:, None]).any(-1) & numbers).astype(np.float32)


few_values = st.sampled_from([0.0, 1.0, -1.0, 1.0 + 2**-23, 1e30, -1e30, -np.inf])


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.float32, (EXAMPLES, CLASSES), elements=few_values),
    arrays.arrays(np.int32, (EXAMPLES,), elements=st.integers(0, CLASSES - 1)),
    st.integers(1, CLASSES),
)
def test_of_equal_logits_the_lower_class_comes_first(logits, labels, k):
    logits[np.arange(EXAMPLES), labels] = np.maximum(logits[np.arange(EXAMPLES), labels], -1e30)
    correct = correct_of(jnp.asarray(logits), jnp.asarray(labels), k)
    assert correct.dtype == jnp.float32
    np.testing.assert_array_equal(correct, sorted_correct(logits, labels, k))


def test_a_constant_network_is_right_at_the_rate_of_chance():
    labels = jnp.arange(100) % 10
    for k in (1, 5):
        assert float(correct_of(jnp.zeros((100, 10)), labels, k).mean()) == pytest.approx(k / 10)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(
    "row",
    [[np.nan] * 4, [1.0, np.nan, 0.0, 2.0], [np.nan, 1.0, np.nan, np.nan], [0.0, np.inf, 0.0, 0.0]],
    ids=["all", "the true class", "all others", "infinity"],
)
def test_logits_that_are_not_numbers_are_never_right(row, k):
    logits = jnp.array([row, [0.0, 9.0, 0.0, 0.0]])
    np.testing.assert_array_equal(correct_of(logits, jnp.array([1, 1]), k), [0, 1])


def test_with_fewer_classes_than_k_everything_is_right():
    np.testing.assert_array_equal(correct_of(jnp.array([[3.0, 1.0, 2.0]] * 3), jnp.arange(3), 5), [1, 1, 1])
