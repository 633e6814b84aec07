"""Kernels compiled for the CPU at hand, from C++ and oneDNN.

Only `convnets.layers` imports this package, and computes by XLA alone where it is missing. The functions take float32
and bfloat16 arrays of shapes that the layers have checked; call `load` first, which says why where they can't be had.
"""

from convnets.kernels.build import Unavailable
from convnets.kernels.convolutions import Window, convolution, input_gradient
from convnets.kernels.library import load
from convnets.kernels.norms import BETA, batch_norm, local_response_norm
from convnets.kernels.pools import LARGEST_WINDOW, max_pool
from convnets.kernels.products import fully_connected

__all__ = [
    "BETA",
    "LARGEST_WINDOW",
    "Unavailable",
    "Window",
    "batch_norm",
    "convolution",
    "fully_connected",
    "input_gradient",
    "load",
    "local_response_norm",
    "max_pool",
]
