"""Prepared data sets of TFDS as records, and small ones as arrays."""

import io
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from fake_tfds import write_dataset
from PIL import Image

from convnets.data import tfds_folders
from convnets.data.records import Record
from convnets.data.source import DataNotFound
from convnets.data.tfds_records import TfdsRecords, load_in_memory
from convnets.errors import InvalidValue

FORMATS = ("array_record", "tfrecord")
SYNSETS = ("n01440764", "n01443537", "n02102040")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    """A user's cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def encode(pixels: np.ndarray, suffix: str, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, suffix, **options)
    return content.getvalue()


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def imagenet_examples(number: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "image": encode(noise(i, 8 + i, 12, 3), "JPEG"),
            "label": i % 3,
            "file_name": f"{SYNSETS[i % 3]}_{i}.JPEG",
        }
        for i in range(first, first + number)
    ]


def write_imagenet(folder: Path, file_format: str = "array_record", version: str = "5.1.0") -> list[dict[str, Any]]:
    """Of imagenet2012's layout: 7 training examples, which are returned, 3 of validation, 2 without labels."""
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=SYNSETS),
            "file_name": tfds.features.Text(),
        }
    )
    train = imagenet_examples(7)
    splits = {
        "train": train,
        "validation": imagenet_examples(3, 50),
        "test": [example | {"label": -1} for example in imagenet_examples(2, 90)],
    }
    write_dataset(folder, "imagenet2012", version, features, splits, file_format)
    return train


def write_cifar10(folder: Path, file_format: str = "array_record") -> np.ndarray:
    """Of cifar10's layout: 5 training examples, whose pixels are returned; the label of number i is 9 - i."""
    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
    )
    pixels = noise(0, 5, 32, 32, 3)
    train = [{"id": f"train_{i}", "image": encode(pixels[i], "PNG"), "label": 9 - i} for i in range(5)]
    write_dataset(folder, "cifar10", "3.0.2", features, {"train": train, "test": train[:2]}, file_format)
    return pixels


def write_scenes(folder: Path, file_format: str, image: bytes, mask: np.ndarray) -> None:
    """Pictures with none, one and two boxes, a mask, and no class of their own."""
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(
                {"bbox": tfds.features.BBoxFeature(), "label": tfds.features.ClassLabel(names=["cat", "dog"])}
            ),
            "segmentation_mask": tfds.features.Image(shape=(None, None, 1)),
        }
    )
    boxes = np.array([[0.1, 0.25, 0.5, 0.75], [0.0, 0.0, 1.0, 1.0]], np.float32)
    examples = [
        {
            "image": image,
            "image/filename": f"{n}.jpg",
            "objects": {"bbox": boxes[:n], "label": np.arange(1, 1 + n) % 2},
            "segmentation_mask": encode(mask, "PNG"),
        }
        for n in range(3)
    ]
    write_dataset(folder, "scenes/2007", "4.0.0", features, {"train": examples}, file_format, shards=1)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_classification_set_gives_the_stored_bytes_labels_and_names(tmp_path, file_format):
    examples = write_imagenet(tmp_path, file_format)
    records = TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))
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
            "file_format": file_format,
        }
    )


def test_the_records_are_those_of_tfds_own_data_source(tmp_path):
    image, mask = encode(noise(3, 10, 20, 3), "JPEG"), noise(4, 10, 20)
    write_imagenet(tmp_path)
    write_scenes(tmp_path, "array_record", image, mask)
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


@pytest.mark.parametrize("file_format", FORMATS)
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
def test_split_expressions_are_those_of_tfds(tmp_path, file_format, split, places):
    examples = write_imagenet(tmp_path, file_format)
    records = TfdsRecords("imagenet2012", split, data_dir=str(tmp_path))
    assert [record.image for record in records] == [examples[place]["image"] for place in places]
    assert records.info.splits == {"train": 7, "validation": 3, "test": 2, split: len(places)}


def test_splits_can_be_joined(tmp_path):
    write_imagenet(tmp_path)
    joined = TfdsRecords("imagenet2012", "train+validation", data_dir=str(tmp_path))
    assert len(joined) == 10
    assert joined[9].name == "imagenet2012 train+validation, example 9 (n01443537_52.JPEG)"


def test_a_split_without_labels_has_none(tmp_path):
    write_imagenet(tmp_path)
    records = TfdsRecords("imagenet2012", "test", data_dir=str(tmp_path))
    assert [record.label for record in records] == [None, None]
    assert list(records.info.fields) == []


