"""Scores of the pixels of images that are too large for one pass: by overlapping windows, in one pass from top to
bottom.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from convnets.evaluation.views import Size
from convnets.parallel import REPLICATED, SPLIT, Devices
from convnets.tasks.model import Model
from convnets.tasks.task import WindowMerger


class OverlappingWindows:
    """Scores images by windows that overlap; where they do, the mean counts.

    Each window is scored in a call of its own, so that what the network keeps is that of one, and the scores of one row
    of windows are kept at a time.

    Args:
      merger: what makes scores of a network's outputs.
      window: height and width of the largest images that are scored at once, in pixels.
      overlap: of neighbouring windows at least, in pixels, in [0, window).
    """

    def __init__(self, model: Model, devices: Devices, merger: WindowMerger, *, window: int, overlap: int):
        self.model, self.devices, self.merger = model, devices, merger
        self.window, self.overlap = window, overlap
        self._programs: dict[Any, Any] = {}

    def are_needed(self, size: Size) -> bool:
        """Whether images of that size are too large to be scored at once."""
        return max(size) > self.window

    def bands(self, variables: Any, images: Any) -> Iterator[Any]:
        """The outputs for bands of rows of the images, from the top down, `([..., rows, W, classes], {})`.

        Args:
          images: normalized, on the devices, `[..., H, W, C]`.
        """
        size = height, width = images.shape[-3:-1]
        tops, lefts = (places(side, self.window, self.overlap) for side in size)
        rows, columns = min(self.window, height), min(self.window, width)
        counts = np.zeros((*size, 1), np.float32)
        for top in tops:
            for left in lefts:
                counts[top : top + rows, left : left + columns] += 1
        _, total = self._program(self._start, rows)(variables, {"image": images})
        for top, following in zip(tops, [*tops[1:], height], strict=True):
            for left in lefts:
                place = self.devices.split(np.tile(np.array([top, left], np.int32), (len(self.devices.local), 1)))
                batch = {"image": images, "total": total, "place": place}
                _, total = self._program(self._add, rows, columns)(variables, batch)
            # No window below has a say in the rows above it.
            done = following - top
            band = self.devices.split(np.tile(counts[None, top:following], (len(self.devices.local), 1, 1, 1)))
            _, (outputs, total) = self._program(self._finish, done)(variables, {"total": total, "counts": band})
            yield outputs

    def __call__(self, variables: Any, images: Any) -> Any:
        """The logits for whole images, on the devices, `[..., H, W, classes]`."""
        bands = {f"band {number:04}": logits for number, (logits, _) in enumerate(self.bands(variables, images))}
        return self._program(self._join)(variables, bands)[1]

    def _program(self, function: Any, *options: int) -> Any:
        """A function of this class over the devices, compiled once for each of its options."""
        if (function, options) not in self._programs:
            self._programs[function, options] = self.devices.wrap(partial(function, *options), (REPLICATED, SPLIT))
        return self._programs[function, options]

    def _start(self, rows: int, variables: Any, batch: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        count, _, width, _ = batch["image"].shape
        return {}, jnp.zeros((count, rows, width, len(self.model.task.classes)), jnp.float32)

    def _add(
        self, rows: int, columns: int, variables: Any, batch: Mapping[str, Array]
    ) -> tuple[dict[str, Array], Array]:
        images, total, (top, left) = batch["image"], batch["total"], batch["place"][0]
        part = lax.dynamic_slice(images, (0, top, left, 0), (len(images), rows, columns, images.shape[-1]))
        outputs, _ = self.model.task.forward(self.model.network, variables, {"image": part}, train=False)
        scores = self.merger.window_scores(outputs)
        so_far = lax.dynamic_slice(total, (0, 0, left, 0), scores.shape)
        return {}, lax.dynamic_update_slice(total, so_far + scores, (0, 0, left, 0))

    def _finish(self, done: int, variables: Any, batch: Mapping[str, Array]) -> tuple[dict[str, Array], Any]:
        """The outputs of the first `done` rows, and the sums of the others."""
        total = batch["total"]
        mean = total[:, :done] / batch["counts"][0]
        left = jnp.pad(total[:, done:], ((0, 0), (0, done), (0, 0), (0, 0)))
        return {}, ((self.merger.of_mean(mean), {}), left)

    def _join(self, variables: Any, batch: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        return {}, jnp.concatenate([batch[name] for name in sorted(batch)], axis=1)


def places(side: int, window: int, overlap: int) -> list[int]:
    """Where windows begin along a side: the fewest, at equal distances from edge to edge, that overlap enough.

    >>> places(100, 64, 16), places(64, 64, 16), places(300, 64, 16)
    ([0, 36], [0], [0, 47, 94, 142, 189, 236])
    """
    if side <= window:
        return [0]
    count = -(-(side - overlap) // (window - overlap))
    return [round(i * (side - window) / (count - 1)) for i in range(count)]
