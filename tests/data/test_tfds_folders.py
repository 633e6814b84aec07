"""Which prepared data set of TFDS is read, and what is refused."""

import sys

import pytest
import tensorflow_datasets as tfds
from fake_tfds import encode, noise, write_dataset, write_imagenet, write_scenes

from convnets.data.source import DataNotFound
from convnets.data.tfds_records import TfdsRecords
from convnets.errors import InvalidValue

pytestmark = pytest.mark.usefixtures("user_cache")


def test_the_newest_version_is_read_unless_one_is_named(tmp_path):
    write_imagenet(tmp_path, version="5.1.0")
    write_imagenet(tmp_path, version="10.0.0")
    for dataset, version in (("imagenet2012", "10.0.0"), ("imagenet2012:5.1.0", "5.1.0")):
        assert TfdsRecords(dataset, "train", data_dir=str(tmp_path)).info.state["version"] == version


def test_the_default_configuration_is_the_one_that_tfds_noted_down(tmp_path):
    write_scenes(tmp_path, encode(noise(3, 10, 20, 3), "JPEG"), noise(4, 10, 20))
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
        ("newer", "train", InvalidValue, "prepared as parquet, and only array_record is read"),
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


def test_damaged_and_missing_files_are_named_at_once(tmp_path):
    write_imagenet(tmp_path)
    folder = tmp_path / "imagenet2012" / "5.1.0"
    last = folder / "imagenet2012-train.array_record-00001-of-00002"
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


@pytest.mark.parametrize("example", [b"\xff" * 40, b""], ids=["damaged", "without an image"])
def test_an_example_that_is_damaged_is_named(tmp_path, monkeypatch, example):
    write_imagenet(tmp_path)
    records = TfdsRecords("imagenet2012", "train", data_dir=str(tmp_path))
    monkeypatch.setattr(records, "_examples", [example] * 7)
    with pytest.raises(InvalidValue, match="imagenet2012 train, example 0 has no image, or can't be read"):
        records[0]
