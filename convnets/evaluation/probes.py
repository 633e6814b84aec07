"""Linear classifiers on the features of a network: what each of its stages knows of a data set.

The lecture's "linear classifier on top layer" and "from different stages"; Donahue et al., "DeCAF", ICML 2014, and
Razavian et al., "CNN Features Off-the-Shelf", CVPR Workshops 2014.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from ml_collections import ConfigDict

from convnets.data.source import Source, Splits
from convnets.data.views import train_validation_split
from convnets.errors import InvalidValue
from convnets.evaluation.features import FeatureCache, Features, facts_of, features_of
from convnets.parallel import Devices
from convnets.pretrained.depth import needs
from convnets.progress import Bar, Screen
from convnets.tasks.model import Model

STRENGTHS = (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Of the regularization, from which the validation split chooses."""

ITERATIONS = 300
"""Of L-BFGS, at most."""

FLAT = 1e-4
"""The norm of the gradient at which a classifier counts as found."""

HELD_OUT = 5
"""Where there is no validation split, one in so many training examples chooses the regularization."""


class Linear(NamedTuple):
    """A linear classifier of standardized features; `logits = ((x - mean) / deviation) @ kernel + bias`.

    Attributes:
      kernel: float32 `[d, C]`.
      bias: float32 `[C]`.
      mean, deviation: of the training features, float32 `[d]`.
    """

    kernel: Array
    bias: Array
    mean: Array
    deviation: Array

    def __call__(self, features: Any) -> Array:
        """The logits, float32 `[n, C]`, of features `[n, d]`."""
        return ((jnp.asarray(features) - self.mean) / self.deviation) @ self.kernel + self.bias


@dataclass(frozen=True)
class Labelled:
    """Features of a split.

    Attributes:
      features: float32 `[n, d]`.
      labels: int `[n]`.
    """

    features: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Probe:
    """The classifier that does best on the validation examples.

    Attributes:
      strength: of its regularization.
      training, validation: its accuracy there, in [0, 1].
    """

    classifier: Linear
    strength: float
    training: float
    validation: float


def probe(training: Labelled, validation: Labelled, classes: int, strengths: Sequence[float] = STRENGTHS) -> Probe:
    """Fits a softmax classifier for each strength, and keeps the best; of equals the one of lower cross-entropy.

    Each begins where the stronger regularized one ended.
    """
    mean, deviation = _standard(training.features)
    kernel, bias = jnp.zeros((training.features.shape[1], classes)), jnp.zeros(classes)
    found: list[tuple[tuple[float, float], Probe]] = []
    inputs = (jnp.asarray(training.features) - mean) / deviation
    labels = jnp.asarray(training.labels)
    for strength in sorted(strengths, reverse=True):
        kernel, bias = fit(inputs, labels, strength, (kernel, bias))
        classifier = Linear(kernel, bias, mean, deviation)
        logits = classifier(validation.features)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(validation.labels)).mean()
        right = accuracy(classifier, validation)
        found.append(((right, -float(loss)), Probe(classifier, strength, accuracy(classifier, training), right)))
    return max(found, key=lambda pair: pair[0])[1]


@jax.jit
def fit(inputs: Array, labels: Array, strength: Any, start: tuple[Array, Array]) -> tuple[Array, Array]:
    """The kernel and bias of least mean cross-entropy plus `strength / 2` times the sum of the kernel's squares.

    By L-BFGS (Nocedal 1980), from `start`; the function is convex.

    Args:
      inputs: float32 `[n, d]`.
      labels: int32 `[n]`.
    """

    def objective(parameters: tuple[Array, Array]) -> Array:
        kernel, bias = parameters
        losses = optax.softmax_cross_entropy_with_integer_labels(inputs @ kernel + bias, labels)
        return losses.mean() + 0.5 * strength * jnp.sum(kernel**2)

    solver = optax.lbfgs()
    value_and_gradient = optax.value_and_grad_from_state(objective)

    def goes_on(carry: Any) -> Array:
        *_, iteration, norm = carry
        return (iteration < ITERATIONS) & (norm > FLAT)

    def step(carry: Any) -> Any:
        parameters, state, iteration, _ = carry
        value, gradient = value_and_gradient(parameters, state=state)
        updates, state = solver.update(gradient, state, parameters, value=value, grad=gradient, value_fn=objective)
        return optax.apply_updates(parameters, updates), state, iteration + 1, optax.tree.norm(gradient)

    return lax.while_loop(goes_on, step, (start, solver.init(start), 0, jnp.inf))[0]


def accuracy(classifier: Linear, split: Labelled) -> float:
    """The share of examples whose label has the largest logit."""
    return float(jnp.mean(jnp.argmax(classifier(split.features), -1) == jnp.asarray(split.labels)))


def _standard(features: np.ndarray) -> tuple[Array, Array]:
    """Mean and deviation of each feature; of one that never changes, 1."""
    mean = features.mean(0, dtype=np.float64)
    deviation = features.std(0, dtype=np.float64)
    deviation[deviation < 1e-6 * max(float(np.abs(mean).max()), 1e-12)] = 1.0
    return jnp.asarray(mean, jnp.float32), jnp.asarray(deviation, jnp.float32)


@dataclass(frozen=True)
class StageProbe:
    """What one map knows.

    Attributes:
      stage: the map's name.
      features: filters of the map.
      test: accuracy on the test split, in [0, 1].
    """

    stage: str
    features: int
    probe: Probe
    test: float


def probe_stages(
    config: ConfigDict,
    model: Model,
    variables: Any,
    splits: Splits,
    devices: Devices,
    cache: FeatureCache,
    screen: Screen,
) -> list[StageProbe]:
    """The probes of all maps, from the first to the last; features are kept in the cache.

    Raises:
      InvalidValue: examples without labels, or too few of them.
    """
    train, validation = splits.train, splits.validation
    if validation is None:
        if len(train) < 2 * HELD_OUT:
            raise InvalidValue(f"probes need {2 * HELD_OUT} training examples at least, and there are {len(train)}")
        train, validation = train_validation_split(train, len(train) // HELD_OUT, config.validation.seed)
    parts: dict[str, Source] = {"train": train, "validation": validation, "test": splits.test}
    kept: dict[str, Features] = {}
    for name, source in parts.items():
        facts = facts_of(config, model, variables, source)
        found = cache.load(name, facts)
        if found is None:
            found = features_of(config, model, variables, source, devices, title=f"features of {name}", screen=screen)
            if "label" not in found:
                raise InvalidValue(f"the examples of {source.info.name!r} have no labels, which probes need")
            cache.save(name, facts, found)
        kept[name] = found
    results = []
    stages = [name for name in needs(model.network, model.image_shape) if name in kept["train"]]
    with Bar(screen, "probes", len(stages)) as bar:
        for number, stage in enumerate(stages, 1):
            split = {name: Labelled(found[stage], found["label"]) for name, found in kept.items()}
            best = probe(split["train"], split["validation"], len(model.info.classes))
            width = split["train"].features.shape[1]
            results.append(StageProbe(stage, width, best, accuracy(best.classifier, split["test"])))
            bar.update(number, f"{stage} {best.validation:.4f}")
    return results


def save_probes(probes: list[StageProbe]) -> dict[str, np.ndarray]:
    """The classifiers as arrays by names such as `stage3/kernel`."""
    return {
        f"{each.stage}/{name}": np.asarray(array)
        for each in probes
        for name, array in each.probe.classifier._asdict().items()
    }
