"""A step of evaluation that scores several views of each image, one after the other."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from jax import Array

from convnets.evaluation.scores import Average, add, nothing, score, take_crop, take_map
from convnets.evaluation.views import Crop, Map, Size, Views
from convnets.parallel import REPLICATED, SPLIT, Devices, sum_over_devices
from convnets.tasks.task import Outputs
from convnets.training.setup import Model
from convnets.training.step import unit_range

Batch = Mapping[str, Array]


class ViewsStep:
    """`(variables, batch on the devices) -> (sums, predictions)`, of the mean score of all views.

    The images stay on the devices, and each view is made there in a call of its own: memory is that of one view,
    however many there are, and all crops are one program.

    Args:
      size: of the crops.
      batch_size: examples of a batch in this process.
      average: what is averaged.
      keep_scores: whether the predictions have the `scores`, float32 `[n, classes]`: logarithms of the averaged
        probabilities, or averaged logits.
    """

    def __init__(
        self,
        model: Model,
        devices: Devices,
        views: Views,
        *,
        size: Size,
        batch_size: int,
        average: Average,
        keep_scores: bool = False,
    ):
        self.model, self.devices = model, devices
        self.average, self.keep_scores = average, keep_scores
        self.seen: Callable[[], None] = lambda: None  # called after each view
        scores = (batch_size, len(model.task.classes))
        self._nothing = devices.split(np.full(scores, nothing(average), np.float32))
        of_crop, of_map = views.shares()
        crop = self._mapped(lambda images, view: take_crop(images, view, size))
        maps = {
            (view.height, view.width): self._mapped(partial(_take_map, (view.height, view.width)))
            for view in views.maps
        }
        self._calls = [(crop, self._place(view, of_crop)) for view in views.crops]
        self._calls += [(maps[view.height, view.width], self._place(view, of_map)) for view in views.maps]
        self._finish = devices.wrap(self._measure, (REPLICATED, SPLIT))

    def __call__(self, variables: Any, batch: Batch) -> tuple[Any, Any]:
        total = self._nothing
        for call, view in self._calls:
            _, total = call(variables, {"image": batch["image"], "view": view, "total": total})
            self.seen()
        return self._finish(variables, dict(batch) | {"total": total})

    def _place(self, view: Crop | Map, share: float) -> Any:
        """A view and what it counts, on each device."""
        row = np.array([*view, share], np.float32)
        return self.devices.split(np.tile(row, (len(self.devices.local), 1)))

    def _mapped(self, take: Callable[[Array, Array], Array]) -> Any:
        """`(variables, images, view and total so far) -> (nothing, total)` over the devices."""
        model = self.model

        def add_view(variables: Any, batch: Batch) -> tuple[dict[str, Array], Array]:
            *_, share = view = batch["view"][0]
            view = view[:-1]
            images = take(unit_range({"image": batch["image"]})["image"], view)
            outputs: Any = model.network.apply(variables, model.normalize(images), train=False)
            return {}, add(batch["total"], score(outputs[0], self.average), share, self.average)

        return self.devices.wrap(add_view, (REPLICATED, SPLIT))

    def _measure(self, variables: Any, batch: Batch) -> tuple[Any, Any]:
        task = self.model.task
        outputs: Outputs = batch["total"], {}
        predictions = task.predictions(outputs) | ({"scores": batch["total"]} if self.keep_scores else {})
        return sum_over_devices(task.measure(outputs, batch)), predictions


def _take_map(size: Size, images: Array, view: Array) -> Array:
    return take_map(images, size, view[-1])


def only_image(views: Views, image: Size) -> bool:
    """Whether the one view is the image itself."""
    return views == Views((Crop(0, 0, *image),))