@pytest.mark.parametrize("file_format", FORMATS)
def test_boxes_are_in_pixels_and_masks_are_as_stored(tmp_path, file_format):
    image, mask = encode(noise(3, 10, 20, 3), "JPEG"), noise(4, 10, 20) % 3 + 1
    write_scenes(tmp_path, file_format, image, mask)
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


def test_boxes_without_classes_have_none(tmp_path):
    """As those of stanford_dogs, where the picture has the class."""
    objects = tfds.features.Sequence({"bbox": tfds.features.BBoxFeature()})
    label = tfds.features.ClassLabel(names=["husky", "pug"])
    features = tfds.features.FeaturesDict({"image": tfds.features.Image(), "label": label, "objects": objects})
    box = np.array([[0.5, 0, 1, 1]], np.float32)
    example = {"image": encode(noise(0, 10, 20, 3), "JPEG"), "label": 1, "objects": {"bbox": box}}
    write_dataset(tmp_path, "dogs", "1.0.0", features, {"train": [example]}, shards=1)
    records = TfdsRecords("dogs", "train", data_dir=str(tmp_path))
    assert records[0].boxes.tolist() == [[5, 0, 10, 20]] and records[0].box_labels is None
    assert records[0].label == 1 and records.info.classes == ("husky", "pug")


@pytest.mark.parametrize(("orientation", "given"), [(1, bytes), (6, np.ndarray)])
def test_a_picture_with_boxes_stays_as_its_boxes_are(tmp_path, orientation, given):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.repeat(np.repeat(noise(3, 2, 4, 3), 8, 0), 8, 1)
    write_scenes(
        tmp_path, "array_record", encode(pixels, "JPEG", exif=exif, quality=100, subsampling=0), pixels[..., 0]
    )
    record = TfdsRecords("scenes/2007", "train", data_dir=str(tmp_path))[2]
    assert isinstance(record.image, given)
    np.testing.assert_allclose(record.boxes[1], [0, 0, 16, 32])
    if given is np.ndarray:
        assert record.image.shape == (16, 32, 3) and record.image.dtype == np.uint8
        assert np.abs(record.image.astype(int) - pixels).max() < 8


