"""LeNet-5 (LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998).

As in the lecture: CONV-POOL-TANH-CONV-POOL-TANH-FC-TANH-FC-TANH-FC, filters 5x5 at stride 1, pools 2x2 at stride 2,
input 32x32. Every filter of the second layer sees all six maps of the first (the paper's partial connection table
and its radial-basis output are not in the lecture).
"""

from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from convnets.layers import BatchNorm, Convolution, FullyConnected, average_pool, max_pool
from convnets.layers.fully_connected import classify
from convnets.layers.geometry import positions
from convnets.layers.initializers import lecun_normal
from convnets.models.registry import architectures
from convnets.models.sizes import check_images

POOLS = {"average": average_pool, "max": max_pool}


class LeNet5(nn.Module):
    """LeNet-5, 61,706 parameters for 10 classes and one input channel.

    Attributes:
      num_classes: length of the logits.
      pooling: "average" (the paper's subsampling without its two trainable numbers) or "max".
      norm: batch norm before each tanh, or None.
      dtype: type of the computation; parameters are float32, and so are the logits.
    """

    num_classes: int
    pooling: str = "average"
    norm: Any = None
    dtype: Any = jnp.float32

    image_size: ClassVar[int] = 32
    native_channels: ClassVar[int] = 1

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        """`[N, H, W, C]` with H, W >= 32 -> logits (`[N, num_classes]` at 32 x 32) and the named feature maps.

        Raises:
          InvalidValue: an image smaller than 32 x 32.
        """
        check_images("LeNet-5", x, 5, lambda side: positions(positions(side, 5) // 2, 5) // 2)
        pool = POOLS[self.pooling]

        def activation(x: Array, name: str) -> Array:
            if self.norm is not None:
                x = self.norm(dtype=self.dtype, name=name)(x, train)
            return jnp.tanh(x)

        def convolution(x: Array, features: int, name: str) -> Array:
            layer = Convolution(
                features, 5, use_bias=self.norm is None, kernel_init=lecun_normal, dtype=self.dtype, name=name
            )
            return layer(x)

        def fully_connected(x: Array, features: int, window: tuple[int, int], name: str) -> Array:
            layer = FullyConnected(
                features, window, use_bias=self.norm is None, kernel_init=lecun_normal, dtype=self.dtype, name=name
            )
            return layer(x)

        maps = {}
        x = convolution(x, 6, "conv1")
        x = maps["stage1"] = activation(pool(x, 2, 2), "norm1")
        x = convolution(x, 16, "conv2")
        x = maps["stage2"] = activation(pool(x, 2, 2), "norm2")
        x = maps["stage3"] = activation(fully_connected(x, 120, (5, 5), "fc3"), "norm3")
        x = maps["pre_logits"] = activation(fully_connected(x, 84, (1, 1), "fc4"), "norm4")
        return classify(x, self.num_classes, kernel_init=lecun_normal, dtype=self.dtype), maps


@architectures.register
def lenet5(num_classes: int, *, pooling: Literal["average", "max"] = "average", dtype: str = "float32") -> LeNet5:
    """The lecture's LeNet-5."""
    return LeNet5(num_classes, pooling, dtype=dtype)


@architectures.register
def lenet5_bn(
    num_classes: int,
    *,
    pooling: Literal["average", "max"] = "average",
    norm: Any = BatchNorm,
    dtype: str = "float32",
) -> LeNet5:
    """LeNet-5 with batch norm before each tanh (and no biases where it follows)."""
    return LeNet5(num_classes, pooling, norm=norm, dtype=dtype)
