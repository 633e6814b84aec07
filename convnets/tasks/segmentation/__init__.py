"""Semantic segmentation: a class for every pixel, by fully convolutional networks on any backbone."""
