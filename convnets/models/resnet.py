"""Residual and plain networks (He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016).

For ImageNet: ResNet-18 and 34 of 3x3 convolutions alone, ResNet-50, 101 and 152 of bottlenecks, plain-18 and
plain-34. For small images (section 4.2, CIFAR-10): ResNet-20, 32, 44, 56, 110, 1202 and plain-20, 32, 44, 56. Batch
norm after every convolution, no dropout.

A bottleneck that halves the map does so in its first 1x1 convolution, as in the paper; in `resnet50_v1_5` (and 101,
152) in its 3x3, as in the nets that torchvision's weights fit.
"""

from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from convnets.errors import InvalidValue
from convnets.layers import BatchNorm, ConvolutionNormReLU, average_pool, max_pool
from convnets.layers.fully_connected import classify
from convnets.layers.geometry import positions
from convnets.layers.initializers import ones, zeros
from convnets.layers.rematerialization import chain
from convnets.models.registry import architectures
from convnets.models.sizes import Output, checked_window, native_size, widened

StemPool = Literal["padded", "ceil"]
"""Of the 3x3/2 pool: padded by one on all sides, or windows from the first pixel on, the last over the edge (Caffe)."""

Shortcut = Literal["A", "B", "C"]
"""A: the identity, zeros for new filters; B: a 1x1 projection where the shape changes; C: a projection everywhere."""


