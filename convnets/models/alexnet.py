"""AlexNet (Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012).

`alexnet` is the lecture's table: 227 x 227 images, 96-256-384-384-256 filters, local response norm after the first two
pools. (The paper normalizes before it pools: `lrn="before_pool"`; and parts conv2, conv4 and conv5 over two GPUs:
`groups=2`.) `alexnet_owt` is the net of Krizhevsky's "One weird trick for parallelizing convolutional neural networks",
2014, as torchvision trained it: 64-192-384-256-256 filters, no norms, 224 x 224 images padded by 2.
"""

from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from convnets.layers import Convolution, FullyConnected, LocalResponseNorm, max_pool
from convnets.layers.fully_connected import classify
from convnets.layers.geometry import positions
from convnets.models.registry import architectures
from convnets.models.sizes import Output, checked_window, native_size, widened

LRN = Literal["after_pool", "before_pool", "none"]
Stem = Literal["imagenet", "small"]


class AlexNet(nn.Module):
    """AlexNet, 62,378,344 parameters for 1,000 classes (60,965,224 in two groups); alexnet_owt 61,100,840.

    Attributes:
      num_classes: length of the logits.
      image_size: native height and width, in pixels.
      filters: of the five convolutions.
      stem: "imagenet", 11x11/4 and a pool, or "small", 3x3/1 and no pool, for images such as 32 x 32.
      stem_padding: of the 11x11 filters.
      groups: of conv2, conv4 and conv5.
      lrn: where the two local response norms stand, if at all.
      dropout: rate in the first two fully connected layers.
      dropout_of: their neurons ("outputs"), or what they see ("inputs").
      width: factor of the filters of every layer but the last, as `widened` rounds them.
      output: what ends the network (`Output`).
      dtype: type of the computation; parameters are float32, and so are the logits.
    """

    num_classes: int
    image_size: int
    filters: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    stem: str = "imagenet"
    stem_padding: int = 0
    groups: int = 1
    lrn: str = "after_pool"
    dropout: float = 0.5
    dropout_of: Literal["inputs", "outputs"] = "outputs"
    width: float = 1.0
    dtype: Any = jnp.float32
    output: Output = "logits"

    def last_map(self, side: int) -> int:
        """Side of the map that fc6 sees, for images of that side."""
        if self.stem == "imagenet":
            side = positions(positions(side, 11, 4, self.stem_padding), 3, 2)
        return positions(positions(side, 3, 2), 3, 2)

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        """`[N, H, W, C] -> ` logits (`[N, num_classes]` at the native size, else a map) and the named feature maps.

        `stage1`, `stage2`, `stage3` are the last responses at each resolution, `pool1` to `pool3` what follows the
        pools (and norms), `fc6` and `pre_logits` the hidden layers.

        Raises:
          InvalidValue: images too small for the classifier.
        """
        window = checked_window("AlexNet", self, x)
        convolution = partial(Convolution, dtype=self.dtype)
        dropout = partial(nn.Dropout, self.dropout, deterministic=not train)

        def pool_and_normalize(x: Array, number: int, pooled: bool = True) -> Array:
            norm = LocalResponseNorm(name=f"norm{number}")
            x = norm(x) if self.lrn == "before_pool" else x
            x = max_pool(x, 3, 2) if pooled else x
            return norm(x) if self.lrn == "after_pool" else x

        def fully_connected(x: Array, window: int, name: str) -> Array:
            x = dropout()(x) if self.dropout_of == "inputs" else x
            neurons = widened(4096, self.width)
            layer = FullyConnected(neurons, (window, window), self.output == "map", dtype=self.dtype, name=name)
            x = layer(x, relu=True)
            return dropout()(x) if self.dropout_of == "outputs" else x

        maps, large = {}, self.stem == "imagenet"
        filters = (widened(count, self.width, self.groups) for count in self.filters)
        stem = (11, 4, self.stem_padding) if large else (3, 1, 1)
        x = maps["stage1"] = convolution(next(filters), *stem, name="conv1")(x, relu=True)
        x = maps["pool1"] = pool_and_normalize(x, 1, pooled=large)
        x = maps["stage2"] = convolution(next(filters), 5, 1, 2, self.groups, name="conv2")(x, relu=True)
        x = maps["pool2"] = pool_and_normalize(x, 2)
        x = convolution(next(filters), 3, 1, 1, name="conv3")(x, relu=True)
        x = convolution(next(filters), 3, 1, 1, self.groups, name="conv4")(x, relu=True)
        x = maps["stage3"] = convolution(next(filters), 3, 1, 1, self.groups, name="conv5")(x, relu=True)
        x = maps["pool3"] = max_pool(x, 3, 2)
        if self.output == "features":
            return x, maps
        x = maps["fc6"] = fully_connected(x, window, "fc6")
        x = maps["pre_logits"] = fully_connected(x, 1, "fc7")
        return classify(x, self.num_classes, dtype=self.dtype, squeeze=self.output == "logits"), maps


@architectures.register
def alexnet(
    num_classes: int,
    *,
    groups: Literal[1, 2] = 1,
    lrn: LRN = "after_pool",
    dropout: float = 0.5,
    stem: Stem = "imagenet",
    image_size: int = 0,
    width: float = 1.0,
    dtype: str = "float32",
) -> AlexNet:
    """The lecture's AlexNet."""
    native = native_size(image_size, stem, 227)
    return AlexNet(num_classes, native, stem=stem, groups=groups, lrn=lrn, dropout=dropout, width=width, dtype=dtype)


@architectures.register
def alexnet_owt(
    num_classes: int,
    *,
    dropout: float = 0.5,
    stem: Stem = "imagenet",
    image_size: int = 0,
    width: float = 1.0,
    dtype: str = "float32",
) -> AlexNet:
    """The AlexNet that torchvision's weights fit."""
    return AlexNet(
        num_classes,
        native_size(image_size, stem),
        filters=(64, 192, 384, 256, 256),
        stem=stem,
        stem_padding=2,
        lrn="none",
        dropout=dropout,
        dropout_of="inputs",
        width=width,
        dtype=dtype,
    )
