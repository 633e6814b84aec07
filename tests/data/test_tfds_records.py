"""Prepared data sets of TFDS as records."""

import io
import json
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow_datasets as tfds
from fake_tfds import SYNSETS, encode, noise, write_cifar10, write_dataset, write_imagenet, write_scenes
from PIL import Image

from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import serve
from convnets.data.records import Record
from convnets.data.tfds_records import TfdsRecords, load_in_memory
from convnets.errors import InvalidValue

pytestmark = pytest.mark.usefixtures("user_cache")


def test_a_classification_set_gives_the_stored_bytes_labels_and_names(tmp_path):
    examples = write_imagenet(tmp_path)
    records = TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))
    shutil.rmtree(tmp_path / "imagenet2012")
    write_imagenet(tmp_path)
    again = TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))
    assert records.info.state["files"] != again.info.state["files"]
    records = again
    assert len(records) == 7
    for i, (record, example) in enumerate(zip(records, examples, strict=True)):
        name = f"imagenet2012 train, example {i} ({example['file_name']})"
        assert record == Record(example["image"], name, example["label"])
    assert records.info.name == "imagenet2012"
    assert records.info.classes == SYNSETS
    assert list(records.info.fields) == ["label"]
    assert records.info.splits == {"train": 7, "validation": 3, "test": 2}
    assert (
        records.info.state
        == json.loads(json.dumps(records.info.state))
        == {
            "name": "imagenet2012",
            "configuration": "",
            "version": "5.1.0",
            "split": "train",
            "examples": 7,
            "file_format": "array_record",
            "files": records.info.state["files"],
        }
    )


def test_the_records_are_those_of_tfds_own_data_source(tmp_path):
    image, mask = encode(noise(3, 10, 20, 3), "JPEG"), noise(4, 10, 20)
    write_imagenet(tmp_path)
    write_scenes(tmp_path, image, mask)
    skip = {"image": tfds.decode.SkipDecoding()}
    for dataset in ("imagenet2012/5.1.0", "scenes/2007/4.0.0"):
        source = tfds.builder_from_directory(tmp_path / dataset).as_data_source("train", decoders=skip)
        records = TfdsRecords(dataset.rpartition("/")[0], "train", data_dir=str(tmp_path))
        for record, expected in zip(records, source, strict=True):
            assert record.image == expected["image"]
            assert record.label == expected.get("label")
            if "objects" in expected:
                fractions = np.array(expected["objects"]["bbox"], np.float32).reshape(-1, 4)
                np.testing.assert_array_equal(record.boxes, fractions * np.float32([10, 20, 10, 20]))
                np.testing.assert_array_equal(record.box_labels, expected["objects"]["label"])
                pixels = Image.open(io.BytesIO(record.mask))
                np.testing.assert_array_equal(np.asarray(pixels), expected["segmentation_mask"][..., 0])


@pytest.mark.parametrize(
    ("split", "places"),
    [
        ("train[:3]", [0, 1, 2]),
        ("train[2:6]", [2, 3, 4, 5]),
        ("train[-2:]", [5, 6]),
        # 50% of 7 is 3.5, which TFDS rounds to 4.
        ("train[50%:]", [4, 5, 6]),
        ("train[5:]+train[:1]", [5, 6, 0]),
        ("train[1shard]", [4, 5, 6]),
    ],
)
def test_split_expressions_are_those_of_tfds(tmp_path, split, places):
    examples = write_imagenet(tmp_path)
    records = TfdsRecords("imagenet2012", split, data_dir=str(tmp_path))
    assert [record.image for record in records] == [examples[place]["image"] for place in places]
    assert records[0].name.startswith(f"imagenet2012 {split}, example 0 (")
    assert records.info.splits == {"train": 7, "validation": 3, "test": 2, split: len(places)}


def test_a_split_without_labels_has_none(tmp_path):
    write_imagenet(tmp_path)
    records = TfdsRecords("imagenet2012", "test", data_dir=str(tmp_path))
    assert [record.label for record in records] == [None, None]
    assert list(records.info.fields) == []


def test_boxes_are_in_pixels_and_masks_are_as_stored(tmp_path):
    image, mask = encode(noise(3, 10, 20, 3), "JPEG"), noise(4, 10, 20) % 3 + 1
    write_scenes(tmp_path, image, mask)
    records = TfdsRecords("scenes/2007", "train", data_dir=str(tmp_path))
    assert records.info.name == "scenes/2007" and records.info.classes == ("cat", "dog")
    assert list(records.info.fields) == ["boxes", "mask"]
    expected = np.array([[1, 5, 5, 15], [0, 0, 10, 20]], np.float32)
    for n, record in enumerate(records):
        assert record.image == image and record.label is None
        assert record.name == f"scenes/2007 train, example {n} ({n}.jpg)"
        assert record.boxes.shape == (n, 4) and record.boxes.dtype == np.float32
        np.testing.assert_allclose(record.boxes, expected[:n], rtol=1e-6)
        assert record.box_labels.tolist() == [1, 0][:n] and record.box_labels.dtype == np.int32
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(record.mask))), mask)


