"""Layers and arrays by their names: paths, patterns ("stage3*", "*/norm"), and the two ends of a network."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

from convnets.errors import InvalidValue, nearest

Path = tuple[str, ...]
"""Where an array lies: the names of its layers, and its own, as `("stage1_conv1", "convolution", "kernel")`."""

STEMS = ("conv1", "stage1_conv1")
"""Names of the layer that sees the images."""

HEAD = "head"
"""Name of what a task puts on a network besides its logits."""


def flat(tree: Mapping[str, Any]) -> dict[Path, Any]:
    """Every array of a tree such as `params`, by its path and in the order of the paths."""
    return dict(sorted(flatten_dict(dict(tree)).items()))


def nested(arrays: Mapping[Path, Any]) -> dict[str, Any]:
    """The tree of what `flat` gave."""
    return dict(unflatten_dict(dict(arrays)))


def matches(path: Path, *patterns: str) -> bool:
    """Whether a path, or that of something it lies below, is such as one of the patterns says.

    In a pattern `*` stands for any text and `?` for any letter; the parts of a path are joined by `/`.
    """
    names = ["/".join(path[:length]) for length in range(1, len(path) + 1)]
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def matching(paths: Iterable[Path], patterns: Sequence[str], what: str) -> set[Path]:
    """The paths that at least one of the patterns matches.

    Args:
      what: the name of what holds the patterns, for the error.

    Raises:
      InvalidValue: a pattern that matches none.
    """
    paths, found = list(paths), set[Path]()
    for pattern in patterns:
        these = {path for path in paths if matches(path, pattern)}
        if not these:
            layers = {"/".join(path[:length]) for path in paths for length in range(1, len(path))}
            hint = nearest(pattern, layers)
            if not hint.startswith("did you mean"):
                hint = nearest(pattern, {path[0] for path in paths})
            raise InvalidValue(f"{what} has {pattern!r}, and there is no such layer: {hint}")
        found |= these
    return found


def is_head(path: Path) -> bool:
    """Whether an array belongs to a layer whose outputs are the classes, or to what a task puts on the network."""
    return "logits" in path or HEAD in path


def is_stem(path: Path) -> bool:
    """Whether an array belongs to the layer that sees the images, its batch norm included."""
    return path[0] in STEMS


def is_stem_kernel(path: Path) -> bool:
    """Whether an array holds the filters that see the images."""
    return is_stem(path) and path[-1] == "kernel"
