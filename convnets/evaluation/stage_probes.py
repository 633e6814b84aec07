"""A linear classifier on each named map of a network, from one pass over the data."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from convnets.data.source import Source, Splits
from convnets.data.views import train_validation_split
from convnets.errors import InvalidValue
from convnets.evaluation.features import FeatureCache, Features, facts_of, features_of
from convnets.evaluation.linear_probe import Labelled, Probe, accuracy, probe
from convnets.parallel import Devices
from convnets.pretrained.depth import needs
from convnets.progress import Bar, Screen
from convnets.tasks.model import Model

HELD_OUT = 5
"""Where there is no validation split, one in so many training examples chooses the regularization."""


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
