"""The image that a classifier is slid over: a file's, or a mosaic of the test images of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from convnets.data.decoding import Picture
from convnets.data.image_files import find_images
from convnets.data.resampling import Part, resized_exactly
from convnets.errors import InvalidValue
from convnets.evaluation.protocols import views_of
from convnets.evaluation.views import crop, scaled
from convnets.tasks.model import Model
from convnets.training.setup import load_splits
from convnets.training.workdir import Workdir

SMALLEST = 128
"""Side of the image where none is given and the window is small, in pixels."""


@dataclass(frozen=True)
class LargerImage:
    """An image and where it comes from.

    Attributes:
      pixels: uint8 `[H, W, C]`.
      name: in words.
    """

    pixels: np.ndarray
    name: str


def larger_image(paths: Sequence[str], config: ConfigDict, model: Model, workdir: Workdir, size: int) -> LargerImage:
    """The image of the one file that `paths` name, with its short side brought to `size` pixels, or a mosaic.

    Args:
      size: in pixels; 0 for two windows, and 128 at least.

    Raises:
      InvalidValue: several images, none, or a size smaller than the window.
      UnreadableImage: a file that can't be decoded.
    """
    window = model.image_shape[:2]
    size = size or max(SMALLEST, 2 * max(window))
    if size < max(window):
        raise InvalidValue(
            f"--size is {size} pixels, and the window of {config.network.name} is {window[0]} x {window[1]}: give "
            f"{max(window)} or more"
        )
    if not paths:
        return _mosaic(config, model, workdir, size)
    files = find_images(paths)
    if len(files) > 1:
        raise InvalidValue(f"a window is slid over one image, and {len(files)} were given: name one file")
    return LargerImage(_read(files[0], model.image_shape[-1], size), files[0].name)


def _read(file: Path, channels: int, size: int) -> np.ndarray:
    picture = Picture(file, str(file), channels)
    whole = picture.height, picture.width
    return resized_exactly(picture.pixels(), Part(0, 0, *whole), scaled(whole, (size, size), 1.0))


def _mosaic(config: ConfigDict, model: Model, workdir: Workdir, size: int) -> LargerImage:
    """As many test images as fit, from all over the split, each as the network sees it when it is evaluated."""
    splits = load_splits(config)
    workdir.check_data(splits.train.info)
    height, width, channels = model.image_shape
    rows, columns = size // height, size // width
    indices = np.linspace(0, len(splits.test) - 1, rows * columns).round().astype(int)
    images = splits.test.batch(indices)["image"]
    if images.shape[1:3] != (height, width):
        [view] = views_of("centre_crop", images.shape[1:3], (height, width)).crops
        cut = crop(jnp.asarray(images, jnp.float32), jnp.array(view[:4], jnp.float32), view.mirrored, (height, width))
        images = np.asarray(cut).round().clip(0, 255).astype(np.uint8)
    grid = images.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return LargerImage(grid.reshape(rows * height, columns * width, channels), f"{len(indices)} test images")
