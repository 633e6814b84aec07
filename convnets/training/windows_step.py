"""A step of evaluation that finds boxes by several windows of each image, and merges what they say."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from convnets.analysis.feature_grids import LOGITS, feature_grids
from convnets.evaluation.boxes import merged_answer
from convnets.evaluation.scores import take_crop, take_map
from convnets.evaluation.views import Crop, Map, Size, Views
from convnets.parallel import REPLICATED, SPLIT, Devices, sum_over_devices
from convnets.tasks.localization.localization import Localization
from convnets.tasks.task import Outputs
from convnets.training.setup import Model
from convnets.training.step import unit_range

Batch = Mapping[str, Array]
Windows = tuple[Array, Array]
"""What M windows of each image say: probabilities `[N, M, K, C]`, and boxes `[N, M, K, B, 4]` in the image, which is 1
high and 1 wide."""

TINY = 1e-30
"""The score below which classes are equally unlikely."""


class WindowsStep:
    """`(variables, batch on the devices) -> (sums, predictions)`, of the merged boxes of all windows.

    The images stay on the devices, and each view is made there in a call of its own. A crop is a window; a map, of a
    scaled image that the network sees at once, is a window for each of its positions (Sermanet et al. 2014).
    """

    def __init__(self, model: Model, devices: Devices, views: Views):
        self.model, self.devices = model, devices
        self.seen: Callable[[], None] = lambda: None  # called after each view
        crop = devices.wrap(partial(self._look, None), (REPLICATED, SPLIT))
        maps = {size: devices.wrap(partial(self._look, size), (REPLICATED, SPLIT)) for size in map_sizes(views)}
        self._calls = [(crop, self._place(view)) for view in views.crops]
        self._calls += [(maps[view.height, view.width], self._place(view)) for view in views.maps]
        self._finish = devices.wrap(self._measure, (REPLICATED, SPLIT))

    def __call__(self, variables: Any, batch: Batch) -> tuple[Any, Any]:
        found = {}
        for number, (call, view) in enumerate(self._calls):
            _, found[f"windows {number}"] = call(variables, {"image": batch["image"], "view": view})
            self.seen()
        return self._finish(variables, dict(batch) | found)

    def _place(self, view: Crop | Map) -> Any:
        """A view's numbers on each device."""
        return self.devices.split(np.tile(np.array(view, np.float32), (len(self.devices.local), 1)))

    def _look(self, size: Size | None, variables: Any, batch: Batch) -> tuple[dict[str, Array], Windows]:
        images = unit_range({"image": batch["image"]})["image"]
        return {}, windows_of(self.model, variables, images, batch["view"][0], size)

    def _measure(self, variables: Any, batch: Batch) -> tuple[Any, Any]:
        found = [cast(Windows, values) for name, values in batch.items() if name.startswith("windows ")]
        outputs = merged(self.model, found)
        own = {name: values for name, values in batch.items() if not name.startswith("windows ")}
        return sum_over_devices(self.model.task.measure(outputs, own)), self.model.task.predictions(outputs)


def map_sizes(views: Views) -> set[Size]:
    """Of the scaled images that are seen at once."""
    return {(view.height, view.width) for view in views.maps}


def look(model: Model, variables: Any, images: Array, views: Views) -> Outputs:
    """The merged answers of all views of images `[N, H, W, C]` in [0, 1], on one device."""
    found = [windows_of(model, variables, images, jnp.array(view, jnp.float32)) for view in views.crops]
    found += [
        windows_of(model, variables, images, jnp.array(view, jnp.float32), (view.height, view.width))
        for view in views.maps
    ]
    return merged(model, found)


def windows_of(model: Model, variables: Any, images: Array, view: Array, size: Size | None = None) -> Windows:
    """What the windows of one view say.

    Args:
      images: `[N, H, W, C]`, in [0, 1].
      view: the numbers of a `Crop`, or of a `Map` of `size`; may be traced.
    """
    task, window = cast(Localization, model.task), jnp.array(model.image_shape[:2], jnp.float32)
    shape = jnp.array(images.shape[1:3], jnp.float32)
    if size is None:
        taken = take_crop(images, view, (model.image_shape[0], model.image_shape[1]))
        corner, part = view[:2] / shape, view[2:4] / shape
    else:
        taken = take_map(images, size, view[-1])
        corner, part = jnp.zeros(2), window / jnp.array(size)
    outputs: Any = model.network.apply(variables, model.normalize(taken), train=False)
    logits, boxes = task.answers(outputs)
    if logits.ndim == 3:
        logits, boxes = logits[:, None, None], boxes[:, None, None]
    places = jnp.stack(jnp.meshgrid(*(jnp.arange(count) for count in logits.shape[1:3]), indexing="ij"), -1)
    if size is None:
        # Mirrored within the crop, which is the window.
        boxes = _mirrored(boxes, view[-1])
        corners = jnp.broadcast_to(corner, places.shape)
    else:
        corners = places * stride_of(model) / jnp.array(size)
    boxes = boxes * jnp.tile(part, 2) + jnp.tile(corners, 2)[:, :, None, None]
    if size is not None:
        boxes = _mirrored(boxes, view[-1])
    return _in_a_row(jax.nn.softmax(logits)), _in_a_row(boxes)


def _in_a_row(x: Array) -> Array:
    """`[N, h, w, ...] -> [N, h * w, ...]`."""
    return x.reshape(len(x), -1, *x.shape[3:])


def stride_of(model: Model) -> int:
    """Pixels from one window of a map to the next."""
    backbone = model.network.backbone
    return feature_grids(backbone, model.image_shape)[LOGITS].stride


def _mirrored(boxes: Array, mirrored: Array) -> Array:
    """Boxes `[..., 4]` of a mirror image, 1 wide, as they lie in the image itself."""
    y0, x0, y1, x1 = jnp.moveaxis(boxes, -1, 0)
    return jnp.where(mirrored > 0, jnp.stack([y0, 1 - x1, y1, 1 - x0], -1), boxes)


def merged(model: Model, found: Sequence[Windows]) -> Outputs:
    """What all windows of each image say together, as the network's own answer for one."""
    task = cast(Localization, model.task)
    probabilities, boxes = (jnp.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    # Over images and objects; windows come first in each.
    answer = jax.vmap(jax.vmap(lambda p, b: merged_answer(p, b, task.merging), in_axes=1))
    scores, places = answer(probabilities, boxes)
    return task.outputs_of(jnp.log(jnp.maximum(scores, TINY)), places)
