"""The order of training examples, and the batches of training and evaluation."""

import functools
import multiprocessing
import os
import signal
import time
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from convnets.data.pipeline import EpochOrder, EvaluationBatches, TrainingBatches, read_ahead
from convnets.data.source import ArraySource, SourceInfo
from convnets.data.views import Subset
from convnets.errors import InvalidValue


def source(length: int) -> ArraySource:
    """The image of example i holds i, its label is i + 100; points are of a task that nobody here knows."""
    images = np.broadcast_to(np.arange(length, dtype=np.uint8)[:, None, None, None], (length, 2, 3, 1))
    info = SourceInfo("numbers", ("a", "b"), (2, 3, 1), {"train": length})
    labels = np.arange(100, 100 + length, dtype=np.int32)
    points = np.arange(length * 6, dtype=np.float32).reshape(length, 3, 2)
    point_labels = points[..., 0].astype(np.int64)
    return ArraySource({"image": images, "label": labels, "points": points, "point_labels": point_labels}, info)


def training(length: int, batch_size: int, steps: int, seed: int = 0, **process: int) -> TrainingBatches:
    return TrainingBatches(source(length), batch_size=batch_size, seed=seed, steps=steps, **process)


def equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return set(a) == set(b) and all(a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name]) for name in a)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 50), st.integers(0, 2**40), st.integers(0, 5))
def test_every_epoch_is_a_permutation(length, seed, epoch):
    epochs, places = EpochOrder(length, seed)(epoch * length, (epoch + 1) * length)
    assert set(epochs.tolist()) == {epoch}
    assert sorted(places.tolist()) == list(range(length))


def test_every_example_is_equally_likely_at_every_place():
    """Over 2,000 epochs of 5 examples each of the 25 pairs of place and example comes 400 times."""
    _, places = EpochOrder(5, 0)(0, 10_000)
    for position in range(5):
        assert chisquare(np.bincount(places.reshape(2000, 5)[:, position], minlength=5)).pvalue > 1e-3


def test_the_order_is_the_one_that_earlier_runs_had():
    """Written down once: a change of it would make every resumed run see other examples than the uninterrupted one."""
    assert EpochOrder(8, 0)(0, 16)[1].tolist() == [6, 3, 1, 4, 5, 2, 7, 0, 1, 3, 6, 2, 0, 7, 5, 4]
    assert EpochOrder(8, 42)(24, 32)[1].tolist() == [3, 4, 6, 5, 2, 0, 7, 1]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 80), st.integers(1, 30)), min_size=1, max_size=6))
def test_a_part_of_the_stream_is_the_same_whatever_was_asked_before(length, parts):
    stream_epochs, stream = EpochOrder(length, 3)(0, 110)
    order = EpochOrder(length, 3)
    for start, count in parts:
        epochs, places = order(start, start + count)
        np.testing.assert_array_equal(epochs, stream_epochs[start : start + count])
        np.testing.assert_array_equal(places, stream[start : start + count])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))
def test_batches_run_across_epochs_and_after_e_of_them_each_example_was_seen_e_times(length, batch_size, epochs):
    """So many epochs that they end with a batch."""
    steps = epochs * length
    batches = training(length, batch_size, steps)
    assert len(batches) == steps
    seen = np.concatenate([batches[step]["index"] for step in range(steps)])
    assert np.bincount(seen, minlength=length).tolist() == [epochs * batch_size] * length
    of_epoch = np.concatenate([batches[step]["epoch"] for step in range(steps)])
    np.testing.assert_array_equal(of_epoch, np.arange(steps * batch_size) // length)
    for epoch in range(epochs * batch_size):
        assert sorted(seen[of_epoch == epoch].tolist()) == list(range(length))


def test_a_batch_has_its_examples_epochs_and_weights():
    batch = training(7, 5, 4)[1]
    assert {name: (value.shape, value.dtype) for name, value in batch.items()} == {
        "image": ((5, 2, 3, 1), np.uint8),
        "label": ((5,), np.int32),
        "points": ((5, 3, 2), np.float32),
        "point_labels": ((5, 3), np.int64),
        "index": ((5,), np.int32),
        "epoch": ((5,), np.int32),
        "weight": ((5,), np.float32),
    }
    np.testing.assert_array_equal(batch["image"][:, 1, 2, 0], batch["index"])
    np.testing.assert_array_equal(batch["label"], batch["index"] + 100)
    assert batch["epoch"].tolist() == [0, 0, 1, 1, 1]
    assert batch["weight"].tolist() == [1] * 5


@pytest.mark.parametrize("processes", [1, 2, 3, 6])
def test_the_parts_of_the_processes_are_the_batch_of_one(processes):
    """24 is two epochs of 12, so that no example may be in two parts of one epoch."""
    whole = training(12, 6, 4)
    parts = [training(12, 6, 4, process=p, process_count=processes) for p in range(processes)]
    for step in range(4):
        batches = [part[step] for part in parts]
        assert {len(batch["index"]) for batch in batches} == {6 // processes}
        joined = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        assert equal(joined, whole[step])
    for epoch_steps in ((0, 1), (2, 3)):
        sets = [{i for step in epoch_steps for i in part[step]["index"].tolist()} for part in parts]
        assert sum(map(len, sets)) == len(set.union(*sets)) == 12


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 4))
def test_evaluation_covers_every_example_once_in_order_whatever_the_batch_and_the_processes(length, share, processes):
    size = share * processes
    parts = [
        EvaluationBatches(source(length), batch_size=size, process=p, process_count=processes) for p in range(processes)
    ]
    assert {len(part) for part in parts} == {int(np.ceil(length / size))}
    counted, weight = [], 0.0
    for number in range(len(parts[0])):
        for part in parts:
            batch = part[number]
            assert {len(value) for value in batch.values()} == {share}
            assert batch["weight"].dtype == np.float32 and set(batch["weight"]) <= {0.0, 1.0}
            np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], batch["index"])
            np.testing.assert_array_equal(batch["points"][:, 0, 0], 6 * batch["index"])
            counted += batch["index"][batch["weight"] == 1].tolist()
            weight += batch["weight"].sum()
    assert counted == list(range(length))
    assert weight == length


