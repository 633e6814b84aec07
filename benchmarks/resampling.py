"""How far training's quick resampling lies from Pillow's antialiased one, and what each costs."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measuring import Result, Row
from benchmarks.photographs import photographs
from convnets.analysis.timing import alternate
from convnets.data.decoding import Picture
from convnets.data.resampling import Part, resized_exactly, resized_quickly

SIZE = 224
SIDES = (120, 175, 224, 280, 328, 400, 448, 800, 1200)
"""Of parts in pixels; those of 448 and more come of the larger photographs alone."""
TAKEN = (175, 328)
"""What ResNet's transform takes of a picture of 500 x 375."""


def run(quick: bool) -> Result:
    """Of parts of photographs that become 224 x 224; JPEGs of quality 90."""
    jpegs = _jpegs()
    rows: list[Row] = []
    for side in SIDES:
        pictures = [content for image, content in jpegs if min(image.size) >= side]
        differences = [_difference(content, side) for content in pictures]
        exact, quickly = _cost(pictures[0], side, 0.2 if quick else 3)
        rows.append(
            {
                "side_of_the_part": side,
                "shrinks_by": side / SIZE,
                "photographs": len(pictures),
                "mean_difference_grey_levels": float(np.mean([difference.mean() for difference in differences])),
                "99_percent_below": float(np.mean([np.quantile(difference, 0.99) for difference in differences])),
                "ms_exact": exact,
                "ms_quick": quickly,
            }
        )
    taken = [
        float(row["mean_difference_grey_levels"] or 0)
        for row, side in zip(rows, SIDES, strict=True)
        if TAKEN[0] <= side <= TAKEN[1]
    ]
    reading = f"of what ResNet's transform takes, the mean differences are {min(taken):.2f} to {max(taken):.2f} levels"
    return Result("Training's resampling beside Pillow's (parts to 224 x 224)", rows, reading)


def _jpegs() -> list[tuple[Any, bytes]]:
    jpegs = []
    for image in photographs(large=True):
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=90)
        jpegs.append((image, stream.getvalue()))
    return jpegs


def _difference(content: bytes, side: int) -> np.ndarray:
    picture = Picture(content, "a photograph")
    part = Part((picture.height - side) // 2, (picture.width - side) // 2, side, side)
    quickly = np.empty((SIZE, SIZE, 3), np.uint8)
    resized_quickly(picture, part, quickly)
    exactly = resized_exactly(Picture(content, "a photograph").pixels(), part, (SIZE, SIZE))
    return np.abs(quickly.astype(int) - exactly)


def _cost(content: bytes, side: int, seconds: float) -> tuple[float, float]:
    """Milliseconds of the exact and of the quick way, decoding included."""
    part, result = Part(0, 0, side, side), np.empty((SIZE, SIZE, 3), np.uint8)

    def exactly() -> Any:
        return resized_exactly(Picture(content, "a photograph").pixels(), part, (SIZE, SIZE))

    def quickly() -> Any:
        resized_quickly(Picture(content, "a photograph"), part, result)

    contestants: dict[str, Callable[[], Any]] = {"exactly": exactly, "quickly": quickly}
    timings = alternate(contestants, seconds=seconds, slice_seconds=0.05)
    return timings["exactly"].median * 1e3, timings["quickly"].median * 1e3
