"""The trials as a table, and while they run."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from small_sweeps import complete_trial, small_sweep

from convnets.sweeps.results import keep
from convnets.sweeps.table import LiveTable as Display
from convnets.sweeps.table import cell, differing, duration, in_few_words, print_table, rows_of, short_name
from convnets.sweeps.trials import FAILED, PRUNED, RUNNING, WAITING, Trial, value_of
from convnets.training.config_file import from_json

RATE = "optimizer.learning_rate"


def trials_of_seeds() -> list[Trial]:
    return [
        complete_trial(0, 0.5, values={RATE: 0.1, "seed": 0}, test=0.4, seconds=30),
        complete_trial(1, 0.7, values={RATE: 0.1, "seed": 1}, test=0.6, seconds=40),
        complete_trial(2, 0.9, values={RATE: 0.2, "seed": 0}, seconds=4000),
        replace(complete_trial(3, 0.99, values={RATE: 0.2, "seed": 1}), state=PRUNED),
        Trial(4, {RATE: 0.3, "seed": 0}, Path("0004"), FAILED, error="no data"),
        replace(complete_trial(5, 0.8, values={RATE: 0.4, "seed": 0}), state=RUNNING, step=3, steps=4),
        Trial(6, {RATE: 0.5, "seed": 0}, Path("0006"), WAITING),
    ]


def test_trials_that_differ_in_the_seed_alone_are_one_row(tmp_path):
    rows = rows_of(trials_of_seeds(), small_sweep(tmp_path, {RATE: 0.1}))
    assert [row["trials"] for row in rows] == [[2, 3], [0, 1], [5], [6], [4]]
    assert rows[0]["mean"] == 0.9 and rows[0]["deviation"] is None and rows[0]["seeds"] == 1
    assert rows[1]["mean"] == pytest.approx(0.6) and rows[1]["deviation"] == pytest.approx(0.02**0.5)
    assert rows[1]["test"] == pytest.approx(0.5) and rows[1]["seconds"] == 70
    assert rows[4]["errors"] == {4: "no data"} and rows[1]["values"] == {RATE: 0.1}


def test_where_less_is_better_the_least_is_first(tmp_path):
    rows = rows_of(trials_of_seeds(), small_sweep(tmp_path, {RATE: 0.1}, higher=False))
    assert [row["trials"] for row in rows][:2] == [[0, 1], [2, 3]]


def test_the_printed_table_has_the_figures_and_the_errors(tmp_path):
    console = Console(record=True, width=100)
    sweep = small_sweep(tmp_path, {RATE: 0.1})
    print_table(console, rows_of(trials_of_seeds(), sweep), sweep)
    said = console.export_text()
    assert "0.6000 ± 0.1414" in said and "learning_rate" in said and "1:06:40" in said
    assert "trial 4: no data" in said


def test_while_they_run_those_that_run_stand_first_and_the_bar_counts_what_is_done(tmp_path):
    console = Console(record=True, width=100, height=30)
    display = Display(console, small_sweep(tmp_path, {RATE: 0.1}))
    console.print(display.picture(trials_of_seeds()))
    said = console.export_text()
    order = [said.index(f" {number:04} ") for number in (5, 2, 1, 0, 3, 4)]
    assert order == sorted(order) and "0006" not in said
    assert "75%" in said and "5/7" in said and "1 running  3 complete  1 pruned  1 failed" in said


def test_a_low_terminal_shows_what_there_is_room_for(tmp_path):
    console = Console(record=True, width=100, height=10)
    console.print(Display(console, small_sweep(tmp_path, {RATE: 0.1})).picture(trials_of_seeds()))
    assert len(console.export_text().splitlines()) <= 10


def test_elsewhere_each_change_is_a_line(tmp_path):
    console = Console(record=True, width=100)
    first = Trial(0, {RATE: 0.1}, Path("0000"), RUNNING)
    with Display(console, small_sweep(tmp_path, {RATE: 0.1})) as display:
        display.show([first])
        display.show([first])
        display.show([complete_trial(0, 0.5, values={RATE: 0.1})])
    assert console.export_text().splitlines() == [
        f"trial 0000 running  {RATE}=0.1",
        f"trial 0000 complete  top1 0.5000  {RATE}=0.1",
    ]


def test_small_words():
    assert in_few_words([3, 0, 1, 5, 2]) == "0-3, 5" and in_few_words([7]) == "7"
    assert duration(59.6) == "1:00" and duration(3661) == "1:01:01"
    assert cell(0.000123456) == "0.0001235" and cell(()) == "()" and cell("sgd") == "sgd"
    assert short_name(RATE, [RATE, "seed"]) == "learning_rate"
    assert short_name("optimizer.name", ["optimizer.name"]) == "optimizer.name"
    assert short_name("validation.seed", ["validation.seed", "subset.seed"]) == "validation.seed"
    assert differing([{"a": 1, "b": 2}, {"a": 1, "b": 3}]) == ["b"] and differing([{"a": 1}]) == ["a"]


def test_the_value_is_that_of_the_checkpoint_that_is_tested():
    history = (0.2, 0.9, 0.5)
    assert value_of(history, "best", True) == 0.9 and value_of(history, "best", False) == 0.2
    assert value_of(history, "last", True) == 0.5 and value_of((), "best", True) is None


def test_who_repeats_the_best_does_not_find_its_copies_finished(tmp_path):
    sweep = small_sweep(tmp_path, {"seed": 3})
    sweep.config.checkpoint.folder = "gs://bucket/sweep"
    trials = [complete_trial(0, 0.5, values={"seed": 3}, folder=tmp_path / "trials" / "0000")]
    keep(trials, rows_of(trials, sweep), sweep)
    best = from_json(tmp_path / "best.json")
    assert (best.seed, best.checkpoint.folder) == (3, "")
