"""Archives of NumPy."""

import json
import os
import zipfile

import numpy as np
import pytest

from convnets.errors import InvalidValue
from convnets.pretrained.files import read_weights


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_they_were_saved(tmp_path, save):
    random = np.random.default_rng(0)
    arrays = {
        "a/kernel": random.normal(size=(3, 4)).astype(np.float32),
        "b": np.eye(3, 2, dtype=int, order="F"),
    }
    save(tmp_path / "w.npz", **arrays)
    weights = read_weights(str(tmp_path / "w.npz"))
    assert (weights.format, weights.notes) == ("npz", ())
    assert weights.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(weights.arrays[name], array, strict=True)


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_pickled_objects_are_refused_and_not_run(tmp_path):
    np.savez(tmp_path / "w.npz", x=np.array([Evil(f"touch {tmp_path / 'run'}")], object))
    with pytest.raises(InvalidValue, match=r"w\.npz can't be read as an npz file \(Object arrays cannot be loaded"):
        read_weights(str(tmp_path / "w.npz"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("array", [np.array(["a"]), np.zeros(2, [("x", "f4")]), np.zeros(2, complex)])
def test_arrays_that_are_not_of_numbers_are_refused(tmp_path, array):
    np.savez(tmp_path / "w.npz", good=np.ones(1), x=array)
    with pytest.raises(InvalidValue, match=r"holds 'x' of .*: save it in one of these"):
        read_weights(str(tmp_path / "w.npz"))


def test_files_besides_arrays_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("notes.npy", "text")
    with pytest.raises(InvalidValue, match="holds 'notes', which is no array"):
        read_weights(str(tmp_path / "w.npz"))


def test_a_header_that_lies_about_the_size_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", x=np.ones(12345, np.float32))
    with zipfile.ZipFile(tmp_path / "w.npz") as archive:
        content = archive.read("x.npy")
    for extents in (b"(99999,)", b"(-1,)   ", b"(9**99,)"):
        with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
            archive.writestr("x.npy", content.replace(b"(12345,)", extents))
        with pytest.raises(InvalidValue, match="can't be read as an npz file"):
            read_weights(str(tmp_path / "w.npz"))


def described(path, said: str | None):
    """The weights of an archive that has that beside it."""
    np.savez(path, x=np.ones(3, np.float32))
    if said is not None:
        path.with_name(f"{path.name}.json").write_text(said)
    return read_weights(str(path))


@pytest.mark.parametrize("name", ["w.npz", "weights.bin", "weights"])
def test_what_export_wrote_beside_the_file_comes_with_its_arrays(tmp_path, name):
    with open(tmp_path / name, "wb") as file:
        np.savez(file, x=np.ones(3, np.float32))
    said = {"normalization": {"mean": [0.4, 0.5], "deviation": [0.2, 0.25]}, "classes": ["coat", "bag"], "step": 3}
    (tmp_path / f"{name}.json").write_text(json.dumps(said))
    weights = read_weights(str(tmp_path / name))
    assert weights.normalization == ((0.4, 0.5), (0.2, 0.25)) and weights.classes == ("coat", "bag")


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "{",
        "[]",
        "3",
        "\xff",
        '{"normalization": 3, "classes": 3}',
        '{"normalization": {"mean": [0.5]}, "classes": [3]}',
        '{"normalization": {"mean": [0.5], "deviation": [0]}, "classes": {"coat": 0}}',
        '{"normalization": {"mean": [0.5, 0.5], "deviation": [1]}}',
    ],
)
def test_without_a_description_or_with_nonsense_in_it_nothing_is_known(tmp_path, said):
    weights = described(tmp_path / "w.npz", said)
    assert weights.normalization is None and weights.classes == ()


def test_a_folder_in_the_place_of_the_description_is_none(tmp_path):
    (tmp_path / "w.npz.json").mkdir()
    assert described(tmp_path / "w.npz", None).normalization is None
