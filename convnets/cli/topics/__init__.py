"""What `launch.py explain` can explain, one file a topic."""

from convnets.cli.topics import (  # noqa: F401  (register their topics)
    bottleneck,
    scaling,
    sliding_window,
    small_filters,
    transposed_convolution,
)
from convnets.cli.topics.registry import Explanation, topics

__all__ = ["Explanation", "topics"]
