"""Files of safetensors, NumPy and ONNX, written by the libraries and by hand from the formats' descriptions."""

import builtins
import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from good_files import assert_same, refused
from safetensors.numpy import save_file

from convnets.pretrained.files import read_weights

ARRAYS = {
    "conv.weight": np.random.default_rng(0).normal(size=(2, 3, 1, 5)).astype(np.float32),
    "steps": np.array(7),
    "columns": np.eye(3, 2, dtype=int, order="F"),
    "tiny": np.array([np.float32(1e-45), -0.0, np.finfo(np.float32).max], np.float32),
}
CONTIGUOUS = {name: np.asarray(array, order="C") for name, array in ARRAYS.items()}
"""As the library writes them: it takes the memory of others in the wrong order."""
KERNEL = ARRAYS["conv.weight"]


@pytest.mark.parametrize("save", [lambda path: save_file(CONTIGUOUS, path), lambda path: np.savez(path, **ARRAYS)])
def test_arrays_come_back_bit_by_bit(tmp_path, save):
    save(tmp_path / "weights.npz")
    weights = read_weights(str(tmp_path / "weights.npz"))
    assert weights.notes == ()
    assert_same(weights, ARRAYS)
    assert all(weights.arrays[name].tobytes() == array.tobytes() for name, array in ARRAYS.items())


def by_hand(path: Path, arrays: dict[str, tuple[str, list[int], bytes]]) -> Path:
    """8 bytes of the header's length, the header in JSON, the arrays."""
    header, data = {}, b""
    for name, (kind, shape, content) in arrays.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


TYPES = {"F64": "float64", "F16": "float16", "BF16": ml_dtypes.bfloat16, "I8": "int8", "U16": "uint16", "BOOL": "bool"}


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_numbers_of_safetensors(tmp_path, kind):
    array = np.array([[0, 1, 100]]).astype(TYPES[kind])
    path = by_hand(tmp_path / "w", {"x": (kind, [1, 3], array.tobytes())})
    assert_same(read_weights(str(path)), {"x": array.astype(np.float32) if "F" in kind else array})


@pytest.mark.parametrize(("kind", "size"), [("F8_E4M3", 2), ("C64", 16), ("F4", 1)])
def test_numbers_that_numpy_has_not_are_refused(tmp_path, kind, size):
    path = by_hand(tmp_path / "w", {"x": (kind, [2], bytes(size))})
    assert f"holds 'x' of {kind}, and what can be read is BF16, BOOL, F16" in refused(path)


