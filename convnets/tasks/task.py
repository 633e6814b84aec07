"""What is learned: the one place that knows what a network is fed and what comes out of it.

The step, the loop, the evaluation, the sliding windows and the commands ask a task through the methods of `Task` and
know nothing else of it. Each method takes and returns arrays or plain records, so that each can be tested without a
training run.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from convnets.data.resampling import Part
from convnets.data.source import Source, SourceInfo
from convnets.errors import InvalidValue
from convnets.evaluation.averaging import Average
from convnets.evaluation.evaluator import Evaluator, Metrics, Sums, Tables
from convnets.evaluation.views import Seen, Size, Views
from convnets.registry import Registry

Batch = Mapping[str, Array]
"""By the names of their fields, the examples of a batch, each `[N, ...]`. Images are normalized where a network is fed
with them, and in [0, 1] or uint8 elsewhere."""

Outputs = tuple[Any, dict[str, Array]]
"""What a network returns: the logits and the named feature maps."""

Predictions = Mapping[str, np.ndarray]
"""What a task decodes, fetched from the devices, each `[N, ...]`."""


class ViewMerger(Protocol):
    """How a task puts together what it sees in several views of the same images, such as ten crops.

    One that has `add(total, more)` too, what two views say together, has it called after each view, so that one total
    is kept.
    """

    def check(self, views: Views, whole: bool) -> None:
        """Refuses views that it can't put together.

        Args:
          whole: whether the protocol shows whole images only.

        Raises:
          InvalidValue: says which protocols it can.
        """

    def look(self, outputs: Outputs, seen: Seen) -> Any:
        """What one view says of the images, as a tree of arrays `[N, ...]`, weighted by `seen.share`."""

    def outputs(self, said: Sequence[Any]) -> Outputs:
        """What all views say, as a network would for the images themselves; one total where there is `add`."""


class ScoreMerger(ViewMerger, Protocol):
    """A merger of class scores, which can be kept and averaged over several networks (`launch.py ensemble`)."""

    def scores(self, said: Sequence[Any]) -> Array:
        """Float32 `[N, classes]`."""


class WindowMerger(ViewMerger, Protocol):
    """A merger of scores that belong to the pixels of an image, so that a large image can be cut into windows."""

    def window_scores(self, outputs: Outputs) -> Array:
        """The scores of a window's pixels, float32 `[N, h, w, classes]`, on the scale where they may be averaged."""

    def of_mean(self, mean: Array) -> Array:
        """The mean of such scores as the logits that a network would give."""


class Placement(NamedTuple):
    """Where the image that a network was shown lies in the picture of a file.

    Attributes:
      part: of the upright picture that is shown.
      size: of the picture, in pixels.
      shown: the size of the image that the network was shown, padding included.
      padding: zeros on each side of it.
    """

    part: Part
    size: Size
    shown: Size
    padding: int


