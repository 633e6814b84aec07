"""Composed scenes: what is said of them must be what is in them."""

import numpy as np
import pytest
from scipy import ndimage

from convnets import data
from convnets.data import fashion_mnist
from convnets.data.fashion_mnist import silhouette
from convnets.data.scenes import Draws
from convnets.data.source import load_training_batch
from convnets.errors import InvalidValue

try:
    fashion_mnist.find()
    absent = ""
except fashion_mnist.DataNotFound as error:
    absent = str(error)
needs_data = pytest.mark.skipif(bool(absent), reason=absent)


@pytest.fixture(scope="module")
def scenes():
    return data.create("scenes", "train", objects=(1, 4), size=96)


@needs_data
def test_a_scene_is_what_its_index_says_and_nothing_else(scenes):
    again = data.create("scenes", "train", objects=(1, 4), size=96, examples=50)
    for name, value in scenes[7].items():
        np.testing.assert_array_equal(value, again[7][name])
    other = data.create("scenes", "train", objects=(1, 4), size=96, seed=1)
    test = data.create("scenes", "test", objects=(1, 4), size=96)
    pictures = {scene["image"].tobytes() for scene in (scenes[7], scenes[8], other[7], test[7])}
    assert len(pictures) == 4


@needs_data
def test_boxes_are_tight_around_the_pixels_of_their_garments(scenes):
    """Where no two garments of one class touch, a box's garment is all of its class in the box."""
    checked = 0
    for i in range(40):
        scene = scenes[i]
        labels = scene["box_labels"]
        for box, label in zip(scene["boxes"], labels, strict=True):
            if label < 0:
                assert (box == 0).all()
                continue
            y0, x0, y1, x1 = box.astype(int)
            inside = scene["mask"][y0:y1, x0:x1] == label + 1
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
            if (labels == label).sum() == 1:
                assert inside.sum() == (scene["mask"] == label + 1).sum()
                checked += 1
    assert checked > 20


@needs_data
def test_the_mask_holds_the_classes_of_the_boxes_and_the_ground(scenes):
    for i in range(20):
        scene = scenes[i]
        found = set(np.unique(scene["mask"]))
        assert found == {0} | {label + 1 for label in scene["box_labels"] if label >= 0}
        assert scene["label"] == scene["box_labels"][0] or scene["box_labels"][0] < 0
        shown = scene["image"][scene["mask"] > 0].mean(), scene["image"][scene["mask"] == 0].mean()
        assert shown[0] != shown[1]


@needs_data
def test_garments_are_as_many_and_as_large_as_asked():
    source = data.create("scenes", "train", objects=(2, 2), scale=(0.4, 0.5), clutter=0)
    for i in range(10):
        scene = source[i]
        assert (scene["box_labels"] >= 0).sum() == 2
        sides = (scene["boxes"][:, 2:] - scene["boxes"][:, :2]).max(1)
        assert (sides <= 0.5 * 128 + 1).all() and (sides >= 0.2 * 128).all()


@needs_data
def test_scenes_are_batched_and_described_as_they_are(scenes):
    batch = scenes.batch(np.arange(3))
    assert batch["image"].shape == (3, *scenes.info.image_shape) == (3, 96, 96, 3)
    assert batch["image"].dtype == np.uint8 and batch["mask"].dtype == np.int32
    assert batch["boxes"].shape == (3, 4, 4) and batch["boxes"].dtype == np.float32
    assert scenes.info == data.describe("scenes", objects=(1, 4), size=96) and scenes.info.box_counts == (1, 4)
    assert scenes.info.mask_classes == ("background", *scenes.info.classes)
    assert len(scenes) == 10_000 and len(data.create("scenes", "test")) == 1_000
    with pytest.raises(IndexError):
        scenes[10_000]


@needs_data
def test_a_silhouette_is_the_garment_with_its_holes_filled():
    source = fashion_mnist.load("test", padding=0)
    for i in range(50):
        grey = source[i]["image"][..., 0]
        np.testing.assert_array_equal(silhouette(grey), ndimage.binary_fill_holes(grey > 12))


def test_draws_are_uniform_and_the_same_everywhere():
    many = Draws(0, 0, 5).many(10_000)
    # By NumPy 2.4; it promises the same raw bits in every version.
    assert many[:3].tolist() == [0.28759562324710597, 0.9935030292304483, 0.28018242318620534]
    assert 0 <= many.min() < 0.001 and 0.999 < many.max() < 1
    assert np.histogram(many, 10, (0, 1))[0] == pytest.approx(1000, abs=120)
    assert {Draws(0, 0, 5).below(3) for _ in range(3)} == {int(3 * many[0])}
    draws = Draws(0, 0, 5)
    assert {draws.below(3) for _ in range(50)} == {0, 1, 2}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 16}, "data.size is 16, and must be at least 32"),
        ({"objects": (3, 2)}, r"data.objects is \(fewest, most\)"),
        ({"objects": (0, 2)}, "at least 1"),
        ({"scale": (0.5, 1.5)}, r"data.scale is \(smallest, largest\) in \(0, 1\]"),
        ({"clutter": -1}, "data.clutter is -1"),
        ({"examples": 3}, "data.examples is 3"),
        ({"seed": -1}, "data.seed is -1"),
        ({"split": "validation"}, "the splits train, test, not 'validation'"),
        ({"sizes": 64}, "no option 'sizes': did you mean 'size'"),
    ],
)
def test_what_no_scene_can_be_made_of_is_refused(options, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        data.create("scenes", options.pop("split", "train"), **options)


@needs_data
def test_kept_scenes_are_those_that_are_composed_anew_and_stay_as_they_are(scenes):
    kept = data.create("scenes", "train", objects=(1, 4), size=96, keep=True)
    for _ in range(2):
        for name, value in kept[3].items():
            np.testing.assert_array_equal(value, scenes[3][name])
            assert np.asarray(value).dtype == np.asarray(scenes[3][name]).dtype
        kept[3]["image"][:] = 0


@needs_data
def test_smaller_scenes_are_the_same_scenes_averaged(scenes):
    indices, epochs = np.array([2, 5]), np.zeros(2, int)
    small = load_training_batch(scenes, indices, epochs, 0, 48)
    assert small["image"].shape == (2, 48, 48, 3) and small["image"].dtype == np.uint8
    assert small["mask"].shape == (2, 48, 48) and small["mask"].dtype == np.int32
    for row, i in enumerate(indices):
        whole = scenes[int(i)]
        averaged = whole["image"].reshape(48, 2, 48, 2, 3).mean((1, 3))
        assert np.abs(small["image"][row] - averaged).max() <= 1
        np.testing.assert_array_equal(small["mask"][row], whole["mask"][1::2, 1::2])
        np.testing.assert_array_equal(small["boxes"][row], whole["boxes"] / 2)
        assert small["box_labels"][row].tolist() == whole["box_labels"].tolist()
    same = load_training_batch(scenes, indices, epochs, 0)
    np.testing.assert_array_equal(same["image"], scenes.batch(indices)["image"])