@pytest.mark.parametrize("length", [0, 4, 8, 30, -1])
def test_a_safetensors_file_cut_short_is_refused(tmp_path, length):
    path = tmp_path / "w.safetensors"
    save_file({"x": np.ones(9, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:length])
    assert "can't be read as a safetensors file (" in refused(path)


class Evil:
    def __init__(self, command: str):
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def test_pickled_objects_are_refused_and_not_run(tmp_path):
    np.savez(tmp_path / "w.npz", x=np.array([Evil(f"touch {tmp_path / 'run'}")], object))
    assert "can't be read as an npz file (Object arrays cannot be loaded" in refused(tmp_path / "w.npz")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("array", [np.array(["a"]), np.zeros(2, [("x", "f4")]), np.zeros(2, complex)])
def test_arrays_that_are_not_of_numbers_are_refused(tmp_path, array):
    np.savez(tmp_path / "w.npz", good=np.ones(1), x=array)
    assert refused(tmp_path / "w.npz").startswith("holds 'x' of ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda npy: b"text", "holds 'x', which is no array"),
        (lambda npy: npy.replace(b"(12345,)", b"(99999,)"), "can't be read as an npz file"),
        (lambda npy: npy.replace(b"(12345,)", b"(-1,)   "), "can't be read as an npz file"),
        (lambda npy: npy.replace(b"(12345,)", b"(9**99,)"), "can't be read as an npz file"),
    ],
)
def test_an_archive_with_something_else_or_a_lie_about_a_size_is_refused(tmp_path, content, sentence):
    path = tmp_path / "w.npz"
    np.savez(path, x=np.ones(12345, np.float32))
    with zipfile.ZipFile(path) as archive:
        npy = archive.read("x.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content(npy))
    assert sentence in refused(path)


ABOUT = {
    "architecture": "resnet18",
    "options": {"sizes": [3, 4]},
    "classes": ["coat", "bag"],
    "normalization": {"mean": [0.4, 0.5], "std": [0.2, 0.25]},
    "batch_norm": {"epsilon": 0.001, "per": "filter"},
    "step": 3,
}
NOTHING: list[Any] = [
    {},
    {"normalization": 3, "classes": 3, "architecture": 3, "options": [], "batch_norm": 3},
    {"normalization": {"mean": [0.5]}, "classes": [3], "architecture": "resnet18", "batch_norm": {"epsilon": 0.1}},
    {"normalization": {"mean": [0.5], "std": [0]}, "classes": {"coat": 0}, "batch_norm": {"per": "row"}},
    {"normalization": {"mean": [0.5, 0.5], "std": [1]}},
]


def with_description(path: Path, form: str, said: Any) -> Any:
    if form == "npz":
        np.savez(path, x=np.ones(3, np.float32))
        path.with_name(f"{path.name}.json").write_text(json.dumps(said))
    else:
        header = {name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in said.items()}
        save_file({"x": np.ones(3, np.float32)}, path, metadata=header)
    return read_weights(str(path))


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_what_export_says_of_a_network_comes_with_its_arrays(tmp_path, form):
    weights = with_description(tmp_path / "weights.npz", form, ABOUT)
    assert weights.normalization == ((0.4, 0.5), (0.2, 0.25)) and weights.classes == ("coat", "bag")
    assert (weights.architecture, weights.options) == ("resnet18", {"sizes": (3, 4)})
    assert weights.batch_norm == ABOUT["batch_norm"]
    older = ABOUT | {"normalization": {"mean": [0.4, 0.5], "deviation": [0.2, 0.25]}}
    assert with_description(tmp_path / "older.npz", form, older).normalization == weights.normalization


@pytest.mark.parametrize("form", ["npz", "safetensors"])
@pytest.mark.parametrize("said", NOTHING)
def test_nonsense_in_a_description_counts_as_nothing(tmp_path, form, said):
    weights = with_description(tmp_path / "weights.npz", form, said)
    assert (weights.normalization, weights.classes, weights.architecture) == (None, (), "")
    assert not weights.options and not weights.batch_norm


@pytest.mark.parametrize("said", [None, "", "{", "[]", "3", "\xff", "folder"])
def test_an_archive_needs_no_description_beside_it(tmp_path, said):
    np.savez(tmp_path / "w.npz", x=np.ones(3, np.float32))
    if said == "folder":
        (tmp_path / "w.npz.json").mkdir()
    elif said is not None:
        (tmp_path / "w.npz.json").write_text(said)
    assert read_weights(str(tmp_path / "w.npz")).normalization is None


@pytest.fixture
def onnx() -> Any:
    return pytest.importorskip("onnx", reason="ONNX files take a package to read: pip install onnx")


def saved(onnx: Any, path: Path, *initializers: Any, **options: Any) -> Path:
    """A convolution with its kernel, as an exporter writes it."""
    helper, kinds = onnx.helper, onnx.TensorProto
    node = helper.make_node("Conv", ["image", "conv.weight"], ["features"])
    image, features = (helper.make_tensor_value_info(name, kinds.FLOAT, None) for name in ("image", "features"))
    graph = helper.make_graph([node], "net", [image], [features], initializers)
    onnx.save(helper.make_model(graph), path, **options)
    return path


def test_initializers_come_by_their_names_stored_as_bytes_or_as_numbers(tmp_path, onnx):
    packed = [onnx.numpy_helper.from_array(array, name) for name, array in ARRAYS.items()]
    listed = onnx.helper.make_tensor("fc.bias", onnx.TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    half = onnx.numpy_helper.from_array(KERNEL.astype(ml_dtypes.bfloat16), "half")
    weights = read_weights(str(saved(onnx, tmp_path / "net.onnx", *packed, listed, half)))
    assert weights.notes == ("1 array of bfloat16, as float32",)
    numbers = {"fc.bias": np.array([[1, 2], [3, 4]], np.float32), "half": KERNEL.astype(ml_dtypes.bfloat16)}
    assert_same(weights, ARRAYS | {name: array.astype(np.float32) for name, array in numbers.items()})


def test_data_in_another_file_is_read_from_beside_the_model(tmp_path, onnx, monkeypatch):
    external = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
    path = saved(onnx, tmp_path / "net.onnx", onnx.numpy_helper.from_array(KERNEL, "conv.weight"), **external)
    monkeypatch.chdir("/")
    assert_same(read_weights(str(path)), {"conv.weight": KERNEL})
    (tmp_path / "net.data").write_bytes(bytes(9))
    assert "can't be read as an ONNX file" in refused(path)
    (tmp_path / "net.data").unlink()
    assert "can't be read as an ONNX file" in refused(path)


def test_data_outside_the_models_folder_is_refused(tmp_path, onnx):
    (tmp_path / "secret").write_bytes(KERNEL.tobytes())
    (tmp_path / "below").mkdir()
    tensor = onnx.numpy_helper.from_array(KERNEL, "conv.weight")
    onnx.external_data_helper.set_external_data(tensor, "../secret")
    tensor.ClearField("raw_data")
    model = onnx.helper.make_model(onnx.helper.make_graph([], "net", [], [], [tensor]))
    (tmp_path / "below/net.onnx").write_bytes(model.SerializeToString())
    assert "can't be read as an ONNX file" in refused(tmp_path / "below/net.onnx")


@pytest.mark.parametrize(
    ("names", "sentence"), [((), "holds no initializers"), (("x", "x"), "has two initializers 'x'")]
)
def test_a_model_without_weights_or_with_two_of_a_name_is_refused(tmp_path, onnx, names, sentence):
    tensors = (onnx.numpy_helper.from_array(KERNEL, name) for name in names)
    assert sentence in refused(saved(onnx, tmp_path / "net.onnx", *tensors))


def test_without_the_package_the_error_says_how_to_install_it(tmp_path, onnx, monkeypatch):
    path = saved(onnx, tmp_path / "net.onnx", onnx.numpy_helper.from_array(KERNEL, "k"))
    original = builtins.__import__

    def without_onnx(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("onnx"):
            raise ModuleNotFoundError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    assert refused(path) == "is an ONNX file, which takes a package to read: pip install onnx"
