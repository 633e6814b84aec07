"""Convolutional networks in JAX and Flax: train, study and reuse them."""

__version__ = "0.1.0"
