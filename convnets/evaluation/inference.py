"""What a model says of images: the one place where views are taken, scaled, normalized, applied and put together."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError
from jax import Array
from ml_collections import ConfigDict

from convnets.data.source import Source
from convnets.errors import InvalidValue
from convnets.evaluation.protocols import OF_WHOLE_IMAGES, views_of
from convnets.evaluation.views import Crop, Map, Size, Views, crop, numbers_of, see
from convnets.evaluation.windows import OverlappingWindows
from convnets.parallel import REPLICATED, SPLIT, Devices, sum_over_devices
from convnets.tasks.model import Model, trace, unit_range, zeros_beyond
from convnets.tasks.task import Batch, Outputs, loss_and_sums

Step = Callable[[Any, Any], tuple[Any, Any]]


class Inference:
    """`(variables, batch on the devices) -> (sums over the batch, predictions [n, ...])`, by the views of a protocol.

    The images stay on the devices, and each view is made there in a call of its own: memory is that of one view,
    however many there are, and views of one size are one program. Batches may differ in the size of their images, and
    an image may be smaller than its batch's (`extent`).

    Args:
      evaluation: the config's section: protocol, scales, average, window, overlap.
      keep_scores: whether the predictions have the averaged `scores` of the classes, float32 `[n, classes]`.
      measured: whether batches have the truth, so that there are sums; without, there are only predictions.

    Attributes:
      calls, seen: as `evaluator.Step` has them; `seen` is called after each view.

    Raises:
      InvalidValue: a protocol that does not fit the images or the task, or scores that the task does not have.
    """

    def __init__(
        self,
        model: Model,
        devices: Devices,
        evaluation: ConfigDict,
        *,
        keep_scores: bool = False,
        measured: bool = True,
    ):
        self.model, self.devices, self.evaluation = model, devices, evaluation
        self.keep_scores, self.measured = keep_scores, measured
        self.seen: Callable[[], None] = lambda: None
        self.merger = merger_of(model, evaluation)
        if keep_scores and getattr(self.merger, "scores", None) is None:
            raise InvalidValue("the task has no class scores of an image that could be kept: ask for none")
        self.views = check_views(model, evaluation)
        # Images of variable size are then all applied as they are.
        self._as_they_are = only_image(self.views, model.size_of_evaluation)
        self.windows = None
        if hasattr(self.merger, "window_scores"):
            options = {"window": evaluation.window, "overlap": evaluation.overlap}
            self.windows = OverlappingWindows(model, devices, self.merger, **options)
        self.calls = len(self.views)
        self._programs: dict[Any, Any] = {}

    def __call__(self, variables: Any, batch: Any) -> tuple[Any, Any]:
        size = batch["image"].shape[-3:-1]
        large = self.windows is not None and self.windows.are_needed(size)
        if not self._as_they_are or self.keep_scores:
            views = views_for(self.model, self.evaluation, size)
        elif not large:
            return self._program(self._at_once)(variables, batch)
        elif not self.measured:
            return {}, self._in_bands(variables, batch)
        else:
            views = views_of(OF_WHOLE_IMAGES[0], size, self.model.size)
        said = {f"view {i:04}": each for i, each in enumerate(self._said(variables, batch, views))}
        return self._program(self._finish)(variables, dict(batch) | {"said": said})

    def join(self, predictions: Any) -> dict[str, np.ndarray]:
        """Predictions as NumPy arrays `[n, ...]` over this process's examples, in their order."""
        if isinstance(predictions, list):
            bands = [self.devices.join(band) for band in predictions]
            return {name: np.concatenate([band[name] for band in bands], axis=1) for name in bands[0]}
        joined: dict[str, np.ndarray] = self.devices.join(predictions)
        return joined

    def _program(self, function: Any, *options: Any) -> Any:
        """A function of this class over the devices, compiled once for each of its options."""
        if (function, options) not in self._programs:
            self._programs[function, options] = self.devices.wrap(partial(function, *options), (REPLICATED, SPLIT))
        return self._programs[function, options]

    def _at_once(self, variables: Any, batch: Batch) -> tuple[Any, Any]:
        example = unit_range(batch)
        return self._answer(self.model.forward(variables, example), example)

    def _answer(self, outputs: Outputs, batch: Batch) -> tuple[Any, dict[str, Array]]:
        task = self.model.task
        sums: dict[str, Array] = {}
        if self.measured:
            _, sums = loss_and_sums(task, outputs, batch, train=False)
        return sum_over_devices(sums), task.decode(outputs, batch)

    def _said(self, variables: Any, batch: Any, views: Views) -> list[Any]:
        """What the views say, on the devices; the one total of all where the task adds them up."""
        size, found = batch["image"].shape[-3:-1], list[Any]()
        of_crop, of_map = views.shares()
        weighted: list[tuple[Crop | Map, float]] = [(view, of_crop) for view in views.crops]
        weighted += [(view, of_map) for view in views.maps]
        for view, share in weighted:
            whole = not isinstance(view, Crop)
            shown: Size = (int(view[0]), int(view[1])) if whole else self.model.size
            numbers = np.array(numbers_of(view, size, share), np.float32)
            fed = dict(batch) | {"view": self.devices.split(np.tile(numbers, (len(self.devices.local), 1)))}
            if whole and self.windows is not None and self.windows.are_needed(shown):
                _, images = self._program(self._show, shown, whole)(variables, fed)
                fed["logits"] = self.windows(variables, images)
            _, said = self._program(self._look, shown, whole)(variables, fed)
            found.append(said)
            if len(found) == 2 and hasattr(self.merger, "add"):
                found = [self._program(self._add)(variables, dict(zip(("total", "more"), found, strict=True)))[1]]
            self.seen()
        return found

    def _show(self, size: Size, whole: bool, variables: Any, batch: Batch) -> tuple[dict[str, Array], Array]:
        """The images of a view, as the network takes them."""
        images, seen = see(unit_range(batch)["image"], batch["view"][0], size, whole=whole, extents=batch.get("extent"))
        return {}, zeros_beyond(self.model.normalize(images), seen.view_extents if "extent" in batch else None)

    def _look(self, size: Size, whole: bool, variables: Any, batch: Batch) -> tuple[dict[str, Array], Any]:
        """What the task makes of a view, of its logits if there are, or else of the network applied to it."""
        images, seen = see(unit_range(batch)["image"], batch["view"][0], size, whole=whole, extents=batch.get("extent"))
        if "logits" in batch:
            outputs: Outputs = batch["logits"], {}
        else:
            extents = {"extent": seen.view_extents} if "extent" in batch else {}
            outputs = self.model.forward(variables, dict(batch) | {"image": images} | extents)
        return {}, self.merger.look(outputs, seen)

    def _add(self, variables: Any, batch: Batch) -> tuple[dict[str, Array], Any]:
        return {}, self.merger.add(batch["total"], batch["more"])

    def _finish(self, variables: Any, batch: Batch) -> tuple[Any, Any]:
        said = [batch["said"][name] for name in sorted(batch["said"])]
        sums, predictions = self._answer(self.merger.outputs(said), batch)
        return sums, predictions | ({"scores": self.merger.scores(said)} if self.keep_scores else {})

    def _in_bands(self, variables: Any, batch: Any) -> list[Any]:
        """The predictions for bands of large images, of which only one row of windows is kept at a time."""
        _, images = self._program(self._prepare)(variables, batch)
        decode = self._program(self._decode)
        return [decode(variables, {"logits": logits})[1] for logits, _ in self.windows.bands(variables, images)]  # type: ignore[union-attr]

    def _prepare(self, variables: Any, batch: Batch) -> tuple[dict[str, Array], Array]:
        return {}, self.model.normalize(unit_range(batch)["image"])

    def _decode(self, variables: Any, batch: Batch) -> tuple[dict[str, Array], dict[str, Array]]:
        return {}, self.model.task.decode((batch["logits"], {}), batch)


