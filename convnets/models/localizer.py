"""A classifier with a second head, which says where: four numbers of a box beside the scores of the classes.

Lecture: "Classification + Localization: simple recipe". The head stands after the last convolution (Sermanet et al.,
"OverFeat", ICLR 2014, section 4; Simonyan and Zisserman, ICLR 2015, appendix A) or after the fully connected layers
(Toshev and Szegedy, "DeepPose", CVPR 2014; Girshick et al., "R-CNN", CVPR 2014).
"""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue
from convnets.layers import FullyConnected
from convnets.layers.initializers import small_normal

Attach = Literal["convolution", "fully_connected"]

BOXES = "boxes"
"""The name of the numbers among the maps that the network returns."""
PRE_LOGITS = "pre_logits"
AFTER_CONVOLUTIONS = ("fc6", PRE_LOGITS)
"""Maps of fully connected layers, or of the pool that stands in their place."""


class LocalizationNetwork(nn.Module):
    """A classifier and its head of boxes; the classifier's parameters keep the names that they have alone.

    Attributes:
      backbone: the classifier.
      feature_map: the name of the map that the head sees.
      window: height and width of that map for images of the native size.
      objects: boxes of an image.
      boxes: of each object: 1, or one for each class.
      hidden: neurons between map and numbers; 0: none.
      initial_box: the four numbers of the box that every head predicts before training.
    """

    backbone: Any
    feature_map: str
    window: tuple[int, int]
    objects: int
    boxes: int
    hidden: int
    initial_box: tuple[float, float, float, float]

    def setup(self) -> None:
        nn.share_scope(self, self.backbone)

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, dict[str, Array]]:
        """`[N, H, W, C]` -> the classifier's logits and feature maps, among these `boxes`.

        These are float32 `[N, objects, boxes, 4]` at the native size. A larger image gives a map of logits and one of
        boxes, `[N, h, w, objects, boxes, 4]`, each relative to its own window.

        Raises:
          InvalidValue: an image of which the two would be maps of different sizes.
        """
        logits, maps = self.backbone(x, train)
        head = Head(
            self.objects * self.boxes, self.window, self.hidden, self.initial_box, self.backbone.dtype, name="head"
        )
        numbers = head(maps[self.feature_map])
        positions = logits.shape[1:-1] or (1, 1)
        if numbers.shape[1:3] != positions:
            raise InvalidValue(
                f"an image of {x.shape[1]} x {x.shape[2]} pixels gives {positions[0]} x {positions[1]} logits, and the "
                f"map {self.feature_map!r} {numbers.shape[1]} x {numbers.shape[2]} boxes: use larger images "
                "(network.image_size), so that the last map of the network has more than one position"
            )
        numbers = numbers.reshape(*logits.shape[:-1], self.objects, self.boxes, 4)
        return logits, maps | {BOXES: numbers}


class Head(nn.Module):
    """One or two fully connected layers from a map to the numbers of `count` boxes."""

    count: int
    window: tuple[int, int]
    hidden: int
    initial_box: tuple[float, float, float, float]
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[N, H, W, C] -> [N, H - h + 1, W - w + 1, 4 * count]`, float32."""
        window = self.window
        if self.hidden:
            x = FullyConnected(self.hidden, window, dtype=self.dtype, name="hidden")(x, relu=True)
            window = (1, 1)
        last = FullyConnected(
            4 * self.count, window, use_bias=False, kernel_init=small_normal, dtype=self.dtype, name="numbers"
        )
        # Added in float32: in bfloat16 a corner would be rounded to a 256th of the window.
        bias = self.param("bias", lambda _: jnp.tile(jnp.array(self.initial_box, jnp.float32), self.count))
        return last(x).astype(jnp.float32) + bias


def head_place(backbone: nn.Module, channels: int, attach: Attach) -> tuple[str, tuple[int, int]]:
    """The name of the map that a head sees, and its height and width at the network's native size.

    After the last convolution it is the last map of more than one position that no fully connected layer gives.

    Args:
      channels: of the images.
    """
    side: int = backbone.image_size
    image = jnp.zeros((1, side, side, channels))
    order: list[str] = []

    def outputs() -> Any:
        variables = backbone.init(jax.random.key(0), image, train=False)
        maps = backbone.apply(variables, image, train=False)[1]
        # JAX sorts the entries of a dict.
        order.extend(maps)
        return maps

    maps = jax.eval_shape(outputs)
    if attach == "fully_connected":
        name = PRE_LOGITS
    else:
        convolutional = [name for name in order if name not in AFTER_CONVOLUTIONS and not name.startswith("auxiliary")]
        wide = [name for name in convolutional if maps[name].shape[1] > 1]
        name = (wide or convolutional)[-1]
    height, width = maps[name].shape[1:3]
    return name, (height, width)
