"""Ray Tune: the trials of a sweep on the nodes of a cluster.

The study says which trials there are, what they have and which are pruned, as on one machine, so that another engine
may go on with the sweep. Tune says where they run: it gives each its share of a node, and starts those of a lost node
again on another, where they go on from their last checkpoint.
"""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace

import optuna
from ray import tune
from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial

from convnets.sweeps.engines import Ended, Screen
from convnets.sweeps.engines.local import close_what_was_killed, only_one
from convnets.sweeps.engines.ray_cluster import check_shared, cluster, share_of_a_trial
from convnets.sweeps.engines.ray_search import InterruptionStopper, StudyScheduler, StudySearch
from convnets.sweeps.engines.ray_trial import RayTrial
from convnets.sweeps.storage import storage_errors
from convnets.sweeps.study import RETRIES, has_work, ready_study, trials_of
from convnets.sweeps.sweep import Sweep
from convnets.training.interruption import Interruption

EVERY = 1.0
"""Seconds between looks at the trials."""
FORWARDED = ("JAX_", "XLA_", "CONVNETS_")
"""How the variables begin that trials have from the sweep, and not from the node."""


def run(sweep: Sweep, screen: Screen) -> Ended:
    """As an engine does; `address` of its options is that of a cluster.

    Raises:
      InvalidValue: a cluster that can't be joined or does not share the workdir, a storage that can't be had, or a
        workdir where the same sweep runs already.
    """
    sweep = replace(sweep, workdir=sweep.workdir.resolve())
    with only_one(replace(sweep, storage="")), storage_errors(sweep):
        study = ready_study(sweep)
        close_what_was_killed(study)
        if not has_work(study, sweep):
            return Ended(trials_of(study, sweep))
        with cluster(sweep.options.get("address", "")), Interruption() as interruption:
            check_shared(sweep)
            _run(sweep, screen, study, interruption)
        return Ended(trials_of(study, sweep), interruption.signal or 0)


def _run(sweep: Sweep, screen: Screen, study: optuna.Study, interruption: Interruption) -> None:
    share = share_of_a_trial(sweep.parallel)
    environment = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}
    if sweep.parallel > 1:
        environment["NPROC"] = str(share["CPU"])
    search = StudySearch(study, sweep, interruption)
    # What Tune itself would need to go on, which the study makes superfluous.
    scratch = sweep.workdir / "ray"
    try:
        tune.run(
            tune.with_parameters(RayTrial, sweep=sweep, environment=environment, place=os.getcwd()),
            name=scratch.name,
            storage_path=str(scratch.parent),
            resources_per_trial=tune.PlacementGroupFactory([share]),
            num_samples=-1,
            search_alg=search,
            scheduler=StudyScheduler(search),
            stop=InterruptionStopper(search),
            max_failures=RETRIES,
            raise_on_failed_trial=False,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
            callbacks=[_Teller(search, study, sweep, screen)],
            verbose=0,
        )
    finally:
        search.leave_the_rest()
        shutil.rmtree(scratch, ignore_errors=True)


def _name(trial: TuneTrial) -> str:
    return f"{trial.config['number']:04}"


class _Teller(Callback):
    """Tells the screen and the search what happens to the trials."""

    def __init__(self, search: StudySearch, study: optuna.Study, sweep: Sweep, screen: Screen):
        self._search, self._study, self._sweep, self._screen = search, study, sweep, screen
        self._shown, self._stopping = 0.0, False

    def on_step_end(self, iteration: int, trials: Sequence[TuneTrial], **info: object) -> None:
        if self._search.interrupted and not self._stopping:
            self._stopping = True
            self._screen.say("the trials are saved, and then it ends")
        if time.monotonic() - self._shown >= EVERY:
            self._screen.show(trials_of(self._study, self._sweep))
            self._shown = time.monotonic()

    def on_trial_start(self, iteration: int, trials: Sequence[TuneTrial], trial: TuneTrial, **info: object) -> None:
        self._search.on_start(trial.trial_id)

    def on_trial_recover(self, iteration: int, trials: Sequence[TuneTrial], trial: TuneTrial, **info: object) -> None:
        self._search.on_start(trial.trial_id, started=False)
        self._screen.say(f"trial {trial.config['number']} has lost its process or its node, and is started again")

    def on_trial_error(self, iteration: int, trials: Sequence[TuneTrial], trial: TuneTrial, **info: object) -> None:
        self._search.on_given_up(trial)
