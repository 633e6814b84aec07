"""What is written is what is read again, to the bit, and what other programs find in it."""

import numpy as np
import pytest
from safetensors import safe_open

from convnets.pretrained.files import read_weights
from convnets.pretrained.writing import as_npz, as_safetensors

ARRAYS = {
    "params/conv1/convolution/kernel": np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32),
    "bn1.num_batches_tracked": np.zeros((), np.int64),
    "tiny": np.array([np.float32(1e-45), -0.0, np.finfo(np.float32).max], np.float32),
}


@pytest.mark.parametrize("written", [as_npz, lambda arrays: as_safetensors(arrays, {"format": "pt"})])
def test_arrays_come_back_bit_by_bit(written, tmp_path):
    (tmp_path / "weights").write_bytes(written(ARRAYS))
    read = read_weights(str(tmp_path / "weights")).arrays
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert read[name].tobytes() == array.tobytes()


def test_a_safetensors_file_says_what_it_is_of(tmp_path):
    (tmp_path / "weights").write_bytes(as_safetensors(ARRAYS, {"format": "pt", "classes": '["a", "b"]'}))
    with safe_open(tmp_path / "weights", framework="np") as file:
        assert file.metadata() == {"format": "pt", "classes": '["a", "b"]'}


def test_an_archive_is_read_by_numpy_without_pickles(tmp_path):
    (tmp_path / "weights").write_bytes(as_npz(ARRAYS))
    with np.load(tmp_path / "weights", allow_pickle=False) as archive:
        assert set(archive.files) == set(ARRAYS)
