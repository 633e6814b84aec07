"""Statistics of the training pixels, counted once for a run and kept with it."""

import json
from pathlib import Path

import jax
from ml_collections import ConfigDict

from convnets.augment import Transform, needs_components, with_components
from convnets.data.source import Source
from convnets.data.statistics import PixelStatistics, pixel_statistics
from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.progress import Bar, Screen

BATCH = 1000


def transforms_of(config: ConfigDict, source: Source, file: Path | None, screen: Screen) -> tuple[Transform, ...]:
    """The config's augmentations; those that need the principal components of the training pixels are given them.

    Args:
      source: of the training examples.
      file: where statistics are kept; None: nowhere.

    Raises:
      InvalidValue: a file that is damaged.
    """
    if not needs_components(config.augmentation):
        return tuple(config.augmentation)
    return with_components(config.augmentation, statistics_of(source, file, screen).components)


def statistics_of(source: Source, file: Path | None, screen: Screen) -> PixelStatistics:
    """Those in the file, or else counted, and kept there.

    Raises:
      InvalidValue: a file that is damaged.
    """
    if file is not None and file.exists():
        try:
            return PixelStatistics.from_json(json.loads(file.read_text()))
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidValue(f"{file} is damaged ({error}): delete it, and it is made anew") from None
    with Bar(screen, "training pixels", len(source)) as bar:
        statistics = pixel_statistics(source, batch_size=BATCH, progress=lambda done, _: bar.update(done))
    if file is not None and jax.process_index() == 0:
        write_atomically(file, json.dumps(statistics.to_json(), indent=2))
    return statistics
