"""One layer of a network in numbers, the sums of many, and where a network keeps its memory and its parameters."""

from collections.abc import Iterable
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class LayerRow:
    """One call of a layer.

    Attributes:
      path: its place in the tree of parameters, such as `stage1/convolution`; empty for the network itself. A pool
        that is a function has the path of the module that calls it and a name of its own, such as `pool1`.
      kind: what it is, in words: `convolution 11×11/4` has filters of 11 x 11 at stride 4.
      output_shape: of the (first) array that it gives, with the batch.
      parameters: entries of `params` that belong to it and to none of the modules it calls; counted in its first call.
      statistics: entries of `batch_stats` likewise.
      multiply_adds: of its own convolutions and products with weights, for the whole batch.
      activation_bytes: of its output for the whole batch; 0 if a layer that it calls gives the same array.
      receptive_field: height and width of what a response sees of the image, in pixels; None if that is unknown.
      stride: from one response's receptive field to the next one's, down and to the right, in pixels.
      offset: row and column where the first response's field begins; negative in the padding.
      training_only: whether inference leaves it out, as it does auxiliary classifiers.
    """

    path: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int = 0
    statistics: int = 0
    multiply_adds: int = 0
    activation_bytes: int = 0
    receptive_field: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    offset: tuple[int, int] | None = None
    training_only: bool = False


@dataclass(frozen=True)
class Total:
    """Sums over rows; see `LayerRow`."""

    parameters: int
    statistics: int
    multiply_adds: int
    activation_bytes: int


COUNTS = tuple(field.name for field in fields(Total))


def total(rows: Iterable[LayerRow], *, training_only: bool = False) -> Total:
    """The sums over the layers that inference uses, or over those that training alone does."""
    chosen = [row for row in rows if row.training_only == training_only]
    return Total(*(sum(getattr(row, count) for row in chosen) for count in COUNTS))


@dataclass(frozen=True)
class Shares:
    """The lecture's two remarks on VGG as numbers.

    "Most memory is in early convolutional layers. Most parameters in the early fully connected layers." Parts of what
    inference uses, from 0 to 1; None where a network has no such layers.

    Attributes:
      convolutions: how many convolutions there are.
      early_convolutions: how many are early: the first half of them, rounded up.
      early_activations: the part of all activation memory that the early convolutions and the norms behind them take.
      first_fully_connected: the path of the first fully connected layer; empty if there is none.
      first_fully_connected_parameters: the part of all parameters that it has.
      fully_connected_parameters: the part of all parameters in all fully connected layers.
    """

    convolutions: int
    early_convolutions: int
    early_activations: float | None
    first_fully_connected: str
    first_fully_connected_parameters: float | None
    fully_connected_parameters: float | None


def shares(rows: Iterable[LayerRow]) -> Shares:
    """The shares of a network's layers, given one by one."""
    layers = [row for row in rows if not row.training_only]
    whole = total(layers)
    convolutions = [i for i, row in enumerate(layers) if "convolution" in row.kind]
    early = (len(convolutions) + 1) // 2
    later = convolutions[early] if early < len(convolutions) else len(layers)
    activations = sum(row.activation_bytes for row in layers[:later] if "convolution" in row.kind or "norm" in row.kind)
    connected = [row for row in layers if row.kind == "fully connected"]
    first, every = (sum(row.parameters for row in some) for some in (connected[:1], connected))
    return Shares(
        convolutions=len(convolutions),
        early_convolutions=early,
        early_activations=_part(activations, whole.activation_bytes) if convolutions else None,
        first_fully_connected=connected[0].path if connected else "",
        first_fully_connected_parameters=_part(first, whole.parameters) if connected else None,
        fully_connected_parameters=_part(every, whole.parameters) if connected else None,
    )


def _part(part: int, whole: int) -> float | None:
    return part / whole if whole else None
