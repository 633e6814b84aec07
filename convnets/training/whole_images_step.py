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
from convnets.parallel import REPLICATED, SPLIT, Devices, sum_over_devices
from convnets.training.overlapping_windows import OverlappingWindows
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
      windows: what scores the views that are too large to be scored at once.
    """

    def __init__(
        self,
        model: Model,
        devices: Devices,
        views_of: Callable[[Size], Views],
        average: Average,
        windows: OverlappingWindows,
    ):
        self.model, self.devices, self.average, self.windows = model, devices, average, windows
        self.seen: Callable[[], None] = lambda: None  # called after each view
        self._views_of = views_of
        self._start = devices.wrap(self._nothing, (REPLICATED, SPLIT))
        self._finish = devices.wrap(self._measure, (REPLICATED, SPLIT))
        self._calls: dict[tuple[Any, Size], Any] = {}

    def __call__(self, variables: Any, batch: Batch) -> tuple[Any, Any]:
        height, width = batch["image"].shape[-3:-1]
        views = self._views_of((height, width))
        _, share = views.shares()
        seen = {name: batch[name] for name in ("image", "extent") if name in batch}
        _, total = self._start(variables, {"image": batch["image"]})
        for view in views.maps:
            fields = seen | {"view": self._place(view, share), "total": total}
            if self.windows.are_needed(view[:2]):
                _, images = self._call(self._image, view[:2])(variables, seen | {"view": fields["view"]})
                scores = self.windows(variables, images)
                _, total = self._call(self._add_scores, view[:2])(variables, fields | {"scores": scores})
            else:
                _, total = self._call(self._add_view, view[:2])(variables, fields)
            self.seen()
        return self._finish(variables, dict(batch) | {"total": total})

    def _place(self, view: Map, share: float) -> Any:
        """Whether a view is mirrored and what it counts, on each device."""
        return self.devices.split(np.tile(np.array([view.mirrored, share], np.float32), (len(self.devices.local), 1)))

    def _nothing(self, variables: Any, batch: Batch) -> tuple[dict[str, Array], Array]:
        shape = (*batch["image"].shape[:3], len(self.model.task.classes))
        return {}, jnp.full(shape, nothing(self.average), jnp.float32)

    def _call(self, function: Any, size: Size) -> Any:
        """The function of a view's size, over the devices."""
        if (function, size) not in self._calls:
            self._calls[function, size] = self.devices.wrap(partial(function, size), (REPLICATED, SPLIT))
        return self._calls[function, size]

    def _image(self, size: Size, variables: Any, batch: Batch) -> tuple[dict[str, Array], Array]:
        """The images of a view, as the network takes them."""
        images, own = batch["image"], _own(batch)
        extents = scaled_extents(own, (images.shape[1], images.shape[2]), size)
        images = resample(unit_range({"image": images})["image"], size, own, extents, batch["view"][0, 0])
        return {}, own_pixels(self.model.normalize(images), {"extent": extents})

    def _add_view(self, size: Size, variables: Any, batch: Batch) -> tuple[dict[str, Array], Array]:
        """The total with the network's scores of a view."""
        _, images = self._image(size, variables, batch)
        outputs: Any = self.model.network.apply(variables, images, train=False)
        return self._add_scores(size, variables, dict(batch) | {"scores": outputs[0]})

    def _add_scores(self, size: Size, variables: Any, batch: Batch) -> tuple[dict[str, Array], Array]:
        """The total with what the scores of a view's pixels say of the image's."""
        _, height, width, _ = batch["total"].shape
        mirrored, share = batch["view"][0]
        own = _own(batch)
        extents = scaled_extents(own, (height, width), size)
        scores = score_pixels(batch["scores"], (height, width), extents, own, mirrored, self.average)
        return {}, add(batch["total"], scores, share, self.average)

    def _measure(self, variables: Any, batch: Batch) -> tuple[Any, Any]:
        outputs: Any = batch["total"], {}
        return sum_over_devices(self.model.task.measure(outputs, batch)), self.model.task.predictions(outputs)


def _own(batch: Batch) -> Array:
    """Height and width of each image within its array, int `[N, 2]`."""
    count, height, width, _ = batch["image"].shape
    return batch.get("extent", jnp.tile(jnp.array([height, width]), (count, 1)))
