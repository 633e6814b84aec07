"""The sweep as a study of Optuna's, in a database that remembers it and that several machines may share.

A trial that was stopped, or whose worker was killed, is gone on with by a new trial of the study: Optuna closes what it
began. The sweep's trials are the first ones, numbered without gaps; what goes on with one has its workdir.
"""

import logging
import warnings
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from convnets.sweeps import trials as states
from convnets.sweeps.claim import claim, keep_storage
from convnets.sweeps.space import Choice, Distribution, Values
from convnets.sweeps.storage import connect, one_at_a_time, storage_errors
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trials import Trial, test_of, value_of

ROOT = "root"
"""Of a trial that goes on with another one: the number of the first."""
POINT = "point"
"""Of a fixed trial: which of the space's it is."""
SURPLUS = "surplus"
"""Of a trial that two workers began for the same place; it is none of the sweep's."""
WORKER, ERROR, STOPPED, STEP, STEPS = "worker", "error", "stopped", "step", "steps"

RETRIES = 3
"""So often a trial whose worker is killed is gone on with: it may be what kills it."""
GRACE = 3
"""After so many heartbeats left out a worker counts as killed."""
STARTUP = 5
"""Trials that nothing is compared with."""

_STATES = {
    TrialState.WAITING: states.WAITING,
    TrialState.RUNNING: states.RUNNING,
    TrialState.COMPLETE: states.COMPLETE,
    TrialState.PRUNED: states.PRUNED,
    TrialState.FAIL: states.FAILED,
}


def open_study(sweep: Sweep, worker: int = 0) -> optuna.Study:
    """The study of a sweep, made where it is not there yet.

    Args:
      worker: a number of this process among those of the sweep, so that each draws other points.

    Raises:
      InvalidValue: another sweep in the workdir, or a storage that can't be reached.
    """
    name = claim(sweep)
    # Optuna speaks for itself on the terminal, where the table is.
    optuna.logging.set_verbosity(logging.ERROR)
    with storage_errors(sweep), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        storage = connect(
            sweep,
            heartbeat_interval=sweep.heartbeat,
            grace_period=GRACE * sweep.heartbeat,
            heartbeat_stale_trial_callback=go_on_with,
        )
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize" if sweep.higher else "minimize",
            load_if_exists=True,
            pruner=_pruner(sweep),
        )
        # Started again, it does not draw what it has drawn already.
        entropy = (sweep.config.seed, worker, len(study.get_trials(deepcopy=False)))
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    keep_storage(sweep)
    return study


def ready_study(sweep: Sweep, worker: int = 0) -> optuna.Study:
    """The study with the fixed trials in its queue, and what failed if that is to be begun again.

    Raises:
      InvalidValue: as `open_study`.
    """
    study = open_study(sweep, worker)
    with one_at_a_time(sweep):
        there = study.get_trials(deepcopy=False)
        queued = {trial.user_attrs.get(POINT) for trial in there}
        for number, values in enumerate(sweep.space.fixed):
            if number not in queued:
                given = {name: to_optuna(value) for name, value in values.items()}
                study.enqueue_trial(given, user_attrs={POINT: number})
        if sweep.retry:
            for trial in there:
                if trial.state is TrialState.FAIL and SURPLUS not in trial.user_attrs:
                    go_on_with(study, trial, again=True)
    return study


def has_work(study: optuna.Study, sweep: Sweep) -> bool:
    """Whether a trial is left to be begun or to be gone on with."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if SURPLUS not in trial.user_attrs]
    if any(trial.state is TrialState.WAITING for trial in trials):
        return True
    return bool(sweep.space.search) and len({root_of(trial) for trial in trials}) < sweep.trials


def is_surplus(study: optuna.Study, trial: optuna.Trial, sweep: Sweep) -> bool:
    """Whether others have its place in the sweep: an earlier one of the same fixed trial, or as many as are drawn."""
    attributes = trial.user_attrs
    if ROOT in attributes:
        return False
    earlier = [other for other in study.get_trials(deepcopy=False) if other.number < trial.number]
    counted = [other for other in earlier if SURPLUS not in other.user_attrs]
    if POINT in attributes:
        return any(other.user_attrs.get(POINT) == attributes[POINT] for other in counted)
    return len({root_of(other) for other in counted}) >= sweep.trials


def _pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    if sweep.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
    if sweep.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner()
    return optuna.pruners.NopPruner()


def values_of(trial: optuna.Trial, sweep: Sweep) -> Values:
    """What the trial has in the sweep's fields; what is open is drawn."""
    space = sweep.space
    if not space.search:
        fixed = space.fixed[trial.user_attrs[POINT]]
        for name in fixed:
            trial.suggest_categorical(name, _categories(_all_fixed(sweep)[name]))
        return fixed
    return {name: _suggest(trial, name, distribution) for name, distribution in space.search.items()}


def _suggest(trial: optuna.Trial, name: str, distribution: Distribution) -> Any:
    if isinstance(distribution, Choice):
        categories = _categories(distribution)
        return distribution.values[categories.index(trial.suggest_categorical(name, categories))]
    if distribution.whole:
        return trial.suggest_int(name, int(distribution.low), int(distribution.high))
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)


def _all_fixed(sweep: Sweep) -> dict[str, Choice]:
    """Every value that a field has in a fixed trial, as one choice."""
    found: dict[str, list[Any]] = {}
    for values in sweep.space.fixed:
        for name, value in values.items():
            known = found.setdefault(name, [])
            if value not in known:
                known.append(value)
    return {name: Choice(tuple(values)) for name, values in found.items()}


