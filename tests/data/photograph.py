"""A photograph that is on every machine: matplotlib ships it."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

PHOTOGRAPH = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def photograph(width: int = 512, height: int = 600) -> Image.Image:
    """The upper left part of it."""
    with Image.open(PHOTOGRAPH) as image:
        return image.convert("RGB").crop((0, 0, width, height))


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Pixels without any structure."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
