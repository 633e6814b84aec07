"""Small data sets of TFDS as arrays."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from fake_tfds import FORMATS, encode, noise, write_cifar10, write_dataset, write_imagenet

from convnets.data.tfds_records import TfdsRecords, load_in_memory
from convnets.errors import InvalidValue


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    """A user's cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_small_data_set_becomes_arrays_in_its_order(tmp_path, file_format):
    pixels = write_cifar10(tmp_path, file_format)
    told = []
    source = load_in_memory(
        TfdsRecords("cifar10", "train[1:]", data_dir=str(tmp_path)), lambda done, total: told.append((done, total))
    )
    batch = source.batch(np.arange(4))
    np.testing.assert_array_equal(batch["image"], pixels[1:])
    assert batch["label"].tolist() == [8, 7, 6, 5] and batch["label"].dtype == np.int32
    assert source.info.name == "cifar10" and source.info.image_shape == (32, 32, 3)
    assert source.info.classes == tuple("0123456789")
    assert source.info.splits == {"train": 5, "test": 2, "train[1:]": 4}
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_grey_images_keep_their_one_channel(tmp_path):
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(28, 28, 1)), "label": tfds.features.ClassLabel(num_classes=10)}
    )
    pixels = noise(0, 28, 28)
    examples = [{"image": encode(pixels, "PNG"), "label": 3}]
    write_dataset(tmp_path, "mnist", "3.0.1", features, {"train": examples}, shards=1)
    source = load_in_memory(TfdsRecords("mnist", "train", data_dir=str(tmp_path)))
    np.testing.assert_array_equal(source[0]["image"], pixels[..., None])


def test_only_small_labelled_images_of_one_shape_are_kept_in_memory(tmp_path):
    write_imagenet(tmp_path)
    with pytest.raises(InvalidValue, match="imagenet2012 has images of different sizes with label, and only"):
        load_in_memory(TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path)))
    image = {"image": tfds.features.Image(shape=(65, 64, 3))}
    for name, features in (("large", image | {"label": tfds.features.ClassLabel(num_classes=2)}), ("bare", image)):
        examples = [{"image": encode(noise(0, 65, 64, 3), "PNG"), **({"label": 1} if name == "large" else {})}]
        write_dataset(tmp_path, name, "1.0.0", tfds.features.FeaturesDict(features), {"train": examples}, shards=1)
        with pytest.raises(InvalidValue, match="65 x 64 x 3 with"):
            load_in_memory(TfdsRecords(name, "train", data_dir=str(tmp_path)))


def test_a_small_image_that_cannot_be_decoded_is_named(tmp_path):
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(32, 32, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
    )
    good = encode(noise(0, 32, 32, 3), "PNG")
    for name, content in (("foreign", b"hello"), ("cut", good[:200]), ("size", encode(noise(0, 16, 16, 3), "PNG"))):
        examples = [{"image": good, "label": 1}, {"image": content, "label": 1}]
        write_dataset(tmp_path, name, "1.0.0", features, {"train": examples}, shards=1)
        with pytest.raises(InvalidValue, match=f"the image of {name} train, example 1 can't be decoded"):
            load_in_memory(TfdsRecords(name, "train", data_dir=str(tmp_path)))