def _categories(distribution: Choice) -> list[Any]:
    return [to_optuna(value) for value in distribution.values]


def to_optuna(value: Any) -> Any:
    """As Optuna keeps it: a tuple as text."""
    return repr(value) if isinstance(value, tuple) else value


def optuna_distributions(sweep: Sweep) -> dict[str, BaseDistribution]:
    """The distribution of each field, as Optuna has it."""
    found: dict[str, BaseDistribution] = {}
    for name, distribution in (sweep.space.search or _all_fixed(sweep)).items():
        if isinstance(distribution, Choice):
            found[name] = CategoricalDistribution(_categories(distribution))
        elif distribution.whole:
            found[name] = IntDistribution(int(distribution.low), int(distribution.high))
        else:
            found[name] = FloatDistribution(distribution.low, distribution.high, log=distribution.log)
    return found


def root_of(trial: FrozenTrial | optuna.Trial) -> int:
    """The number of the trial that it goes on with, or its own."""
    return int(trial.user_attrs.get(ROOT, trial.number))


def number_of(study: optuna.Study, root: int) -> int:
    """The number of the sweep's trial, from 0 without gaps, whose first trial in the study is that one."""
    return sum(
        trial.number < root and not {ROOT, SURPLUS} & set(trial.user_attrs)
        for trial in study.get_trials(deepcopy=False)
    )


def reported_before(study: optuna.Study, trial: optuna.Trial) -> int:
    """How many evaluations were told of by those that it goes on with: it tells of them again."""
    parts = (other for other in study.get_trials(deepcopy=False) if other.number < trial.number)
    return max((len(part.intermediate_values) for part in parts if root_of(part) == root_of(trial)), default=0)


def go_on_with(study: optuna.Study, trial: FrozenTrial, *, again: bool = False) -> None:
    """Queues a trial that goes on with a closed one, in the same workdir.

    Args:
      again: whether the user asked for it, by stopping or by --retry; else it is so `RETRIES` times.
    """
    root = root_of(trial)
    same = [other for other in study.get_trials(deepcopy=False) if root_of(other) == root]
    if any(other.number > trial.number for other in same):
        return
    if not again and _killed(same) > RETRIES:
        return
    kept = {name: value for name, value in trial.user_attrs.items() if name not in (WORKER, ERROR, STOPPED)}
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs=kept | {ROOT: root},
            # What was fixed and not yet asked for when it was closed.
            system_attrs={"fixed_params": trial.system_attrs.get("fixed_params", {})},
        )
    )


def close(study: optuna.Study, trial: FrozenTrial) -> None:
    """Closes a running trial whose worker is known to have been killed, and goes on with it."""
    study.tell(trial.number, state=TrialState.FAIL)
    go_on_with(study, study.get_trials(deepcopy=False)[trial.number])


def _killed(parts: list[FrozenTrial]) -> int:
    """How many of the trials that go on with each other nobody closed but their missing heartbeats."""
    closed = (part for part in parts if part.state is TrialState.FAIL)
    return sum(not {ERROR, STOPPED} & set(part.user_attrs) for part in closed)


def trials_of(study: optuna.Study, sweep: Sweep) -> list[Trial]:
    """How the sweep's trials stand, by their numbers."""
    groups: dict[int, list[FrozenTrial]] = {}
    for trial in study.get_trials(deepcopy=False):
        if SURPLUS not in trial.user_attrs:
            groups.setdefault(root_of(trial), []).append(trial)
    return [_trial(number, groups[root], sweep) for number, root in enumerate(sorted(groups))]


def _trial(number: int, parts: list[FrozenTrial], sweep: Sweep) -> Trial:
    latest = parts[-1]
    attributes = latest.user_attrs
    # The one before may have had evaluations that this one has not told of yet.
    history = max(([value for _, value in sorted(part.intermediate_values.items())] for part in parts), key=len)
    error = attributes.get(ERROR, "")
    if latest.state is TrialState.FAIL and not error:
        error = f"its worker was killed {_killed(parts)} times"
    values = _values(latest, sweep)
    so_far = value_of(history, sweep.checkpoint_of(values), sweep.higher)
    return Trial(
        number=number,
        values=values,
        folder=sweep.folder(number),
        state=_STATES[latest.state],
        history=history,
        value=latest.value if latest.state is TrialState.COMPLETE else so_far,
        step=attributes.get(STEP, 0),
        steps=attributes.get(STEPS, 0),
        seconds=sum(map(_seconds, parts)),
        error=error,
        test=test_of(sweep.folder(number), sweep.metric) if latest.state is TrialState.COMPLETE else None,
    )


def _values(trial: FrozenTrial, sweep: Sweep) -> Values:
    if POINT in trial.user_attrs and not sweep.space.search:
        return sweep.space.fixed[trial.user_attrs[POINT]]
    values: Values = {}
    for name, distribution in sweep.space.search.items():
        given = trial.params | trial.system_attrs.get("fixed_params", {})
        if name not in given:
            continue
        value = given[name]
        if isinstance(distribution, Choice):
            value = distribution.values[_categories(distribution).index(value)]
        values[name] = value
    return values


def _seconds(trial: FrozenTrial) -> float:
    if trial.datetime_start is None:
        return 0.0
    return ((trial.datetime_complete or datetime.now()) - trial.datetime_start).total_seconds()
