"""The loss, the measures and the predictions of localization, against NumPy."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asking import loss_of, sums_of

from convnets import tasks
from convnets.data.source import ArraySource, SourceInfo
from convnets.errors import InvalidValue

CLASSES = tuple("abcdefg")
NOTHING = (0, 0, 0, 0)
SIZE = (10, 20)
N = 12


def info(counts=(1, 1), **more):
    fields = {"name": "things", "classes": CLASSES, "image_shape": (*SIZE, 3), "splits": {"train": N}} | more
    return SourceInfo(**fields, box_counts=counts)


def create(objects=1, **options):
    return tasks.create("localization", info((objects, objects)), objects=objects, **options)


def examples(objects=1, boxes_of_class=1, seed=0):
    """Logits, numbers near the truth, and a batch: the fourth example's first box has left, the last one is filling."""
    draws = np.random.default_rng(seed)
    first = draws.uniform(0, 0.5, (N, objects, 2))
    true = np.concatenate([first, first + draws.uniform(0.2, 0.5, (N, objects, 2))], -1)
    numbers = true[:, :, None] + draws.normal(0, 0.09, (N, objects, boxes_of_class, 4))
    pixels = (true * np.array([*SIZE, *SIZE])).astype(np.float32)
    labels = draws.integers(0, len(CLASSES), (N, objects)).astype(np.int32)
    logits = draws.normal(0, 1, (N, objects, len(CLASSES))) + 2 * np.eye(len(CLASSES))[labels]
    pixels[3, 0] = NOTHING
    batch = {
        "image": np.zeros((N, *SIZE, 3), np.float32),
        "label": labels[:, 0],
        "boxes": pixels,
        "box_labels": labels,
        "weight": np.array([1] * (N - 1) + [0], np.float32),
    }
    outputs = logits.reshape(N, -1).astype(np.float32), {"boxes": numbers.astype(np.float32)}
    return jax.tree.map(jnp.asarray, outputs), jax.tree.map(jnp.asarray, batch)


def cross_entropy(logits, label):
    return np.log(np.exp(np.asarray(logits, np.float64)).sum()) - float(logits[label])


def iou(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = max(sides[0], 0) * max(sides[1], 0)
    return shared / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared)


@pytest.mark.parametrize("boxes_of_class", [1, len(CLASSES)])
def test_the_loss_is_that_of_the_class_and_the_weighted_squares_of_the_true_class_s_box(boxes_of_class):
    (logits, maps), batch = examples(boxes_of_class=boxes_of_class)
    task = create(regression="agnostic" if boxes_of_class == 1 else "per_class", box_weight=7.0)
    found = loss_of(task, (logits, maps), batch)
    for i in range(N):
        label = int(batch["label"][i])
        expected = cross_entropy(logits[i], label)
        if i != 3:
            said = np.asarray(maps["boxes"])[i, 0, label if boxes_of_class > 1 else 0]
            true = np.asarray(batch["boxes"])[i, 0] / np.array([*SIZE, *SIZE])
            expected += 7 * np.sum((said - true) ** 2)
        assert float(found[i]) == pytest.approx(expected, rel=1e-4)


def test_only_the_true_class_s_box_learns():
    outputs, batch = examples(boxes_of_class=len(CLASSES))
    task = create(regression="per_class")
    gradient = jax.grad(lambda boxes: loss_of(task, (outputs[0], {"boxes": boxes}), batch).sum())(outputs[1]["boxes"])
    moved = np.abs(np.asarray(gradient)).sum(-1)[:, 0] > 0
    expected = np.eye(len(CLASSES), dtype=bool)[np.asarray(batch["label"])]
    expected[3] = False
    assert (moved == expected).all()


