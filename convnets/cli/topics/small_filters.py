"""`launch.py explain small-filters`."""

from convnets.analysis.small_filters import SMALL_FILTERS
from convnets.cli.topics.comparison import explain_comparisons
from convnets.cli.topics.registry import Explanation, topics


def small_filters(*, depth: int = 64, size: int = 56, batch: int = 8, seconds: int = 10, out: str = "") -> Explanation:
    """One 7×7 layer against three of 3×3, and one 5×5 against two: what they see and what they cost."""
    return explain_comparisons(SMALL_FILTERS, depth=depth, size=size, batch=batch, seconds=seconds, out=out)


topics.variant("small-filters", small_filters)