class Block(nn.Module):
    """`relu(F(x) + x)`, or `relu(F(x))` without a shortcut (plain nets).

    F is two 3x3 convolutions, or a bottleneck: 1x1 to a quarter of the filters, 3x3, and 1x1 back (lecture; figure 5).

    Attributes:
      features: filters of the result.
      stride: of the block, 1 or 2.
      bottleneck: which F.
      stride_in: the convolution of a bottleneck that has the stride.
      shortcut: "A", "B", "C", or "none".
      zero_init: whether the scale of the last norm begins at zero, so that the block begins as its shortcut.
    """

    features: int
    stride: int
    bottleneck: bool
    stride_in: str
    shortcut: str
    zero_init: bool
    norm: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[N, H, W, C] -> [N, ceil(H / stride), ceil(W / stride), features]`."""
        unit = partial(ConvolutionNormReLU, norm=self.norm, dtype=self.dtype)
        around = self._around(x, unit, train)
        if self.bottleneck:
            first, second = (self.stride, 1) if self.stride_in == "1x1" else (1, self.stride)
            y = unit(self.features // 4, 1, first, name="conv1")(x, train)
            y = unit(self.features // 4, 3, second, 1, name="conv2")(y, train)
            last = partial(unit, size=1, name="conv3")
        else:
            y = unit(self.features, 3, self.stride, 1, name="conv1")(x, train)
            last = partial(unit, size=3, padding=1, name="conv2")
        return last(self.features, scale_init=zeros if self.zero_init else ones)(y, train, residual=around)

    def _around(self, x: Array, unit: Any, train: bool) -> Array | None:
        """What the shortcut makes of the block's input."""
        changes = self.stride != 1 or x.shape[-1] != self.features
        if self.shortcut == "none":
            return None
        if self.shortcut == "C" or (self.shortcut == "B" and changes):
            return unit(self.features, 1, self.stride, relu=False, name="projection")(x, train)
        if changes:
            x = lax.slice(x, (0, 0, 0, 0), x.shape, (1, self.stride, self.stride, 1))
            x = jnp.pad(x, [(0, 0), (0, 0), (0, 0), (0, self.features - x.shape[-1])])
        return x


class ResNet(nn.Module):
    """A residual or plain network; ResNet-50 has 25,557,032 parameters for 1,000 classes.

    Attributes:
      num_classes: length of the logits.
      image_size: native height and width, in pixels.
      depths: blocks of each stage; the first of each but the first stage halves the map.
      filters: of the stem; the 3x3 convolutions of stage k have 2^(k - 1) times as many.
      bottleneck, stride_in, shortcut, zero_init: of the blocks.
      stem: "imagenet", 7x7/2 and a 3x3/2 pool, or "small", 3x3/1 and no pool, for images such as 32 x 32.
      stem_pool: how that pool meets the edges, "padded" or "ceil".
      remat: whether the backward pass computes most activations again instead of keeping them.
      norm: batch norm after every convolution.
      output: what ends the network (`Output`).
      dtype: type of the computation; parameters are float32, and so are the logits.
    """

    num_classes: int
    image_size: int
    depths: tuple[int, ...]
    filters: int = 64
    bottleneck: bool = False
    stride_in: str = "1x1"
    shortcut: str = "B"
    zero_init: bool = False
    stem: str = "imagenet"
    stem_pool: str = "padded"
    remat: bool = False
    norm: Any = BatchNorm
    dtype: Any = jnp.float32
    output: Output = "logits"

    def last_map(self, side: int) -> int:
        """Side of the map that the last pool sees, for images of that side."""
        if self.stem == "imagenet":
            side = positions(side, 7, 2, 3)
            side = positions(side, 3, 2, 1) if self.stem_pool == "padded" else side // 2
        return -(-side // 2 ** (len(self.depths) - 1))

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        """`[N, H, W, C] -> ` logits (`[N, num_classes]` at the native size, else a map) and the named feature maps.

        `stem` is the first convolution (after norm and ReLU), `stage1` ... the result of each stage, `pre_logits`
        what the last pool gives.

        Raises:
          InvalidValue: images too small for the classifier.
        """
        name = "the residual network" if self.shortcut != "none" else "the plain network"
        window = checked_window(name, self, x)

        maps = {}
        stem = (7, 2, 3) if self.stem == "imagenet" else (3, 1, 1)
        first = ConvolutionNormReLU(self.filters, *stem, norm=self.norm, dtype=self.dtype, name="conv1")
        x = maps["stem"] = first(x, train)
        if self.stem == "imagenet":
            x = max_pool(x, 3, 2, 1 if self.stem_pool == "padded" else (0, 1))
        for stage, depth in enumerate(self.depths, 1):
            blocks = [self._block(stage, number) for number in range(1, depth + 1)]
            x = maps[f"stage{stage}"] = chain(blocks, x, train, self.remat)
        if self.output == "features":
            return x, maps
        x = maps["pre_logits"] = average_pool(x, window, 1) if self.output == "logits" else x
        return classify(x, self.num_classes, dtype=self.dtype, squeeze=self.output == "logits"), maps

    def _block(self, stage: int, number: int) -> Block:
        return Block(
            features=self.filters * 2 ** (stage - 1) * (4 if self.bottleneck else 1),
            stride=2 if stage > 1 and number == 1 else 1,
            bottleneck=self.bottleneck,
            stride_in=self.stride_in,
            shortcut=self.shortcut,
            zero_init=self.zero_init,
            norm=self.norm,
            dtype=self.dtype,
            name=f"stage{stage}_block{number}",
        )


def imagenet_resnet(
    num_classes: int,
    *,
    depths: tuple[int, ...],
    bottleneck: bool = False,
    stride_in: str = "1x1",
    shortcut: Shortcut = "B",
    zero_init: bool = False,
    stem: Literal["imagenet", "small"] = "imagenet",
    stem_pool: StemPool = "padded",
    image_size: int = 0,
    remat: bool = False,
    width: float = 1.0,
    norm: Any = BatchNorm,
    dtype: str = "float32",
) -> ResNet:
    """A network of four stages (table 1 of the paper), with `widened` filters in the stem and all that follows."""
    if stem == "small" and stem_pool != "padded":
        raise InvalidValue(f"stem_pool is {stem_pool!r}, and the small stem has no pool: leave it at 'padded'")
    return ResNet(
        num_classes,
        native_size(image_size, stem),
        depths,
        widened(64, width),
        bottleneck,
        stride_in,
        shortcut,
        zero_init,
        stem,
        stem_pool,
        remat,
        norm,
        dtype,
    )


def cifar_resnet(
    num_classes: int,
    *,
    blocks: int,
    shortcut: Shortcut = "A",
    zero_init: bool = False,
    image_size: int = 0,
    remat: bool = False,
    width: float = 1.0,
    norm: Any = BatchNorm,
    dtype: str = "float32",
) -> ResNet:
    """A network of three stages of 16, 32 and 64 filters (section 4.2 of the paper), `widened`."""
    return ResNet(
        num_classes,
        native_size(image_size, "small"),
        (blocks,) * 3,
        widened(16, width),
        shortcut=shortcut,
        zero_init=zero_init,
        stem="small",
        remat=remat,
        norm=norm,
        dtype=dtype,
    )


BASIC = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
BOTTLENECK = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
CIFAR = (20, 32, 44, 56, 110, 1202)
"""Layers; three stages of n blocks of two, the first convolution and the last layer make 6n + 2."""
CIFAR_PLAIN = (20, 32, 44, 56)

PLAIN = {"shortcut": "none", "zero_init": False}
for _depth, _depths in BASIC.items():
    _basic = {"depths": _depths, "bottleneck": False, "stride_in": ""}
    architectures.variant(f"resnet{_depth}", imagenet_resnet, **_basic)
    architectures.variant(f"plain{_depth}", imagenet_resnet, **_basic, **PLAIN)
for _depth, _depths in BOTTLENECK.items():
    _deep = {"depths": _depths, "bottleneck": True}
    architectures.variant(f"resnet{_depth}", imagenet_resnet, **_deep, stride_in="1x1")
    architectures.variant(f"resnet{_depth}_v1_5", imagenet_resnet, **_deep, stride_in="3x3")
for _depth in CIFAR:
    architectures.variant(f"resnet{_depth}", cifar_resnet, blocks=(_depth - 2) // 6)
for _depth in CIFAR_PLAIN:
    architectures.variant(f"plain{_depth}", cifar_resnet, blocks=(_depth - 2) // 6, **PLAIN)
