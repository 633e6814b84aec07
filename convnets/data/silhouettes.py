"""What of a picture of Fashion-MNIST is the garment: a picture has it light on black, with dark parts inside."""

import cv2
import numpy as np

INK = 12
"""Grey values above it belong to the garment."""
OUTSIDE = 2


def silhouette(grey: np.ndarray) -> np.ndarray:
    """The garment in a picture `[H, W]` uint8, float32 `[H, W]` of 0 and 1: what is light, or enclosed by what is.

    The outside is what the frame's dark pixels reach from one dark pixel to the next, up, down, left and right.
    """
    dark = np.pad(grey <= INK, 1, constant_values=True).astype(np.uint8)
    cv2.floodFill(dark, None, (0, 0), OUTSIDE)
    return (dark[1:-1, 1:-1] != OUTSIDE).astype(np.float32)
