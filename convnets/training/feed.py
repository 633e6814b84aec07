"""Training batches for the devices, a transfer ahead of the step that takes them."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from convnets.data.pipeline import TrainingBatches, read_ahead
from convnets.data.source import Source
from convnets.parallel import Devices


class Feed:
    """Iterates over calls of the device: (number of steps, their batches on the devices, `[steps, ...]`).

    Args:
      sizes: steps in each call, from `start` on.
      start: steps done before.
      steps: of the whole training.
      resolutions: as `TrainingBatches` takes them.

    Attributes:
      waited: seconds spent waiting for the readers so far.
    """

    def __init__(
        self,
        config: ConfigDict,
        source: Source,
        devices: Devices,
        *,
        sizes: Iterable[int],
        start: int,
        steps: int,
        resolutions: Sequence[tuple[int, int]] = (),
    ):
        self.waited = 0.0
        self._devices, self._sizes = devices, iter(sizes)
        self._batches = read_ahead(
            TrainingBatches(
                source,
                batch_size=config.train.batch_size,
                seed=config.seed,
                steps=steps,
                process=jax.process_index(),
                process_count=jax.process_count(),
                resolutions=resolutions,
            ),
            start=start,
            **config.loader,
        )
        self._ahead: deque[tuple[int, Any]] = deque()

    def close(self) -> None:
        """Stops the readers."""
        self._batches.close()
        self._ahead.clear()

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return self

    def __next__(self) -> tuple[int, Any]:
        while len(self._ahead) < 2 and (count := next(self._sizes, 0)):
            began = time.monotonic()
            batches = [next(self._batches) for _ in range(count)]
            self.waited += time.monotonic() - began
            if count == 1:
                stacked = {name: value[None] for name, value in batches[0].items()}
            else:
                stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
            self._ahead.append((count, self._devices.feed(stacked, batch_axis=1)))
        if not self._ahead:
            raise StopIteration
        return self._ahead.popleft()