def merger_of(model: Model, evaluation: ConfigDict) -> Any:
    """The task's `ViewMerger`, or None."""
    return model.task.view_merger(model.network, model.image_shape, evaluation.average)


def views_for(model: Model, evaluation: ConfigDict, size: Size) -> Views:
    """The views of the config's protocol, for images of a size."""
    return views_of(evaluation.protocol, size, model.size, evaluation.scales)


def only_image(views: Views, image: Size) -> bool:
    """Whether the one view is the image itself."""
    return views == Views((Crop(0, 0, *image),))


def check_views(model: Model, evaluation: ConfigDict) -> Views:
    """The views of the config's protocol for images as the source serves them.

    Raises:
      InvalidValue: a protocol that does not fit the images, the network or the task.
    """
    size = model.size_of_evaluation
    protocol, views, merger = evaluation.protocol, views_for(model, evaluation, size), merger_of(model, evaluation)
    as_it_is = only_image(views, size)
    if merger is None and not as_it_is:
        raise InvalidValue(
            f"evaluation.protocol {protocol!r} takes several views of an image, and the task predicts whole images "
            "alone: leave out augmentation that changes their size, and use 'centre_crop'"
        )
    whole = protocol in OF_WHOLE_IMAGES
    if model.info.variable_size and not (as_it_is or (whole and hasattr(merger, "window_scores"))):
        raise InvalidValue(
            f"evaluation.protocol {protocol!r} is for images of one size, and those of {model.info.name!r} vary in "
            "size: use 'centre_crop' for images as they are served, or set data.evaluation_size"
        )
    if not as_it_is:
        try:
            merger.check(views, whole)
        except InvalidValue as error:
            raise InvalidValue(f"evaluation.protocol {protocol!r} {error}") from None
    shown = {(view.height, view.width) for view in views.maps} | ({size} if as_it_is else set())
    # The sizes of images that vary in size are not known here.
    for height, width in sorted(shown - {model.size}) if not model.info.variable_size else ():
        try:
            trace(model, (height, width))
        except (FlaxError, InvalidValue, TypeError, ValueError) as error:
            raise InvalidValue(
                f"in evaluation the network is applied to images of {height} x {width}, and has no outputs for them "
                f"({str(error).splitlines()[0].rstrip('.')}): use larger evaluation.scales, a larger "
                "data.evaluation_size (data.size, where the data have no other), or a protocol of crops"
            ) from error
    return views


