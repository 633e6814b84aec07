"""The one door: which reader is taken, what is refused before any, and what all arrays have in common."""

import os

import numpy as np
import pytest
from good_files import GOOD, STATE, assert_same, good, refused

from convnets.errors import InvalidValue
from convnets.pretrained.files import read_weights
from convnets.pretrained.files.reading import ENDINGS

KNOWN_BY_CONTENT = [name for name in GOOD if name not in ("onnx", "caffe")]


@pytest.mark.parametrize("name", GOOD)
def test_every_format_gives_the_same_arrays_which_can_not_be_written_to(tmp_path, name):
    path = good(name, tmp_path)
    weights = read_weights(str(path))
    assert (weights.format, weights.origin, weights.notes) == (name.split()[0], str(path), ())
    assert_same(weights, STATE)
    assert not any(array.flags.writeable for array in weights.arrays.values())


@pytest.mark.parametrize("name", KNOWN_BY_CONTENT)
@pytest.mark.parametrize("wrong", ["weights", "weights.onnx", "weights.PTH", "weights.npz"])
def test_the_content_says_the_format_whatever_the_name(tmp_path, name, wrong):
    path = good(name, tmp_path).rename(tmp_path / wrong)
    assert read_weights(str(path)).format == name.split()[0]


@pytest.mark.parametrize("ending", ENDINGS)
def test_where_the_content_does_not_tell_the_name_does(tmp_path, ending):
    path = tmp_path / f"weights{ending.upper()}"
    path.write_bytes(b"\x0f nothing")
    kinds = {"safetensors": "a safe", "npz": "an npz", "onnx": "an ONNX", "caffe": "a Caffe"}
    kind = kinds.get(ENDINGS[ending])
    assert refused(path).startswith(f"can't be read as {kind}" if kind else "is no file of torch.save")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short", b"\x93NUMPY", b"\x80\x02}."])
def test_what_is_in_none_of_the_formats_is_refused_with_the_list(tmp_path, content):
    (tmp_path / "weights.dat").write_bytes(content)
    sentence = refused(tmp_path / "weights.dat")
    assert all(ending in sentence for ending in ENDINGS)


def test_a_folder_a_missing_path_and_what_is_no_file_are_refused(tmp_path):
    assert "is a folder, and a folder is no weight file" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "a.pth", tmp_path / "pipe"):
        with pytest.raises(InvalidValue, match=r"there is no file .*: give the path"):
            read_weights(str(path))


def test_a_pointer_of_git_lfs_is_known_for_what_it_is(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    assert "fetch the file with `git lfs pull`" in refused(path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = good("npz", tmp_path)
    opened = open

    def denied(file, *arguments, **options):
        if str(file) == str(path):
            raise PermissionError(13, "Permission denied")
        return opened(file, *arguments, **options)

    monkeypatch.setattr("builtins.open", denied)
    assert refused(path) == "may not be read (Permission denied): change its permissions"


def test_a_path_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    name = good("npz", tmp_path).name
    assert read_weights(f"~/{name}").origin == f"~/{name}"


def test_floats_become_float32_and_others_stay(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.ones(2), b=np.ones(3), c=np.ones(1, np.float32), d=np.ones(1, np.int64), e=True)
    weights = read_weights(str(tmp_path / "w.npz"))
    assert [str(array.dtype) for array in weights.arrays.values()] == ["float32"] * 3 + ["int64", "bool"]
    assert weights.notes == ("2 arrays of float64, as float32",)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_numbers_that_are_not_finite_are_refused_by_the_first_array_that_has_them(tmp_path, number, dtype):
    bad = np.ones((3, 2))
    bad[1, 1] = number
    with np.errstate(over="ignore"):
        np.savez(tmp_path / "w.npz", good=np.ones(2), bad=bad.astype(dtype), worse=np.full(2, np.nan))
    assert "holds 'bad' with NaN or infinite numbers" in refused(tmp_path / "w.npz")


def test_a_file_without_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz")
    refused(tmp_path / "w.npz")
