"""How the boxes of several windows of an image are put together."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from convnets.analysis.receptive_field import feature_grids
from convnets.errors import InvalidValue
from convnets.evaluation.averaging import Average
from convnets.evaluation.boxes import merged_answer
from convnets.evaluation.views import Seen, Views
from convnets.models.upsampling import LOGITS
from convnets.tasks.task import Outputs

Windows = tuple[Array, Array]
"""What M windows of each image say: probabilities `[N, M, K, C]`, and boxes `[N, M, K, B, 4]` in the image, which is 1
high and 1 wide."""

TINY = 1e-30
"""The score below which classes are equally unlikely."""


class MergeBoxes:
    """Merges the boxes of all windows: a crop is a window, and a scaled image that the network sees at once is a window
    for each position of its map (Sermanet et al. 2014). A `tasks.task.ViewMerger`.

    Args:
      task: the `Localization`.
      network: its network.
      image_shape: of the images that the network was trained on, a window.
    """

    def __init__(self, task: Any, network: nn.Module, image_shape: tuple[int, int, int], average: Average):
        self.task, self.average = task, average
        self.window, self.image_shape, self.backbone = image_shape[:2], image_shape, network.backbone

    def check(self, views: Views, whole: bool) -> None:
        """Refuses several views of objects that have no order, and averages of logits."""
        if len(views) == 1 and views.crops:
            return
        if self.task.order == "free":
            raise InvalidValue(
                "merges what several windows say of an object, and objects in any order (task.order 'free') have no "
                "place in them: use 'centre_crop'"
            )
        if self.average != "probabilities":
            raise InvalidValue(
                "merges boxes, whose scores are sums of probabilities: leave evaluation.average at 'probabilities'"
            )

    def look(self, outputs: Outputs, seen: Seen) -> Windows:
        """What the windows of one view say."""
        logits, boxes = self.task.answers(outputs)
        if logits.ndim == 3:
            logits, boxes = logits[:, None, None], boxes[:, None, None]
        places = jnp.stack(jnp.meshgrid(*(jnp.arange(count) for count in logits.shape[1:3]), indexing="ij"), -1)
        size, image = jnp.array(seen.size, jnp.float32), jnp.array(seen.image, jnp.float32)
        window = jnp.array(self.window, jnp.float32)
        stride = self._stride() if seen.size != self.window else 0
        corners = jnp.tile(places * stride / size, 2)[:, :, None, None]
        boxes = _mirrored(boxes * jnp.tile(window / size, 2) + corners, seen.mirrored)
        boxes = boxes * jnp.tile(seen.region[2:] / image, 2) + jnp.tile(seen.region[:2] / image, 2)
        return _in_a_row(jax.nn.softmax(logits)), _in_a_row(boxes)

    def outputs(self, said: Sequence[Windows]) -> Outputs:
        """What all windows of each image say together, as the network's own outputs for one."""
        probabilities, boxes = (jnp.concatenate(parts, axis=1) for parts in zip(*said, strict=True))
        # Over images and objects; windows come first in each.
        answer = jax.vmap(jax.vmap(lambda p, b: merged_answer(p, b, self.task.merging), in_axes=1))
        scores, places = answer(probabilities, boxes)
        return self.task.outputs_of(jnp.log(jnp.maximum(scores, TINY)), places)

    def _stride(self) -> int:
        """Pixels from one window of a map to the next."""
        return feature_grids(self.backbone, self.image_shape)[LOGITS].stride


def _in_a_row(x: Array) -> Array:
    """`[N, h, w, ...] -> [N, h * w, ...]`."""
    return x.reshape(len(x), -1, *x.shape[3:])


def _mirrored(boxes: Array, mirrored: Array) -> Array:
    """Boxes `[..., 4]` of a mirror image, 1 wide, as they lie in the image itself."""
    y0, x0, y1, x1 = jnp.moveaxis(boxes, -1, 0)
    return jnp.where(mirrored > 0, jnp.stack([y0, 1 - x1, y1, 1 - x0], -1), boxes)
