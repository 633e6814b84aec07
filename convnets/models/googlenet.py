"""GoogLeNet (Szegedy et al., "Going Deeper with Convolutions", CVPR 2015).

`googlenet` is the lecture's table with the paper's local response norms and its two auxiliary classifiers.
`googlenet_bn` is the variant that torchvision's weights fit: batch norm after every convolution, no local response
norm, 3x3 filters where the paper has 5x5, a 2x2 fourth pool, other pools in the auxiliary classifiers, less dropout
at the end.
"""

from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue
from convnets.layers import (
    BatchNorm,
    ConvolutionNormReLU,
    FullyConnected,
    LocalResponseNorm,
    adaptive_average_pool,
    average_pool,
    max_pool,
)
from convnets.layers.fully_connected import classify
from convnets.layers.geometry import positions
from convnets.layers.rematerialization import chain
from convnets.models.registry import architectures
from convnets.models.sizes import Output, checked_window, native_size, widened

INCEPTIONS = {
    # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""The filters of each module (the lecture's table; table 1 of the paper)."""

PUBLISHED_NORM = partial(BatchNorm, epsilon=1e-3)
"""The batch norm that torchvision's weights were trained with."""

AUXILIARY_DROPOUT = 0.7
"""Of the auxiliary classifiers (section 5)."""

HALF = (0, 1)
"""Padding below and right, with which 3x3 pools at stride 2 halve a map (Caffe and PyTorch: "ceil mode")."""


class Inception(nn.Module):
    """Four ways from one map to the next, side by side: 1x1; 1x1, 3x3; 1x1, 5x5; pool, 1x1 (lecture; figure 2b).

    Attributes:
      filters: six numbers, in the order of `INCEPTIONS`.
      large: the size of the largest filters, 5 in the paper.
    """

    filters: tuple[int, ...]
    large: int = 5
    norm: Any = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[N, H, W, C] -> [N, H, W, sum of the four ways' filters]`."""
        unit = partial(ConvolutionNormReLU, norm=self.norm, dtype=self.dtype)
        one, reduce_3, three, reduce_5, five, projection = self.filters
        ways = [
            unit(one, 1, name="1x1")(x, train),
            unit(three, 3, padding=1, name="3x3")(unit(reduce_3, 1, name="3x3_reduce")(x, train), train),
            unit(five, self.large, padding=self.large // 2, name="5x5")(
                unit(reduce_5, 1, name="5x5_reduce")(x, train), train
            ),
            unit(projection, 1, name="pool_projection")(max_pool(x, 3, 1, 1), train),
        ]
        return jnp.concatenate(ways, axis=-1)


class AuxiliaryClassifier(nn.Module):
    """A small classifier on a map in the middle, which helps the gradient in training (section 5).

    Attributes:
      window: side of the map that its first fully connected layer sees, in pixels.
      adaptive: whether the pool covers any map by `window` x `window` regions (torchvision) instead of 5x5/3 (paper).
      dropout: rate between its fully connected layers.
      width: factor of the filters of its first two layers, as `widened` rounds them.
      dense: whether it answers at every position of the map, with zeros around it, and its pool is 5x5/1.
    """

    num_classes: int
    window: int
    adaptive: bool
    dropout: float
    width: float = 1.0
    norm: Any = None
    dtype: Any = jnp.float32
    dense: bool = False

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[N, H, W, C]` -> float32 logits, `[N, num_classes]` at the native size, else a map."""
        if self.dense:
            x = average_pool(x, 5, 1, 2)
        else:
            x = adaptive_average_pool(x, self.window) if self.adaptive else average_pool(x, 5, 3)
        filters, neurons = widened(128, self.width), widened(1024, self.width)
        x = ConvolutionNormReLU(filters, 1, norm=self.norm, dtype=self.dtype, name="convolution")(x, train)
        fully_connected = FullyConnected(neurons, (self.window, self.window), self.dense, dtype=self.dtype, name="fc")
        x = fully_connected(x, relu=True)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return classify(x, self.num_classes, dtype=self.dtype, squeeze=not self.dense)


class GoogLeNet(nn.Module):
    """GoogLeNet; 6,998,552 parameters for 1,000 classes without the auxiliary classifiers, 13,378,280 with them.

    Attributes:
      num_classes: length of the logits.
      image_size: native height and width, in pixels.
      published_weights: whether it is the variant that torchvision's weights fit, instead of the paper's net.
      auxiliary: whether there are auxiliary classifiers.
      norm: batch norm after every convolution, or None.
      dropout: rate before the last layer.
      auxiliary_dropout: rate between the fully connected layers of the auxiliary classifiers.
      stem: "imagenet", 7x7/2 and a pool, or "small", 3x3/1 and no pool, for images such as 32 x 32.
      remat: whether the backward pass computes most activations again instead of keeping them.
      width: factor of the filters of every layer but the last, as `widened` rounds them.
      output: what ends the network (`Output`); auxiliary classifiers end alike.
      dtype: type of the computation; parameters are float32, and so are the logits.
    """

    num_classes: int
    image_size: int
    published_weights: bool = False
    auxiliary: bool = True
    norm: Any = None
    dropout: float = 0.4
    auxiliary_dropout: float = AUXILIARY_DROPOUT
    stem: str = "imagenet"
    remat: bool = False
    width: float = 1.0
    dtype: Any = jnp.float32
    output: Output = "logits"

    def stage_map(self, side: int) -> int:
        """Side of the maps of stage 3, for images of that side."""
        return (positions(side, 7, 2, 3) // 8) if self.stem == "imagenet" else side // 4

    def last_map(self, side: int) -> int:
        """Side of the map that the last pool sees, for images of that side; 0 if one for the classifiers is missing."""
        side = self.stage_map(side)
        if self.auxiliary and not self.published_weights and positions(side, 5, 3) < 1:
            return 0
        return (side + 1) // 2 if self.published_weights else side // 2

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        """`[N, H, W, C] -> ` logits (`[N, num_classes]` at the native size, else a map) and the named feature maps.

        `stem` is the first convolution, `stage1` to `stage4` the last responses at each resolution after it,
        `pre_logits` what the last pool gives. In training `auxiliary1` and `auxiliary2` are logits as well.

        Raises:
          InvalidValue: images too small for the classifier.
        """
        window = checked_window("GoogLeNet", self, x)
        large_images = self.stem == "imagenet"

        def unit(filters: int, size: int, stride: int = 1, padding: int = 0, *, name: str) -> ConvolutionNormReLU:
            filters = widened(filters, self.width)
            return ConvolutionNormReLU(filters, size, stride, padding, norm=self.norm, dtype=self.dtype, name=name)

        def normalize(x: Array, name: str) -> Array:
            return x if self.published_weights else LocalResponseNorm(name=name)(x)

        def inceptions(x: Array, *names: str) -> Array:
            return chain([self._inception(name) for name in names], x, train, self.remat)

        def auxiliary(x: Array, name: str) -> None:
            if self.auxiliary and self.output != "features" and (train or self.is_initializing()):
                seen = 4 if self.published_weights else positions(self.stage_map(self.image_size), 5, 3)
                classifier = AuxiliaryClassifier(
                    self.num_classes,
                    window=seen,
                    adaptive=self.published_weights,
                    dropout=self.auxiliary_dropout,
                    width=self.width,
                    norm=self.norm,
                    dtype=self.dtype,
                    dense=self.output == "map",
                    name=name,
                )
                maps[name] = classifier(x, train)

        maps: dict[str, Array] = {}
        x = maps["stem"] = unit(64, *((7, 2, 3) if large_images else (3, 1, 1)), name="conv1")(x, train)
        x = normalize(max_pool(x, 3, 2, HALF) if large_images else x, "norm1")
        x = unit(64, 1, name="conv2_reduce")(x, train)
        x = maps["stage1"] = normalize(unit(192, 3, 1, 1, name="conv2")(x, train), "norm2")
        x = max_pool(x, 3, 2, HALF)
        x = maps["stage2"] = inceptions(x, "3a", "3b")
        x = max_pool(x, 3, 2, HALF)
        x = inceptions(x, "4a")
        auxiliary(x, "auxiliary1")
        x = inceptions(x, "4b", "4c", "4d")
        auxiliary(x, "auxiliary2")
        x = maps["stage3"] = inceptions(x, "4e")
        x = max_pool(x, 2 if self.published_weights else 3, 2, HALF)
        x = maps["stage4"] = inceptions(x, "5a", "5b")
        if self.output == "features":
            return x, maps
        x = maps["pre_logits"] = average_pool(x, window, 1) if self.output == "logits" else x
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return classify(x, self.num_classes, dtype=self.dtype, squeeze=self.output == "logits"), maps

    def _inception(self, name: str) -> Inception:
        large = 3 if self.published_weights else 5
        filters = tuple(widened(count, self.width) for count in INCEPTIONS[name])
        return Inception(filters, large, self.norm, self.dtype, name=f"inception_{name}")


def _check_auxiliary(auxiliary: bool, auxiliary_dropout: float) -> None:
    if not auxiliary and auxiliary_dropout != AUXILIARY_DROPOUT:
        raise InvalidValue(
            f"auxiliary_dropout is {auxiliary_dropout}, and without auxiliary classifiers it does nothing: leave it at "
            f"{AUXILIARY_DROPOUT}, or set auxiliary to True"
        )


@architectures.register
def googlenet(
    num_classes: int,
    *,
    auxiliary: bool = True,
    dropout: float = 0.4,
    auxiliary_dropout: float = AUXILIARY_DROPOUT,
    stem: Literal["imagenet", "small"] = "imagenet",
    image_size: int = 0,
    remat: bool = False,
    width: float = 1.0,
    dtype: str = "float32",
) -> GoogLeNet:
    """The lecture's and the paper's GoogLeNet."""
    _check_auxiliary(auxiliary, auxiliary_dropout)
    native = native_size(image_size, stem)
    return GoogLeNet(num_classes, native, False, auxiliary, None, dropout, auxiliary_dropout, stem, remat, width, dtype)


@architectures.register
def googlenet_bn(
    num_classes: int,
    *,
    auxiliary: bool = True,
    norm: Any = PUBLISHED_NORM,
    dropout: float = 0.2,
    auxiliary_dropout: float = AUXILIARY_DROPOUT,
    stem: Literal["imagenet", "small"] = "imagenet",
    image_size: int = 0,
    remat: bool = False,
    width: float = 1.0,
    dtype: str = "float32",
) -> GoogLeNet:
    """The GoogLeNet that torchvision's weights fit."""
    _check_auxiliary(auxiliary, auxiliary_dropout)
    native = native_size(image_size, stem)
    return GoogLeNet(num_classes, native, True, auxiliary, norm, dropout, auxiliary_dropout, stem, remat, width, dtype)
