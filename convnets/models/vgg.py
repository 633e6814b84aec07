"""VGG (Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015).

Table 1 of the paper and the lecture: configurations A, A-LRN, B, C, D and E; 3x3 filters at stride 1 with padding 1
(C: the last of three is 1x1), 2x2 pools at stride 2. `vgg11`, `vgg13`, `vgg16` and `vgg19` are other names for A, B,
D and E. Those that end in `_bn` have a batch norm after every convolution, and keep the biases that it cancels, so
that torchvision's weights fit.
"""

from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from convnets.layers import BatchNorm, ConvolutionNormReLU, FullyConnected, LocalResponseNorm, max_pool
from convnets.layers.fully_connected import classify
from convnets.layers.rematerialization import chain
from convnets.models.registry import architectures
from convnets.models.sizes import Output, checked_window, native_size, widened

FILTERS = (64, 128, 256, 512, 512)
"""Of each stage's convolutions."""

SIZES = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
"""The filters' sizes, stage by stage."""


class VGG(nn.Module):
    """VGG; 138,357,544 parameters for 1,000 classes in configuration D.

    Attributes:
      num_classes: length of the logits.
      image_size: native height and width, in pixels.
      configuration: of the paper's table, a key of `SIZES`.
      lrn: whether a local response norm follows the first convolution (A-LRN).
      norm: batch norm after every convolution, or None.
      dropout: rate after each of the first two fully connected layers.
      stem: "imagenet", or "small", without the first pool, for images such as 32 x 32.
      remat: whether the backward pass computes most activations again instead of keeping them.
      width: factor of the filters of every layer but the last, as `widened` rounds them.
      output: what ends the network (`Output`).
      dtype: type of the computation; parameters are float32, and so are the logits.
    """

    num_classes: int
    image_size: int
    configuration: str
    lrn: bool = False
    norm: Any = None
    dropout: float = 0.5
    stem: str = "imagenet"
    remat: bool = False
    width: float = 1.0
    dtype: Any = jnp.float32
    output: Output = "logits"

    def last_map(self, side: int) -> int:
        """Side of the map that fc6 sees, for images of that side."""
        return side // (32 if self.stem == "imagenet" else 16)

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        """`[N, H, W, C] -> ` logits (`[N, num_classes]` at the native size, else a map) and the named feature maps.

        `stage1` to `stage5` are the last responses at each resolution, `pool1` to `pool5` what follows the pools, `fc6`
        and `pre_logits` the hidden layers.

        Raises:
          InvalidValue: images too small for the classifier.
        """
        window = checked_window("VGG", self, x)

        def convolution(features: int, size: int, name: str) -> ConvolutionNormReLU:
            return ConvolutionNormReLU(
                features, size, 1, size // 2, norm=self.norm, use_bias=True, dtype=self.dtype, name=name
            )

        def fully_connected(x: Array, window: int, name: str) -> Array:
            neurons = widened(4096, self.width)
            layer = FullyConnected(neurons, (window, window), self.output == "map", dtype=self.dtype, name=name)
            x = layer(x, relu=True)
            return nn.Dropout(self.dropout, deterministic=not train)(x)

        maps = {}
        for stage, (features, sizes) in enumerate(zip(FILTERS, SIZES[self.configuration], strict=True), 1):
            features = widened(features, self.width)
            convolutions = [convolution(features, size, f"stage{stage}_conv{i}") for i, size in enumerate(sizes, 1)]
            x = chain(convolutions, x, train, self.remat)
            if self.lrn and stage == 1:
                x = LocalResponseNorm(name="stage1_lrn")(x)
            maps[f"stage{stage}"] = x
            if stage > 1 or self.stem == "imagenet":
                x = max_pool(x, 2, 2)
            maps[f"pool{stage}"] = x
        if self.output == "features":
            return x, maps
        x = maps["fc6"] = fully_connected(x, window, "fc6")
        x = maps["pre_logits"] = fully_connected(x, 1, "fc7")
        return classify(x, self.num_classes, dtype=self.dtype, squeeze=self.output == "logits"), maps


def vgg(
    num_classes: int,
    *,
    configuration: str,
    lrn: bool,
    norm: Any = BatchNorm,
    dropout: float = 0.5,
    stem: Literal["imagenet", "small"] = "imagenet",
    image_size: int = 0,
    remat: bool = False,
    width: float = 1.0,
    dtype: str = "float32",
) -> VGG:
    """A configuration of VGG."""
    native = native_size(image_size, stem)
    return VGG(num_classes, native, configuration, lrn, norm, dropout, stem, remat, width, dtype)


NAMES = {
    "vgg_a": ("A", False),
    "vgg_a_lrn": ("A", True),
    "vgg_b": ("B", False),
    "vgg_c": ("C", False),
    "vgg_d": ("D", False),
    "vgg_e": ("E", False),
    "vgg11": ("A", False),
    "vgg13": ("B", False),
    "vgg16": ("D", False),
    "vgg19": ("E", False),
}
"""The configuration that each name means, and whether it has the local response norm."""

for _name, (_configuration, _lrn) in NAMES.items():
    architectures.variant(_name, vgg, configuration=_configuration, lrn=_lrn, norm=None)
    architectures.variant(f"{_name}_bn", vgg, configuration=_configuration, lrn=_lrn)
