"""The trials as a table, while they run and at the end, and what is kept of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from small_sweeps import RATE, complete_trial, small_sweep

from convnets.sweeps.results import FEWEST, importance_of, keep
from convnets.sweeps.space import choice, log_uniform
from convnets.sweeps.table import LiveTable, cell, differing, duration, print_table, ranges, rows_of, short_name
from convnets.sweeps.trials import FAILED, PRUNED, RUNNING, WAITING, Trial, value_of
from convnets.training.config import from_json

DECAY = "optimizer.weight_decay"
TRIALS = [
    complete_trial(0, 0.5, values={RATE: 0.1, "seed": 0}, test=0.4, seconds=30),
    complete_trial(1, 0.7, values={RATE: 0.1, "seed": 1}, test=0.6, seconds=40),
    complete_trial(2, 0.9, values={RATE: 0.2, "seed": 0}, seconds=4000),
    replace(complete_trial(3, 0.99, values={RATE: 0.2, "seed": 1}), state=PRUNED),
    Trial(4, {RATE: 0.3, "seed": 0}, Path("0004"), FAILED, error="no data"),
    replace(complete_trial(5, 0.8, values={RATE: 0.4, "seed": 0}), state=RUNNING, step=3, steps=4),
    Trial(6, {RATE: 0.5, "seed": 0}, Path("0006"), WAITING),
]


@pytest.fixture
def sweep(tmp_path):
    return small_sweep(tmp_path, {RATE: 0.1})


def test_trials_that_differ_in_the_seed_alone_are_one_row_and_the_best_stands_first(sweep):
    rows = rows_of(TRIALS, sweep)
    assert [row["trials"] for row in rows] == [[2, 3], [0, 1], [5], [6], [4]]
    assert rows[0]["mean"] == 0.9 and rows[0]["std"] is None and rows[0]["seeds"] == 1
    assert rows[1]["mean"] == pytest.approx(0.6) and rows[1]["std"] == pytest.approx(0.02**0.5)
    assert rows[1]["test"] == pytest.approx(0.5) and rows[1]["seconds"] == 70
    assert rows[4]["errors"] == {4: "no data"} and rows[1]["values"] == {RATE: 0.1}
    assert [row["trials"] for row in rows_of(TRIALS, replace(sweep, higher=False))][:2] == [[0, 1], [2, 3]]


def test_the_printed_table_has_the_metrics_and_the_errors(sweep):
    console = Console(record=True, width=100)
    print_table(console, rows_of(TRIALS, sweep), sweep)
    printed = console.export_text()
    assert "0.6000 ± 0.1414" in printed and "learning_rate" in printed and "1:06:40" in printed
    assert "trial 4: no data" in printed


def test_while_they_run_those_that_run_stand_first_and_the_bar_counts_what_is_done(sweep):
    console = Console(record=True, width=100, height=30)
    console.print(LiveTable(console, sweep).picture(TRIALS))
    printed = console.export_text()
    order = [printed.index(f" {number:04} ") for number in (5, 2, 1, 0, 3, 4)]
    assert order == sorted(order) and "0006" not in printed
    assert "75%" in printed and "5/7" in printed and "1 running  3 complete  1 pruned  1 failed" in printed
    console = Console(record=True, width=100, height=10)
    console.print(LiveTable(console, sweep).picture(TRIALS))
    assert len(console.export_text().splitlines()) <= 10


def test_elsewhere_than_on_a_terminal_each_change_is_a_line(sweep):
    console = Console(record=True, width=100)
    first = Trial(0, {RATE: 0.1}, Path("0000"), RUNNING)
    with LiveTable(console, sweep) as screen:
        for trial in (first, first, complete_trial(0, 0.5, values={RATE: 0.1})):
            screen.show([trial])
    assert console.export_text().splitlines() == [
        f"trial 0000 running  {RATE}=0.1",
        f"trial 0000 complete  top1 0.5000  {RATE}=0.1",
    ]


def test_small_words():
    assert ranges([3, 0, 1, 5, 2]) == "0-3, 5" and ranges([7]) == "7"
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


def test_the_trials_are_kept_and_the_config_of_the_best_without_its_place_for_copies(tmp_path):
    sweep = small_sweep(tmp_path, {"seed": 3})
    sweep.config.checkpoint.folder = "gs://bucket/sweep"
    trials = [complete_trial(0, 0.5, values={"seed": 3}, folder=sweep.folder(0).absolute())]
    keep(trials, rows_of(trials, sweep), sweep)
    best = from_json(tmp_path / "best.json")
    assert (best.seed, best.checkpoint.folder) == (3, "")
    kept = json.loads((tmp_path / "sweep.json").read_text())
    (trial,) = kept["trials"]
    assert kept["best"] == 0 and (trial["workdir"], trial["history"]) == ("trials/0000", [0.5])


def drawn(count: int, value):
    """Trials with values drawn evenly, whose metric is a function of them."""
    random = np.random.default_rng(0)
    rates, decays = np.exp(random.uniform(np.log(0.001), 0, (2, count)))
    names = random.choice(["sgd", "adamw"], count)
    return [
        complete_trial(
            i, value(rates[i], names[i]), values={RATE: rates[i], DECAY: decays[i], "optimizer.name": names[i]}
        )
        for i in range(count)
    ]


def test_what_decides_a_sweep_gets_the_share_of_it(tmp_path):
    space = {RATE: log_uniform(0.001, 1.0), DECAY: log_uniform(0.001, 1.0), "optimizer.name": choice("sgd", "adamw")}
    sweep = small_sweep(tmp_path, space, trials=100)
    shares = importance_of(drawn(100, lambda rate, name: -abs(np.log(rate / 0.03))), sweep)
    assert next(iter(shares)) == RATE and shares[RATE] > 0.8
    assert abs(sum(shares.values()) - 1) < 1e-6 and len(shares) == 3
    shares = importance_of(drawn(100, lambda rate, name: (name == "sgd") + 1e-3 * rate), sweep)
    assert shares["optimizer.name"] > shares[DECAY]
    assert importance_of(drawn(FEWEST - 1, lambda rate, name: rate), sweep) == {}, "few trials say nothing"


def test_fields_of_a_grid_with_tuples_have_their_shares(tmp_path):
    mixes = ((("flip", {}),), ())
    values = [{"augmentation": mix, "seed": seed} for mix in mixes for seed in range(10)]
    trials = [
        complete_trial(i, float(each["augmentation"] == ()) + 0.001 * each["seed"], values=each)
        for i, each in enumerate(values)
    ]
    assert set(importance_of(trials, small_sweep(tmp_path, *values))) == {"augmentation", "seed"}
