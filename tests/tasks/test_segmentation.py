"""The loss, the measures and the predictions of segmentation, against NumPy."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asking import loss_of, sums_of

from convnets import tasks
from convnets.data.label_map import IGNORED
from convnets.data.source import ArraySource, SourceInfo
from convnets.errors import InvalidValue
from convnets.evaluation.metrics import WIDTHS, boundary_bands, measures

CLASSES = ("ground", "shirt", "shoe", "bag")


def info(classes=CLASSES):
    return SourceInfo("clothes", ("a", "b"), (8, 10, 3), {"train": 6}, mask_classes=classes)


def examples(seed=0):
    """Scores, masks with ignored pixels, and weights of six examples; one has no label at all, one is filling."""
    draws = np.random.default_rng(seed)
    scores = draws.normal(0, 2, (6, 8, 10, 4)).astype(np.float32)
    masks = draws.choice([0, 1, 2, IGNORED], (6, 8, 10)).astype(np.int32)
    masks[1], masks[1, :, 0] = 0, 1  # half of it far from the boundary
    masks[2] = IGNORED
    return scores, masks, np.array([1, 1, 1, 1, 1, 0], np.float32)


def cross_entropy(scores, masks):
    logs = scores - np.log(np.exp(scores.astype(np.float64)).sum(-1, keepdims=True))
    return -np.take_along_axis(logs, np.where(masks == IGNORED, 0, masks)[..., None], -1)[..., 0]


@pytest.mark.parametrize("weights", [(), (0.5, 1.0, 3.0, 2.0)])
def test_the_loss_is_the_weighted_mean_cross_entropy_of_the_labelled_pixels(weights):
    scores, masks, _ = examples()
    task = tasks.create("segmentation", info(), class_weights=weights)
    found = loss_of(task, (jnp.asarray(scores), {}), {"mask": jnp.asarray(masks)})
    share = np.array(weights or (1,) * 4)[np.where(masks == IGNORED, 0, masks)] * (masks != IGNORED)
    total = (share * cross_entropy(scores, masks)).sum((1, 2))
    expected = np.divide(total, share.sum((1, 2)), out=np.zeros(6), where=share.sum((1, 2)) > 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_example_without_labels_has_no_gradient_and_no_nan():
    scores, masks, _ = examples()
    task = tasks.create("segmentation", info())
    gradient = jax.grad(lambda s: loss_of(task, (s, {}), {"mask": jnp.asarray(masks)}).sum())(jnp.asarray(scores))
    assert np.isfinite(gradient).all()
    assert not np.asarray(gradient)[2].any()
    assert not np.asarray(gradient)[masks == IGNORED].any()


def test_auxiliary_scores_add_their_weighted_loss():
    scores, masks, _ = examples()
    task = tasks.create("segmentation", info(), auxiliary_weight=0.4)
    batch = {"mask": jnp.asarray(masks)}
    own, other = (loss_of(task, (jnp.asarray(s), {}), batch) for s in (scores, scores[::-1]))
    both = loss_of(task, (jnp.asarray(scores), {"auxiliary1": jnp.asarray(scores[::-1])}), batch)
    np.testing.assert_allclose(both, own + 0.4 * other, rtol=1e-5)


def test_measures_of_batches_add_up_to_those_of_all_pixels_and_filling_does_not_count():
    scores, masks, weight = examples()
    task = tasks.create("segmentation", info())
    batch = {"mask": jnp.asarray(masks), "weight": jnp.asarray(weight)}
    parts = [
        jax.device_get(sums_of(task)((jnp.asarray(scores[rows]), {}), {name: x[rows] for name, x in batch.items()}))
        for rows in (slice(0, 2), slice(2, 6))
    ]
    sums = {name: parts[0][name] + parts[1][name] for name in parts[0]}
    counted = (masks != IGNORED) & (weight > 0)[:, None, None]
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (masks[counted], scores.argmax(-1)[counted]), 1)
    bands = np.asarray(boundary_bands(jnp.asarray(masks)))
    near = counted & (bands <= WIDTHS.index(4))
    around = np.zeros((4, 4), int)
    np.add.at(around, (masks[near], scores.argmax(-1)[near]), 1)
    assert sums["confusion"].sum(0).tolist() == confusion.tolist()
    assert sums["weight"] == 5
    found = task.summarize(sums)
    assert found["loss"] == pytest.approx(cross_entropy(scores, masks)[counted].mean(), rel=1e-5)
    assert found["mean_iu"] == pytest.approx(measures(confusion).mean_iu)
    assert found["boundary_mean_iu"] == pytest.approx(measures(around).mean_iu)
    assert set(found) == set(task.metrics)
    in_training = sums_of(task, train=True)((jnp.asarray(scores), {}), batch)
    assert np.asarray(in_training["confusion"]).tolist() == [confusion.tolist()]
    cheap = task.summarize(jax.device_get(in_training))
    assert cheap == pytest.approx({name: found[name] for name in task.metrics if name != "boundary_mean_iu"})


def test_the_table_of_classes_has_the_iu_and_the_share_of_each_by_name():
    task = tasks.create("segmentation", info())
    bands = np.zeros((2, 4, 4), int)
    bands[0, 0, 0], bands[1, 0, 1], bands[1, 1, 1] = 6, 2, 4
    rows = {row.pop("class"): row for row in task.tables({"confusion": bands})["IU of each class"]}
    assert list(rows) == list(info().mask_classes)
    ground, second, *absent = rows.values()
    assert ground == {"IU": 6 / 8, "share of the pixels": 8 / 12}
    assert second == {"IU": 4 / 6, "share of the pixels": 4 / 12}
    assert absent == [{"IU": None, "share of the pixels": 0.0}] * 2


def test_predictions_are_the_likeliest_classes_and_what_an_image_shows_is_told_by_its_share():
    task = tasks.create("segmentation", info())
    scores = np.full((1, 2, 4, 4), -1.0, np.float32)
    scores[0, :, :, 0] = 0
    scores[0, 0, :3, 2] = 5
    predictions = {name: np.asarray(x) for name, x in task.decode((jnp.asarray(scores), {}), {}).items()}
    assert predictions["mask"].tolist() == [[[2, 2, 2, 0], [0, 0, 0, 0]]]
    [record] = task.describe(predictions)
    assert [(part["class"], part["value"], part["share"]) for part in record["classes"]] == [
        ("ground", 0, 5 / 8),
        ("shoe", 2, 3 / 8),
    ]
    assert task.columns(record) == {"shows": "ground 62.5%, shoe 37.5%"}


def test_pictures_are_drawn_of_the_examples_that_were_kept(tmp_path: Path):
    _, masks, _ = examples()
    images = np.random.default_rng(1).integers(0, 255, (6, 8, 10, 3), np.uint8)
    source = ArraySource({"image": images, "mask": masks}, info())
    kept = {
        "mask": np.zeros((2, 8, 10), np.uint8),
        "place": np.array([0, 3]),
        "confusion": np.eye(4, dtype=int)[None].repeat(6, 0),
    }
    drawn = tasks.create("segmentation", info()).pictures(kept, source, tmp_path)
    assert [path.name for _, path in drawn] == ["class_iu.png", "boundary_iu.png", "segmentations.png"]
    assert all(path.stat().st_size > 1000 for _, path in drawn)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"class_weights": (1.0, 2.0)}, "2 numbers"),
        ({"class_weights": (1.0, 2.0, -1.0, 1.0)}, "must not be negative"),
        ({"class_weights": (0.0,) * 4}, "nor all zero"),
        ({"auxiliary_weight": -1.0}, "must not be negative"),
        ({"skips": False}, "of the encoder_decoder"),
        ({"head": "encoder_decoder", "stride": 16}, "leave them at 8"),
    ],
)
def test_options_that_can_t_be_are_refused(options, words):
    with pytest.raises(InvalidValue, match=words):
        tasks.create("segmentation", info(), **options)


def test_data_without_masks_are_refused():
    with pytest.raises(InvalidValue, match=r"names 0 classes of masks.*data.mask_classes"):
        tasks.create("segmentation", info(classes=()))