class Task(ABC):
    """A task, for the data that a `SourceInfo` describes.

    Attributes:
      classes: what is told apart.
      metrics: the names of what an evaluation gives, each with whether a higher value is better; `loss` among them.
      primary: the metric to choose and to stop by, if the config names none.
      progress: the metric shown beside the loss during training.
      sample: about how many examples' predictions are kept of a split, spread evenly over it; None: all.
    """

    classes: tuple[str, ...]
    metrics: Mapping[str, bool]
    primary: str
    progress: str
    sample: int | None = None

    @abstractmethod
    def network(self, name: str, options: Mapping[str, Any]) -> nn.Module:
        """The network with this task's head, built on the architecture of that name."""

    def init(self, network: nn.Module, key: Array, image_shape: tuple[int, ...]) -> Any:
        """The network's initial variables, for images `[H, W, C]`."""
        return network.init({"params": key}, jnp.zeros((1, *image_shape)), train=False)

    def forward(
        self,
        network: nn.Module,
        variables: Any,
        batch: Batch,
        *,
        train: bool,
        rngs: dict[str, Array] | None = None,
    ) -> tuple[Outputs, Any]:
        """Applies the network to a batch with normalized images; what else it is fed with is taken from the batch.

        Returns:
          Its outputs, and the collections that changed: in training `batch_stats`, else none.
        """
        mutable = ["batch_stats"] if train else []
        applied: Any = network.apply(variables, batch["image"], train=train, mutable=mutable, rngs=rngs)
        outputs, updates = applied
        return outputs, updates

    @abstractmethod
    def loss(self, outputs: Outputs, batch: Batch, *, train: bool) -> tuple[Array, dict[str, Array]]:
        """The loss, and what is summed over the batch for the metrics.

        Args:
          train: every training step pays for the sums, which may be of fewer metrics then.

        Returns:
          The loss of each example, float32 `[N]`, and sums of any shapes, each weighted by the batch's `weight`, so
          that padding never counts; sums of several batches are added.
        """

    @abstractmethod
    def summarize(self, sums: Sums) -> Metrics:
        """The metrics that follow from sums, among them `weight`, the number of examples."""

    def tables(self, sums: Sums) -> Tables:
        """Tables behind the metrics, such as those of each class, for the results and the report; {} for none.

        Args:
          sums: of an evaluation, those that are more than a number.
        """
        return {}

    @abstractmethod
    def decode(self, outputs: Outputs, batch: Batch) -> dict[str, Array]:
        """The prediction for each example, arrays `[N, ...]` of fixed shape, small enough to be kept for a `sample`."""

    def evaluator(self, examples: int) -> Evaluator:
        """What collects the sums and predictions of a split of so many examples, and makes the metrics of them."""
        return Evaluator(self.summarize, self.tables, every=-(-examples // (self.sample or examples)))

    def view_merger(self, network: nn.Module, image_shape: tuple[int, int, int], average: Average) -> Any:
        """A `ViewMerger`, or None from a task whose predictions are made of the whole image alone.

        Args:
          image_shape: of the images that the network was trained on.
        """
        return None

    @abstractmethod
    def describe(self, predictions: Predictions) -> list[dict[str, Any]]:
        """A JSON-ready record for each prediction, as `launch.py predict --json` prints them."""

    @abstractmethod
    def columns(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Such a record as the cells of a table, by column; every record has the same columns."""

    def in_picture(self, predictions: Predictions, placements: list[Placement]) -> Predictions:
        """Predictions for images as they lie in the pictures of their files."""
        return predictions

    drawings: Mapping[str, str] = {}
    """What `draw` draws, by the field of the record that names it, with the ending of its file's name."""

    def draw(self, picture: np.ndarray, prediction: Predictions, record: Mapping[str, Any]) -> dict[str, bytes]:
        """One prediction drawn for `launch.py predict`: PNG files, by the keys of `drawings`.

        Args:
          picture: uint8 `[H, W, 3]`.
          prediction: `in_picture`, of this picture alone.
          record: of it, as `describe` gives it.
        """
        return {}

    def pictures(self, records: Predictions, source: Source, folder: Path) -> list[tuple[str, Path]]:
        """Draws a split's predictions into the folder; returns (caption, path) for the report.

        Args:
          records: of an evaluation (`evaluation.evaluator.Evaluation.records`); `place [n]` are places in the source.
        """
        return []

    compared_pictures: Any = None
    """Draws the records of several runs side by side, `(records by run, source, file)`, for `launch.py compare`; None
    from a task that has no such picture."""


tasks: Registry[Callable[..., Task]] = Registry("task")


def create(name: str, info: SourceInfo, **options: Any) -> Task:
    """A task by its name, for the data that `info` describes.

    Raises:
      InvalidValue: an unknown task, an option that it does not have, or data that it can't be learned from.
    """
    factory = tasks[name]
    tasks.check_options(name, options)
    return factory(info, **options)


def loss_and_sums(task: Task, outputs: Outputs, batch: Batch, *, train: bool) -> tuple[Array, dict[str, Array]]:
    """As `task.loss`, with the sum `weight`, the number of examples, among the sums."""
    losses, sums = task.loss(outputs, batch, train=train)
    return losses, {"weight": jnp.sum(batch["weight"])} | sums


def initial_shapes(task: Task, network: nn.Module, image_shape: tuple[int, ...]) -> Any:
    """The shapes and types of a network's variables; nothing is computed."""
    return jax.eval_shape(lambda: task.init(network, jax.random.key(0), image_shape))


def check_weights(**weights: float) -> None:
    """Refuses weights of losses that are negative or not finite.

    Raises:
      InvalidValue: such an option, by its name.
    """
    for name, value in weights.items():
        if not 0 <= value < math.inf:
            raise InvalidValue(f"task.{name} is {value}, and must not be negative")
