"""The table of data sets: the options of pictures, and what TFDS has prepared."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from convnets import data
from convnets.data.picture_options import PictureOptions
from convnets.data.source import load_training_batch
from convnets.errors import InvalidValue
from tests.data.fake_tfds import encode, noise, write_cifar10, write_imagenet, write_pets


@pytest.mark.parametrize("name", ["image_folder", "segmentation_folder", "tfds", "voc"])
def test_pictures_have_the_options_of_their_serving_with_its_defaults(name):
    options = data.sources.options(name)
    for field in PictureOptions.__dataclass_fields__.values():
        assert options[field.name] == field.default
    assert {"data_dir", "train", "test"} < options.keys()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"crop": "corner"}, "the option 'crop' of the data set 'tfds' is 'scaled' or 'random_shape' or 'centre'"),
        ({"channels": 2}, "the option 'channels' of the data set 'tfds' is 1 or 3"),
        ({"size": "large"}, "the option 'size' of the data set 'tfds' takes a whole number"),
        ({"sise": 3}, "the data set 'tfds' has no option 'sise': did you mean 'size'"),
        ({"size": 0}, "data.size is 0, and must be 1 or more"),
        ({"split": "validation"}, "tfds has the splits train and test, not 'validation'"),
    ],
)
def test_mistaken_options_and_splits_are_refused_before_anything_is_read(options, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        data.create("tfds", options.pop("split", "train"), data_dir="/nowhere", **options)


def test_imagenet_of_tfds_is_served_with_its_validation_split_as_the_test(tmp_path):
    write_imagenet(tmp_path)
    options = {"data_dir": str(tmp_path), "size": 20, "evaluation_size": 24}
    train, test = (data.create("tfds", split, **options) for split in ("train", "test"))
    assert replace(train.info, digest="") == replace(test.info, digest="") and train.info.digest != test.info.digest
    assert (len(train), len(test)) == (train.info.splits["train"], train.info.splits["test"]) == (7, 3)
    batch = load_training_batch(train, np.arange(7), np.zeros(7, int), 0)
    assert batch["image"].shape == (7, 20, 20, 3) and batch["image"].std() > 1
    assert pickle.loads(pickle.dumps(train))[0]["label"] == train[0]["label"]
    parts = {"train": "train[2:]", "test": "train[:2]"}
    train, test = (data.create("tfds", split, **options, **parts) for split in ("train", "test"))
    assert (len(train), len(test)) == (train.info.splits["train"], train.info.splits["test"]) == (5, 2)


def test_small_images_are_served_from_memory_as_they_are(tmp_path):
    write_cifar10(tmp_path)
    train, test = (data.create("tfds_in_memory", split, data_dir=str(tmp_path)) for split in ("train", "test"))
    assert train.info.image_shape == train.info.shape_in_training == (32, 32, 3)
    assert train.info.splits["train"] == len(train) and train.info.splits["test"] == len(test)
    assert train.batch(np.arange(len(train)))["image"].shape == (len(train), 32, 32, 3)
    larger = data.create("tfds", "train", dataset="cifar10", data_dir=str(tmp_path), size=64, evaluation_size=64)
    assert larger[0]["image"].shape == (64, 64, 3) and larger[0]["label"] == train[0]["label"]


@pytest.mark.parametrize(
    ("options", "classes", "meanings"),
    [
        ({}, ("pet", "background"), [0, 1, 255]),
        (
            {"mask_classes": ("pet", "background", "border"), "mask_values": (1, 2, 3)},
            ("pet", "background", "border"),
            [0, 1, 2],
        ),
    ],
)
def test_masks_of_pets_leave_the_border_out_unless_it_is_made_a_class(tmp_path, options, classes, meanings):
    levels = noise(0, 40, 50) % 3
    write_pets(tmp_path, encode(noise(1, 40, 50, 3), "JPEG"), levels + 1)
    source = data.create(
        "tfds", "train", dataset="oxford_iiit_pet", data_dir=str(tmp_path), size=8, evaluation_size=0, **options
    )
    assert source.info.mask_classes == classes
    np.testing.assert_array_equal(source[0]["mask"][:40, :50], np.array(meanings)[levels])
    assert source[0]["label"] == 1