def check_smallest(model: Model, evaluation: ConfigDict, source: Source | None) -> None:
    """Refuses images of variable size of which the smallest is too small for the network.

    Raises:
      InvalidValue: with the name of the smallest.
    """
    found = source.smallest() if source is not None else None
    if found is None:
        return
    name, size = found
    views = views_for(model, evaluation, size)
    least = min([(view.height, view.width) for view in views.maps] or [size], key=min)
    try:
        trace(model, least)
    except (FlaxError, InvalidValue, TypeError, ValueError) as error:
        scaled = "" if least == size else f" in the smallest of evaluation.scales ({size[0]} x {size[1]} in its file)"
        raise InvalidValue(
            f"{name} is too small to be evaluated in its own size{scaled}: {error}, or set data.evaluation_size, to "
            "which all pictures are scaled"
        ) from error


def centre_view(model: Model, images: Array) -> Array:
    """Images `[N, H, W, C]`, float, or their centre if the network takes smaller ones."""
    image, size = model.size_of_evaluation, model.size
    if image == size:
        return images
    [view] = views_of("centre_crop", image, size).crops
    return crop(images, jnp.array(view[:4], jnp.float32), view.mirrored, size)


def predict(model: Model, variables: Any, images: Array) -> dict[str, Array]:
    """Predictions for the `centre_view` of uint8 images `[N, H, W, C]`: one pure function, for exported programs."""
    batch = unit_range({"image": images})
    batch["image"] = centre_view(model, batch["image"])
    return model.task.decode(model.forward(variables, batch), batch)
