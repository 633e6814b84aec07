"""Fully convolutional networks (Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation",
CVPR 2015): FCN-32s, 16s and 8s on any backbone.

The classifier answers at every position of its last map (lecture: "Replace fully connected layer with convolutional
layer"); a transposed convolution brings its scores to the pixels. Scores of finer maps, which begin at zero, are added
on the way: with stride 16 those of the first map that has a response every 16 pixels, with stride 8 of one more.
"""

from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
from jax import Array

from convnets.errors import InvalidValue
from convnets.layers import Convolution
from convnets.layers.initializers import zeros
from convnets.models.upsampling import (
    LOGITS,
    Grid,
    Size,
    Step,
    Upsampling,
    between,
    covered,
    first_at,
    interpolate,
    size_of,
    to_pixels,
)

HowUpsampled = Literal["learned", "fixed", "resize"]
"""By transposed convolutions that begin as bilinear interpolation, by some that stay so, or by resizing each map to the
size of the next as if both covered the image evenly."""


class FCN(nn.Module):
    """A backbone with scores for every pixel; the backbone's parameters keep the names that they have in a classifier.

    Attributes:
      backbone: with `output="map"`: its logits are the scores of the last map.
      num_classes: scores of a pixel.
      grids: of the backbone's feature maps and logits (`analysis.receptive_field.feature_grids`).
      stride: of the finest map that is scored: 32, 16 or 8 for the paper's networks.
      upsampling: how scores get from map to map and to the pixels.
    """

    backbone: Any
    num_classes: int
    grids: Mapping[str, Grid]
    stride: int = 8
    upsampling: HowUpsampled = "learned"

    def setup(self) -> None:
        nn.share_scope(self, self.backbone)

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        """`[N, H, W, C]` -> scores float32 `[N, H, W, num_classes]`, and the backbone's feature maps.

        In training the scores of auxiliary classifiers are among the maps, `[N, H, W, num_classes]` as well.

        Raises:
          InvalidValue: images smaller than the stride of the backbone's last map.
        """
        size = size_of(x)
        x, above, left = covered(self.backbone, x, self.grids[LOGITS].stride)
        scores, maps = self.backbone(x, train)
        skips = {name: maps[name] for name in skips_of(maps, self.grids, self.stride)}
        head = FCNHead(self.num_classes, self.grids, self.upsampling, name="head")
        auxiliary = {
            name: interpolate(scores, to_pixels(self.grids[name], above, left), size)
            for name, scores in maps.items()
            if name.startswith("auxiliary")
        }
        return head(scores, skips, (above, left), size), maps | auxiliary


class FCNHead(nn.Module):
    """Scores of finer maps, `score_NAME`, and the up-sampling to each of them, `to_NAME`, and `to_pixels`."""

    num_classes: int
    grids: Mapping[str, Grid]
    upsampling: HowUpsampled

    @nn.compact
    def __call__(self, scores: Array, skips: Mapping[str, Array], padded: tuple[int, int], size: Size) -> Array:
        """The scores of the last map `[N, h, w, num_classes]` and finer maps to scores `[N, *size, num_classes]`.

        Args:
          skips: the finer maps by name, from coarse to fine.
          padded: pixels above and at the left of the image that are not wanted.
        """
        grid = self.grids[LOGITS]
        for name, x in skips.items():
            scores = self._upsampled(scores, between(grid, self.grids[name]), size_of(x), f"to_{name}")
            scores += Convolution(self.num_classes, 1, kernel_init=zeros, name=f"score_{name}")(x)
            grid = self.grids[name]
        return self._upsampled(scores, to_pixels(grid, *padded), size, "to_pixels")

    def _upsampled(self, scores: Array, step: Step, size: Size, name: str) -> Array:
        if self.upsampling == "learned":
            return Upsampling(self.num_classes, name=name)(scores, step, size)
        if self.upsampling == "fixed":
            return interpolate(scores, step, size)
        return jax.image.resize(scores, (scores.shape[0], *size, self.num_classes), "linear")


def skips_of(maps: Mapping[str, Any], grids: Mapping[str, Grid], stride: int) -> list[str]:
    """The feature maps whose scores are added for a network of that stride, from coarse to fine."""
    finer, names = grids[LOGITS].stride // 2, []
    while finer >= stride:
        name = first_at(finer, maps, grids)
        if name is not None:
            names.append(name)
        finer //= 2
    return names


def check_stride(name: str, stride: int, grids: Mapping[str, Grid]) -> None:
    """Refuses a stride that no map of the network has.

    Raises:
      InvalidValue: with those that some have.
    """
    last = grids[LOGITS].stride
    allowed = sorted({grid.stride for map_name, grid in grids.items() if map_name != LOGITS} | {last}, reverse=True)
    allowed = [each for each in allowed if each <= last]
    if stride not in allowed:
        raise InvalidValue(
            f"task.stride is {stride}, and the maps of {name} have {', '.join(map(str, allowed))}: choose one of them"
        )
