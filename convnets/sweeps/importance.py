"""How much each field decides of what a sweep's trials reach."""

import warnings
from collections.abc import Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator

from convnets.sweeps.study import optuna_distributions, to_optuna
from convnets.sweeps.sweep import Sweep
from convnets.sweeps.trials import COMPLETE, Trial

FEWEST = 10
"""Complete trials that say anything of it."""


def importance_of(trials: Sequence[Trial], sweep: Sweep) -> dict[str, float]:
    """The share of each field, the largest first; they add up to 1. {} where there are too few trials or fields.

    PED-ANOVA (Watanabe et al. 2023): how much the values of a field among the best tenth of the trials differ from
    those among all.
    """
    distributions = optuna_distributions(sweep)
    complete = [
        trial
        for trial in trials
        if trial.state == COMPLETE and trial.value is not None and trial.values.keys() == distributions.keys()
    ]
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
