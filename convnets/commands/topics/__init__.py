"""What `launch.py explain` can explain, one file a topic."""

from convnets.commands.topics import bottleneck, sliding_window, small_filters  # noqa: F401  (register their topics)
from convnets.commands.topics.registry import Explanation, topics

__all__ = ["Explanation", "topics"]
