"""An encoder and a decoder that mirrors it with transposed convolutions (lecture: the last picture of "Semantic
Segmentation"; Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015).

With skips, each map of the encoder is put beside the decoder's of its size (Ronneberger et al., "U-Net", 2015).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from convnets.layers import Convolution, ConvolutionNormReLU
from convnets.layers.initializers import small_normal
from convnets.models.upsampling import (
    LOGITS,
    Grid,
    Size,
    Step,
    Upsampling,
    between,
    covered,
    first_at,
    size_of,
    to_pixels,
)


class EncoderDecoder(nn.Module):
    """A backbone and its mirror image; the backbone's parameters keep the names that they have in a classifier.

    Attributes:
      backbone: with `output="features"`, the encoder.
      num_classes: scores of a pixel.
      grids: of the backbone's feature maps and logits (`analysis.receptive_field.feature_grids`).
      skips: whether the decoder sees the encoder's maps (U-Net).
      norm: batch norm after every convolution of the decoder, or None.
    """

    backbone: Any
    num_classes: int
    grids: Mapping[str, Grid]
    skips: bool = True
    norm: Any = None

    def setup(self) -> None:
        nn.share_scope(self, self.backbone)

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        """`[N, H, W, C]` -> scores float32 `[N, H, W, num_classes]`, and the encoder's feature maps.

        Raises:
          InvalidValue: images smaller than the stride of the backbone's last map.
        """
        size = size_of(x)
        x, above, left = covered(self.backbone, x, self.grids[LOGITS].stride)
        last, maps = self.backbone(x, train)
        mirrored = {name: maps[name] for name in mirrored_maps(maps, self.grids)}
        decoder = Decoder(self.num_classes, self.grids, self.skips, self.norm, self.backbone.dtype, name="head")
        return decoder(last, mirrored, (above, left), size, train), maps


class Decoder(nn.Module):
    """For each map of the encoder, backwards, a transposed convolution to its size and filters and a 3x3 one."""

    num_classes: int
    grids: Mapping[str, Grid]
    skips: bool
    norm: Any
    dtype: Any

    @nn.compact
    def __call__(
        self, x: Array, mirrored: Mapping[str, Array], padded: tuple[int, int], size: Size, train: bool
    ) -> Array:
        """The encoder's last map `[N, h, w, C]` and its finer ones to scores float32 `[N, *size, num_classes]`.

        Args:
          mirrored: the finer maps by name, from coarse to fine.
          padded: pixels above and at the left of the image that are not wanted.
        """
        unit = partial(ConvolutionNormReLU, size=3, padding=1, norm=self.norm, dtype=self.dtype)
        grid = self.grids[LOGITS]
        for name, encoded in mirrored.items():
            step = between(grid, self.grids[name])
            x = self._upsampled(x, encoded.shape[-1], step, size_of(encoded), name, train)
            x = jnp.concatenate([x, encoded], axis=-1) if self.skips else x
            x = unit(encoded.shape[-1], name=f"convolution_{name}")(x, train)
            grid = self.grids[name]
        if grid.stride > 1:
            x = self._upsampled(x, x.shape[-1], to_pixels(grid, *padded), size, "pixels", train)
        else:
            above, left = padded
            x = x[:, above : above + size[0], left : left + size[1]]
        scores = Convolution(self.num_classes, 1, kernel_init=small_normal, dtype=self.dtype, name="score")(x)
        return scores.astype(jnp.float32)

    def _upsampled(self, x: Array, features: int, step: Step, size: Size, name: str, train: bool) -> Array:
        x = Upsampling(features, interpolates=False, dtype=self.dtype, name=f"to_{name}")(x, step, size)
        if self.norm is not None:
            return self.norm(dtype=self.dtype, name=f"norm_{name}")(x, train, relu=True)
        return nn.relu(x)


def mirrored_maps(maps: Mapping[str, Any], grids: Mapping[str, Grid]) -> list[str]:
    """The encoder's maps that the decoder mirrors, from coarse to fine: the last at each resolution."""
    stride, names = grids[LOGITS].stride // 2, []
    while stride:
        name = first_at(stride, reversed(list(maps)), grids)
        if name is not None:
            names.append(name)
        stride //= 2
    return names
