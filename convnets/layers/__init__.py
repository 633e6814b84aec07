"""What networks are made of: a file for each layer, with its plain JAX implementation."""

from convnets.layers.batch_norm import BatchNorm
from convnets.layers.convolution import Convolution
from convnets.layers.convolution_norm_relu import ConvolutionNormReLU
from convnets.layers.fully_connected import FullyConnected
from convnets.layers.local_response_norm import LocalResponseNorm
from convnets.layers.pooling import adaptive_average_pool, average_pool, max_pool
from convnets.layers.transposed_convolution import TransposedConvolution

__all__ = [
    "BatchNorm",
    "Convolution",
    "ConvolutionNormReLU",
    "FullyConnected",
    "LocalResponseNorm",
    "TransposedConvolution",
    "adaptive_average_pool",
    "average_pool",
    "max_pool",
]
