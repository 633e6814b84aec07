"""A class for every pixel of image files, as pictures: the classes as index PNGs, and in colour on the image."""

import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from convnets.analysis.class_colours import index_png, overlaid
from convnets.data.decoding import Picture
from convnets.errors import InvalidValue
from convnets.evaluation.large_images import pixel_classes
from convnets.files import write_atomically
from convnets.training.setup import Model
from convnets.training.step import unit_range


def predict_pixels(
    model: Model, variables: Any, files: Sequence[Path], out: Path, *, window: int, overlap: int
) -> list[dict[str, Any]]:
    """A record for each file: what it shows, and the names of the two pictures of its own size in `out`.

    Args:
      window, overlap: as `pixel_classes` takes them.

    Raises:
      InvalidValue: a folder that can't be made, or in which a picture would take the place of a given one.
      UnreadableImage: a file that can't be decoded.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidValue(f"the folder {out} for the pictures can't be made: {error.strerror}") from None
    written = [tuple(out / picture for picture in pictures_of(name)) for name in names_of(files)]
    given = {file.resolve() for file in files}
    for picture in itertools.chain.from_iterable(written):
        if picture.resolve() in given:
            raise InvalidValue(
                f"{picture} is one of the images, and would be written over: give another folder as --out"
            )

    # Compiled for each size of images: what an image were filled up with would have a say in its own pixels.
    @jax.jit
    def probabilities(variables: Any, image: jax.Array) -> jax.Array:
        values = model.normalize(unit_range({"image": image[None]})["image"])
        outputs: Any = model.network.apply(variables, values, train=False)
        return jax.nn.softmax(outputs[0][0])

    variables = jax.device_put(variables)
    records = []
    for file, (classes, overlay) in zip(files, written, strict=True):
        image = Picture(file, str(file), model.info.image_shape[-1]).pixels()
        mask = pixel_classes(
            lambda part: np.asarray(probabilities(variables, part)), image, window=window, overlap=overlap
        )
        write_atomically(classes, index_png(mask))
        write_atomically(overlay, _png(overlaid(image, mask)))
        [said] = model.task.describe({"mask": mask[None]})
        records.append({"file": str(file), "mask": str(classes), "overlay": str(overlay)} | said)
    return records


def names_of(files: Sequence[Path]) -> Iterator[str]:
    """A name for the pictures of each file: its own without the suffix, numbered where one of them has another file's.

    >>> list(names_of([Path("cat.jpg"), Path("cat.png"), Path("cat_overlay.jpg"), Path("cat_2.jpg")]))
    ['cat', 'cat_2', 'cat_overlay_2', 'cat_2_2']
    """
    taken: set[str] = set()
    for file in files:
        numbers = itertools.count(2)
        name = file.stem
        while not taken.isdisjoint(pictures_of(name)):
            name = f"{file.stem}_{next(numbers)}"
        taken.update(pictures_of(name))
        yield name


def pictures_of(name: str) -> tuple[str, str]:
    """The files with the classes and with the overlay."""
    return f"{name}.png", f"{name}_overlay.png"


def _png(picture: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()
