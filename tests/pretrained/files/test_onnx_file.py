"""ONNX models made with the `onnx` package's own helpers."""

import builtins
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from convnets.errors import InvalidValue
from convnets.pretrained.files import read_weights

onnx = pytest.importorskip("onnx", reason="ONNX files take a package to read: pip install onnx")

KERNEL = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)


def model(*initializers: Any) -> Any:
    """A convolution with its kernel, as an exporter writes it."""
    helper, kinds = onnx.helper, onnx.TensorProto
    node = helper.make_node("Conv", ["image", "conv.weight"], ["features"])
    image, features = (helper.make_tensor_value_info(name, kinds.FLOAT, None) for name in ("image", "features"))
    return helper.make_model(helper.make_graph([node], "net", [image], [features], initializers))


def saved(tmp_path: Path, *initializers: Any, **options: Any) -> str:
    onnx.save(model(*initializers), tmp_path / "net.onnx", **options)
    return str(tmp_path / "net.onnx")


def test_initializers_come_by_their_names_stored_as_bytes_or_as_numbers(tmp_path):
    packed = onnx.numpy_helper.from_array(KERNEL, "conv.weight")
    listed = onnx.helper.make_tensor("fc.bias", onnx.TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    shape = onnx.numpy_helper.from_array(np.array([1, -1]), "shape")
    weights = read_weights(saved(tmp_path, packed, listed, shape))
    assert (weights.format, weights.notes) == ("onnx", ())
    np.testing.assert_array_equal(weights.arrays["conv.weight"], KERNEL, strict=True)
    np.testing.assert_array_equal(weights.arrays["fc.bias"], np.array([[1, 2], [3, 4]], np.float32), strict=True)
    np.testing.assert_array_equal(weights.arrays["shape"], np.array([1, -1]), strict=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_other_floats_become_float32_with_a_note(tmp_path, dtype):
    weights = read_weights(saved(tmp_path, onnx.numpy_helper.from_array(KERNEL.astype(dtype), "k")))
    np.testing.assert_array_equal(weights.arrays["k"], KERNEL.astype(dtype).astype(np.float32), strict=True)
    assert weights.notes == (f"1 array of {np.dtype(dtype).name}, as float32",)


def test_data_in_another_file_is_read_from_beside_the_model(tmp_path, monkeypatch):
    external = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
    path = saved(tmp_path, onnx.numpy_helper.from_array(KERNEL, "conv.weight"), **external)
    assert (tmp_path / "net.data").stat().st_size >= KERNEL.nbytes > Path(path).stat().st_size
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(read_weights(path).arrays["conv.weight"], KERNEL, strict=True)
    (tmp_path / "net.data").write_bytes(bytes(9))
    with pytest.raises(InvalidValue, match=r"net\.onnx can't be read as an ONNX file"):
        read_weights(path)
    (tmp_path / "net.data").unlink()
    with pytest.raises(InvalidValue, match=r"net\.onnx can't be read as an ONNX file"):
        read_weights(path)


def test_data_outside_the_models_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(KERNEL.tobytes())
    (tmp_path / "below").mkdir()
    tensor = onnx.numpy_helper.from_array(KERNEL, "conv.weight")
    onnx.external_data_helper.set_external_data(tensor, "../secret")
    tensor.ClearField("raw_data")
    (tmp_path / "below/net.onnx").write_bytes(model(tensor).SerializeToString())
    with pytest.raises(InvalidValue, match=r"net\.onnx can't be read as an ONNX file"):
        read_weights(str(tmp_path / "below/net.onnx"))


@pytest.mark.parametrize(
    ("names", "sentence"), [((), "holds no initializers"), (("x", "x"), "has two initializers 'x'")]
)
def test_a_model_without_weights_or_with_two_of_a_name_is_refused(tmp_path, names, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        read_weights(saved(tmp_path, *(onnx.numpy_helper.from_array(KERNEL, name) for name in names)))


def test_without_the_package_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    path = saved(tmp_path, onnx.numpy_helper.from_array(KERNEL, "k"))
    original = builtins.__import__

    def without_onnx(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("onnx"):
            raise ModuleNotFoundError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(InvalidValue, match=r"net\.onnx is an ONNX file, .*: pip install onnx$"):
        read_weights(path)
