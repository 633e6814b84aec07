"""One layer of a network in numbers, and the sums of many."""

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
