"""What a worker process times."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Contestant:
    """One way to do the work of a case.

    Attributes:
      call: starts a step (training) or a batch (inference), and returns something of it.
      wait: returns when what a call returned is there.
      loss: the mean loss over the batch, in nats, of what a call returned.
    """

    call: Callable[[], Any]
    wait: Callable[[Any], None]
    loss: Callable[[Any], float]
