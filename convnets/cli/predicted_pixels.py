"""A class for every pixel of image files, as pictures: the classes as index PNGs, and in colour on the image."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from convnets.cli.prediction_pictures import pictures_for
from convnets.data.decoding import Picture
from convnets.evaluation.large_images import pixel_classes
from convnets.files import write_atomically
from convnets.plots.class_colours import index_png, overlaid
from convnets.training.setup import Model
from convnets.training.step import unit_range

ENDINGS = (".png", "_overlay.png")
"""Of the files with the classes and with the overlay."""


def predict_pixels(
    model: Model, variables: Any, files: Sequence[Path], out: Path, *, window: int, overlap: int
) -> list[dict[str, Any]]:
    """A record for each file: what it shows, and the names of the two pictures of its own size in `out`.

    Args:
      window, overlap: as `pixel_classes` takes them.

    Raises:
      InvalidValue: as `pictures_for`.
      UnreadableImage: a file that can't be decoded.
    """
    pictures = pictures_for(files, out, ENDINGS)

    # Compiled for each size of images: what an image were filled up with would have a say in its own pixels.
    @jax.jit
    def probabilities(variables: Any, image: jax.Array) -> jax.Array:
        values = model.normalize(unit_range({"image": image[None]})["image"])
        outputs: Any = model.network.apply(variables, values, train=False)
        return jax.nn.softmax(outputs[0][0])

    variables = jax.device_put(variables)
    records = []
    for file, (classes, overlay) in zip(files, pictures, strict=True):
        image = Picture(file, str(file), model.info.image_shape[-1]).pixels()
        mask = pixel_classes(
            lambda part: np.asarray(probabilities(variables, part)), image, window=window, overlap=overlap
        )
        write_atomically(classes, index_png(mask))
        write_atomically(overlay, _png(overlaid(image, mask)))
        [said] = model.task.describe({"mask": mask[None]})
        records.append({"file": str(file), "mask": str(classes), "overlay": str(overlay)} | said)
    return records


def _png(picture: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()
