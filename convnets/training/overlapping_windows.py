"""Scores of the pixels of images that are too large to be scored at once: by windows that overlap."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from convnets.evaluation.large_images import windows_of
from convnets.evaluation.scores import Average
from convnets.evaluation.views import Place, Size
from convnets.parallel import REPLICATED, SPLIT, Devices
from convnets.training.setup import Model


class OverlappingWindows:
    """`(variables, images on the devices [..., H, W, C]) -> their scores on the devices [..., H, W, classes]`.

    Each window is scored in a call of its own, so that what the network keeps is that of one. Where windows overlap,
    the mean counts.

    Args:
      window: height and width of the largest images that are scored at once, in pixels.
      overlap: of neighbouring windows at least, in pixels.
      average: what is averaged.
    """

    def __init__(self, model: Model, devices: Devices, window: int, overlap: int, average: Average):
        self.model, self.devices, self.average = model, devices, average
        self.window, self.overlap = window, overlap
        self._start = devices.wrap(self._nothing, (REPLICATED, SPLIT))
        self._add = devices.wrap(self._add_window, (REPLICATED, SPLIT))
        self._means: dict[Size, Any] = {}

    def are_needed(self, size: Size) -> bool:
        """Whether images of that size are too large to be scored at once."""
        return max(size) > self.window

    def __call__(self, variables: Any, images: Any) -> Any:
        height, width = images.shape[-3:-1]
        begins = windows_of((height, width), self.window, self.overlap)
        _, total = self._start(variables, {"image": images})
        for place in begins:
            where = self.devices.split(np.tile(np.array(place, np.int32), (len(self.devices.local), 1)))
            _, total = self._add(variables, {"image": images, "total": total, "place": where})
        if (height, width) not in self._means:
            mean = partial(self._mean, self._counts((height, width), begins))
            self._means[height, width] = self.devices.wrap(mean, (REPLICATED, SPLIT))
        return self._means[height, width](variables, {"total": total})[1]

    def _size(self, size: Size) -> Size:
        return min(size[0], self.window), min(size[1], self.window)

    def _counts(self, size: Size, begins: list[Place]) -> np.ndarray:
        """How many windows each pixel is in, float32 `[H, W, 1]`."""
        counts, (height, width) = np.zeros((*size, 1), np.float32), self._size(size)
        for top, left in begins:
            counts[top : top + height, left : left + width] += 1
        return counts

    def _nothing(self, variables: Any, batch: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        return {}, jnp.zeros((*batch["image"].shape[:3], len(self.model.task.classes)), jnp.float32)

    def _add_window(self, variables: Any, batch: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        images, total, (top, left) = batch["image"], batch["total"], batch["place"][0]
        count, height, width, channels = images.shape
        size = self._size((height, width))
        part = lax.dynamic_slice(images, (0, top, left, 0), (count, *size, channels))
        outputs: Any = self.model.network.apply(variables, part, train=False)
        scores = outputs[0].astype(jnp.float32)
        if self.average == "probabilities":
            scores = jax.nn.softmax(scores)
        so_far = lax.dynamic_slice(total, (0, top, left, 0), scores.shape)
        return {}, lax.dynamic_update_slice(total, so_far + scores, (0, top, left, 0))

    def _mean(self, counts: np.ndarray, variables: Any, batch: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        mean = batch["total"] / counts
        return {}, jnp.log(mean) if self.average == "probabilities" else mean
