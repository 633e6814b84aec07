"""The arrays of a weight file as variables of a network, and back: their axes change places, and nothing is rounded."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convnets import models
from convnets.data.normalization import Normalization
from convnets.errors import InvalidValue
from convnets.pretrained.files import Weights
from convnets.pretrained.naming import Naming
from convnets.pretrained.naming_tables import NAMINGS, namings_of
from convnets.pretrained.patterns import Path, flat, is_head, is_stem_kernel, matches, nested

OWN_NAMES = ("params/", "batch_stats/")
"""What the names of arrays begin with in files that were written with our own names."""

ENOUGH = 0.5
"""The share of a network's arrays that weights must have, by name and size, to be taken for its."""


@dataclass(frozen=True)
class Imported:
    """Weights of a file, as variables.

    Attributes:
      variables: `params` and `batch_stats`, as far as the file has them.
      left_over: names in the file that stand for nothing in this network, with their shapes.
      optional: patterns of layers that the file may lack, or have in vain.
      normalization: of RGB images that the weights expect; None if it is not known.
      options: of the architecture, that they expect.
      whose: the naming, in words.
      classes: names of those that the head tells apart; empty if they are not known.
    """

    variables: dict[str, Any]
    left_over: dict[str, tuple[int, ...]]
    optional: tuple[str, ...] = ()
    normalization: Normalization | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    whose: str = "convnets"
    classes: tuple[str, ...] = ()


def convert(weights: Weights, architecture: str) -> Imported:
    """The weights as variables of a network of that name, at its native size and for as many classes as they know.

    Raises:
      InvalidValue: weights of another network, or in names that are not known for this one.
    """
    if all(name.startswith(OWN_NAMES) for name in weights.arrays):
        variables = nested({tuple(name.split("/")): array for name, array in weights.arrays.items()})
        return Imported(
            {"params": {}, "batch_stats": {}} | variables,
            {},
            normalization=weights.normalization,
            classes=weights.classes,
        )
    naming = _naming(weights, architecture)
    arrays = {naming.renamed(name): array for name, array in weights.arrays.items()}
    found: dict[Path, Any] = {}
    for path, leaf in _shapes(naming.architecture).items():
        if (name := naming.there(path[1:])) in arrays:
            found[path] = _as_ours(arrays.pop(name), path, leaf.shape, naming)
    for here, there in naming.biases.items():
        path = ("batch_stats", *here.split("/"))
        if there in arrays and path in found:
            found[path] = found[path] - arrays.pop(there)
    left_over = {name: array.shape for name, array in arrays.items() if not naming.passes_over(name)}
    return Imported(
        {"params": {}, "batch_stats": {}} | nested(found),
        left_over,
        naming.optional,
        weights.normalization or naming.normalization,
        naming.options,
        str(naming),
        weights.classes,
    )


def recognised(weights: Weights) -> str:
    """The name in `create` of the network that the weights are of, told by the names and sizes of all their arrays.

    Raises:
      InvalidValue: they are of none that is known, or in names of our own, which many networks share.
    """
    found = {naming.architecture for naming in NAMINGS if _fit(weights, naming) == 1}
    if len(found) == 1:
        return found.pop()
    known = ", ".join(sorted({naming.architecture for naming in NAMINGS}))
    raise InvalidValue(
        f"{weights.origin} does not say which network its weights are of: name the architecture (told by their names "
        f"are {known})"
    )


def to_names(variables: Mapping[str, Any], naming: Naming) -> dict[str, np.ndarray]:
    """The arrays of a network in a library's names and layouts.

    Raises:
      InvalidValue: a layer that the library's network does not have.
    """
    arrays: dict[str, np.ndarray] = {}
    for path, array in flat(variables).items():
        name = naming.there(path[1:])
        if name is None:
            raise InvalidValue(f"{naming} has no {'/'.join(path[1:])}: export with our own names (npz)")
        arrays[name] = _as_theirs(np.asarray(array), path, naming)
    return arrays


