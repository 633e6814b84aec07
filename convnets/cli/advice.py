"""Which way to transfer: the lecture's table of the amount of data and its likeness, held against what was measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

LITTLE = 100
"""Training images a class below which the lecture's "very little" is taken to hold."""

FAR = 0.01
"""By how much a probe below the top must be better, in accuracy and beyond chance, for data to count as different."""

QUADRANT = {
    ("little", "similar"): "a linear classifier on the top layer",
    ("little", "different"): "linear classifiers on different stages",
    ("a lot", "similar"): "to fine-tune a few layers",
    ("a lot", "different"): "to fine-tune a larger number of layers",
}
"""What the lecture says."""


@dataclass(frozen=True)
class Way:
    """A way to use a network for new data.

    Attributes:
      name: "last stages", ...
      validation, test: the accuracies that it reached, in [0, 1].
      seconds: that it took.
    """

    name: str
    validation: float
    test: float
    seconds: float


class Advice(NamedTuple):
    """What to use, and why, in sentences."""

    use: Way
    reasons: tuple[str, ...]


def advise(
    ways: Sequence[Way], probes: Mapping[str, float], *, training_examples: int, classes: int, validation_examples: int
) -> Advice:
    """The way of the highest validation accuracy, or an earlier one that chance alone may set apart from it.

    Args:
      ways: the cheapest first.
      probes: validation accuracy of the linear classifier on each map, the top one last.
    """
    best = max(ways, key=lambda way: way.validation)
    error = math.sqrt(max(best.validation * (1 - best.validation), 0.0) / validation_examples)
    use = next(way for way in ways if way.validation >= best.validation - error)
    each = training_examples / classes
    amount = "little" if each < LITTLE else "a lot"
    # Of equals the deepest.
    top, stage = list(probes)[-1], max(reversed(list(probes)), key=lambda name: probes[name])
    gap = probes[stage] - probes[top]
    border = max(FAR, error)
    likeness = "different" if gap > border else "similar"
    reasons = [
        f"{use.name} reaches {use.validation:.1%} of the {validation_examples:,} validation examples"
        + ("" if use is best else f", within one standard error ({error:.1%}) of {best.name}, {best.validation:.1%}"),
        f"amount of data: {each:,.0f} training examples a class, which counts as {amount} (the border is {LITTLE})",
        f"likeness: the best probe is that of {stage}, {probes[stage]:.1%}, and that of the top, {top}, has "
        f"{probes[top]:.1%}: {likeness} to what the network was trained on (the border is {border:.1%})",
        f"the lecture advises {QUADRANT[amount, likeness]} for that",
    ]
    return Advice(use, tuple(reasons))