def test_measures_of_batches_add_up_to_those_counted_in_numpy():
    (logits, maps), batch = examples(boxes_of_class=len(CLASSES), seed=4)
    task = create(regression="per_class")
    parts = [
        jax.device_get(sums_of(task)(*jax.tree.map(lambda x, rows=rows: x[rows], ((logits, maps), batch))))
        for rows in (slice(0, 5), slice(5, N))
    ]
    found = task.summarize({name: parts[0][name] + parts[1][name] for name in parts[0]})

    logits, numbers = np.asarray(logits), np.asarray(maps["boxes"], np.float64).clip(0, 1)
    labels, true = np.asarray(batch["label"]), np.asarray(batch["boxes"])[:, 0] / np.array([*SIZE, *SIZE])
    real, boxed = range(N - 1), [i for i in range(N - 1) if i != 3]
    ranks = np.argsort(-logits, axis=1)
    own = {i: iou(numbers[i, 0, labels[i]], true[i]) for i in boxed}
    right = {
        i: [guess == labels[i] and iou(numbers[i, 0, guess], true[i]) >= 0.5 for guess in ranks[i, :5]] for i in boxed
    }
    pixels = np.array([*SIZE])
    points = [
        np.linalg.norm((numbers[i, 0, labels[i]].reshape(2, 2).mean(0) - true[i].reshape(2, 2).mean(0)) * pixels)
        <= 0.2 * max((true[i, 2:] - true[i, :2]) * pixels)
        for i in boxed
    ]
    assert set(found) == set(task.metrics)
    assert found["top1"] == pytest.approx(np.mean([ranks[i, 0] == labels[i] for i in real]))
    assert found["top5"] == pytest.approx(np.mean([labels[i] in ranks[i, :5] for i in real]))
    assert found["mean_iou"] == pytest.approx(np.mean(list(own.values())), rel=1e-5)
    pairs = {i: np.stack([numbers[i, 0, labels[i]], true[i]]) for i in boxed}
    around = {i: np.prod(pair[:, 2:].max(0) - pair[:, :2].min(0)) for i, pair in pairs.items()}
    areas = {i: np.prod(pair[:, 2:] - pair[:, :2], axis=1).sum() for i, pair in pairs.items()}
    unions = {i: areas[i] / (1 + own[i]) for i in boxed}
    gious = [own[i] - (around[i] - unions[i]) / around[i] for i in boxed]
    assert found["mean_giou"] == pytest.approx(np.mean(gious), rel=1e-4)
    assert found["found"] == pytest.approx(np.mean([value >= 0.5 for value in own.values()]))
    assert 0 < found["found"] < 1
    assert found["pcr_error"] == pytest.approx(1 - found["found"])
    top1, top5 = np.mean([not each[0] for each in right.values()]), np.mean([not any(each) for each in right.values()])
    assert found["localization_error_top1"] == pytest.approx(top1)
    assert found["localization_error_top5"] == pytest.approx(top5) and top5 < top1
    assert found["pck"] == pytest.approx(np.mean(points)) and 0 < np.mean(points) < 1
    losses = np.asarray(loss_of(task, (jnp.asarray(logits), maps), batch))[: N - 1]
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    counts = np.histogram(list(own.values()), bins=100, range=(0, 1))[0]
    assert (parts[0]["iou_counts"] + parts[1]["iou_counts"]).tolist() == counts.tolist()
    [rows] = task.tables({"iou_counts": counts}).values()
    assert {row["IoU of at least"]: row["share of the boxes"] for row in rows} == {
        level: pytest.approx(np.mean([value >= level for value in own.values()])) for level in (0.5, 0.6, 0.7, 0.8, 0.9)
    }


def test_a_box_is_found_where_any_of_the_class_is():
    outputs, batch = examples()
    others = batch["boxes"].at[:, :, :].set(jnp.array([0.0, 0, 2, 2]))
    batch |= {
        "boxes": jnp.concatenate([others, batch["boxes"]], axis=1),
        "box_labels": jnp.concatenate([batch["box_labels"]] * 2, axis=1),
    }
    task = create()
    found = task.summarize(jax.device_get(sums_of(task)(outputs, batch)))
    _, alone = examples()
    single = task.summarize(jax.device_get(sums_of(task)(outputs, alone)))
    assert found["mean_iou"] > 0.9 * single["mean_iou"] > 0.3


def test_of_several_objects_the_mean_of_each_place_is_told():
    outputs, batch = examples(objects=3)
    task = create(objects=3)
    found = task.summarize(jax.device_get(sums_of(task)(outputs, batch)))
    boxes, true = np.asarray(outputs[1]["boxes"])[:, :, 0].clip(0, 1), np.asarray(batch["boxes"]) / [*SIZE, *SIZE]
    for k in range(3):
        rows = [i for i in range(N - 1) if (i, k) != (3, 0)]
        mean = np.mean([iou(boxes[i, k], true[i, k]) for i in rows])
        assert found[f"mean_iou_{k + 1}"] == pytest.approx(mean, rel=1e-5)
    assert set(found) == set(task.metrics)


