"""`launch.py prepare`, with stand-ins for TensorFlow and for TFDS's builders: nothing is downloaded."""

import errno
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import tensorflow_datasets as tfds

from convnets.cli import prepare
from convnets.cli.command_line import Arguments
from convnets.errors import InvalidValue
from tests.data.fake_tfds import write_dataset

IMAGE = tfds.features.FeaturesDict({"image": tfds.features.Image()})
SPLITS = {"train": [{"image": b"x"}] * 3, "test": [{"image": b"x"}]}


def run(folder: Path, *rest: str) -> int:
    return prepare.run(Arguments({"data_dir": str(folder)}, [], list(rest)))


class Builder:
    """Prepares cifar10 in a moment, or fails."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = None

    def __init__(self, folder: Path, error: Exception | None = None):
        self.folder, self.error = folder, error

    def download_and_prepare(self) -> None:
        if self.error is not None:
            raise self.error
        write_dataset(self.folder, "cifar10", "3.0.2", IMAGE, SPLITS)


@pytest.fixture
def tensorflow(monkeypatch) -> None:
    """As if TensorFlow were installed."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: SimpleNamespace() if name == "tensorflow" else find_spec(name)
    )


@pytest.fixture
def refused(tmp_path, tensorflow, monkeypatch):
    """What the command says when a builder raises an error."""

    def say(error: Exception, dataset: str = "cifar10", manual: str | None = None) -> str:
        builder = Builder(tmp_path, error)
        builder.MANUAL_DOWNLOAD_INSTRUCTIONS = manual
        monkeypatch.setattr(tfds, "builder", lambda name, **options: builder)
        with pytest.raises(InvalidValue) as refusal:
            run(tmp_path, dataset)
        said = str(refusal.value)
        assert said.startswith(f"{dataset} can't be prepared in {tmp_path}: ")
        assert "\n" not in said and ". " not in said
        return said

    return say


def test_a_data_set_is_prepared_as_array_record_and_its_place_told(tmp_path, tensorflow, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(tfds, "builder", lambda name, **options: asked.append((name, options)) or Builder(tmp_path))
    assert run(tmp_path, "cifar10") == 0
    assert asked == [("cifar10", {"data_dir": str(tmp_path), "file_format": "array_record"})]
    said = capsys.readouterr().out
    assert said == f"cifar10 is prepared in {tmp_path / 'cifar10' / '3.0.2'}: train 3, test 1\n"


def test_what_is_prepared_stays_as_it_is_and_needs_no_tensorflow(tmp_path, monkeypatch, capsys):
    folder = write_dataset(tmp_path, "cifar10", "3.0.1", IMAGE, SPLITS)
    monkeypatch.setattr(tfds, "builder", lambda *_, **__: pytest.fail("prepared again"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert run(tmp_path, "cifar10") == 0
    assert str(folder) in capsys.readouterr().out


def test_without_tensorflow_one_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidValue, match=r"TensorFlow.*`pip install -r requirements-prepare\.txt`") as error:
        run(tmp_path, "cifar10")
    assert ". " not in str(error.value)
    assert (Path(__file__).parents[2] / "requirements-prepare.txt").is_file()


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ([], "takes the name of one data set"),
        (["cifar10", "mnist"], "was given 'cifar10 mnist'"),
        (["cifra10"], "did you mean 'cifar10'"),
        (["a b"], "names no data set of TFDS"),
        (["imagenette/320px-v3"], "no configuration '320px-v3': did you mean '320px-v2'"),
        (["cifar10/large"], "it has none, write cifar10 alone"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_done(tmp_path, tensorflow, rest, said):
    with pytest.raises(InvalidValue) as error:
        run(tmp_path, *rest)
    assert said in str(error.value) and ". " not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_files_to_be_fetched_by_hand_are_named_with_their_folder(tmp_path, refused):
    instructions = tfds.builder_cls("imagenet2012").MANUAL_DOWNLOAD_INSTRUCTIONS
    said = refused(AssertionError("Manual directory does not exist.\nCreate it."), "imagenet2012", instructions)
    assert str(tmp_path / "downloads" / "manual") in said
    assert "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar" in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (requests.ConnectionError("Max retries exceeded. Sorry"), "connection to the internet"),
        (tfds.download.DownloadError("HTTP code: 404"), "connection to the internet"),
        (OSError(errno.ENOSPC, "No space left on device"), "make room"),
        (RuntimeError("Failed: write() failed: No space left on device; writing x"), "make room"),
        (OSError("Not enough disk space. Needed: 3 GiB"), "make room"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (AssertionError("Dataset cifar10 cannot be loaded at version 9.9.9, only: 3.0.2."), "only: 3.0.2"),
        (ImportError("Failed importing scipy.\n\npip install scipy"), "pip install scipy"),
    ],
)
def test_what_went_wrong_is_told_with_what_to_do(refused, error, said):
    assert said in refused(error)
