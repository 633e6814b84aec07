"""What `launch.py export` says of a network, in a weight file or beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convnets.data.normalization import Normalization


@dataclass(frozen=True)
class Description:
    """What is known of the network that weights are of; nothing, if they were not exported from here.

    Attributes:
      normalization: mean and deviation of the channels that it was trained with, on the scale where white is 1.
      classes: names of the classes that it tells apart, in the order of their labels.
    """

    normalization: Normalization | None = None
    classes: tuple[str, ...] = ()


def described(said: Any) -> Description:
    """What a JSON object says; nonsense in it counts as nothing, as files of others may have the same words."""
    facts = said if isinstance(said, Mapping) else {}
    pair, names = facts.get("normalization"), facts.get("classes")
    return Description(
        Normalization.parse(pair.get("mean"), pair.get("deviation")) if isinstance(pair, Mapping) else None,
        tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else (),
    )
