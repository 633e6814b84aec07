"""What networks are made of."""

from convnets.layers.batch_norm import BatchNorm
from convnets.layers.convolution import Convolution
from convnets.layers.convolution_norm_relu import ConvolutionNormReLU
from convnets.layers.fully_connected import FullyConnected
from convnets.layers.local_response_norm import LocalResponseNorm
from convnets.layers.pooling import adaptive_average_pool, average_pool, max_pool

__all__ = [
    "BatchNorm",
    "Convolution",
    "ConvolutionNormReLU",
    "FullyConnected",
    "LocalResponseNorm",
    "adaptive_average_pool",
    "average_pool",
    "max_pool",
]
