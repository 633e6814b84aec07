"""Real photographs, those that scikit-image ships, and a folder of JPEGs cut from them in ImageNet's layout."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

NAMES = ("astronaut.png", "coffee.png", "motorcycle_left.png", "motorcycle_right.png", "rocket.jpg")
"""All have 512 x 400 pixels at least, so that nothing has to be enlarged."""
LARGE = "retina.jpg"
"""1411 x 1411 pixels."""
SIZES = ((500, 375), (500, 333), (480, 360), (375, 375), (400, 300))
"""Width and height of what is cut; ImageNet's mean is about 500 x 375."""
QUALITY = 90


def photographs(*, large: bool = False) -> list[Image.Image]:
    """In RGB; `large` adds one that can be shrunk several times.

    Raises:
      ImportError: scikit-image is not installed.
    """
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [Image.open(folder / name).convert("RGB") for name in (*NAMES, *([LARGE] if large else []))]


def write_folder(folder: Path, *, images: int, classes: int = 4) -> None:
    """Writes `images` JPEGs in turn to `train/<class>`, and one of each class to `val`."""
    sources = photographs()
    random = np.random.default_rng(0)
    for number in range(images + classes):
        photograph = sources[number % len(sources)]
        width, height = SIZES[int(random.integers(len(SIZES)))]
        left = int(random.integers(0, photograph.width - width + 1))
        top = int(random.integers(0, photograph.height - height + 1))
        part = photograph.crop((left, top, left + width, top + height))
        if random.random() < 0.5:
            part = ImageOps.mirror(part)
        split = "train" if number < images else "val"
        path = folder / split / f"class{number % classes}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.save(path, quality=QUALITY)
