"""The normalization of pixels that weights expect, out of what a file says of it."""

import math
from typing import Any

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of the channels, on the scale where white is 1."""


def as_normalization(mean: Any, deviation: Any, *factors: Any) -> Normalization | None:
    """The numbers divided by the factors; None unless they are finite, equally many, and the deviations positive."""
    try:
        scale = math.prod(float(factor) for factor in factors)
        found = tuple(float(value) / scale for value in mean), tuple(float(value) / scale for value in deviation)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    finite = all(math.isfinite(value) for values in found for value in values)
    return found if finite and len(found[0]) == len(found[1]) > 0 and min(found[1]) > 0 else None
