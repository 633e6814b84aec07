"""Weight files of other libraries as named arrays. Nothing that a file holds is ever run."""

from convnets.pretrained.files.reading import read_weights
from convnets.pretrained.files.weights import Weights

__all__ = ["Weights", "read_weights"]
