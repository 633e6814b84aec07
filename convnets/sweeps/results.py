"""What is kept of a sweep: sweep.json, best.json and the plots."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator

from convnets.files import write_atomically
from convnets.plots.sweeps import Column, plot_best_so_far, plot_importance, plot_parallel_coordinates
from convnets.sweeps.space import Range
from convnets.sweeps.study import optuna_distributions, to_optuna
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.table import Row, cell, differing, short_name
from convnets.sweeps.trials import COMPLETE, PRUNED, Trial
from convnets.training.config import to_json

FEWEST = 10
"""Complete trials that say anything of how important a field is."""


def keep(trials: Sequence[Trial], rows: Sequence[Row], sweep: Sweep) -> None:
    """Writes sweep.json, and best.json, the config of the best trial, once there is one."""
    best = best_of(trials, rows, sweep)
    record = {
        "metric": sweep.metric,
        "higher_is_better": sweep.higher,
        "best": best.number if best else None,
        "rows": rows,
        "importance": importance_of(trials, sweep),
        "trials": [_record(trial) for trial in trials],
    }
    write_atomically(sweep.workdir / "sweep.json", json.dumps(record, indent=2))
    if best is not None:
        config = sweep.config_of(best.values)
        # There its training is finished: who repeats it has another place for copies.
        config.checkpoint.folder = ""
        write_atomically(sweep.workdir / "best.json", to_json(config))


def _record(trial: Trial) -> dict[str, object]:
    fields = asdict(trial)
    # Engines may have made the path absolute.
    return fields | {"workdir": "/".join(fields.pop("folder").parts[-2:])}


def best_of(trials: Sequence[Trial], rows: Sequence[Row], sweep: Sweep) -> Trial | None:
    """Of the row with the best mean the best trial, so that its metric can be repeated; None if none is complete."""
    if not rows or rows[0]["state"] != COMPLETE:
        return None
    found = [trial for trial in trials if trial.number in rows[0]["trials"] and trial.state == COMPLETE]
    return (max if sweep.higher else min)(found, key=lambda trial: trial.value or 0.0)


def importance_of(trials: Sequence[Trial], sweep: Sweep) -> dict[str, float]:
    """How much each field decides of what the trials reach, the largest share first; the shares add up to 1.

    PED-ANOVA (Watanabe et al. 2023): how much the values of a field among the best tenth of the trials differ from
    those among all.

    Returns:
      {} where there are too few complete trials or fields.
    """
    distributions = optuna_distributions(sweep)
    complete = [trial for trial in _measured(trials, COMPLETE) if trial.values.keys() == distributions.keys()]
    if len(complete) < FEWEST or len(distributions) < 2 or len({trial.value for trial in complete}) < 2:
        return {}
    study = optuna.create_study(direction="maximize" if sweep.higher else "minimize")
    study.add_trials(
        optuna.create_trial(
            value=trial.value,
            params={name: to_optuna(value) for name, value in trial.values.items()},
            distributions=distributions,
        )
        for trial in complete
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return dict(optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


def draw(trials: Sequence[Trial], sweep: Sweep) -> list[Path]:
    """Draws what the trials with a metric show; returns the files."""
    drawn = []
    folder = sweep.workdir / "plots"
    finished = [
        (trial.number, trial.value or 0.0, trial.state == PRUNED) for trial in _measured(trials, COMPLETE, PRUNED)
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
    complete = _measured(trials, COMPLETE)
    names = differing([trial.values for trial in complete])
    names = [name for name in names if all(name in trial.values for trial in complete)]
    columns = []
    for name in names:
        values = [trial.values[name] for trial in complete]
        distribution = sweep.space.search.get(name)
        if isinstance(distribution, Range):
            columns.append(Column(short_name(name, names), values, "log" if distribution.log else "linear"))
        else:
            columns.append(Column(short_name(name, names), [_named(value) for value in values], "named"))
    return columns, [trial.value or 0.0 for trial in complete]


def _measured(trials: Sequence[Trial], *states: str) -> list[Trial]:
    return [trial for trial in trials if trial.state in states and trial.value is not None]


def _named(value: object) -> object:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else cell(value)
