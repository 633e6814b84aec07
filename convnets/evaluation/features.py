"""The features of a split: every named map of a network, pooled, in one pass over the examples."""

import hashlib
import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from convnets.data.source import Source
from convnets.evaluation.evaluator import Evaluator, evaluate
from convnets.evaluation.inference import centre_view
from convnets.parallel import REPLICATED, SPLIT, Devices, sum_over_devices
from convnets.pretrained.patterns import flat
from convnets.progress import Screen
from convnets.tasks.model import Model, unit_range
from convnets.tasks.task import Batch

Features = dict[str, np.ndarray]
"""By the name of a map, float32 `[n, C]`, each filter's mean over the map; and `label`, int32 `[n]`."""


class FeatureStep:
    """A `evaluator.Step` whose predictions are the named maps of a network, each filter's mean over the map.

    They are of the `centre_view`.
    """

    calls = 1

    def __init__(self, model: Model, devices: Devices):
        self.model, self.seen, self.join = model, lambda: None, devices.join
        self._step = devices.wrap(self._of_device, (REPLICATED, SPLIT))

    def __call__(self, variables: Any, batch: Any) -> tuple[Any, Any]:
        return self._step(variables, batch)

    def _of_device(self, variables: Any, batch: Batch) -> tuple[dict[str, Array], dict[str, Array]]:
        example = unit_range(batch)
        example["image"] = centre_view(self.model, example["image"])
        _, maps = self.model.forward(variables, example)
        pooled = {name: jnp.mean(x.astype(jnp.float32), (1, 2)) for name, x in maps.items() if x.ndim == 4}
        return sum_over_devices({"weight": jnp.sum(batch["weight"])}), pooled


def features_of(
    config: ConfigDict, model: Model, variables: Any, source: Source, devices: Devices, *, title: str, screen: Screen
) -> Features:
    """The pooled maps of every example of a source."""
    found = evaluate(
        FeatureStep(model, devices),
        devices.replicate(variables),
        source,
        Evaluator(lambda sums: {}),
        devices,
        config,
        title=title,
        screen=screen,
    )
    assert found is not None
    return {name: value for name, value in found.records.items() if name not in ("index", "place")}


class FeatureCache:
    """Features kept in a folder, each with what it depends on.

    Args:
      folder: made if it is not there.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def load(self, name: str, facts: str) -> Features | None:
        """The features kept under a name, if they were made of the same; a damaged file counts as none."""
        with (
            suppress(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile),
            open(self._file(name), "rb") as stream,
            np.load(stream) as kept,
        ):
            if str(kept["facts"]) == facts:
                return {map_name: kept[map_name] for map_name in kept.files if map_name != "facts"}
        return None

    def save(self, name: str, facts: str, features: Features) -> None:
        """Keeps them, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self._file(name).with_suffix(".partial")
        with open(partial, "wb") as stream:
            np.savez(stream, facts=facts, **features)  # type: ignore[arg-type]
        partial.replace(self._file(name))

    def _file(self, name: str) -> Path:
        return self.folder / f"features_{name}.npz"


def facts_of(config: ConfigDict, model: Model, variables: Any, source: Source) -> str:
    """All that features depend on, as a digest."""
    digest = hashlib.sha256()
    for path, array in sorted(flat(variables).items()):
        digest.update("/".join(path).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    facts = [
        config.network.to_dict(),
        config.batch_norm.to_dict(),
        config.data.to_dict(),
        [list(config.normalization.mean), list(config.normalization.std)],
        [model.info.name, model.info.image_shape, model.image_shape, source.info.digest, len(source)],
    ]
    digest.update(json.dumps(facts, default=str).encode())
    digest.update(source.places().tobytes())
    digest.update(json.dumps(source.file_stamps()).encode())
    return digest.hexdigest()
