"""Layers named by patterns: "stage3*", "*/norm", "logits"."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import jax

from convnets.errors import InvalidValue, nearest

Path = tuple[str, ...]
"""Where an array lies: the names of its layers, and its own, as `("stage1_conv1", "convolution", "kernel")`."""


def flat(tree: Mapping[str, Any]) -> dict[Path, Any]:
    """Every array of a tree such as `params`, by its path."""
    return {tuple(key.key for key in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(dict(tree))}


def nested(arrays: Mapping[Path, Any]) -> dict[str, Any]:
    """The tree of what `flat` gave."""
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = array
    return tree


def matches(path: Path, pattern: str) -> bool:
    """Whether a path, or that of something it lies below, is such as the pattern says.

    In a pattern `*` stands for any text and `?` for any letter; the parts of a path are joined by `/`.
    """
    return any(fnmatchcase("/".join(path[:length]), pattern) for length in range(1, len(path) + 1))


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
