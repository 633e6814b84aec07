"""Learning rates at the steps that matter, against values written by hand."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.errors import InvalidValue
from convnets.training import schedules

STEPS_PER_EPOCH = 10


def in_steps(text: str) -> int:
    number, unit = text.split()
    return int(float(number) * {"steps": 1, "epochs": STEPS_PER_EPOCH}[unit])


def rates(name: str, peak: float, total: int, steps: list[int], **options: object) -> list[float]:
    schedule = schedules.create(name, peak, total, in_steps, **options)
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize("name", list(schedules.schedules))
def test_every_schedule_is_a_function_of_peak_total_and_durations_with_options_that_have_defaults(name):
    peak, total, durations, *options = inspect.signature(schedules.schedules[name]).parameters.values()
    assert (peak.name, total.name, durations.name) == ("peak", "total", "in_steps")
    assert all(option.kind is option.KEYWORD_ONLY and option.default is not option.empty for option in options)


@pytest.mark.parametrize("name", list(schedules.schedules))
def test_every_schedule_begins_at_its_peak_and_takes_a_step_of_the_device(name):
    schedule = schedules.create(name, 0.4, 100, in_steps, warmup="4 steps")
    on_device = jax.jit(schedule)
    assert float(on_device(jnp.int32(4))) == pytest.approx(0.4)
    for step in (0, 3, 50, 100):
        assert float(on_device(jnp.int32(step))) == pytest.approx(float(schedule(step)), rel=1e-6)


def test_constant_is_the_peak_all_the_way():
    assert rates("constant", 0.3, 10, [0, 5, 10]) == pytest.approx([0.3] * 3)


def test_a_staircase_divides_by_ten_at_each_boundary():
    options = {"boundaries": ("3 epochs", "6 epochs"), "factor": 0.1}
    values = rates("staircase", 0.5, 90, [0, 29, 30, 31, 59, 60, 89], **options)
    assert values == pytest.approx([0.5, 0.5, 0.05, 0.05, 0.05, 0.005, 0.005])
    assert rates("staircase", 0.5, 900, [299, 300, 600]) == pytest.approx([0.5, 0.05, 0.005]), "the defaults"


def test_a_staircase_takes_boundaries_in_any_order_and_another_factor():
    values = rates("staircase", 8.0, 90, [9, 10, 20, 30], boundaries=("30 steps", "10 steps", "2 epochs"), factor=0.5)
    assert values == pytest.approx([8, 4, 2, 1])


def test_boundaries_of_a_staircase_count_from_the_start_of_training_also_after_a_warm_up():
    options = {"boundaries": ("10 steps", "20 steps"), "warmup": "4 steps"}
    values = rates("staircase", 1.0, 30, [3, 4, 9, 10, 19, 20], **options)
    assert values == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01])


def test_a_boundary_within_the_warm_up_holds_from_its_end_on():
    values = rates("staircase", 1.0, 30, [4, 9, 10], boundaries=("2 steps", "10 steps"), warmup="4 steps")
    assert values == pytest.approx([0.1, 0.1, 0.01])


def test_an_exponential_staircase_goes_down_by_four_per_cent_every_eight_epochs():
    values = rates("exponential_staircase", 0.01, 2500, [0, 79, 80, 159, 160, 2400])
    assert values == pytest.approx([0.01, 0.01, 0.0096, 0.0096, 0.009216, 0.01 * 0.96**30])


def test_stairs_count_from_the_start_of_training_also_after_a_warm_up():
    values = rates("exponential_staircase", 1.0, 30, [3, 4, 9, 10, 20], every="1 epochs", factor=0.5, warmup="4 steps")
    assert values == pytest.approx([1, 1, 1, 0.5, 0.25])


def test_a_cosine_falls_to_a_half_in_the_middle_and_to_nothing_at_the_end():
    values = rates("cosine", 0.8, 60, [0, 10, 20, 30, 40, 60, 70])
    assert values == pytest.approx([0.8, 0.8 * (2 + math.sqrt(3)) / 4, 0.6, 0.4, 0.2, 0, 0], abs=1e-7)


def test_a_cosine_may_end_above_nothing():
    assert rates("cosine", 1.0, 10, [0, 5, 10, 12], final=0.2) == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_a_cosine_after_a_warm_up_has_the_steps_that_are_left():
    values = rates("cosine", 0.8, 12, [4, 8, 12], warmup="4 steps")
    assert values == pytest.approx([0.8, 0.4, 0.0], abs=1e-7)


def test_a_plateau_schedule_is_constant_until_it_is_told_otherwise():
    assert rates("plateau", 0.3, 10, [0, 5, 10], factor=0.5, patience=2) == pytest.approx([0.3] * 3)


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_a_warm_up_rises_evenly_and_joins_the_schedule_at_the_peak(name):
    values = rates(name, 0.8, 12, [0, 1, 2, 3, 4], warmup="4 steps")
    assert values == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert rates(name, 0.8, 40, list(range(11)), warmup="1 epochs")[:10] == pytest.approx(np.arange(1, 11) * 0.08)


def test_the_shortest_and_the_longest_warm_up():
    assert rates("cosine", 0.8, 10, [0, 1], warmup="1 steps") == pytest.approx([0.8, 0.8])
    assert rates("cosine", 0.8, 10, [0, 9], warmup="10 steps") == pytest.approx([0.08, 0.8])
    assert rates("cosine", 0.8, 10, [0, 10], warmup="0 steps") == pytest.approx([0.8, 0.0], abs=1e-7)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("cosin", {}, "unknown schedule 'cosin': did you mean 'cosine'"),
        ("cosine", {"finl": 0.1}, "the schedule 'cosine' has no option 'finl': did you mean 'final'"),
        ("constant", {"factor": 0.1}, "the schedule 'constant' has no option 'factor'"),
        ("cosine", {"warmup": "11 steps"}, "the warm-up of 11 steps is longer than the training of 10 steps"),
        (
            "exponential_staircase",
            {"every": "0 steps"},
            "needs stairs of at least a step and a positive factor, not '0",
        ),
        ("exponential_staircase", {"factor": -0.5}, "a positive factor, not '8 epochs' and -0.5"),
        ("plateau", {"patience": 0}, "needs patience >= 1, 0 < factor < 1 and tolerance >= 0, not 0, 0.1"),
        ("plateau", {"factor": 1.0}, "needs patience >= 1, 0 < factor < 1 and tolerance >= 0, not 5, 1.0"),
        ("plateau", {"factor": 0.0}, "needs patience >= 1, 0 < factor < 1 and tolerance >= 0, not 5, 0.0"),
    ],
)
def test_what_cannot_be_is_refused(name, options, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        schedules.create(name, 0.1, 10, in_steps, **options)


def test_two_boundaries_that_fall_on_one_step_both_count():
    schedule = schedules.create("staircase", 1.0, 100, lambda text: 10, boundaries=("1 steps", "2 steps"), factor=0.5)
    assert [float(schedule(step)) for step in (9, 11)] == [1.0, 0.25]


def test_a_staircase_that_does_not_go_down_to_something_positive_is_refused():
    with pytest.raises(InvalidValue, match=r"schedule\.factor of the staircase is -1.0, and must be positive"):
        schedules.create("staircase", 1.0, 100, in_steps, boundaries=(), factor=-1.0)
