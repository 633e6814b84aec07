"""What is kept of a sweep: sweep.json, best.json and the plots."""

import json
from collections.abc import Sequence
from pathlib import Path

from convnets.files import write_atomically
from convnets.plots.sweep_plots import (
    Column,
    plot_best_so_far,
    plot_importance,
    plot_parallel_coordinates,
)
from convnets.sweeps.importance import importance_of
from convnets.sweeps.space import Range
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.table import Row, cell, differing, short_name
from convnets.sweeps.trials import COMPLETE, PRUNED, Trial
from convnets.training.config_file import to_json


def best_of(trials: Sequence[Trial], rows: Sequence[Row], sweep: Sweep) -> Trial | None:
    """Of the row with the best mean the best trial, so that its figure can be repeated; None if none is complete."""
    if not rows or rows[0]["state"] != COMPLETE:
        return None
    found = [trial for trial in trials if trial.number in rows[0]["trials"] and trial.state == COMPLETE]
    return (max if sweep.higher else min)(found, key=lambda trial: trial.value or 0.0)


def keep(trials: Sequence[Trial], rows: Sequence[Row], sweep: Sweep) -> None:
    """Writes sweep.json, and best.json, the config of the best trial, once there is one."""
    best = best_of(trials, rows, sweep)
    record = {
        "metric": sweep.metric,
        "higher_is_better": sweep.higher,
        "best": best.number if best else None,
        "rows": rows,
        "importance": importance_of(trials, sweep),
        "trials": [
            {
                "number": trial.number,
                "state": trial.state,
                "values": trial.values,
                "value": trial.value,
                "test": trial.test,
                "history": list(trial.history),
                "step": trial.step,
                "steps": trial.steps,
                "seconds": trial.seconds,
                "error": trial.error,
                "workdir": str(trial.folder.relative_to(sweep.workdir)),
            }
            for trial in trials
        ],
    }
    write_atomically(sweep.workdir / "sweep.json", json.dumps(record, indent=2))
    if best is not None:
        config = sweep.config_of(best.values)
        # There its training is finished: who repeats it has another place for copies.
        config.checkpoint.folder = ""
        write_atomically(sweep.workdir / "best.json", to_json(config))


def draw(trials: Sequence[Trial], sweep: Sweep) -> list[Path]:
    """Draws what the trials that have a figure show; returns the files."""
    drawn = []
    folder = sweep.workdir / "plots"
    finished = [
        (trial.number, trial.value, trial.state == PRUNED)
        for trial in trials
        if trial.state in (COMPLETE, PRUNED) and trial.value is not None
    ]
    if finished:
        drawn.append(folder / "best_so_far.png")
        plot_best_so_far(finished, sweep.metric, sweep.higher, drawn[-1])
    columns, values = columns_of(trials, sweep)
    if len(values) > 1 and columns:
        drawn.append(folder / "trials.png")
        plot_parallel_coordinates(columns, sweep.metric, values, sweep.higher, drawn[-1])
    shares = importance_of(trials, sweep)
    if shares:
        drawn.append(folder / "importance.png")
        plot_importance(shares, sweep.metric, drawn[-1])
    return drawn


def columns_of(trials: Sequence[Trial], sweep: Sweep) -> tuple[list[Column], list[float]]:
    """The fields of the complete trials as axes, and their metric."""
    complete = [trial for trial in trials if trial.state == COMPLETE and trial.value is not None]
    names = [name for name in differing([trial.values for trial in complete]) if _in_all(name, complete)]
    columns = []
    for name in names:
        values = [trial.values[name] for trial in complete]
        distribution = sweep.space.search.get(name)
        if isinstance(distribution, Range):
            columns.append(Column(short_name(name, names), values, "log" if distribution.log else "linear"))
        else:
            columns.append(Column(short_name(name, names), [_named(value) for value in values], "named"))
    return columns, [trial.value for trial in complete if trial.value is not None]


def _in_all(name: str, trials: Sequence[Trial]) -> bool:
    return all(name in trial.values for trial in trials)


def _named(value: object) -> object:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else cell(value)
