"""What networks are made of."""

from convnets.layers.batch_norm import BatchNorm
from convnets.layers.convolution import Convolution
from convnets.layers.fully_connected import FullyConnected
from convnets.layers.pooling import average_pool, max_pool

__all__ = ["BatchNorm", "Convolution", "FullyConnected", "average_pool", "max_pool"]
