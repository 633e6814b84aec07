"""A network's layers for other programs to read: JSON and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from convnets.analysis.layer_row import LayerRow, total
from convnets.analysis.shares import shares
from convnets.analysis.summary import Summary, group

PLACES = ("receptive_field", "stride", "offset")
COUNTS = ("parameters", "statistics", "multiply_adds", "activation_bytes")


def as_dict(
    summary: Summary, *, network: str, image_shape: Sequence[int], batch: int, dtype: str, depth: int = 0
) -> dict[str, Any]:
    """All that is known of a network, for `json.dumps`.

    Args:
      network: its name.
      image_shape: `(H, W, C)` of one image.
      batch: images that multiply-adds and activations are of.
      dtype: of the computation.
      depth: merges layers as `group` does; 0 gives each.

    Returns:
      the arguments, `layers` (the fields of `LayerRow`), `totals` and `shares`.
    """
    return {
        "network": network,
        "image_shape": list(image_shape),
        "batch": batch,
        "dtype": dtype,
        "layers": [asdict(row) for row in _rows(summary, depth)],
        "totals": asdict(total(summary)) | {"training_only": asdict(total(summary, training_only=True))},
        "shares": asdict(shares(summary)),
    }


def as_csv(summary: Summary, depth: int = 0) -> str:
    """A line for each layer under a line of names.

    Shapes are written as `1x224x224x64`; receptive fields, strides and offsets have a column for each direction, which
    is empty if they are unknown.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    directions = [f"{place}_{direction}" for place in PLACES for direction in ("vertical", "horizontal")]
    writer.writerow(["path", "kind", "output_shape", *COUNTS, *directions, "training_only"])
    for row in _rows(summary, depth):
        places = [number for place in PLACES for number in getattr(row, place) or ("", "")]
        counts = [getattr(row, count) for count in COUNTS]
        shape = "x".join(map(str, row.output_shape))
        writer.writerow([row.path, row.kind, shape, *counts, *places, str(row.training_only).lower()])
    return text.getvalue()


def _rows(summary: Summary, depth: int) -> list[LayerRow]:
    return group(summary, depth) if depth else list(summary)
