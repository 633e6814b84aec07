"""What a repository of the hub says of the pixels that its network expects."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from convnets.data.normalization import Normalization

WHITE = 255


def normalization_of(file: Callable[[str], Path | None]) -> Normalization | None:
    """The normalization by `config.json`, as timm writes it, or by `preprocessor_config.json` of transformers.

    Args:
      file: the path of a file of the repository; None if it has none of that name.

    Returns:
      None if neither says one that can be understood.
    """
    timm = _read(file("config.json")).get("pretrained_cfg")
    if isinstance(timm, Mapping) and (found := Normalization.parse(timm.get("mean"), timm.get("std"), 1)):
        return found
    preprocessor = _read(file("preprocessor_config.json"))
    if preprocessor.get("do_normalize") is False:
        return None
    # There the pixels are multiplied by a factor before the mean is taken off.
    factor = preprocessor.get("rescale_factor", 1 / WHITE) if preprocessor.get("do_rescale", True) else 1
    return Normalization.parse(preprocessor.get("image_mean"), preprocessor.get("image_std"), factor, WHITE)


def _read(path: Path | None) -> Mapping[str, Any]:
    """The object of a JSON file; an empty one if there is none."""
    try:
        found = json.loads(path.read_bytes()) if path else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
