"""What is exported: the network of a run, with what a file says of it."""

from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from convnets.tasks.model import Model
from convnets.training.config import options_of


@dataclass(frozen=True)
class Trained:
    """A network and a checkpoint of it.

    Attributes:
      variables: those that evaluation applies the network with, NumPy arrays.
      step: of the checkpoint.
    """

    config: ConfigDict
    model: Model
    variables: Any
    step: int

    @property
    def architecture(self) -> str:
        """Its name in `create`."""
        return str(self.config.network.name)

    def about(self) -> dict[str, Any]:
        """What one needs to know to use the weights, ready for JSON.

        `image_size` (height, width) is that of the images that the network takes, normalized by `normalization` on the
        scale where white is 1; `image_shape` (height, width, channels) that of the images that `launch.py predict`
        brings pictures to, a frame of `padding` zeros around them included.
        """
        info, normalize = self.model.info, self.model.normalize
        return {
            "architecture": self.architecture,
            "options": options_of(self.config, "network"),
            "classes": list(info.classes),
            "normalization": {"mean": list(normalize.mean), "deviation": list(normalize.std)},
            "image_size": list(self.model.image_shape[:2]),
            "image_shape": list(info.image_shape),
            "padding": info.padding,
            "step": self.step,
        }


@dataclass(frozen=True)
class Exported:
    """A file to be written.

    Attributes:
      inside: what it is, in words, for the console.
    """

    content: bytes
    inside: str
