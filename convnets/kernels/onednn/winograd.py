"""Which convolutions are computed by Winograd's minimal filtering, and at how many points.

A tile of m x m responses of an r x r filter takes (m + r - 1)^2 multiplications for each pair of a channel and a filter
instead of (m r)^2 (Lavin and Gray, CVPR 2016): at stride 1, 36 instead of 144 for 3x3 filters and 36 instead of 100
for 5x5. All is computed in float32, with about twice the rounding error of a sum. Maps of bfloat16, which are rounded
a thousand times as much, may have 81 instead of 441 or 625: as float32 is half as fast there, they need it.
"""

import jax.numpy as jnp

from convnets.kernels.choice import filters_minimally
from convnets.kernels.geometry import Geometry
from convnets.kernels.onednn.library import multiplies_tiles

Shape = tuple[int, ...]

DIRECT = 0
SIDES = (3, 5)
POINTS = (6, 9)
PRODUCT = 1.2
"""Cost of a multiplication among transformed numbers; among untransformed ones in float32 it is 1."""
TRANSFORMS = {6: 25, 9: 30}
"""Cost of transforming a number there and back, in multiplications."""


def points(x: Shape, kernel: Shape, y: Shape, dtype: jnp.dtype, kernel_dtype: jnp.dtype, geometry: Geometry) -> int:
    """The number of points on each axis by which a convolution and its gradients are fastest; 0 for none.

    Args:
      x, kernel, y: shapes of the input, the kernel and the result.
      dtype: of the maps.
    """
    narrow = dtype == jnp.bfloat16
    if (
        kernel[0] != kernel[1]
        or kernel[0] not in SIDES
        or geometry.strides != (1, 1)
        or geometry.dilation != (1, 1)
        or kernel_dtype != jnp.float32
        or (narrow and multiplies_tiles())
        or not filters_minimally()
    ):
        return DIRECT
    side, channels, features = kernel[0], kernel[2], kernel[3] // geometry.groups
    costs = {DIRECT: side * side * y[1] * y[2] * channels * features / (2 if narrow else 1)}
    for count in POINTS if narrow else POINTS[:1]:
        responses = count + 1 - side
        tiles = -(-y[1] // responses) * -(-y[2] // responses)
        products = PRODUCT * channels * features
        costs[count] = tiles * count * count * (products + TRANSFORMS[count] * (channels + features) / 2)
    return min(costs, key=costs.__getitem__)
