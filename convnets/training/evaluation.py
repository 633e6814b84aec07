"""The evaluation of a split by a run: its batches, its views, its devices, its record."""

import itertools
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax.errors import FlaxError
from ml_collections import ConfigDict

from convnets.data.canvases import smallest
from convnets.data.pipeline import EvaluationBatches, read_ahead
from convnets.data.source import Source
from convnets.errors import InvalidValue
from convnets.evaluation.evaluate import Evaluation, evaluate
from convnets.evaluation.protocols import OF_WHOLE_IMAGES, views_of
from convnets.evaluation.views import Size, Views
from convnets.parallel import Devices
from convnets.progress import Bar, Screen
from convnets.training.overlapping_windows import OverlappingWindows
from convnets.training.setup import Model, mapped_evaluation_step
from convnets.training.views_step import ViewsStep, only_image
from convnets.training.whole_images_step import WholeImagesStep
from convnets.training.windows_step import WindowsStep


class Evaluator:
    """Evaluates states of one model by the config's protocol; what is mapped is compiled once.

    Args:
      keep_scores: whether predictions have the `scores` of each class.

    Raises:
      InvalidValue: a protocol that does not fit the images or the task.
    """

    def __init__(self, config: ConfigDict, model: Model, devices: Devices, *, keep_scores: bool = False):
        self.config, self.model, self.devices = config, model, devices
        self.views = views_of_run(config, model)
        if keep_scores and (model.task.of_pixels or model.task.of_boxes):
            of = "every pixel" if model.task.of_pixels else "boxes"
            raise InvalidValue(
                f"the scores of {of} are not kept, and the task {config.task.name!r} has no others: ask for none"
            )
        # The devices share a batch equally; what is filled up weighs nothing.
        self.batch_size = -(-config.evaluation.batch_size // devices.count) * devices.count
        self._step: Any
        if model.task.of_pixels:
            self._step = self._step_of_pixels()
        elif only_image(self.views, model.info.image_shape[:2]) and not keep_scores:
            self._step = mapped_evaluation_step(model, devices)
        elif model.task.of_boxes:
            self._step = WindowsStep(model, devices, self.views)
        else:
            self._step = ViewsStep(
                model,
                devices,
                self.views,
                size=model.image_shape[:2],
                batch_size=self.batch_size // jax.process_count(),
                average=config.evaluation.average,
                keep_scores=keep_scores,
            )

    def _step_of_pixels(self) -> Any:
        evaluation, size = self.config.evaluation, self.model.image_shape[:2]
        windows = OverlappingWindows(
            self.model, self.devices, evaluation.window, evaluation.overlap, evaluation.average
        )
        if not only_image(self.views, self.model.info.image_shape[:2]):
            views = partial(views_of, evaluation.protocol, size=size, scales=evaluation.scales)
            return WholeImagesStep(self.model, self.devices, views, evaluation.average, windows)
        at_once = mapped_evaluation_step(self.model, self.devices)
        views = partial(views_of, OF_WHOLE_IMAGES[0], size=size)
        by_windows = WholeImagesStep(self.model, self.devices, views, evaluation.average, windows)

        def step(variables: Any, batch: Any) -> Any:
            large = windows.are_needed(batch["image"].shape[-3:-1])
            return (by_windows if large else at_once)(variables, batch)

        return step

    def __call__(
        self,
        variables: Any,
        source: Source,
        title: str,
        screen: Screen,
        stop: Callable[[], bool] = lambda: False,
    ) -> Evaluation | None:
        """Every example of the source once, under a bar of that title; None if `stop` said so."""
        batches = EvaluationBatches(
            source, batch_size=self.batch_size, process=jax.process_index(), process_count=jax.process_count()
        )
        with (
            Bar(screen, title, len(batches) * len(self.views)) as bar,
            closing(read_ahead(batches, **self.config.loader)) as stream,
        ):
            if isinstance(self._step, ViewsStep | WholeImagesStep | WindowsStep):
                done = itertools.count(1)
                self._step.seen = lambda: bar.update(next(done))
            return evaluate(
                self._step,
                variables,
                stream,
                self.model.task.summarize,
                self.devices.split,
                self.devices.join,
                every=-(-len(source) // (self.model.task.sample or len(source))),
                progress=lambda number: bar.update(number * len(self.views)),
                stop=stop,
            )


def views_of_run(config: ConfigDict, model: Model) -> Views:
    """The views of the config's protocol.

    Raises:
      InvalidValue: a protocol that does not fit the images, or a task whose answers are no mean over views.
    """
    protocol = config.evaluation.protocol
    views = views_of(protocol, model.info.image_shape[:2], model.image_shape[:2], config.evaluation.scales)
    if model.info.own_sizes and not model.task.of_pixels and not only_image(views, model.info.image_shape[:2]):
        raise InvalidValue(
            f"evaluation.protocol {protocol!r} is for images of one size, and those of {model.info.name!r} are "
            "evaluated in their own: use 'centre_crop' for images as they are served, or set data.evaluation_size"
        )
    of_parts = protocol not in OF_WHOLE_IMAGES
    if model.task.of_pixels and of_parts and not only_image(views, model.info.image_shape[:2]):
        raise InvalidValue(
            f"evaluation.protocol {protocol!r} averages over parts of images, and the task {config.task.name!r} "
            "answers for pixels: use 'centre_crop' for images as they are served (data.evaluation_size no larger than "
            f"data.size), {OF_WHOLE_IMAGES[0]!r} or {OF_WHOLE_IMAGES[1]!r}"
        )
    if model.task.of_boxes:
        _check_windows(config, views)
    elif not model.task.averages_views and not only_image(views, model.info.image_shape[:2]):
        raise InvalidValue(
            f"evaluation.protocol {protocol!r} scores crops, and the task {config.task.name!r} answers for whole "
            "images: leave augmentation that changes their size out, and use 'centre_crop'"
        )
    sizes = {(view.height, view.width) for view in views.maps}
    if model.task.of_pixels and not sizes:
        sizes = {model.info.image_shape[:2]}
    # The sizes of pictures that keep their own are not known here.
    if not (model.task.of_pixels and model.info.own_sizes):
        for size in sorted(sizes):
            _check_map(model, size)
    return views


def check_smallest(config: ConfigDict, model: Model, source: Source | None) -> None:
    """Refuses pictures whose pixels are scored in their own size, where the network can't score those of the smallest.

    Raises:
      InvalidValue: with the name of the smallest.
    """
    found = smallest(source) if source is not None and model.task.of_pixels else None
    if found is None:
        return
    name, size = found
    views = views_of(config.evaluation.protocol, size, model.image_shape[:2], config.evaluation.scales)
    least = min([(view.height, view.width) for view in views.maps] or [size], key=min)
    try:
        _trace(model, least)
    except (FlaxError, InvalidValue, TypeError, ValueError) as error:
        scaled = "" if least == size else f" in the smallest of evaluation.scales ({size[0]} x {size[1]} in its file)"
        raise InvalidValue(
            f"{name} is too small to be evaluated in its own size{scaled}: {error}, or set data.evaluation_size, to "
            "which all pictures are scaled"
        ) from error


def _check_windows(config: ConfigDict, views: Views) -> None:
    """Refuses several views where their boxes can't be merged."""
    if len(views.crops) + len(views.maps) == 1 and views.crops:
        return
    if config.task.order == "free":
        raise InvalidValue(
            f"evaluation.protocol {config.evaluation.protocol!r} merges what several windows say of an object, and "
            "objects in any order (task.order 'free') have no place in them: use 'centre_crop'"
        )
    if config.evaluation.average != "probabilities":
        raise InvalidValue("the scores of merged boxes are sums of probabilities: leave evaluation.average at that")


def _check_map(model: Model, size: Size) -> None:
    """Traces the network on images of another size than it was made for.

    Raises:
      InvalidValue: it has none of the answers.
    """
    try:
        _trace(model, size)
    except (FlaxError, InvalidValue, TypeError, ValueError) as error:
        if model.task.of_pixels:
            served = "a larger data.evaluation_size (data.size, where the data have no other)"
            how = served if size == model.info.image_shape[:2] else "larger evaluation.scales"
            raise InvalidValue(f"in evaluation {error}, by {how}") from error
        raise InvalidValue(
            f"evaluation.protocol asks for a map of scores of {size[0]} x {size[1]} images, and this network has none "
            f"({str(error).splitlines()[0].rstrip('.')}): use a protocol of crops"
        ) from error


def _trace(model: Model, size: Size) -> None:
    """Applies the network to an image of a size, in shapes alone."""
    images = (jnp.zeros((1, *shape, model.image_shape[-1])) for shape in (model.image_shape[:2], size))

    def apply(own: Any, other: Any) -> Any:
        variables = model.network.init(jax.random.key(0), own, train=False)
        return model.network.apply(variables, other, train=False)

    jax.eval_shape(apply, *images)
