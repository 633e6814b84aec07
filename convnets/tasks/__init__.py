"""What is learned: the head, the loss, the metrics and the pictures of each task."""

from convnets.tasks import classification as _classification  # noqa: F401  (registers its task)
from convnets.tasks.localization import localization as _localization  # noqa: F401  (registers its task)
from convnets.tasks.segmentation import segmentation as _segmentation  # noqa: F401  (registers its task)
from convnets.tasks.task import Task, create, tasks

__all__ = ["Task", "create", "tasks"]
