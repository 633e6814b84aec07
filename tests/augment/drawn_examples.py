"""What tests of transforms share: rectangles painted into image, mask and boxes; many draws, and how they spread."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from scipy.ndimage import binary_erosion
from scipy.stats import kstest

HEIGHT, WIDTH = 48, 40


def painted() -> dict[str, np.ndarray]:
    """Four boxes that do not overlap: box k is drawn into the mask as k + 1 and into the image in a grey of its own."""
    boxes = [(4, 5, 20, 17), (3, 24, 15, 38), (26, 3, 44, 18), (24, 24, 36, 34)]
    mask = np.zeros((HEIGHT, WIDTH), np.int32)
    for number, (y0, x0, y1, x1) in enumerate(boxes, 1):
        mask[y0:y1, x0:x1] = number
    image = np.stack([mask / 4, mask > 0], axis=-1).astype(np.float32)
    return {"image": image, "mask": mask, "boxes": np.array(boxes, np.float32)}


def check_agreement(moved: dict[str, np.ndarray], *, slack: float, blur: int = 1, turned: bool = False) -> int:
    """Asserts that image and mask show the same and that boxes are tight around the mask; how many are left.

    A pixel has the label of its centre, so that the region of a mask ends within half a pixel of the shape it stands
    for; where the shape ends in a slanted corner, a pixel or two earlier. Where the picture cuts a turned shape off, it
    may end in a splinter that holds hardly a centre: of turned boxes at the rim it is only asserted that they are no
    smaller than the region.

    Args:
      turned: whether sides of the boxes no longer are rows and columns.
      slack: pixels by which a side of a box may be off.
      blur: pixels from its rim on within which a region of the image need not have its painted grey.
    """
    mask, left = moved["mask"], 0
    height, width = mask.shape
    for number, box in enumerate(moved["boxes"], 1):
        rows, columns = np.nonzero(mask == number)
        if rows.size < 4:
            # A sliver that the centre of hardly a pixel lies in.
            assert turned or min(box[2] - box[0], box[3] - box[1]) <= 4
            continue
        left += 1
        tight = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
        assert (box[:2] <= tight[:2] + 0.51).all() and (box[2:] >= tight[2:] - 0.51).all(), (box, tight)
        assert (box >= 0).all() and (box[2:] <= [height, width]).all()
        if not turned or ((box[:2] > 0.01).all() and (box[2:] < np.array([height, width]) - 0.01).all()):
            np.testing.assert_allclose(box, tight, atol=slack)
        inner = binary_erosion(mask == number, np.ones((3, 3)), iterations=blur)
        assert np.abs(moved["image"][inner] - [number / 4, 1]).max(initial=0) < 1e-5
    return left


def under_keys(function: Callable[..., Any], example: dict[str, Any], count: int, **options: Any) -> dict[str, Any]:
    """What a transform makes of one example under `count` keys, as NumPy's arrays `[count, ...]`."""
    change = jax.jit(jax.vmap(lambda seed, given: function(jax.random.key(seed), given, **options), (0, None)))
    return jax.device_get(change(np.arange(count), example))


def is_uniform(values: np.ndarray, low: float, high: float) -> bool:
    """Whether the values lie in the interval, but for rounding, and pass the test of Kolmogorov and Smirnov."""
    slack = 2e-3 * (high - low)
    inside = bool(low - slack <= values.min() and values.max() <= high + slack)
    return inside and kstest(values, "uniform", (low, high - low)).pvalue > 1e-3


def is_share(count: int, of: int, probability: float) -> bool:
    """Whether so many of them are within four deviations of the binomial distribution."""
    return abs(count / of - probability) <= 4 * np.sqrt(probability * (1 - probability) / of)
