"""Whose names the arrays of a weight file bear."""

from convnets.pretrained.naming.caffe import CAFFE, KERAS
from convnets.pretrained.naming.rules import Naming, Normalization
from convnets.pretrained.naming.torchvision import TORCHVISION

NAMINGS: tuple[Naming, ...] = (*TORCHVISION, *CAFFE, *KERAS)
"""All that are known."""

__all__ = ["NAMINGS", "Naming", "Normalization"]
