"""The sweep as a study of Optuna's, in a database that remembers it and that several machines may share.

A trial that was stopped, or whose worker was killed, is resumed by a new trial of the study: Optuna closes what it
began. The sweep's trials are the first ones, numbered without gaps; those that resume one share its workdir.
"""

import logging
import warnings
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from convnets.sweeps.space import Choice, Distribution, Values
from convnets.sweeps.storage import claim, connect, keep_storage, one_at_a_time, storage_errors
from convnets.sweeps.sweep import Sweep

ROOT = "root"
"""Of a trial that resumes another one: the number of the first."""
POINT = "point"
"""Of a fixed trial: which of the space's it is."""
SURPLUS = "surplus"
"""Of a trial that two workers began for the same place; it is none of the sweep's."""
LOST = "lost"
"""Of a trial that was closed because its process or its node was lost: what is known of it."""
WORKER, ERROR, STOPPED, STEP, STEPS = "worker", "error", "stopped", "step", "steps"

ALONE = "the only one"
"""The name of the worker of a sweep that runs its trials alone: nobody else's trials are in its database."""
RETRIES = 3
"""So often a trial whose worker is killed is resumed: it may be what kills it."""
GRACE = 3
"""After so many missing heartbeats a worker counts as killed."""
STARTUP = 5
"""Trials that nothing is compared with."""


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
            heartbeat_stale_trial_callback=requeue,
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
    """The study with the fixed trials in its queue, and those that failed if they are to be started again.

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
                    requeue(study, trial, again=True)
    return study


def _pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    if sweep.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
    if sweep.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner()
    return optuna.pruners.NopPruner()


def has_work(study: optuna.Study, sweep: Sweep) -> bool:
    """Whether a trial is left to be started or resumed."""
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


def values_of(trial: optuna.Trial, sweep: Sweep) -> Values:
    """What the trial has in the sweep's fields; what is open is drawn."""
    space = sweep.space
    if not space.search:
        fixed = space.fixed[trial.user_attrs[POINT]]
        choices = _all_fixed(sweep)
        for name in fixed:
            _suggest(trial, name, choices[name])
        return fixed
    return {name: _suggest(trial, name, distribution) for name, distribution in space.search.items()}


def known_values_of(trial: FrozenTrial, sweep: Sweep) -> Values:
    """The same of a recorded trial, as far as they are drawn."""
    if POINT in trial.user_attrs and not sweep.space.search:
        return sweep.space.fixed[trial.user_attrs[POINT]]
    given = trial.params | trial.system_attrs.get("fixed_params", {})
    return {
        name: _from_optuna(given[name], distribution)
        for name, distribution in sweep.space.search.items()
        if name in given
    }


def _suggest(trial: optuna.Trial, name: str, distribution: Distribution) -> Any:
    if isinstance(distribution, Choice):
        return _from_optuna(trial.suggest_categorical(name, _categories(distribution)), distribution)
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


def to_optuna(value: Any) -> Any:
    """As Optuna keeps it: a tuple as text."""
    return repr(value) if isinstance(value, tuple) else value


def _from_optuna(value: Any, distribution: Distribution) -> Any:
    if isinstance(distribution, Choice):
        return distribution.values[_categories(distribution).index(value)]
    return value


def _categories(distribution: Choice) -> list[Any]:
    return [to_optuna(value) for value in distribution.values]


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
    """The number of the trial that it resumes, or its own."""
    return int(trial.user_attrs.get(ROOT, trial.number))


def number_of(study: optuna.Study, root: int) -> int:
    """The number of the sweep's trial, from 0 without gaps, whose first trial in the study is that one."""
    return sum(
        trial.number < root and not {ROOT, SURPLUS} & set(trial.user_attrs)
        for trial in study.get_trials(deepcopy=False)
    )


def reported_before(study: optuna.Study, trial: optuna.Trial) -> int:
    """How many evaluations were reported by those that it resumes: it reports them again."""
    parts = (other for other in study.get_trials(deepcopy=False) if other.number < trial.number)
    return max((len(part.intermediate_values) for part in parts if root_of(part) == root_of(trial)), default=0)


def requeue(study: optuna.Study, trial: FrozenTrial, *, again: bool = False) -> None:
    """Queues a trial that resumes a closed one, in the same workdir, unless there is one.

    Args:
      again: whether the user asked for it, by stopping or by --retry; else it is so `RETRIES` times.
    """
    root = root_of(trial)
    same = [other for other in study.get_trials(deepcopy=False) if root_of(other) == root]
    if any(other.number > trial.number for other in same):
        return
    if not again and times_killed(same) > RETRIES:
        return
    kept = {name: value for name, value in trial.user_attrs.items() if name not in (WORKER, ERROR, STOPPED, LOST)}
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


def close_killed(study: optuna.Study, number: int) -> None:
    """Closes a running trial of the study whose process or worker is known to have been killed, and queues it again."""
    study.tell(number, state=TrialState.FAIL)
    requeue(study, study.get_trials(deepcopy=False)[number])


def close_all_killed(study: optuna.Study) -> None:
    """Queues the trials of an earlier call that was killed, which ran the trials of this database alone.

    One without a worker was killed as it was begun, before it had a heartbeat that others could miss.
    """
    for trial in study.get_trials(deepcopy=False):
        if trial.state is TrialState.RUNNING and trial.user_attrs.get(WORKER, ALONE) == ALONE:
            close_killed(study, trial.number)


def times_killed(parts: list[FrozenTrial]) -> int:
    """How many of the trials that resume each other ended because their worker, process or node was killed."""
    closed = (part for part in parts if part.state is TrialState.FAIL)
    return sum(not {ERROR, STOPPED} & set(part.user_attrs) for part in closed)
