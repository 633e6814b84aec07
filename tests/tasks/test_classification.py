"""Classification: its loss, measures and predictions against NumPy."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asking import loss_of, sums_of

from convnets import tasks
from convnets.data.source import ArraySource, SourceInfo
from convnets.errors import InvalidValue
from convnets.plots import classification as pictures_of

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt")


def info(classes: tuple[str, ...] = CLASSES) -> SourceInfo:
    return SourceInfo("clothes", classes, (4, 4, 1), {"train": 8})


def outputs(logits: Any) -> Any:
    return jnp.asarray(logits, jnp.float32), {}


def some_logits(count: int = 8, classes: int = len(CLASSES)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(0, 3, (count, classes)).astype(np.float32), random.integers(0, classes, count, np.int32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_the_loss_of_each_example_is_the_cross_entropy_with_the_smoothed_label(smoothing):
    """Szegedy et al. 2016, equation 3: q(k) = (1 - e) [k is true] + e / K."""
    logits, labels = some_logits()
    task = tasks.create("classification", info(), label_smoothing=smoothing)
    truth = np.full(logits.shape, smoothing / len(CLASSES))
    truth[np.arange(len(labels)), labels] += 1 - smoothing
    loss = loss_of(task, outputs(logits), {"label": jnp.asarray(labels)})
    assert loss.shape == (8,) and loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, -(truth * log_softmax(logits)).sum(-1), rtol=1e-5)


def test_a_mixed_example_loses_by_the_shares_of_its_classes():
    task = tasks.create("classification", info(), label_smoothing=0.1)
    logits = np.random.default_rng(3).normal(size=(2, 7))
    labels, shares = np.array([[0, 3], [5, 5]]), np.array([[0.75, 0.25], [0.4, 0.6]])
    truth = np.full((2, 7), 0.1 / 7)
    for row in range(2):
        for label, share in zip(labels[row], shares[row], strict=True):
            truth[row, label] += 0.9 * share
    batch = {
        "label": jnp.array([0, 5]),
        "labels": jnp.asarray(labels),
        "label_shares": jnp.asarray(shares, jnp.float32),
    }
    np.testing.assert_allclose(loss_of(task, outputs(logits), batch), -(truth * log_softmax(logits)).sum(-1), rtol=1e-5)


def test_a_network_that_says_nothing_loses_the_logarithm_of_the_number_of_classes():
    task = tasks.create("classification", info())
    np.testing.assert_allclose(
        loss_of(task, outputs(np.zeros((2, 7))), {"label": jnp.array([0, 6])}), np.log(7), rtol=1e-6
    )


def test_measures_are_sums_over_the_examples_that_weigh_something_and_do_not_smooth():
    logits, labels = some_logits(12)
    weight = np.array([1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 0, 1], np.float32)
    task = tasks.create("classification", info(), label_smoothing=0.3)
    batch = {"label": jnp.asarray(labels), "weight": jnp.asarray(weight)}
    sums = sums_of(task)(outputs(logits), batch)
    real = weight == 1
    best = np.argsort(-logits, -1, kind="stable")
    right = best == labels[:, None]
    expected = {
        "weight": 9,
        "loss": -log_softmax(logits)[np.arange(12), labels][real].sum(),
        "top1": right[real, :1].sum(),
        "top5": right[real, :5].any(-1).sum(),
    }
    assert 0 < expected["top1"] < expected["top5"] < 9, "an example that tells the three apart"
    assert {name: float(value) for name, value in sums.items()} == pytest.approx(expected, rel=1e-5)

    changed = np.where(real[:, None], logits, 50.0 * np.eye(7)[labels])
    again = sums_of(task)(outputs(changed), batch)
    assert {name: float(value) for name, value in again.items()} == pytest.approx(expected, rel=1e-5)


def test_metrics_are_means_over_the_weight_and_are_named_with_their_better_side():
    task = tasks.create("classification", info())
    sums = {"weight": np.float64(8), "loss": np.float64(6), "top1": np.float64(2), "top5": np.float64(7)}
    assert task.summarize(sums) == {"loss": 0.75, "top1": 0.25, "top5": 0.875}
    assert dict(task.metrics) == {"loss": False, "top1": True, "top5": True}
    assert task.primary in task.metrics and task.progress in task.metrics


def test_predictions_are_the_five_likeliest_classes_in_order_with_their_probabilities():
    logits, _ = some_logits()
    predictions = jax.jit(tasks.create("classification", info()).decode)(outputs(logits), {})
    best = np.argsort(-logits, -1, kind="stable")[:, :5]
    assert predictions["classes"].dtype == jnp.int32 and predictions["probabilities"].dtype == jnp.float32
    np.testing.assert_array_equal(predictions["classes"], best)
    np.testing.assert_allclose(
        predictions["probabilities"], np.take_along_axis(np.exp(log_softmax(logits)), best, -1), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("logits", "order"),
    [
        ([0, 200, 50, 100], [1, 3, 2, 0]),  # e^-100 and less are 0 in float32
        ([0.001, 0.0010000002, 0, 0.0009999998], [1, 0, 3, 2]),  # probabilities that round to the same number
        ([1, 2, 2, 0], [1, 2, 0, 3]),  # of equal ones the lower class first, as top-1 counts them
    ],
)
def test_the_likeliest_class_is_the_one_that_top_1_counts(logits, order):
    task = tasks.create("classification", info(tuple("abcd")))
    assert task.decode(outputs([logits]), {})["classes"].tolist() == [order]
    measure = sums_of(task)
    for label in range(4):
        sums = measure(outputs([logits]), {"label": jnp.array([label]), "weight": jnp.ones(1)})
        assert float(sums["top1"]) == (label == order[0])


def test_of_fewer_than_five_classes_all_are_predicted():
    task = tasks.create("classification", info(("cat", "dog")))
    predictions = task.decode(outputs([[0.0, np.log(3.0)]]), {})
    assert predictions["classes"].tolist() == [[1, 0]]
    np.testing.assert_allclose(predictions["probabilities"], [[0.75, 0.25]], rtol=1e-6)
    sums = sums_of(task)(outputs([[0.0, 1.0]]), {"label": jnp.array([0]), "weight": jnp.ones(1)})
    assert (float(sums["top1"]), float(sums["top5"])) == (0, 1)


def test_descriptions_name_the_classes_and_go_through_json():
    task = tasks.create("classification", info(("cat", "dog")))
    predictions = {
        "classes": np.array([[1, 0], [0, 1]], np.int32),
        "probabilities": np.array([[0.75, 0.25], [0.5, 0.5]], np.float32),
    }
    records = task.describe(predictions)
    assert json.loads(json.dumps(records)) == [
        {
            "predictions": [
                {"class": "dog", "label": 1, "probability": 0.75},
                {"class": "cat", "label": 0, "probability": 0.25},
            ]
        },
        {
            "predictions": [
                {"class": "cat", "label": 0, "probability": 0.5},
                {"class": "dog", "label": 1, "probability": 0.5},
            ]
        },
    ]


def test_the_pictures_count_true_by_predicted_and_show_the_most_confident_mistakes(monkeypatch, tmp_path):
    images = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((6, 4, 4, 1), np.uint8)
    source = ArraySource({"image": images}, info(("cat", "dog", "eel")))
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(pictures_of, "plot_confusion_matrix", lambda *given: drawn.update(matrix=given))
    monkeypatch.setattr(pictures_of, "plot_mistakes", lambda *given: drawn.update(mistakes=given))
    predictions = {
        "label": np.array([0, 1, 2, 1, 0, 2]),
        "index": np.array([10, 11, 12, 13, 14, 15]),
        "classes": np.array([[0, 1], [0, 1], [2, 1], [2, 1], [1, 0], [2, 0]]),
        "probabilities": np.array([[0.99, 0], [0.6, 0], [0.9, 0], [0.8, 0], [0.7, 0], [1.0, 0]]),
    }
    task = tasks.create("classification", source.info)
    shown = task.pictures(predictions, source, tmp_path)

    matrix, classes, path = drawn["matrix"]
    assert matrix.tolist() == [[1, 1, 0], [1, 0, 1], [0, 0, 2]] and classes == source.info.classes
    assert path == tmp_path / "confusion_matrix.png"
    pictures, labels, predicted, confidence, index, classes, path = drawn["mistakes"]
    assert pictures[:, 0, 0, 0].tolist() == [3, 4, 1]
    assert (labels.tolist(), predicted.tolist(), index.tolist()) == ([1, 0, 1], [2, 1, 0], [13, 14, 11])
    assert confidence.tolist() == [0.8, 0.7, 0.6] and classes == source.info.classes
    assert path == tmp_path / "mistakes.png"
    assert [path for _, path in shown] == [Path(tmp_path / "confusion_matrix.png"), Path(tmp_path / "mistakes.png")]


def test_the_network_has_a_logit_for_each_class():
    network = tasks.create("classification", info()).network("lenet5", {"pooling": "max"})
    images = jax.ShapeDtypeStruct((2, 32, 32, 1), jnp.float32)
    (logits, _), _ = jax.eval_shape(network.init_with_output, jax.random.key(0), images)
    assert logits.shape == (2, 7)
    assert network.pooling == "max"


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 1.5])
def test_a_smoothing_that_is_no_part_of_a_whole_is_refused(smoothing):
    with pytest.raises(InvalidValue, match=rf"label_smoothing is {smoothing}, and must lie in \[0, 1\)"):
        tasks.create("classification", info(), label_smoothing=smoothing)


@pytest.mark.parametrize("classes", [(), ("cat",)])
def test_data_without_two_classes_are_refused(classes):
    with pytest.raises(InvalidValue, match=f"'clothes' names {len(classes)} classes, and classification needs two"):
        tasks.create("classification", info(classes))


def test_unknown_tasks_and_options_are_refused():
    with pytest.raises(InvalidValue, match="unknown task 'clasification': did you mean 'classification'"):
        tasks.create("clasification", info())
    with pytest.raises(InvalidValue, match="the task 'classification' has no option 'smoothing'"):
        tasks.create("classification", info(), smoothing=0.1)
