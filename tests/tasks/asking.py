"""What the tests ask of a task."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from convnets.tasks.task import loss_and_sums


def loss_of(task: Any, outputs: Any, batch: Any) -> jax.Array:
    """The loss of each example in training."""
    batch = {"weight": np.ones(len(outputs[0]), np.float32)} | batch
    return task.loss(outputs, batch, train=True)[0]


def sums_of(task: Any, *, train: bool = False) -> Callable[[Any, Any], Any]:
    """From outputs and a batch to the sums."""
    return jax.jit(lambda outputs, batch: loss_and_sums(task, outputs, batch, train=train)[1])
