"""Up-sampling from a coarse map to a finer one, or to the pixels, that keeps every response at its place in the image.

A network's maps don't cover the image evenly: in ResNets the first responses of all maps look at the first pixel, in
VGG each looks at the middle of the pixels that it stands for. So a `Grid` says where the responses of a map lie in the
image, and a `Step` where those of a coarse map lie among those of a fine one. Beyond its edges a map is continued by
its outermost responses.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from convnets.errors import InvalidValue
from convnets.layers.initializers import bilinear, transposed_he_normal
from convnets.layers.transposed_convolution import transposed_convolution

LOGITS = "logits"
"""What the network's first output is called beside its feature maps."""

Size = tuple[int, int]
"""Height and width of a map."""


def size_of(x: Array) -> Size:
    """Of maps `[N, H, W, C]`."""
    height, width = x.shape[1:3]
    return height, width


@dataclass(frozen=True)
class Grid:
    """The places of a map's responses along both axes of the image: the middles of their receptive fields.

    Attributes:
      stride: pixels from one to the next.
      first: of response 0, where 0 is the middle of the first pixel; a whole number, or one and a half.
    """

    stride: int
    first: float

    def moved(self, pixels: int) -> "Grid":
        """The same map in an image to which so many pixels were added above and at the left, counted in the old one."""
        return Grid(self.stride, self.first - pixels)


IMAGE = Grid(1, 0.0)


def first_at(stride: int, names: Iterable[str], grids: Mapping[str, Grid]) -> str | None:
    """The first of the maps with a response every `stride` pixels: of VGG that of the pool (Long et al. 2015)."""
    # Auxiliary classifiers give maps in training alone.
    shared = (name for name in names if name != LOGITS and not name.startswith("auxiliary"))
    return next((name for name in shared if grids[name].stride == stride), None)


def covered(backbone: nn.Module, images: Array, stride: int) -> tuple[Array, int, int]:
    """The images with zeros around them, so that the backbone's last map has a response for every begun `stride`.

    Returns:
      `[N, H', W', C]`, and the pixels added above and at the left.

    Raises:
      InvalidValue: images smaller than the stride.
    """
    height, width = images.shape[1:3]
    if min(height, width) < stride:
        raise InvalidValue(
            f"the images have {height} x {width} pixels, and the network's last map has a response every {stride}: use "
            f"images of at least {stride} x {stride}"
        )
    (above, below), (left, right) = (_around(backbone, side, stride) for side in (height, width))
    return jnp.pad(images, ((0, 0), (above, below), (left, right), (0, 0))), above, left


def _around(backbone: nn.Module, side: int, stride: int) -> tuple[int, int]:
    positions, larger = -(-side // stride), side
    while backbone.last_map(larger) < positions:
        larger += 1
    return (larger - side) // 2, (larger - side + 1) // 2


class Step(NamedTuple):
    """From a coarse map to a fine one.

    Attributes:
      factor: fine responses from one coarse response to the next.
      offsets: where the first coarse response lies among the fine ones, down and across: a whole number, or one and a
        half.
    """

    factor: int
    offsets: tuple[float, float]


def between(coarse: Grid, fine: Grid) -> Step:
    """The step from map to map.

    Raises:
      ValueError: maps whose strides or places don't fit one another.
    """
    factor, rest = divmod(coarse.stride, fine.stride)
    offset = (coarse.first - fine.first) / fine.stride
    if rest or 2 * offset != int(2 * offset):
        raise ValueError(f"a map of {coarse} can't be brought to {fine} by a transposed convolution")
    return Step(factor, (offset, offset))


def to_pixels(coarse: Grid, above: int, left: int) -> Step:
    """The step from a map of a padded image to the pixels of the image itself."""
    return Step(coarse.stride, (coarse.first - above, coarse.first - left))


class Placement(NamedTuple):
    """The transposed convolution along one axis that takes a step; its stride is the step's factor.

    Attributes:
      taps: the filter's length: even where a fine response lies in the middle between two coarse ones, else odd.
      added: coarse responses to be repeated (or, negative, cut) at both ends.
      cut: the padding at both ends.
    """

    taps: int
    added: tuple[int, int]
    cut: tuple[int, int]


def place(factor: int, offset: float, length: int, wanted: int) -> Placement:
    """How `length` coarse responses reach `wanted` fine ones.

    >>> place(factor=2, offset=0.5, length=4, wanted=8)
    Placement(taps=4, added=(1, 1), cut=(3, 3))
    """
    taps = 2 * factor - 1 if offset == int(offset) else 2 * factor
    before = max(math.ceil(offset / factor), 1 - length)
    after = max(math.ceil((wanted - 1 - offset) / factor) + 1, 1) - length
    start = int(factor * before - offset + (taps - 1) / 2)
    whole = (length + before + after - 1) * factor + taps
    return Placement(taps, (before, after), (start, whole - start - wanted))


class Upsampling(nn.Module):
    """A learned transposed convolution from map to map; parameters `kernel [taps, taps, features, C]` and `bias`.

    Attributes:
      features: number of channels of the result.
      interpolates: whether it begins as bilinear interpolation (Long et al. 2015), which needs as many features as
        channels and has no bias; else it begins at random, and has one.
      dtype: type of the computation; parameters are float32.
    """

    features: int
    interpolates: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, step: Step, size: Size) -> Array:
        """`[N, h, w, C] -> [N, *size, features]`."""
        rows, columns = (
            place(step.factor, offset, length, wanted)
            for offset, length, wanted in zip(step.offsets, x.shape[1:3], size, strict=True)
        )
        initialize = bilinear if self.interpolates else transposed_he_normal(step.factor)
        kernel = self.param("kernel", initialize, (rows.taps, columns.taps, self.features, x.shape[-1]), jnp.float32)
        x = _with_edges(jnp.asarray(x, self.dtype), rows.added, columns.added)
        y = transposed_convolution(x, kernel, stride=step.factor, padding=(rows.cut, columns.cut))
        if self.interpolates:
            return y
        return y + self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32).astype(self.dtype)


def _with_edges(x: Array, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
    """The map with its outermost responses repeated, or cut where a number is negative."""
    kept = (
        slice(max(-before, 0), length - max(-after, 0))
        for length, (before, after) in zip(x.shape[1:3], (rows, columns), strict=True)
    )
    x = x[:, *kept]
    around = [(max(before, 0), max(after, 0)) for before, after in (rows, columns)]
    return jnp.pad(x, [(0, 0), *around, (0, 0)], mode="edge")


def interpolate(x: Array, step: Step, size: Size) -> Array:
    """Bilinear interpolation, `[N, h, w, C] -> [N, *size, C]`: what `Upsampling` begins as."""
    down, across = (
        jnp.asarray(_interpolation_matrix(step.factor, offset, length, wanted), x.dtype)
        for offset, length, wanted in zip(step.offsets, x.shape[1:3], size, strict=True)
    )
    return jnp.einsum("nhwc,Hh,Ww->nHWc", x, down, across, precision="highest")


def _interpolation_matrix(factor: int, offset: float, length: int, wanted: int) -> np.ndarray:
    """`[wanted, length]`: what each coarse response counts for each fine one."""
    places = ((np.arange(wanted) - offset) / factor).clip(0, length - 1)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(length)), 0)