def to_own_names(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a network by their paths, such as `params/conv1/convolution/kernel`."""
    return {"/".join(path): np.asarray(array) for path, array in flat(variables).items()}


def naming_for(architecture: str, library: str) -> Naming | None:
    """What a library calls the arrays of a network, if it has that network."""
    return next((naming for naming in namings_of(architecture) if naming.library == library), None)


def _naming(weights: Weights, architecture: str) -> Naming:
    """The naming by which the weights fit the network best.

    Raises:
      InvalidValue: none fits; a network that they fit is suggested.
    """
    best = max(namings_of(architecture), key=lambda naming: _fit(weights, naming), default=None)
    fit = _fit(weights, best) if best else 0.0
    if best and fit == 1:
        return best
    closest = max(NAMINGS, key=lambda naming: _fit(weights, naming))
    if _fit(weights, closest) > max(fit, ENOUGH):
        needs = "".join(f" with {option}={value!r}" for option, value in closest.options.items())
        raise InvalidValue(
            f"{weights.origin} does not hold weights of {architecture}: they are most like {closest}, so name the "
            f"network {closest.architecture!r}{needs}, or begin with some of its layers (architecture, layers)"
        )
    if best and fit >= ENOUGH:
        return best
    known = ", ".join(sorted({naming.architecture for naming in NAMINGS}))
    raise InvalidValue(
        f"{weights.origin} holds arrays such as {', '.join(sorted(weights.arrays)[:3])}, which are no names known of "
        f"{architecture}: names are known of {known}, and of all networks those that `launch.py export` writes"
    )


def _fit(weights: Weights, naming: Naming) -> float:
    """The share of all arrays, on either side but for the head and what is optional, that agree in name and size."""
    sizes = {naming.renamed(name): array.size for name, array in weights.arrays.items()}
    wanted: dict[str, int] = {}
    heads: set[str] = set()
    for path, leaf in _shapes(naming.architecture).items():
        name = str(naming.there(path[1:]))
        if is_head(path) or matches(path[1:], *naming.optional):
            heads.add(name)
        else:
            wanted[name] = math.prod(leaf.shape)
    there = {name for name in sizes if name not in heads and not naming.passes_over(name)}
    there -= set(naming.biases.values())
    agreeing = sum(sizes.get(name) == size for name, size in wanted.items())
    return agreeing / len(there | wanted.keys())


@lru_cache
def _shapes(architecture: str) -> dict[Path, Any]:
    """Of the arrays of a network of 1,000 classes."""
    network = models.create(architecture, 1000)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    return flat(jax.eval_shape(network.init, jax.random.key(0), images))


def _as_ours(array: np.ndarray, path: Path, shape: tuple[int, ...], naming: Naming) -> np.ndarray:
    """A kernel as `[height, width, channels, filters]`; other arrays, and kernels of another form, as they are."""
    if path[-1] != "kernel" or array.ndim not in (2, 4):
        return array
    if array.ndim == 2:
        channels, filters = shape[2], array.shape[1 if naming.neurons_last else 0]
        side = math.isqrt(array.size // (filters * channels))
        if side * side * channels * filters != array.size:
            return array
        if naming.neurons_last:
            return array.reshape(side, side, channels, filters)
        array = array.reshape(filters, channels, side, side)
    array = array.transpose(2, 3, 1, 0)
    if naming.bgr and is_stem_kernel(path[1:]):
        array = array[:, :, ::-1]
    return np.ascontiguousarray(array)


def _as_theirs(array: np.ndarray, path: Path, naming: Naming) -> np.ndarray:
    """The reverse of `_as_ours`."""
    if path[-1] != "kernel":
        return array
    if naming.bgr and is_stem_kernel(path[1:]):
        array = array[:, :, ::-1]
    matrix = matches(path[1:], *naming.matrices)
    if matrix and naming.neurons_last:
        return np.ascontiguousarray(array.reshape(-1, array.shape[-1]))
    array = array.transpose(3, 2, 0, 1)
    return np.ascontiguousarray(array.reshape(len(array), -1) if matrix else array)
