"""A step of evaluation that scores every pixel by several views of each image, one after the other."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from convnets.evaluation.scores import Average, add, nothing
from convnets.evaluation.views import Map, Size, Views
from convnets.evaluation.whole_images import resample, scaled_extents, score_pixels
from convnets.training.parallel import REPLICATED, SPLIT, Devices, sum_over_devices
from convnets.training.setup import Model
from convnets.training.step import own_pixels, unit_range

Batch = Mapping[str, Array]


class WholeImagesStep:
    """`(variables, batch on the devices) -> (sums, predictions)`, of the mean scores of each pixel over all views.

    The images stay on the devices, and each view is made there in a call of its own. Batches may differ in the size of
    their images, and an image may be smaller than its batch's (`extent`).

    Args:
      views_of: the views, all of them maps, of images of a size.
      average: what is averaged.
    """

    def __init__(self, model: Model, devices: Devices, views_of: Callable[[Size], Views], average: Average):
        self.model, self.devices, self.average = model, devices, average
        self.seen: Callable[[], None] = lambda: None  # called after each view
        self._views_of = views_of
        self._start = devices.wrap(self._nothing, (REPLICATED, SPLIT))
        self._finish = devices.wrap(self._measure, (REPLICATED, SPLIT))
        self._calls: dict[Size, Any] = {}

    def __call__(self, variables: Any, batch: Batch) -> tuple[Any, Any]:
        height, width = batch["image"].shape[-3:-1]
        views = self._views_of((height, width))
        _, share = views.shares()
        seen = {name: batch[name] for name in ("image", "extent") if name in batch}
        _, total = self._start(variables, {"image": batch["image"]})
        for view in views.maps:
            call = self._calls.setdefault(view[:2], self._mapped(view[:2]))
            _, total = call(variables, seen | {"view": self._place(view, share), "total": total})
            self.seen()
        return self._finish(variables, dict(batch) | {"total": total})

    def _place(self, view: Map, share: float) -> Any:
        """Whether a view is mirrored and what it counts, on each device."""
        return self.devices.split(np.tile(np.array([view.mirrored, share], np.float32), (len(self.devices.local), 1)))

    def _nothing(self, variables: Any, batch: Batch) -> tuple[dict[str, Array], Array]:
        shape = (*batch["image"].shape[:3], len(self.model.task.classes))
        return {}, jnp.full(shape, nothing(self.average), jnp.float32)

    def _mapped(self, size: Size) -> Any:
        """`(variables, images, view and total so far) -> (nothing, total)` over the devices."""
        return self.devices.wrap(partial(self._add_view, size), (REPLICATED, SPLIT))

    def _add_view(self, size: Size, variables: Any, batch: Batch) -> tuple[dict[str, Array], Array]:
        mirrored, share = batch["view"][0]
        count, height, width, _ = batch["image"].shape
        own = batch.get("extent", jnp.tile(jnp.array([height, width]), (count, 1)))
        extents = scaled_extents(own, (height, width), size)
        images = resample(unit_range({"image": batch["image"]})["image"], size, own, extents, mirrored)
        images = own_pixels(self.model.normalize(images), {"extent": extents})
        outputs: Any = self.model.network.apply(variables, images, train=False)
        scores = score_pixels(outputs[0], (height, width), extents, own, mirrored, self.average)
        return {}, add(batch["total"], scores, share, self.average)

    def _measure(self, variables: Any, batch: Batch) -> tuple[Any, Any]:
        outputs: Any = batch["total"], {}
        return sum_over_devices(self.model.task.measure(outputs, batch)), self.model.task.predictions(outputs)
