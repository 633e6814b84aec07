"""The operations that networks spend their time in, each by what does it best on the device at hand."""

from convnets.kernels.average_pool import average_pool
from convnets.kernels.batch_norm import batch_norm, over_devices
from convnets.kernels.choice import CHOICES, compiler_options, fuses_inference, implementation, select, use
from convnets.kernels.convolution import convolution
from convnets.kernels.fully_connected import fully_connected
from convnets.kernels.local_response_norm import local_response_norm
from convnets.kernels.max_pool import max_pool
from convnets.kernels.transposed_convolution import transposed_convolution

__all__ = [
    "CHOICES",
    "average_pool",
    "batch_norm",
    "compiler_options",
    "convolution",
    "fully_connected",
    "fuses_inference",
    "implementation",
    "local_response_norm",
    "max_pool",
    "over_devices",
    "select",
    "transposed_convolution",
    "use",
]
