"""The features of a split: every named map of a network, pooled, in one pass over the examples."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from convnets.data.few import Few
from convnets.data.pictures import Pictures
from convnets.data.pipeline import EvaluationBatches, read_ahead
from convnets.data.source import Source, Subset
from convnets.evaluation.evaluate import evaluate
from convnets.evaluation.protocols import views_of
from convnets.evaluation.scores import take_crop
from convnets.parallel import REPLICATED, SPLIT, Devices, sum_over_devices
from convnets.pretrained.patterns import flat
from convnets.progress import Bar, Screen
from convnets.training.setup import Model
from convnets.training.step import unit_range

Features = dict[str, np.ndarray]
"""By the name of a map, float32 `[n, C]`, each filter's mean over the map; and `label`, int32 `[n]`."""


def features_of(
    config: ConfigDict, model: Model, variables: Any, source: Source, devices: Devices, title: str, screen: Screen
) -> Features:
    """The pooled maps of every example of a source, of its image (or its centre, if the network takes smaller ones)."""
    batch_size = -(-config.evaluation.batch_size // devices.count) * devices.count
    batches = EvaluationBatches(
        source, batch_size=batch_size, process=jax.process_index(), process_count=jax.process_count()
    )
    step = devices.wrap(_step(model), (REPLICATED, SPLIT))
    with Bar(screen, title, len(batches)) as bar, closing(read_ahead(batches, **config.loader)) as stream:
        found = evaluate(
            step,
            devices.replicate(variables),
            stream,
            lambda sums: {},
            devices.split,
            devices.join,
            progress=bar.update,
        )
    assert found is not None
    return {name: found.predictions[name] for name in found.predictions if name not in ("index", "place")}


def _step(model: Model) -> Any:
    image, size = model.info.image_shape[:2], model.image_shape[:2]
    [crop] = views_of("centre_crop", image, size).crops

    def step(variables: Any, batch: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        values = unit_range({"image": batch["image"]})["image"]
        if image != size:
            values = take_crop(values, jnp.array(crop, jnp.float32), size)
        outputs: Any = model.network.apply(variables, model.normalize(values), train=False)
        pooled = {name: jnp.mean(x.astype(jnp.float32), (1, 2)) for name, x in outputs[1].items() if x.ndim == 4}
        return sum_over_devices({"weight": jnp.sum(batch["weight"])}), pooled

    return step


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


def _stamps(source: Any) -> list[tuple[str, int, int]]:
    """Name, size and time of change of every file that pictures are read from: their names may stay."""
    while isinstance(source, Subset | Few):
        source = source.source if isinstance(source, Subset) else source.view
    if not isinstance(source, Pictures):
        return []
    images = (source.records[i].image for i in range(len(source)))
    files = ((image, image.stat()) for image in images if isinstance(image, Path) and image.exists())
    return [(str(file), status.st_size, status.st_mtime_ns) for file, status in files]


def facts_of(config: ConfigDict, model: Model, variables: Any, source: Source) -> str:
    """All that features depend on, as a digest."""
    digest = hashlib.sha256()
    for path, array in sorted(flat(variables).items()):
        digest.update("/".join(path).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    places = np.asarray(getattr(source, "indices", np.arange(len(source))), np.int64)
    facts = [
        config.network.to_dict(),
        config.batch_norm.to_dict(),
        config.data.to_dict(),
        [list(config.normalization.mean), list(config.normalization.std)],
        [model.info.name, model.info.image_shape, model.image_shape, source.info.digest, len(source)],
    ]
    digest.update(json.dumps(facts, default=str).encode())
    digest.update(places.tobytes())
    digest.update(json.dumps(_stamps(source)).encode())
    return digest.hexdigest()
