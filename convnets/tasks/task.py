"""What the loop asks of a task. It knows nothing else of what is learned."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import flax.linen as nn
import numpy as np
from jax import Array

from convnets.data.source import Source, SourceInfo
from convnets.registry import Registry

Outputs = tuple[Array, dict[str, Array]]
"""What a network returns: the logits and the named feature maps."""

Tables = dict[str, list[dict[str, str | int | float | None]]]
"""By their titles, the rows of tables, each its cells by column, alike in all rows; None where nothing was measured."""


class Task(Protocol):
    """Every per-example figure is summed with the batch's weights, so that padding never counts.

    Among the sums of `measure` is `weight`, the number of examples; among the metrics is `loss`.

    Attributes:
      classes: what is told apart.
      metrics: the names of what `summarize` returns, each with whether a higher value is better.
      primary: the metric to choose and to stop by, if the config names none.
      progress: the metric shown beside the loss while training.
      averages_views: whether its logits are scores of classes, so that those of several views can be averaged.
      of_pixels: whether it answers for every pixel, so that images of any size are predicted as they are.
      of_boxes: whether it answers by boxes, so that those of several views are merged.
      sample: about how many examples' predictions are kept of a split, spread evenly over it; None: all.
    """

    classes: tuple[str, ...]
    metrics: Mapping[str, bool]
    primary: str
    progress: str
    averages_views: bool
    of_pixels: bool
    of_boxes: bool
    sample: int | None

    def network(self, name: str, options: Mapping[str, Any]) -> nn.Module:
        """The network with this task's head."""

    def loss(self, outputs: Outputs, batch: Mapping[str, Array]) -> Array:
        """The loss of each example, float32 `[N]`."""

    def measure(self, outputs: Outputs, batch: Mapping[str, Array], train: bool = False) -> dict[str, Array]:
        """Weighted sums over the batch, each any shape; sums of several batches are added.

        In training each step pays for them: they may be of fewer metrics then.
        """

    def summarize(self, sums: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The metrics of the examples that the sums ran over."""

    def tables(self, sums: Mapping[str, np.ndarray]) -> Tables:
        """The figures behind the metrics, such as those of each class, for the results and the report; {} for none.

        Args:
          sums: those of `measure`, without training, that are more than a number.
        """

    def predictions(self, outputs: Outputs) -> dict[str, Array]:
        """What the network says of each example, `[N, ...]`, small enough to be kept for a `sample` of a split."""

    def pictures(self, predictions: Mapping[str, np.ndarray], source: Source, folder: Path) -> list[tuple[str, Path]]:
        """Draws a split's predictions into the folder; returns (caption, path) for the report.

        Args:
          predictions: of the examples at `place [n]` of the source, and the sums of `measure` that are tables.
        """

    def describe(self, predictions: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        """A JSON-ready record for each prediction, as `launch.py predict --json` prints them."""

    def columns(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Such a record as the cells of a table, by column; every record has the same columns."""


tasks: Registry[Callable[..., Task]] = Registry("task")


def create(name: str, info: SourceInfo, **options: Any) -> Task:
    """A task by its name, for the data that `info` describes.

    Raises:
      InvalidValue: an unknown task, an option that it does not have, or data that it can't be learned from.
    """
    factory = tasks[name]
    tasks.check_options(name, options)
    return factory(info, **options)
