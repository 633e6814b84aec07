"""From a source to batches: the order of examples as index arithmetic, read ahead by Grain.

Training is one endless stream of examples: epoch after epoch, each in an order of its own, drawn from
(seed, epoch). Batch `step` is the slice `[step * batch_size, (step + 1) * batch_size)` of it, so batches run across
the ends of epochs, every example is seen exactly once an epoch, and a step number is all there is to a position.
"""

import os
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np
from absl import flags

from convnets.data.source import Source, load_training_batch, random_order

Batch = dict[str, np.ndarray]


class EpochOrder:
    """Which example stands at which position of the endless training stream.

    Args:
      length: examples in an epoch.
      seed: the order of epoch `e` is drawn from `(seed, e)` alone.
    """

    def __init__(self, length: int, seed: int):
        self.length, self.seed = length, seed
        self._orders: dict[int, np.ndarray] = {}

    def __call__(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions `start <= p < stop` -> (epochs, places in the source), each int64 `[stop - start]`."""
        epochs, offsets = np.divmod(np.arange(start, stop), self.length)
        places = np.empty_like(offsets)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            places[here] = self._order(int(epoch))[offsets[here]]
        return epochs, places

    def _order(self, epoch: int) -> np.ndarray:
        order = self._orders.get(epoch)
        if order is None:
            # Spawned from the seed, so that no other use of the same seed meets the same bits.
            bits = np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))
            order = random_order(self.length, bits)
            # Readers work ahead, so two epochs are in use around each end of one.
            self._orders = {e: o for e, o in list(self._orders.items()) if abs(e - epoch) <= 1} | {epoch: order}
        return order


class TrainingBatches:
    """Random access to the batches of the training stream: element `step` is this process's part of batch `step`.

    A batch holds what the examples hold, with a leading axis, `epoch [n]` (int32) and `weight [n]` (float32 ones).

    Args:
      batch_size: examples in a batch over all processes; each process reads `batch_size / process_count` of them.
      steps: number of batches.
      resolutions: pairs of a step, ascending from 0, and the side of the images from it on; none: the source's own.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        seed: int,
        steps: int,
        process: int = 0,
        process_count: int = 1,
        resolutions: Sequence[tuple[int, int]] = (),
    ):
        self.source, self.batch_size, self.seed, self.steps = source, batch_size, seed, steps
        self.resolutions = tuple(resolutions)
        self.order = EpochOrder(len(source), seed)
        self.slice = _share(batch_size, process, process_count)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: Any) -> Batch:
        start = int(step) * self.batch_size
        epochs, places = self.order(start + self.slice.start, start + self.slice.stop)
        size = next((side for first, side in reversed(self.resolutions) if first <= int(step)), None)
        batch = load_training_batch(self.source, places, epochs, self.seed, size)
        return batch | {"epoch": epochs.astype(np.int32), "weight": np.ones(len(places), np.float32)}


class EvaluationBatches:
    """Every example exactly once, in batches of one size: the last is filled up with weight 0.

    They come in order. Of a source whose pictures keep their own sizes a batch has examples of one bucket: the
    buckets ascend by height and width, those of one bucket come in order, and the last batch of each is filled up.

    A batch holds what the examples hold, with a leading axis, `weight [n]` (float32) and `place [n]` (int32), the
    example's place in the source, or -1 where it was filled up.

    The examples are dealt out so that every process has the same number of batches, of `batch_size / process_count`
    examples each.
    """

    def __init__(self, source: Source, *, batch_size: int, process: int = 0, process_count: int = 1):
        self.source, self.batch_size = source, batch_size
        self.slice = _share(batch_size, process, process_count)
        buckets, groups = source.buckets, [np.arange(len(source))]
        if buckets is not None and len(buckets):
            number = np.unique(buckets, axis=0, return_inverse=True)[1].reshape(-1)
            groups = [np.flatnonzero(number == group) for group in range(number.max() + 1)]
        # Batches, with -1 behind the last of each group.
        filled = [np.pad(group, (0, -len(group) % batch_size), constant_values=-1) for group in groups]
        self._places = np.concatenate(filled).reshape(-1, batch_size)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: Any) -> Batch:
        batch_places = self._places[int(number)]
        places = batch_places[self.slice]
        # A place filled up repeats an example of the batch, whose weight is then 0.
        batch = self.source.batch(np.where(places < 0, batch_places.max(), places))
        weight = (places >= 0).astype(np.float32)
        if "weight" in batch:
            # A picture that can't be decoded counts for nothing.
            batch["unreadable"] = np.where(batch["weight"] > 0, -1, batch["index"]).astype(np.int32)
            weight *= batch["weight"]
        return batch | {"weight": weight, "place": places.astype(np.int32)}


def _share(batch_size: int, process: int, process_count: int) -> slice:
    """The part of each batch that a process reads."""
    if batch_size % process_count:
        raise ValueError(f"a batch of {batch_size} examples can't be shared equally by {process_count} processes")
    share = batch_size // process_count
    return slice(process * share, (process + 1) * share)


def read_ahead(
    batches: TrainingBatches | EvaluationBatches,
    *,
    start: int = 0,
    threads: int = 2,
    buffer: int = 8,
    workers: int = 0,
) -> "Reader":
    """The batches from number `start` on, read while the device works; the same for any number of readers.

    Args:
      threads: readers in this process, or in each worker.
      buffer: batches read ahead at most, by this process or by each worker.
      workers: processes that read and hand batches over in shared memory; 0: this process reads.
    """
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=buffer)
    # Whole batches are the elements, so that their order and content do not depend on who reads them.
    ahead = grain.MapDataset.source(batches).slice(slice(start, None)).to_iter_dataset(options)
    if not workers:
        return Reader(iter(ahead), batches.source)
    if not flags.FLAGS.is_parsed():
        # Grain hands absl's flags on to its workers.
        flags.FLAGS.mark_as_parsed()
    processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
    return Reader(iter(ahead.mp_prefetch(processes, worker_init_fn=_depend_on_parent)), batches.source)


class Reader:
    """Iterates over batches, and has their source count the pictures that could not be read."""

    def __init__(self, stream: Any, source: Source):
        self._stream, self._source = stream, source

    def __iter__(self) -> "Reader":
        return self

    def __next__(self) -> Batch:
        batch: Batch = dict(next(self._stream))
        places = batch.pop("unreadable", None)
        if places is not None:
            self._source.count_unreadable(places[places >= 0])
        return batch

    def close(self) -> None:
        """Stops the readers."""
        self._stream.close()


def _depend_on_parent(worker: int, workers: int) -> None:
    """Leaves signals to the process that trains, which saves first, and ends when that one is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
