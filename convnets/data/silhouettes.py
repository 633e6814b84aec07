"""What of a picture of Fashion-MNIST is the garment: a picture has it light on black, with dark parts inside."""

import numpy as np

INK = 12
"""Grey values above it belong to the garment."""


def silhouette(grey: np.ndarray) -> np.ndarray:
    """The garment in a picture `[H, W]` uint8, float32 `[H, W]` of 0 and 1: what is light, or enclosed by what is.

    The outside is what the frame's dark pixels reach from one dark pixel to the next, up, down, left and right.
    """
    dark = np.pad(grey <= INK, 1, constant_values=True)
    outside = np.zeros_like(dark)
    outside[0], outside[-1], outside[:, 0], outside[:, -1] = True, True, True, True
    while True:
        grown = outside.copy()
        grown[1:] |= outside[:-1]
        grown[:-1] |= outside[1:]
        grown[:, 1:] |= outside[:, :-1]
        grown[:, :-1] |= outside[:, 1:]
        grown &= dark
        if (grown == outside).all():
            return (~outside[1:-1, 1:-1]).astype(np.float32)
        outside = grown
