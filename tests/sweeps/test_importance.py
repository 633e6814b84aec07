"""What decides a sweep gets the share of it."""

import numpy as np
from small_sweeps import complete_trial, small_sweep

from convnets.sweeps.importance import FEWEST, importance_of
from convnets.sweeps.space import choice, log_uniform

RATE, DECAY = "optimizer.learning_rate", "optimizer.weight_decay"


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


def sweep_of(tmp_path):
    space = {RATE: log_uniform(0.001, 1.0), DECAY: log_uniform(0.001, 1.0), "optimizer.name": choice("sgd", "adamw")}
    return small_sweep(tmp_path, space, trials=100)


def test_the_field_that_decides_has_nearly_all_of_it_and_the_shares_add_up(tmp_path):
    shares = importance_of(drawn(100, lambda rate, name: -abs(np.log(rate / 0.03))), sweep_of(tmp_path))
    assert next(iter(shares)) == RATE and shares[RATE] > 0.8
    assert abs(sum(shares.values()) - 1) < 1e-6 and len(shares) == 3


def test_a_choice_can_decide_too(tmp_path):
    trials = drawn(100, lambda rate, name: (name == "sgd") + 1e-3 * rate)
    shares = importance_of(trials, sweep_of(tmp_path))
    assert shares["optimizer.name"] > shares[DECAY]


def test_of_a_grid_with_tuples(tmp_path):
    mixes = ((("flip", {}),), ())
    values = [{"augmentation": mix, "seed": seed} for mix in mixes for seed in range(10)]
    trials = [
        complete_trial(i, float(each["augmentation"] == ()) + 0.001 * each["seed"], values=each)
        for i, each in enumerate(values)
    ]
    shares = importance_of(trials, small_sweep(tmp_path, *values))
    assert set(shares) == {"augmentation", "seed"}


def test_few_trials_say_nothing(tmp_path):
    trials = drawn(FEWEST - 1, lambda rate, name: rate)
    assert importance_of(trials, sweep_of(tmp_path)) == {}
