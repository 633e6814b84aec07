"""Predictions for images and image files."""

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from convnets.data.decoding import Picture
from convnets.data.folder_scan import find_images
from convnets.data.resampling import Part, read_part
from convnets.errors import InvalidValue
from convnets.evaluation.inference import Inference
from convnets.parallel import Devices
from convnets.tasks.model import Model
from convnets.tasks.task import Placement

BATCH = 64
"""Images of one size at once; the last batch is padded, so that it is the same program."""


class Predicted(NamedTuple):
    """A prediction for a file.

    Attributes:
      prediction: arrays, as `Task.in_picture` gives them for this file.
      record: ready for JSON, as `Task.describe` gives it.
    """

    file: Path
    prediction: dict[str, np.ndarray]
    record: dict[str, Any]


class Predictor:
    """Predicts by the views of the config's protocol, on one device.

    Args:
      evaluation: the config's section.

    Raises:
      InvalidValue: as `Inference`.
    """

    def __init__(self, model: Model, variables: Any, evaluation: ConfigDict):
        self.model = model
        self._devices = Devices(devices=jax.local_devices()[:1])
        self._inference = Inference(model, self._devices, evaluation, measured=False)
        self._variables = self._devices.replicate(variables)
        self.any_size = self._inference.windows is not None

    def images(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Predictions for images, each `[N, ...]`, as `Task.decode` makes them.

        Args:
          images: uint8 `[N, H, W, C]`, of the size of the data's; of any size from tasks that predict pixels.
        """
        found = []
        for start in range(0, len(images), 1 if self.any_size else BATCH):
            part = images[start : start + (1 if self.any_size else BATCH)]
            padding = 0 if self.any_size else BATCH - len(part)
            batch = {"image": np.concatenate([part, np.zeros((padding, *part.shape[1:]), np.uint8)])}
            _, predictions = self._inference(self._variables, self._devices.split(batch))
            found.append({name: value[: len(part)] for name, value in self._inference.join(predictions).items()})
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

    def files(self, files: Sequence[Path]) -> Iterator[Predicted]:
        """A prediction for each image file, in the pixels of its upright picture.

        A picture is brought to the size of the data's, unless the task predicts images of any size.

        Raises:
          UnreadableImage: a file that can't be decoded.
        """
        task, size = self.model.task, 1 if self.any_size else BATCH
        for start in range(0, len(files), size):
            part = files[start : start + size]
            images, placements = zip(*map(self._read, part), strict=True)
            predictions = task.in_picture(self.images(np.stack(images)), list(placements))
            for number, (file, record) in enumerate(zip(part, task.describe(predictions), strict=True)):
                yield Predicted(file, {name: value[number] for name, value in predictions.items()}, record)

    def records(self, images: np.ndarray | str | PathLike[str] | Sequence[str | PathLike[str]]) -> list[dict[str, Any]]:
        """A record for each image, ready for JSON, with its `file` if it is one.

        Args:
          images: image files or folders of them, or pixels as `images` takes them.

        Raises:
          InvalidValue: a missing file, a folder without images, or pixels of another type or shape.
          UnreadableImage: a file that can't be decoded.
        """
        if not isinstance(images, np.ndarray):
            paths = [images] if isinstance(images, str | PathLike) else images
            return [{"file": str(file)} | record for file, _, record in self.files(find_images(paths))]
        height, width, channels = self.model.info.image_shape
        fixed: tuple[Any, ...] = (channels,) if self.any_size else (height, width, channels)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-len(fixed) :] != fixed or not len(images):
            raise InvalidValue(
                f"images are uint8 [N, {', '.join(map(str, ('H', 'W', channels) if self.any_size else fixed))}], and "
                f"these are {images.dtype} {list(images.shape)}: give image files to have them resized"
            )
        return self.model.task.describe(self.images(images))

    def _read(self, file: Path) -> tuple[np.ndarray, Placement]:
        shape, padding = self.model.info.image_shape, self.model.info.padding
        if self.any_size:
            pixels = Picture(file, str(file), shape[-1]).pixels()
            whole = pixels.shape[0], pixels.shape[1]
            return pixels, Placement(Part(0, 0, *whole), whole, whole, 0)
        image, shown, picture = read_part(file, shape, padding)
        return image, Placement(shown, picture, self.model.size_of_evaluation, padding)