@pytest.mark.parametrize("file_format", FORMATS)
def test_threads_and_other_processes_read_the_same(tmp_path, file_format):
    examples = write_imagenet(tmp_path, file_format)
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
    write_imagenet(tmp_path / "older", "tfrecord")
    program = (
        "import socket, sys\n"
        "def refuse(*arguments): raise SystemExit('the net was asked')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from convnets.data.tfds_records import TfdsRecords\n"
        f"for folder in ({str(tmp_path)!r}, {str(tmp_path / 'older')!r}):\n"
        "    TfdsRecords('imagenet2012', 'train', data_dir=folder)[0]\n"
        "print(sorted({'tensorflow', 'jax'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_newest_version_is_read_unless_one_is_named(tmp_path):
    write_imagenet(tmp_path, version="5.1.0")
    write_imagenet(tmp_path, version="10.0.0")
    for dataset, version in (("imagenet2012", "10.0.0"), ("imagenet2012:5.1.0", "5.1.0")):
        assert TfdsRecords(dataset, "train", data_dir=str(tmp_path)).info.state["version"] == version


def test_the_default_configuration_is_the_one_that_tfds_noted_down(tmp_path):
    write_scenes(tmp_path, "array_record", encode(noise(3, 10, 20, 3), "JPEG"), noise(4, 10, 20))
    with pytest.raises(DataNotFound, match=r"which has scenes/2007:4\.0\.0"):
        TfdsRecords("scenes", "train", data_dir=str(tmp_path))
    note = tmp_path / "scenes" / ".config" / "metadata.json"
    note.parent.mkdir()
    note.write_text('{"default_config_name": "2007"}')
    assert TfdsRecords("scenes", "train", data_dir=str(tmp_path)).info.name == "scenes/2007"


def test_tfds_own_folders_are_the_default(tmp_path, monkeypatch):
    write_imagenet(tmp_path / "home" / "tensorflow_datasets")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert len(TfdsRecords("imagenet2012", "train")) == 7
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(DataNotFound, match="elsewhere"):
        TfdsRecords("imagenet2012", "train")


@pytest.mark.parametrize(
    ("dataset", "split", "kind", "said"),
    [
        ("cifra10", "train", InvalidValue, "did you mean 'cifar10'"),
        ("qqqqqqqq", "train", InvalidValue, "https://www.tensorflow.org/datasets"),
        ("imagenet2012:5", "train", InvalidValue, "write it as cifar10"),
        ("../imagenet2012", "train", InvalidValue, "write it as cifar10"),
        ("cifar10", "train", DataNotFound, "run `python launch.py prepare cifar10 --data_dir=FOLDER`"),
        ("imagenet2012:5.0.0", "train", DataNotFound, "which has imagenet2012:5.1.0: run"),
        ("imagenet2012", "dev", InvalidValue, "train (7), validation (3), test (2), and not 'dev'"),
        ("imagenet2012", "", InvalidValue, "and not ''"),
        ("imagenet2012", "train[:10", InvalidValue, "write it as train, train[:90%]"),
        ("imagenet2012", "all[:3]", InvalidValue, "write it as train, train[:90%]"),
        ("imagenet2012", "train[:8]", InvalidValue, "within the examples that there are"),
        ("imagenet2012", "train[3:3]", InvalidValue, "'train[3:3]' leaves no example"),
        ("speech", "train", InvalidValue, "no pictures as a feature 'image', but audio"),
        ("newer", "train", InvalidValue, "prepared as parquet"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(tmp_path, dataset, split, kind, said):
    write_imagenet(tmp_path)
    audio = tfds.features.FeaturesDict({"audio": tfds.features.Text()})
    write_dataset(tmp_path, "speech", "1.0.0", audio, {"train": [{"audio": "x"}]}, shards=1)
    image = tfds.features.FeaturesDict({"image": tfds.features.Image()})
    folder = write_dataset(tmp_path, "newer", "1.0.0", image, {"train": [{"image": b"x"}]}, shards=1)
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "parquet"))
    (folder / "newer-train.array_record-00000-of-00001").rename(folder / "newer-train.parquet-00000-of-00001")
    with pytest.raises(kind) as error:
        TfdsRecords(dataset, split, data_dir=str(tmp_path))
    assert said.replace("FOLDER", str(tmp_path)) in str(error.value)
    assert "\n" not in str(error.value) and ". " not in str(error.value)


def test_without_tfds_one_is_told_to_install_it(tmp_path, monkeypatch):
    write_imagenet(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(InvalidValue, match=r"pip install -r requirements\.txt"):
        TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))


@pytest.mark.parametrize("file_format", FORMATS)
def test_damaged_and_missing_files_are_named_at_once(tmp_path, file_format):
    write_imagenet(tmp_path, file_format)
    folder = tmp_path / "imagenet2012" / "5.1.0"
    last = folder / f"imagenet2012-train.{file_format}-00001-of-00002"
    good = last.read_bytes()
    for content in (good[: len(good) // 2], b"", b"hello" * 20000):
        last.write_bytes(content)
        with pytest.raises(InvalidValue, match=str(last)):
            TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))
    last.unlink()
    with pytest.raises(DataNotFound, match=str(last)):
        TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))
    assert len(TfdsRecords("imagenet2012", "train[:2]", data_dir=str(tmp_path))) == 2
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(InvalidValue, match=f"{folder} can't be read"):
        TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))


def test_an_example_that_is_damaged_is_named(tmp_path):
    write_imagenet(tmp_path, "tfrecord")
    records = TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))
    first = tmp_path / "imagenet2012" / "5.1.0" / "imagenet2012-train.tfrecord-00000-of-00002"
    content = first.read_bytes()
    first.write_bytes(content[:12] + b"\xff" * 40 + content[52:])
    with pytest.raises(InvalidValue, match="imagenet2012 train, example 0 can't be read"):
        records[0]


def test_an_example_without_an_image_is_named(tmp_path):
    features = tfds.features.FeaturesDict({"image": tfds.features.Image()})
    write_dataset(tmp_path, "holes", "1.0.0", features, {"train": [{"image": b"x"}, {"other": b"x"}]})
    records = TfdsRecords("holes", "train", data_dir=str(tmp_path))
    with pytest.raises(InvalidValue, match="holes train, example 1 has no image"):
        records[1]


@pytest.mark.parametrize("index", [-1, 7])
def test_a_place_outside_the_split_is_refused(tmp_path, index):
    write_imagenet(tmp_path)
    with pytest.raises(IndexError, match=f"index {index} is outside the 7 examples"):
        TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))[index]


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


def test_names_are_taken_apart():
    parse = tfds_folders.parse_name
    assert parse("cifar10") == ("cifar10", "", "")
    assert parse("imagenet2012:5.1.0") == ("imagenet2012", "", "5.1.0")
    assert parse("imagenette/320px-v2") == ("imagenette", "320px-v2", "")
    assert parse("voc/2007:4.0.0") == ("voc", "2007", "4.0.0")