def test_the_box_around_a_pet_s_head_is_read_and_an_empty_one_is_none(tmp_path):
    """As oxford_iiit_pet has it; TFDS stores zeros where nobody drew one, as in the test split."""
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=["Abyssinian", "beagle"]),
            "head_bbox": tfds.features.BBoxFeature(),
        }
    )
    boxes = np.array([[0.5, 0.25, 1, 0.75], [0, 0, 0, 0]], np.float32)
    examples = [{"image": encode(noise(0, 10, 20, 3), "JPEG"), "label": 1, "head_bbox": box} for box in boxes]
    write_dataset(tmp_path, "oxford_iiit_pet", "4.0.0", features, {"train": examples}, shards=1)
    records = TfdsRecords("oxford_iiit_pet", "train", data_dir=str(tmp_path))
    assert records.info.fields == ("label", "boxes") and records.info.box_counts == (0, 1)
    assert records[0].boxes.tolist() == [[5, 5, 10, 15]] and records[0].box_labels is None
    assert records[1].boxes.shape == (0, 4)
    served = serve(records, PictureOptions(size=10, evaluation_size=10, boxes=1), "train")
    batch = served.batch(np.arange(2))
    assert batch["boxes"].tolist() == [[[5, 0, 10, 10]], [[0, 0, 0, 0]]]
    assert batch["box_labels"].tolist() == [[1], [-1]] and batch["label"].tolist() == [1, 1]


@pytest.mark.parametrize(("orientation", "given"), [(1, bytes), (6, np.ndarray)])
def test_a_picture_with_boxes_stays_as_its_boxes_are(tmp_path, orientation, given):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.repeat(np.repeat(noise(3, 2, 4, 3), 8, 0), 8, 1)
    write_scenes(tmp_path, encode(pixels, "JPEG", exif=exif, quality=100, subsampling=0), pixels[..., 0])
    record = TfdsRecords("scenes/2007", "train", data_dir=str(tmp_path))[2]
    assert isinstance(record.image, given)
    np.testing.assert_allclose(record.boxes[1], [0, 0, 16, 32])
    if given is np.ndarray:
        assert record.image.shape == (16, 32, 3) and record.image.dtype == np.uint8
        assert np.abs(record.image.astype(int) - pixels).max() < 8


def test_threads_and_other_processes_read_the_same(tmp_path):
    examples = write_imagenet(tmp_path)
    records = TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))
    order = np.random.default_rng(0).integers(0, 7, 200).tolist()
    with ThreadPoolExecutor(8) as pool:
        read = [record.image for record in pool.map(records.__getitem__, order)]
    assert read == [examples[i]["image"] for i in order]
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[5].name)"
    reader = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(records), capture_output=True, check=True
    )
    assert reader.stdout.decode().strip() == records[5].name


def test_tensorflow_and_the_net_are_not_touched(tmp_path):
    write_imagenet(tmp_path)
    program = (
        "import socket, sys\n"
        "def refuse(*arguments): raise SystemExit('the net was asked')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from convnets.data.tfds_records import TfdsRecords\n"
        f"TfdsRecords('imagenet2012', 'train', data_dir={str(tmp_path)!r})[0]\n"
        "print(sorted({'tensorflow', 'jax'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# In memory.


def test_a_small_data_set_becomes_arrays_in_its_order(tmp_path):
    pixels = write_cifar10(tmp_path)
    source = load_in_memory(TfdsRecords("cifar10", "train[1:]", data_dir=str(tmp_path)))
    batch = source.batch(np.arange(4))
    np.testing.assert_array_equal(batch["image"], pixels[1:])
    assert batch["label"].tolist() == [8, 7, 6, 5] and batch["label"].dtype == np.int32
    assert source.info.name == "cifar10" and source.info.image_shape == (32, 32, 3)
    assert source.info.classes == tuple("0123456789")
    assert source.info.splits == {"train": 5, "test": 2, "train[1:]": 4}


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
        with pytest.raises(InvalidValue, match=f"the image of {name} train, example 1 can't be read as"):
            load_in_memory(TfdsRecords(name, "train", data_dir=str(tmp_path)))
