"""A trained run as an object: its config, its network, the parameters of a checkpoint, and its predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from convnets.data.source import SourceInfo
from convnets.evaluation.prediction import Predictor
from convnets.tasks.model import Model
from convnets.training.checkpoints import restore_variables
from convnets.training.config import complete
from convnets.training.setup import build_model
from convnets.training.workdir import Workdir


@dataclass(frozen=True)
class Run:
    """A run and a checkpoint of it.

    Attributes:
      variables: those that evaluation applies the network with, NumPy arrays.
      step: of the checkpoint.
    """

    workdir: Workdir
    config: ConfigDict
    model: Model
    variables: Any
    step: int

    @property
    def origin(self) -> str:
        """Where the variables come from, in words."""
        return f"{self.workdir.folder} at step {self.step:,}"

    @cached_property
    def predictor(self) -> Predictor:
        """Predicts by the protocol of the config."""
        return Predictor(self.model, self.variables, self.config.evaluation)

    def predict(self, images: np.ndarray | str | PathLike[str] | Sequence[str | PathLike[str]]) -> list[dict[str, Any]]:
        """A record for each image, as `predict --json` prints them.

        Args:
          images: image files or folders of them, or pixels uint8 `[N, H, W, C]` of the size of the data's.

        Raises:
          InvalidValue: a missing file, a folder without images, or pixels of another type or shape.
          UnreadableImage: a file that can't be decoded.
        """
        return self.predictor.records(images)


def load_run(
    workdir: str | Path | Workdir,
    checkpoint: str = "",
    config: ConfigDict | None = None,
    info: SourceInfo | None = None,
) -> Run:
    """The network of a finished run, or of one that still goes on.

    >>> run = load_run("runs/lenet")  # doctest: +SKIP
    >>> run.predict("shoe.png")[0]["predictions"][0]["class"]  # doctest: +SKIP
    'Sneaker'

    Args:
      workdir: the run's folder.
      checkpoint: "best" (by the validation metric), "last", or a step; empty: what the run tested.
      config: the run's, with another evaluation; by default as it was trained.
      info: of the images that are predicted, if they are served otherwise than the run's own were.

    Raises:
      InvalidValue: no such run or checkpoint, or a config that this version does not have.
      CheckpointMismatch: a checkpoint of another network.
    """
    workdir = workdir if isinstance(workdir, Workdir) else Workdir(workdir)
    config = complete(workdir.config()) if config is None else config
    model = build_model(config, info or workdir.info())
    step, variables = restore_variables(workdir, config, model, checkpoint or config.evaluation.checkpoint)
    return Run(workdir, config, model, variables, step)
