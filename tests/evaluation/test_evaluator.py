"""The evaluation of a split with a step in NumPy: what is counted, and in which order it comes back."""

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental import multihost_utils
from stripes import config_of, striped

from convnets.evaluation.evaluator import Evaluator, evaluate
from convnets.progress import Screen


class OneDevice:
    count = 1

    def split(self, batch: Any) -> Any:
        return batch


class Step:
    """Sums the labels, and predicts `scale * index` and one more."""

    calls = 1

    def __init__(self) -> None:
        self.batches: list[Any] = []

    def __call__(self, scale: Any, batch: Any) -> Any:
        self.batches.append(batch)
        weight, label = batch["weight"], batch["label"]
        sums = {"weight": weight.sum(), "label": (weight * label).sum(), "by_class": np.bincount(label, weight, 10)}
        return sums, ("on device", scale * batch["index"][:, None] + np.array([0, 1]))

    def join(self, predictions: Any) -> Any:
        place, values = predictions
        assert place == "on device"
        return {"scores": values}


def run(length: int, batch_size: int, *, evaluator: Evaluator | None = None, step: Any = None, **options: Any) -> Any:
    config = config_of({"evaluation.batch_size": batch_size, "loader.threads": 1})
    evaluator = evaluator or Evaluator(lambda sums: {"mean label": float(sums["label"] / sums["weight"])})
    source, screen = striped(length), Screen(None)
    return evaluate(step or Step(), 10, source, evaluator, OneDevice(), config, title="test", screen=screen, **options)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(1, 15))
def test_every_example_counts_once_and_comes_back_in_its_place(length, batch_size):
    result, labels = run(length, batch_size), striped(length).labels
    assert result.examples == length
    assert result.metrics == {"mean label": pytest.approx(np.mean(labels))}
    assert set(result.records) == {"index", "label", "place", "scores", "by_class"}, "no image and no weight"
    assert result.records["index"].tolist() == list(range(length))
    assert result.records["label"].tolist() == labels.tolist()
    assert result.records["scores"].tolist() == [[10 * i, 10 * i + 1] for i in range(length)]
    assert result.records["by_class"].tolist() == np.bincount(labels, minlength=10).tolist()


def test_sums_over_many_batches_are_exact_where_float32_would_stop_counting():
    evaluator = Evaluator(lambda sums: {"sum": float(sums["label"])})
    for place, label in enumerate((2**24, 1, 1, 1)):
        evaluator.add({"weight": np.float32(1), "label": np.float32(label)}, {}, {"place": np.array([place])})
    assert evaluator.result().metrics["sum"] == 2**24 + 3


def test_predictions_of_some_examples_are_kept_and_fields_that_are_asked_for():
    evaluator = Evaluator(lambda sums: {}, lambda sums: {"t": [{"n": float(sums["by_class"].sum())}]}, every=3)
    evaluator.fields = ("image",)
    result = run(11, 4, evaluator=evaluator)
    assert result.examples == 11
    assert result.records["place"].tolist() == result.records["index"].tolist() == [0, 3, 6, 9]
    assert result.tables == {"t": [{"n": 11.0}]}
    np.testing.assert_array_equal(result.records["image"], striped(11).batch(np.array([0, 3, 6, 9]))["image"])


def test_predictions_of_several_sizes_come_back_in_the_order_of_the_split():
    evaluator = Evaluator(lambda sums: {})
    for size, places in {(1, 3): [1, 4], (2, 2): [0, 2]}.items():
        evaluator.add({"weight": np.float32(2)}, {"mask": np.full((2, *size), 7)}, {"place": np.array(places)})
    records = evaluator.result().records
    assert records["place"].tolist() == [0, 1, 2, 4]
    tall, wide = [[7, 7, 0], [7, 7, 0]], [[7, 7, 7], [0, 0, 0]]
    assert records["mask"].tolist() == [tall, wide, tall, wide]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_it_stops_after_the_batch_that_it_is_asked_to_and_says_nothing(after):
    step = Step()
    assert run(9, 3, step=step, stop=lambda: len(step.batches) == after) is None
    assert len(step.batches) == after


def test_predictions_of_all_processes_are_put_in_order(monkeypatch):
    """Each of two processes has its half of every batch; gathered, they are stacked along a new first axis."""
    length, batch_size = 7, 4
    calls = iter(range(2))

    def gather(part: Any) -> Any:
        predictions, batch = part
        other = 4 * next(calls) + 2 + np.arange(2)
        index = np.minimum(other, length - 1)
        scores = 10 * index[:, None] + np.array([0, 1])
        ours = {"index": index, "place": other, "weight": (other < length).astype(np.float32)}
        ours["label"] = striped(length).labels[index]
        stacked = {name: np.stack([value, ours[name]]) for name, value in batch.items()}
        return {"scores": np.stack([predictions["scores"], scores])}, stacked

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "process_allgather", gather)
    records = run(length, batch_size, evaluator=Evaluator(lambda sums: {})).records
    assert records["index"].tolist() == list(range(length))
    assert records["scores"].tolist() == [[10 * i, 10 * i + 1] for i in range(length)]
