"""What is where in image files: boxes in the pixels of each picture as it lies on disk, and drawn on it."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convnets.cli.prediction_pictures import pictures_for
from convnets.data.decoding import Picture
from convnets.data.image_files import read_part
from convnets.data.parts import Part
from convnets.evaluation.views import Views
from convnets.files import write_atomically
from convnets.plots.localization import PREDICTED
from convnets.training.setup import Model
from convnets.training.step import unit_range
from convnets.training.windows_step import look

BATCH = 16


def predict_boxes(model: Model, variables: Any, files: Sequence[Path], views: Views, out: Path) -> list[dict[str, Any]]:
    """A record for each file, and a picture of its own size with the boxes in `out`.

    Raises:
      InvalidValue: as `pictures_for`.
      UnreadableImage: a file that can't be decoded.
    """
    pictures = [picture for (picture,) in pictures_for(files, out, ("_boxes.png",))]

    @jax.jit
    def find(variables: Any, images: jax.Array) -> dict[str, jax.Array]:
        return model.task.predictions(look(model, variables, unit_range({"image": images})["image"], views))

    variables = jax.device_put(variables)
    records = []
    for start in range(0, len(files), BATCH):
        part = files[start : start + BATCH]
        images, parts, sizes = zip(
            *(read_part(file, model.info.image_shape, model.info.padding) for file in part), strict=True
        )
        # Filled up to one size, so that it is compiled once.
        filled = np.concatenate([np.stack(images), np.zeros((BATCH - len(part), *images[0].shape), np.uint8)])
        found = {name: value[: len(part)] for name, value in jax.device_get(find(variables, filled)).items()}
        found["boxes"] = np.stack(
            [in_picture(boxes, model, *where) for boxes, *where in zip(found["boxes"], parts, sizes, strict=True)]
        )
        for file, record, picture, size in zip(part, model.task.describe(found), pictures[start:], sizes, strict=False):
            write_atomically(picture, drawn(file, record["objects"]))
            shape = {"height": size[0], "width": size[1]}
            records.append({"file": str(file), "picture": str(picture)} | shape | record)
    return records


def in_picture(boxes: np.ndarray, model: Model, part: Part, size: tuple[int, int]) -> np.ndarray:
    """Boxes `[..., 4]` in the image that the network was served, 1 high and 1 wide, in pixels of the whole picture.

    Args:
      part: of the upright picture, that is served.
      size: its height and width.
    """
    height, width, _ = model.info.image_shape
    padding = model.info.padding
    served = np.array([height, width] * 2)
    shown = np.array([part.height, part.width] * 2) / (served - 2 * padding)
    pixels = np.array([part.top, part.left] * 2) + (boxes * served - padding) * shown
    clipped: np.ndarray = pixels.clip(0, np.array([*size, *size]))
    return clipped


def drawn(file: Path, objects: Sequence[Mapping[str, Any]]) -> bytes:
    """The picture as a PNG with the box, class and probability of each object on it."""
    picture = Image.fromarray(Picture(file, str(file), 3).pixels())
    draw = ImageDraw.Draw(picture)
    short = min(picture.size)
    line, font = max(1, round(short / 120)), ImageFont.load_default(max(10.0, short / 24))
    for one in objects:
        y0, x0, y1, x1 = one["box"]
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=PREDICTED, width=line)
        text = f"{one['class']} {one['probability']:.0%}"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        # Above the box, or within it where there is no room; never over the picture's right edge.
        height = bottom - top + 4
        y, x = (y0 - height if y0 >= height else y0), max(0, min(x0, picture.width - (right - left) - 4))
        draw.rectangle((x, y, x + right - left + 4, y + height), fill=PREDICTED)
        draw.text((x + 2 - left, y + 2 - top), text, fill="white", font=font)
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
