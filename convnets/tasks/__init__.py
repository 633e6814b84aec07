"""What is learned: the head, the loss, the decoding and the evaluator of each task."""

from convnets.tasks import classification as _classification  # noqa: F401  (registers its task)
from convnets.tasks import segmentation as _segmentation  # noqa: F401  (registers its task)
from convnets.tasks.localization import localization as _localization  # noqa: F401  (registers its task)
from convnets.tasks.model import Model
from convnets.tasks.task import Task, create, tasks

__all__ = ["Model", "Task", "create", "tasks"]
