"""Boxes that follow their image: clipped to the picture, marked when nothing of them is left, tight around what moved.

A box is (y0, x0, y1, x1) in pixels: pixel (i, j) covers the square from (i, j) to (i + 1, j + 1), so the box
(0, 0, H, W) is the whole picture. A box of which nothing is left in the picture becomes exactly (0, 0, 0, 0): the
number of boxes `K` is part of an array's shape and can't shrink, and this mark stays what it is under every further
flip, crop or warp.
"""

import jax.numpy as jnp
from jax import Array


def is_empty(boxes: Array) -> Array:
    """Which of `boxes [..., 4]` have no area, as bool `[...]`: the mark (0, 0, 0, 0), and whatever should become it."""
    y0, x0, y1, x1 = jnp.moveaxis(boxes, -1, 0)
    return (y1 <= y0) | (x1 <= x0)


def clipped(boxes: Array, height: int, width: int) -> Array:
    """`boxes [..., 4]` within a picture of `height` x `width` pixels; one without area is (0, 0, 0, 0)."""
    inside = jnp.clip(boxes, 0, jnp.array([height, width, height, width], boxes.dtype))
    return jnp.where(is_empty(inside)[..., None], jnp.zeros((), boxes.dtype), inside)


def outlines(boxes: Array, points: int) -> tuple[Array, Array]:
    """The outlines of `boxes [K, 4]` as polygons: y and x, each `[K, 4 * points]`.

    They run from (y0, x0) along the upper side and around, `points` points a side, the corner it starts from first.
    One point a side is enough where straight lines stay straight.
    """
    y0, x0, y1, x1 = jnp.moveaxis(boxes[..., None], -2, 0)
    share = jnp.arange(points) / points
    still, down, right = 0 * share, (y1 - y0) * share, (x1 - x0) * share
    y = jnp.concatenate([y0 + still, y0 + down, y1 + still, y1 - down], axis=-1)
    x = jnp.concatenate([x0 + right, x1 + still, x1 - right, x0 + still], axis=-1)
    return y, x


def surrounding(y: Array, x: Array, holds_corner: Array, height: int, width: int) -> Array:
    """The tight boxes `[K, 4]` of what is seen of polygons in a picture of `height` x `width` pixels.

    Clipping the box of the whole polygon would be too large: a turned box that sticks out of the picture is narrower
    where it crosses the edge. The extremes of the part that is seen are its vertices, the points where its sides
    cross the edge of the picture (Liang and Barsky 1984), and the picture's own corners that lie in it.

    Args:
      y, x: the vertices, `[K, P]` each, in order.
      holds_corner: bool `[K, 4]`: whether the polygon holds the picture's upper left, upper right, lower right and
        lower left corner (`corners`).
    """
    next_y, next_x = jnp.roll(y, -1, axis=-1), jnp.roll(x, -1, axis=-1)
    spans = _seen_span(y, next_y - y, height), _seen_span(x, next_x - x, width)
    enters = jnp.maximum(spans[0][0], spans[1][0])
    leaves = jnp.minimum(spans[0][1], spans[1][1])

    def points(start: Array, end: Array, limit: int, corner: Array) -> Array:
        step = end - start
        entered = start + jnp.clip(enters, 0, 1) * step
        # The end itself, not the end but for a rounding: boxes that stay in the picture keep their exact corners.
        left = jnp.where(leaves >= 1, end, start + jnp.clip(leaves, 0, 1) * step)
        return jnp.concatenate([entered, left, jnp.broadcast_to(corner, holds_corner.shape)], axis=-1).clip(0, limit)

    seen = jnp.concatenate([enters <= leaves, enters <= leaves, holds_corner], axis=-1)
    corner_y, corner_x = corners(height, width)
    ys, xs = points(y, next_y, height, corner_y), points(x, next_x, width, corner_x)
    low = [jnp.where(seen, values, jnp.inf).min(-1) for values in (ys, xs)]
    high = [jnp.where(seen, values, -jnp.inf).max(-1) for values in (ys, xs)]
    return clipped(jnp.stack([*low, *high], axis=-1), height, width)


def corners(height: int, width: int) -> tuple[Array, Array]:
    """y and x, each `[4]`, of a picture's corners: upper left, upper right, lower right, lower left."""
    return jnp.array([0.0, 0.0, height, height]), jnp.array([0.0, width, width, 0.0])


def _seen_span(start: Array, step: Array, limit: int) -> tuple[Array, Array]:
    """The shares of a segment, from 0 to 1, between which one of its coordinates lies in [0, limit]."""
    still = step == 0
    divisor = jnp.where(still, 1, step)
    one, other = (0 - start) / divisor, (limit - start) / divisor
    never = still & ((start < 0) | (start > limit))
    enters = jnp.where(never, jnp.inf, jnp.where(still, 0, jnp.minimum(one, other)))
    leaves = jnp.where(never, -jnp.inf, jnp.where(still, 1, jnp.maximum(one, other)))
    return jnp.maximum(enters, 0), jnp.minimum(leaves, 1)
