"""Durations in steps, epochs and examples, and the ends of periods, against counting one by one."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnets.errors import InvalidValue
from convnets.training.duration import Clock, Duration

FASHION_MNIST = Clock(batch_size=128, epoch_size=60_000)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("64000 steps", 64_000),
        ("64_000 steps", 64_000),
        ("1 step", 1),
        ("0 steps", 0),
        ("2.5 steps", 3),
        ("90 epochs", 42_188),  # 90 x 60,000 / 128 = 42,187.5
        ("1 epoch", 469),  # 468.75
        ("0.5 epochs", 235),  # 234.375
        ("0 epochs", 0),
        ("1.5e6 examples", 11_719),  # 11,718.75
        ("1280 examples", 10),
        ("1281 examples", 11),
        ("1 example", 1),
        ("2.e1 steps", 20),
        ("5e-1 epochs", 235),
        ("  3epochs ", 1407),  # 1,406.25
    ],
)
def test_a_length_is_the_fewest_steps_that_see_so_many_examples(text, steps):
    assert FASHION_MNIST.duration(text).steps == steps


def test_lengths_are_exact_where_floats_are_not():
    """1.1 * 10 is 11.000000000000002 in floats, and would be a step more."""
    assert Clock(1, 10).duration("1.1 epochs") == Duration(Fraction(11), 1)
    assert Clock(1, 10).duration("1.1 epochs").steps == 11
    assert Clock(256, 1_281_167).duration("0.7 epochs").examples == Fraction(1_281_167 * 7, 10)


def test_epochs_are_counted_in_examples():
    assert FASHION_MNIST.epochs(0) == 0
    assert FASHION_MNIST.epochs(1875) == 4
    assert Clock(50_000, 10_000).epochs(1) == 5


@pytest.mark.parametrize(
    "text",
    ["", "90", "epochs", "-1 epochs", "3 hours", "3 Epochs", "nan steps", "inf steps", "1/2 epochs", "1.5.2 steps",
     "1,000 steps", ".5 epochs", "3 steps 2 epochs", "1e steps", "0x10 steps", "3 epochss"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_examples_of_one(text):
    with pytest.raises(
        InvalidValue, match=r"is not a duration: write a number and a unit, such as '90 epochs'"
    ) as error:
        FASHION_MNIST.duration(text)
    assert repr(text) in str(error.value)


def periods_done(period: Fraction, batch_size: int, step: int) -> int:
    """How many whole periods the first `step` steps see, counted one by one."""
    done = 0
    while (done + 1) * period <= step * batch_size:
        done += 1
    return done


lengths = st.fractions(Fraction(1, 4), 40, max_denominator=6)


@settings(max_examples=40, deadline=None)
@given(lengths, st.integers(1, 12))
def test_periods_end_where_counting_says(period, batch_size):
    duration = Duration(period, batch_size)
    done = [periods_done(period, batch_size, step) for step in range(50)]
    ends = [step for step in range(1, 50) if done[step] > done[step - 1]]
    assert [step for step in range(50) if duration.ends_at(step)] == ends
    for step in range(50):
        later = [end for end in ends if end > step]
        if later:
            assert duration.next_end(step) == later[0]
        else:
            assert duration.next_end(step) >= 50
    for before in (0, 1, 7, 20):
        for step in range(before, 50, 3):
            assert duration.ends_within(before, step) == any(before < end <= step for end in ends)
    assert duration.steps == next(step for step in range(1000) if step * batch_size >= period)


def test_a_period_that_steps_do_not_divide_ends_at_the_step_that_completes_it():
    """4 steps of 3 examples see 12; periods of 5 end after 5, 10 and 15 examples."""
    duration = Duration(Fraction(5), 3)
    assert [step for step in range(7) if duration.ends_at(step)] == [2, 4, 5]
    assert [duration.next_end(step) for step in range(5)] == [2, 2, 4, 4, 5]


def test_an_empty_period_never_ends():
    never = FASHION_MNIST.duration("0 steps")
    assert not any(never.ends_at(step) for step in range(10))
    assert never.next_end(0) is None
    assert not never.ends_within(0, 1000)