def test_in_free_order_it_does_not_matter_which_answer_is_whose():
    (logits, maps), batch = examples(objects=3)
    turned = np.array([2, 0, 1])
    other = logits.reshape(N, 3, -1)[:, turned].reshape(N, -1), {"boxes": maps["boxes"][:, turned]}
    free, fixed = create(objects=3, order="free"), create(objects=3)
    np.testing.assert_allclose(loss_of(free, other, batch), loss_of(free, (logits, maps), batch), rtol=1e-5)
    assert (np.asarray(loss_of(free, other, batch)) <= np.asarray(loss_of(fixed, (logits, maps), batch)) + 1e-5).all()
    assert np.asarray(loss_of(fixed, other, batch)).sum() > 1.5 * np.asarray(loss_of(free, other, batch)).sum()
    measure = sums_of(free)
    one, two = (free.summarize(jax.device_get(measure(each, batch)))["mean_iou"] for each in (other, (logits, maps)))
    assert one == pytest.approx(two)


def test_auxiliary_logits_add_their_weighted_cross_entropy():
    (logits, maps), batch = examples()
    own = loss_of(create(auxiliary_weight=0.4), (logits, maps), batch)
    both = loss_of(create(auxiliary_weight=0.4), (logits, maps | {"auxiliary1": -logits}), batch)
    expected = [cross_entropy(-np.asarray(logits)[i], int(batch["label"][i])) for i in range(N)]
    np.testing.assert_allclose(both - own, 0.4 * np.array(expected), rtol=1e-4)


def test_a_prediction_has_five_guesses_each_with_its_class_s_box():
    outputs, _ = examples(boxes_of_class=len(CLASSES))
    task = create(regression="per_class")
    predictions = jax.device_get(task.decode(outputs, {}))
    record = task.describe(predictions)[0]["objects"][0]
    order = np.argsort(-np.asarray(outputs[0])[0])[:5]
    guesses = [record, *record["guesses"]]
    assert [guess["label"] for guess in guesses] == order.tolist()
    assert [guess["class"] for guess in guesses] == [CLASSES[label] for label in order]
    boxes = np.asarray(outputs[1]["boxes"])[0, 0, order].clip(0, 1)
    np.testing.assert_allclose([guess["box"] for guess in guesses], boxes, atol=0.006)
    assert task.columns(task.describe(predictions)[0]).keys() == {"object", "box"}


@pytest.mark.parametrize("order", ["fixed", "free"])
def test_pictures_are_drawn_of_the_examples_that_were_kept(tmp_path: Path, order):
    outputs, batch = examples(objects=2)
    images = np.random.default_rng(1).integers(0, 255, (N, *SIZE, 3), np.uint8)
    arrays = {name: np.asarray(batch[name]) for name in ("label", "boxes", "box_labels")}
    source = ArraySource({"image": images} | arrays, info((2, 2)))
    task = create(objects=2, order=order)
    kept = jax.device_get(task.decode(outputs, {}) | sums_of(task)(outputs, batch))
    drawn = task.pictures(kept | {"place": np.arange(N)}, source, tmp_path)
    assert [path.name for _, path in drawn] == ["accuracy_by_iou.png", "localizations.png"]
    assert all(path.stat().st_size > 5000 for _, path in drawn)


@pytest.mark.parametrize(
    ("counts", "options", "words"),
    [
        ((), {}, "'things' has no boxes"),
        ((0, 0), {}, "task.objects is 1, and examples of 'things' have 0 boxes"),
        ((1, 4), {"objects": 2}, "task.objects is 2, and examples of 'things' have 1 to 4 boxes"),
        ((3, 3), {"objects": 2}, "have 3 boxes"),
        ((1, 1), {"objects": 0}, "must be at least 1"),
        ((1, 1), {"order": "free"}, "leave it at 'fixed'"),
        ((1, 1), {"hidden": -1}, "task.hidden is -1"),
        ((1, 1), {"box_weight": -1.0}, "task.box_weight is -1.0"),
        ((1, 1), {"merging": float("nan")}, "task.merging is nan"),
        ((1, 1), {"loss": "l1"}, "'l2' or 'smooth_l1' or 'iou'"),
    ],
)
def test_options_and_data_that_can_t_be_are_refused(counts, options, words):
    with pytest.raises(InvalidValue, match=words):
        tasks.create("localization", info(counts), **options)


def test_images_of_their_own_sizes_are_refused():
    with pytest.raises(InvalidValue, match=r"data.evaluation_size can't be 0"):
        tasks.create("localization", info(variable_size=True))