@pytest.mark.parametrize(("threads", "start"), [(1, 0), (2, 7), (5, 1), (2, 12)])
def test_reading_ahead_from_a_step_is_the_rest_of_the_stream(threads, start):
    batches = training(7, 3, 12)
    read = list(read_ahead(batches, start=start, threads=threads, buffer=3))
    assert len(read) == 12 - start
    assert all(equal(batch, batches[step]) for step, batch in enumerate(read, start))


def test_reading_ahead_of_an_evaluation_ends_with_the_places_of_the_subset():
    batches = EvaluationBatches(Subset(source(9), [7, 2, 5]), batch_size=2)
    read = list(read_ahead(batches))
    assert [batch["index"].tolist() for batch in read] == [[7, 2], [5, 5]]
    assert [batch["place"].tolist() for batch in read] == [[0, 1], [2, -1]]
    assert [batch["weight"].tolist() for batch in read] == [[1, 1], [1, 0]]


def test_no_more_than_the_buffer_is_read_ahead():
    """What a run holds in memory: beside the batch handed out, `buffer` batches of examples."""
    asked: list[int] = []

    class Counted(TrainingBatches):
        def __getitem__(self, step):
            asked.append(int(step))
            return super().__getitem__(step)

    stream = read_ahead(Counted(source(5), batch_size=2, seed=0, steps=100), threads=2, buffer=3)
    next(stream)
    time.sleep(0.3)  # for the readers to go as far as they will
    assert 3 <= max(asked) <= 1 + 3


def test_worker_processes_serve_the_same_stream_and_leave_signals_to_the_process_that_trains():
    batches = training(7, 3, 40)
    others = {child.pid for child in multiprocessing.active_children()}
    with closing(read_ahead(batches, workers=2, threads=1)) as stream:
        # Of both, so that they have begun.
        read = [{name: np.array(value) for name, value in next(stream).items()} for _ in range(4)]
        workers = [child.pid for child in multiprocessing.active_children() if child.pid not in others]
        assert len(workers) == 2
        for number in (signal.SIGINT, signal.SIGTERM):
            for worker in workers:
                os.kill(worker, number)
        read += [{name: np.array(value) for name, value in batch.items()} for batch in stream]
    assert all(equal(batch, batches[step]) for step, batch in enumerate(read))


class Growing(ArraySource):
    """Serves images for training of the size that is asked for."""

    def training_batch(self, indices, epochs, seed, size=None):
        return self.batch(indices) | {"image": np.zeros((len(indices), size or 2, size or 2, 1), np.uint8)}


def test_the_side_of_training_images_grows_with_the_steps_where_they_have_no_size():
    whole, options = source(8), {"batch_size": 4, "seed": 0, "steps": 6}
    growing = Growing({"image": whole.batch(np.arange(8))["image"]}, whole.info)
    batches = TrainingBatches(growing, **options, resolutions=[(0, 3), (2, 5), (5, 7)])
    assert [batches[step]["image"].shape[1] for step in range(6)] == [3, 3, 5, 5, 5, 7]
    assert TrainingBatches(growing, **options)[0]["image"].shape[1] == 2
    with pytest.raises(InvalidValue, match=r"train\.resolutions is for pictures that are resized"):
        TrainingBatches(whole, **options, resolutions=[(0, 3)])[0]


@pytest.mark.parametrize("kind", [EvaluationBatches, functools.partial(TrainingBatches, seed=0, steps=1)])
def test_a_batch_that_the_processes_can_not_share_is_refused(kind):
    with pytest.raises(ValueError, match=r"a batch of 5 examples can.t be shared equally by 2 processes"):
        kind(source(5), batch_size=5, process=0, process_count=2)
