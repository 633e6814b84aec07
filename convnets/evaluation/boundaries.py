"""Where in an image its classes meet: the bands in which the outlines of a segmentation are judged.

Most pixels lie within things and say little of how well these are outlined. So the measures are taken near boundaries
as well (Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", ICLR 2015,
section 5.2; the bands are called trimaps there).
"""

import itertools

import jax.numpy as jnp
from jax import Array

WIDTHS = (1, 2, 4, 8, 16)
"""The distances, in pixels, up to which pixels belong to the bands; each is twice the one before."""


def boundary_bands(mask: Array, extent: Array | None = None) -> Array:
    """The band of each pixel, int32 `[N, H, W]`: i within `WIDTHS[i]` pixels and no fewer, `len(WIDTHS)` beyond all.

    A pixel's distance is that to the nearest one of another value, the larger of that down and that across: 1 on
    both sides of a boundary. Pixels without a label are a value of their own.

    Args:
      mask: int `[N, H, W]`.
      extent: height and width of the part of each mask that is no filling, int `[N, 2]`; None: all of it.
    """
    own = jnp.ones(mask.shape, bool)
    if extent is not None:
        rows, columns = (jnp.arange(side) < extent[:, axis, None] for axis, side in enumerate(mask.shape[1:]))
        own = rows[:, :, None] & columns[:, None, :]
    band = jnp.zeros(mask.shape, bool)
    for down, across in itertools.product((-1, 0, 1), repeat=2):
        band |= (_shifted(mask, down, across) != mask) & _shifted(own, down, across) & own
    bands = jnp.where(band, 0, len(WIDTHS))
    for number, width in enumerate(WIDTHS[1:], 1):
        # As wide as a band is, it leaves no gap when it is moved by half the next one's width.
        step = width // 2
        band |= _shifted(band, step, 0) | _shifted(band, -step, 0)
        band |= _shifted(band, 0, step) | _shifted(band, 0, -step)
        bands = jnp.where(band & (bands == len(WIDTHS)), number, bands)
    return bands


def _shifted(x: Array, down: int, across: int) -> Array:
    """`[N, H, W]` moved by so many pixels, up and to the left where a number is negative; what comes in is zero."""
    _, height, width = x.shape
    around = (0, 0), (max(down, 0), max(-down, 0)), (max(across, 0), max(-across, 0))
    return jnp.pad(x, around)[:, max(-down, 0) :, max(-across, 0) :][:, :height, :width]
