"""Views of whole images for networks that answer for every pixel: images of each its own size, scaled and mirrored.

An image may lie in a larger array, at its upper left. What is around it counts for nothing: it is scaled as if it were
alone, and the scores of its pixels are brought back in the same way.
"""

import jax
import jax.numpy as jnp
from jax import Array

from convnets.evaluation.scores import Average
from convnets.evaluation.views import Size


def scaled_extents(extents: Array, images: Size, view: Size) -> Array:
    """What of a view the images cover, int32 `[N, 2]`, at least a pixel.

    Args:
      extents: of the images, int32 `[N, 2]`.
      images: the size of the arrays they lie in.
      view: the size that these have in the view.
    """
    return jnp.maximum(jnp.round(extents * jnp.array(view) / jnp.array(images)), 1).astype(jnp.int32)


def resample(x: Array, size: Size, extents: Array, wanted: Array, mirrored: Array) -> Array:
    """Images `[N, H, W, C]` to `[N, *size, C]` by linear interpolation, which averages over pixels where they shrink.

    Args:
      extents: height and width of each image within `x`, int `[N, 2]`.
      wanted: those that it has in the result, int `[N, 2]`; beyond them its last pixels are repeated.
      mirrored: whether left and right change places, 0 or 1.
    """
    down = _weights(x.shape[1], size[0], extents[:, 0], wanted[:, 0])
    across = _weights(x.shape[2], size[1], extents[:, 1], wanted[:, 1], mirrored)
    return jnp.einsum("nhwc,nHh,nWw->nHWc", x, down, across, precision="highest")


def _weights(length: int, result: int, extents: Array, wanted: Array, mirrored: Array | float = 0.0) -> Array:
    """What each of `length` pixels counts for each of the `result`, float32 `[N, result, length]`."""
    extents, wanted = extents[:, None, None], wanted[:, None, None]
    ratio = extents / wanted
    pixels = jnp.arange(length) + 0.5
    pixels = jnp.where(mirrored > 0, extents - pixels, pixels)
    middle = jnp.minimum(jnp.arange(result)[None, :, None] + 0.5, wanted - 0.5) * ratio
    weights = jnp.maximum(1 - jnp.abs(middle - pixels) / jnp.maximum(ratio, 1), 0)
    weights = jnp.where((pixels > 0) & (pixels < extents), weights, 0)
    return weights / weights.sum(-1, keepdims=True)


def score_pixels(logits: Array, size: Size, extents: Array, wanted: Array, mirrored: Array, average: Average) -> Array:
    """The scores of every pixel by a view: log-probabilities or logits, float32 `[N, *size, classes]`.

    Args:
      logits: of the view's pixels, `[N, h, w, classes]`.
      size: of the arrays that the images lie in.
      extents: of the images in the view.
      wanted: of the images themselves.
      mirrored: whether the view is a mirror image, 0 or 1.
    """
    values = logits.astype(jnp.float32)
    if average == "probabilities":
        return jnp.log(resample(jax.nn.softmax(values), size, extents, wanted, mirrored))
    return resample(values, size, extents, wanted, mirrored)
