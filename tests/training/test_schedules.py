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


@pytest.mark.parametrize("name", list(schedules.schedules))
def test_every_schedule_has_one_form_begins_at_its_peak_and_is_compiled(name):
    peak, total, durations, *options = inspect.signature(schedules.schedules[name]).parameters.values()
    assert (peak.name, total.name, durations.name) == ("peak", "total", "in_steps")
    assert all(option.kind is option.KEYWORD_ONLY and option.default is not option.empty for option in options)
    schedule = schedules.create(name, 0.4, 100, in_steps, warmup="4 steps")
    on_device = jax.jit(schedule)
    assert float(on_device(jnp.int32(4))) == pytest.approx(0.4)
    for step in (0, 3, 50, 100):
        assert float(on_device(jnp.int32(step))) == pytest.approx(float(schedule(step)), rel=1e-6)


TENTHS = {"boundaries": ("3 epochs", "6 epochs"), "factor": 0.1}
HALVES = {"boundaries": ("30 steps", "10 steps", "2 epochs"), "factor": 0.5}
COSINE = [0.8, 0.8 * (2 + math.sqrt(3)) / 4, 0.6, 0.4, 0.2, 0, 0]


@pytest.mark.parametrize(
    ("name", "peak", "total", "options", "expected"),
    [
        ("constant", 0.3, 10, {}, {0: 0.3, 5: 0.3, 10: 0.3}),
        ("plateau", 0.3, 10, {"factor": 0.5, "patience": 2}, {0: 0.3, 5: 0.3, 10: 0.3}),
        ("staircase", 0.5, 90, TENTHS, {0: 0.5, 29: 0.5, 30: 0.05, 31: 0.05, 59: 0.05, 60: 0.005, 89: 0.005}),
        ("staircase", 0.5, 900, {}, {299: 0.5, 300: 0.05, 600: 0.005}),
        # Boundaries in any order, two of them on one step, and from the start of training also after a warm-up.
        ("staircase", 8.0, 90, HALVES, {9: 8, 10: 4, 20: 2, 30: 1}),
        ("staircase", 1.0, 90, {"boundaries": ("10 steps", "1 epochs"), "factor": 0.5}, {9: 1, 11: 0.25}),
        (
            "staircase",
            1.0,
            30,
            {"boundaries": ("10 steps", "20 steps"), "warmup": "4 steps"},
            {3: 1, 4: 1, 9: 1, 10: 0.1, 19: 0.1, 20: 0.01},
        ),
        # A boundary within the warm-up holds from its end on.
        (
            "staircase",
            1.0,
            30,
            {"boundaries": ("2 steps", "10 steps"), "warmup": "4 steps"},
            {4: 0.1, 9: 0.1, 10: 0.01},
        ),
        (
            "exponential_staircase",
            0.01,
            2500,
            {},
            {0: 0.01, 79: 0.01, 80: 0.0096, 159: 0.0096, 160: 0.009216, 2400: 0.01 * 0.96**30},
        ),
        (
            "exponential_staircase",
            1.0,
            30,
            {"every": "1 epochs", "factor": 0.5, "warmup": "4 steps"},
            {3: 1, 4: 1, 9: 1, 10: 0.5, 20: 0.25},
        ),
        ("cosine", 0.8, 60, {}, dict(zip((0, 10, 20, 30, 40, 60, 70), COSINE, strict=True))),
        ("cosine", 1.0, 10, {"final": 0.2}, {0: 1.0, 5: 0.6, 10: 0.2, 12: 0.2}),
        # After a warm-up the cosine has the steps that are left.
        ("cosine", 0.8, 12, {"warmup": "4 steps"}, {0: 0.2, 1: 0.4, 2: 0.6, 3: 0.8, 4: 0.8, 8: 0.4, 12: 0.0}),
        ("constant", 0.8, 40, {"warmup": "1 epochs"}, dict(enumerate(np.arange(1, 11) * 0.08))),
        # The shortest and the longest warm-up.
        ("cosine", 0.8, 10, {"warmup": "1 steps"}, {0: 0.8, 1: 0.8}),
        ("cosine", 0.8, 10, {"warmup": "10 steps"}, {0: 0.08, 9: 0.8}),
        ("cosine", 0.8, 10, {"warmup": "0 steps"}, {0: 0.8, 10: 0.0}),
    ],
)
def test_rates_are_those_counted_by_hand(name, peak, total, options, expected):
    schedule = schedules.create(name, peak, total, in_steps, **options)
    assert {step: float(schedule(step)) for step in expected} == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("cosin", {}, "unknown schedule 'cosin': did you mean 'cosine'"),
        ("cosine", {"finl": 0.1}, "the schedule 'cosine' has no option 'finl': did you mean 'final'"),
        ("constant", {"factor": 0.1}, "the schedule 'constant' has no option 'factor'"),
        ("cosine", {"warmup": "11 steps"}, "the warm-up of 11 steps is longer than the training of 10 steps"),
        ("exponential_staircase", {"every": "0 steps"}, "stairs of at least a step and a positive factor, not '0"),
        ("exponential_staircase", {"factor": -0.5}, "a positive factor, not '8 epochs' and -0.5"),
        ("staircase", {"factor": -1.0}, r"schedule\.factor of the staircase is -1.0, and must be positive"),
        ("plateau", {"patience": 0}, "needs patience >= 1, 0 < factor < 1 and tolerance >= 0, not 0, 0.1"),
        ("plateau", {"factor": 1.0}, "needs patience >= 1, 0 < factor < 1 and tolerance >= 0, not 5, 1.0"),
        ("plateau", {"factor": 0.0}, "needs patience >= 1, 0 < factor < 1 and tolerance >= 0, not 5, 0.0"),
    ],
)
def test_what_cannot_be_is_refused(name, options, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        schedules.create(name, 0.1, 10, in_steps, **options)
