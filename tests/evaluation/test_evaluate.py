"""The evaluation of a split with a step in NumPy: what is counted, and in which order it comes back."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
from convnets.evaluation.evaluate import evaluate
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental import multihost_utils


def batches(length: int, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Example i has label 3 i + 1; the last batch is filled up with its last example at weight 0."""
    for start in range(0, length, batch_size):
        places = np.arange(start, start + batch_size)
        index = np.minimum(places, length - 1).astype(np.int32)
        yield {
            "image": np.zeros((batch_size, 2, 2, 1), np.uint8),
            "index": index,
            "label": 3 * index + 1,
            "weight": (places < length).astype(np.float32),
            "place": np.where(places < length, places, -1),
        }


class OnDevice(dict):
    """A batch that `split` has seen."""


def step(variables: Any, batch: Any) -> tuple[dict[str, np.ndarray], tuple[str, np.ndarray]]:
    assert type(batch) is OnDevice
    weight, label = batch["weight"], batch["label"]
    sums = {"weight": weight.sum(), "label": (weight * label).sum(), "by_class": np.bincount(label % 3, weight, 3)}
    return sums, ("on device", variables * batch["index"][:, None] + np.array([0, 1]))


def join(predictions: tuple[str, np.ndarray]) -> dict[str, np.ndarray]:
    place, values = predictions
    assert place == "on device"
    return {"scores": values}


def summarize(sums: Any) -> dict[str, float]:
    assert sums["by_class"].tolist() == [0, sums["weight"], 0]
    return {"mean label": float(sums["label"] / sums["weight"])}


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 15))
def test_every_example_counts_once_and_comes_back_in_its_place(length, batch_size):
    result = evaluate(step, 10, batches(length, batch_size), summarize, OnDevice, join)
    assert result is not None
    assert result.examples == length
    assert result.metrics == {"mean label": pytest.approx(np.mean([3 * i + 1 for i in range(length)]))}
    assert set(result.predictions) == {"index", "label", "place", "scores"}, "the image and the weight are not kept"
    assert result.predictions["index"].tolist() == list(range(length))
    assert result.predictions["label"].tolist() == [3 * i + 1 for i in range(length)]
    assert result.predictions["scores"].tolist() == [[10 * i, 10 * i + 1] for i in range(length)]
    assert result.seconds >= 0


def test_sums_over_many_batches_are_exact_where_float32_would_stop_counting():
    def one(variables: Any, batch: Any) -> Any:
        return {"weight": np.float32(1), "label": batch["label"].astype(np.float32)[0]}, {}

    parts = [
        {"label": np.array([label]), "weight": np.ones(1, np.float32), "place": np.array([place])}
        for place, label in enumerate((2**24, 1, 1, 1))
    ]
    result = evaluate(one, None, parts, lambda sums: {"sum": float(sums["label"])}, dict, dict)
    assert result is not None and result.metrics["sum"] == 2**24 + 3


def test_predictions_of_some_examples_are_kept_and_sums_that_are_tables():
    result = evaluate(step, 10, batches(11, 4), summarize, OnDevice, join, every=3)
    assert result is not None and result.examples == 11
    assert result.predictions["place"].tolist() == result.predictions["index"].tolist() == [0, 3, 6, 9]
    assert {name: table.tolist() for name, table in result.tables.items()} == {"by_class": [0, 11, 0]}


def test_pictures_of_several_sizes_come_back_in_the_order_of_the_split():
    def one(variables: Any, batch: Any) -> Any:
        return {"weight": batch["weight"].sum()}, {"mask": batch["image"]}

    sizes = {(1, 3): [1, 4], (2, 2): [0, 2]}
    parts = [
        {"image": np.full((2, *size), 7), "weight": np.ones(2, np.float32), "place": np.array(places)}
        for size, places in sizes.items()
    ]
    result = evaluate(one, None, parts, lambda sums: {}, dict, dict)
    assert result is not None and result.predictions["place"].tolist() == [0, 1, 2, 4]
    tall, wide = [[7, 7, 0], [7, 7, 0]], [[7, 7, 7], [0, 0, 0]]
    assert result.predictions["mask"].tolist() == [tall, wide, tall, wide]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_it_stops_after_the_batch_that_it_is_asked_to_and_says_nothing(after):
    taken, done = [], []

    def counted() -> Iterator[dict[str, np.ndarray]]:
        for batch in batches(9, 3):
            taken.append(len(taken))
            yield batch

    def stop() -> bool:
        return len(done) == after

    result = evaluate(step, 1, counted(), summarize, OnDevice, join, progress=done.append, stop=stop)
    assert result is None
    assert len(taken) == after and done == list(range(1, after + 1))


def test_progress_is_told_of_every_batch():
    done = []
    evaluate(step, 1, batches(10, 3), summarize, OnDevice, join, progress=done.append)
    assert done == [1, 2, 3, 4]


def test_predictions_of_all_processes_are_put_in_order(monkeypatch):
    """Each of two processes has its half of every batch; gathered, they are stacked along a new first axis."""

    def halves(process: int) -> list[dict[str, np.ndarray]]:
        part = slice(2 * process, 2 * process + 2)
        return [{name: value[part] for name, value in batch.items()} for batch in batches(7, 4)]

    others = iter(halves(1))

    def gather(part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        other = next(others)
        other["scores"] = step(10, OnDevice(other))[1][1]
        return {name: np.stack([value, other[name]]) for name, value in part.items()}

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "process_allgather", gather)
    result = evaluate(step, 10, halves(0), lambda sums: {}, OnDevice, join)
    assert result is not None
    assert result.predictions["index"].tolist() == list(range(7))
    assert result.predictions["label"].tolist() == [3 * i + 1 for i in range(7)]
    assert result.predictions["scores"].tolist() == [[10 * i, 10 * i + 1] for i in range(7)]
