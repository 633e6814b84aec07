"""Where a network keeps its memory and its parameters: the lecture's two remarks on VGG as numbers.

"Most memory is in early convolutional layers. Most parameters in the early fully connected layers."
"""

from collections.abc import Iterable
from dataclasses import dataclass

from convnets.analysis.layer_row import LayerRow, total


@dataclass(frozen=True)
class Shares:
    """Parts of what inference uses, from 0 to 1; None where a network has no such layers.

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
    return Shares(
        convolutions=len(convolutions),
        early_convolutions=early,
        early_activations=_part(activations, whole.activation_bytes) if convolutions else None,
        first_fully_connected=connected[0].path if connected else "",
        first_fully_connected_parameters=_part(connected[0].parameters, whole.parameters) if connected else None,
        fully_connected_parameters=(
            _part(sum(row.parameters for row in connected), whole.parameters) if connected else None
        ),
    )


def _part(part: int, whole: int) -> float | None:
    return part / whole if whole else None
