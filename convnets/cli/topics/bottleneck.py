"""`launch.py explain bottleneck`."""

from convnets.analysis.small_filters import BOTTLENECK
from convnets.cli.topics.comparison import explain_comparisons
from convnets.cli.topics.registry import Explanation, topics


@topics.register
def bottleneck(*, depth: int = 256, size: int = 28, batch: int = 4, seconds: int = 10, out: str = "") -> Explanation:
    """Two layers of 3×3 against 1×1, 3×3, 1×1 at half the depth (lecture) and at a quarter (ResNet)."""
    return explain_comparisons(BOTTLENECK, depth=depth, size=size, batch=batch, seconds=seconds, out=out)
