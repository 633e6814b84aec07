"""A few examples of each class, linear classifiers of them, and their scores over several draws."""

from typing import NamedTuple

import numpy as np

from benchmarks.measuring import Row
from convnets.evaluation.features import Features
from convnets.evaluation.probes import Labelled, accuracy, probe

HELD_OUT = 5
"""One example of a class in so many chooses the regularization."""

Scores = dict[str, dict[int, list[float]]]
"""Test accuracies in [0, 1] by the way and by the examples of a class, one for each seed."""


class Probed(NamedTuple):
    """Accuracies in [0, 1]: of the classifier of a part of the examples on the others, of that of all on the test."""

    validation: float
    test: float


def drawn(labels: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Places of so many examples of each class, int64 `[classes, shots]`."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return np.stack([order[labels[order] == label][:shots] for label in np.unique(labels)])


def probed(features: tuple[Features, Features], name: str, places: np.ndarray) -> Probed:
    """The linear classifier of some examples.

    Its regularization is the one that does best on a part of them when it is fitted to the rest; then all are fitted.

    Args:
      features: of all training examples, and of the test.
      name: of the feature map.
      places: of the examples among the training ones, `[classes, shots]`.
    """
    train, test = features
    classes, shots = places.shape
    held_out = max(shots // HELD_OUT, 1)

    def labelled(some: np.ndarray) -> Labelled:
        return Labelled(train[name][some.ravel()], train["label"][some.ravel()])

    chosen = probe(labelled(places[:, held_out:]), labelled(places[:, :held_out]), classes)
    whole = labelled(places)
    found = probe(whole, whole, classes, (chosen.strength,))
    return Probed(chosen.validation, accuracy(found.classifier, Labelled(test[name], test["label"])))


def add(scores: Scores, way: str, shots: int, score: float) -> None:
    """Puts a seed's score behind those before."""
    scores.setdefault(way, {}).setdefault(shots, []).append(score)


def rows_of(scores: Scores) -> list[Row]:
    """A row for each way, in %."""
    return [
        {"way": way, **{f"{shots} a class": in_percent(found) for shots, found in by_shots.items()}}
        for way, by_shots in scores.items()
    ]


def in_percent(scores: list[float]) -> str:
    """`91.3 ± 0.8`: mean, and deviation of the sample if there is one."""
    mean = f"{100 * np.mean(scores):.1f}"
    return f"{mean} ± {100 * np.std(scores, ddof=1):.1f}" if len(scores) > 1 else mean
