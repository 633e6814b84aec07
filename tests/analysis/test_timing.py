import pytest

from convnets.analysis import timing
from convnets.analysis.timing import Timing, alternate


def test_contestants_take_turns_and_every_other_round_begins_with_the_last() -> None:
    calls: list[str] = []
    timings = alternate({name: lambda name=name: calls.append(name) for name in "AB"}, seconds=0, slice_seconds=0)
    warm_up, rounds = calls[:4], calls[4:]
    assert "".join(warm_up) == "AABB"
    assert "".join(rounds) == "AB" + "BA" + "AB"
    assert [len(timings[name].slices) for name in "AB"] == [timing.FEWEST] * 2


def test_a_slice_is_as_many_calls_as_fill_it_and_counts_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def work() -> None:
        nonlocal clock
        clock += 0.1

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock)
    found = alternate({"work": work}, seconds=4.0, slice_seconds=0.5)["work"]
    assert found.first == pytest.approx(0.1)
    assert found.slices == pytest.approx([0.1] * 8), "of five calls each"
    assert clock == pytest.approx(0.1 * (2 + 8 * 5))


def test_ratios_are_of_medians_and_of_minima() -> None:
    slow, fast = Timing(slices=[3.0, 4.0, 50.0]), Timing(slices=[1.0, 2.0, 2.0])
    assert slow.over(fast) == {"ratio_of_medians": 2.0, "ratio_of_minima": 3.0}
    assert slow.over(fast, calls=4) == {"ratio_of_medians": 0.5, "ratio_of_minima": 0.75}
