"""The metrics of training steps, fetched from the devices late, so that they never wait for it."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from convnets.errors import ConvnetsError

FINITE = ("objective", "gradient_norm", "parameter_norm")
ADVICE = (
    "the checkpoints of earlier steps are kept; lower optimizer.learning_rate, warm up longer, or set "
    "optimizer.gradient_clip"
)


class Diverged(ConvnetsError):
    """A loss, its gradient or the parameters are not finite numbers."""


class StepMetrics:
    """Collects the metrics of steps, and makes one record of many.

    Args:
      summarize: a task's sums to its metrics.
    """

    def __init__(self, summarize: Callable[[Mapping[str, np.ndarray]], dict[str, float]]):
        self._summarize = summarize
        self._on_device: deque[tuple[int, Any]] = deque()
        self._fetched: list[dict[str, np.ndarray]] = []
        self.last_step = 0

    def add(self, step: int, metrics: Any) -> None:
        """Takes the metrics, `[n]` each, of the n steps that began at `step` done ones."""
        self._on_device.append((step, metrics))

    def fetch(self, keep: int = 0) -> None:
        """Waits for all calls but the last `keep`.

        Raises:
          Diverged: the first step whose loss, gradient or new parameters are not finite.
        """
        while len(self._on_device) > keep:
            step, metrics = self._on_device.popleft()
            metrics = jax.device_get(metrics)
            finite = np.all([np.isfinite(metrics[name]) for name in FINITE], axis=0)
            if not finite.all():
                bad = int(np.argmin(finite))
                loss, gradient, parameters = (metrics[name][bad] for name in FINITE)
                raise Diverged(
                    f"the loss of step {step + bad + 1} is {loss}, the norm of its gradient {gradient} and that of the "
                    f"parameters after it {parameters}: {ADVICE}"
                )
            self._fetched.append(metrics)
            self.last_step = step + len(finite)

    def record(self) -> dict[str, float] | None:
        """Over the steps fetched since the last record: the task's metrics over their examples, the mean objective and
        gradient norm, the last learning rate, and `examples`. None if there were no steps."""
        if not self._fetched:
            return None
        metrics = {name: np.concatenate([part[name] for part in self._fetched]) for name in self._fetched[0]}
        self._fetched = []
        objective, rate = metrics.pop("objective"), metrics.pop("learning_rate")
        norm, _ = metrics.pop("gradient_norm"), metrics.pop("parameter_norm")
        sums = {name: np.asarray(np.sum(values, axis=0, dtype=np.float64)) for name, values in metrics.items()}
        return self._summarize(sums) | {
            "objective": float(np.mean(objective, dtype=np.float64)),
            "gradient_norm": float(np.mean(norm, dtype=np.float64)),
            "learning_rate": float(rate[-1]),
            "examples": round(float(sums["weight"])),
        }
