"""Safetensors files, written by the library and by hand from the format's description."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from convnets.errors import InvalidValue
from convnets.pretrained.files import read_weights


def test_arrays_come_back_as_they_were_saved(tmp_path):
    random = np.random.default_rng(0)
    arrays = {"conv.weight": random.normal(size=(2, 3, 1, 5)).astype(np.float32), "steps": np.array(7)}
    save_file(arrays, tmp_path / "w.safetensors", metadata={"format": "np"})
    weights = read_weights(str(tmp_path / "w.safetensors"))
    assert weights.format == "safetensors" and weights.notes == ()
    assert weights.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(weights.arrays[name], array, strict=True)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int8", "uint16", "bool"])
def test_every_type_of_numbers(tmp_path, dtype):
    array = np.array([[0, 1, 100]]).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    code = {"float": "F", "bfloat": "BF", "int": "I", "uint": "U"}.get(dtype.rstrip("0123456789"), "")
    by_hand(tmp_path / "w", {"x": (code + dtype.lstrip("abdfilnotu") if code else "BOOL", [1, 3], array.tobytes())})
    found = read_weights(str(tmp_path / "w")).arrays["x"]
    np.testing.assert_array_equal(found, array.astype(np.float32) if "float" in dtype else array, strict=True)


@pytest.mark.parametrize("kind", ["F8_E4M3", "C64", "F4"])
def test_numbers_that_numpy_has_not_are_refused(tmp_path, kind):
    by_hand(tmp_path / "w", {"x": (kind, [2], bytes({"C64": 16, "F8_E4M3": 2, "F4": 1}[kind]))})
    with pytest.raises(InvalidValue, match=f"holds 'x' of {kind}, and what can be read is BF16, BOOL, F16"):
        read_weights(str(tmp_path / "w"))


@pytest.mark.parametrize("length", [0, 4, 8, 30, -1])
def test_a_file_cut_short_is_refused(tmp_path, length):
    path = tmp_path / "w.safetensors"
    save_file({"x": np.ones(9, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InvalidValue, match=r"w\.safetensors can't be read as a safetensors file \(.*cut short"):
        read_weights(str(path))


def by_hand(path, arrays):
    """8 bytes of the header's length, the header in JSON, the arrays."""
    header, data = {}, b""
    for name, (kind, shape, content) in arrays.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('{"mean": [0.4, 0.5], "deviation": [0.2, 0.25]}', ((0.4, 0.5), (0.2, 0.25))),
        ('{"mean": 3}', None),
        ('{"mean": [0.4], "deviation": [0]}', None),
        ("no JSON", None),
        (None, None),
    ],
)
def test_a_normalization_in_the_header_travels_with_the_weights_and_nonsense_there_counts_as_none(
    tmp_path, said, expected
):
    path = tmp_path / "w.safetensors"
    save_file({"a": np.ones(3, np.float32)}, path, metadata=None if said is None else {"normalization": said})
    assert read_weights(str(path)).normalization == expected


@pytest.mark.parametrize(
    ("said", "expected"), [('["coat", "bag"]', ("coat", "bag")), ("[3]", ()), ("no JSON", ()), (None, ())]
)
def test_the_classes_in_the_header_travel_with_the_weights(tmp_path, said, expected):
    path = tmp_path / "w.safetensors"
    save_file({"a": np.ones(3, np.float32)}, path, metadata={"format": "pt"} | ({"classes": said} if said else {}))
    assert read_weights(str(path)).classes == expected
