"""Good files of every format with bytes changed at random or cut off: read, or refused in a sentence; never else."""

import tracemalloc
import warnings

import numpy as np
import pytest
from good_files import GOOD, STATE, good
from hypothesis import given, settings
from hypothesis import strategies as st

from convnets.errors import InvalidValue
from convnets.pretrained.files import read_weights

MOST_MEMORY = 2**26
"""Bytes; the files have two thousand."""

CHECKED = ("pytorch", "npz", "npz compressed")
"""What is kept with a checksum: there a changed number is noticed."""


@pytest.mark.parametrize("name", GOOD)
def test_a_file_that_is_damaged_is_read_or_refused_in_a_sentence(tmp_path, name):
    path = good(name, tmp_path)
    content = path.read_bytes()
    places = st.integers(0, len(content) - 1)
    # Half of the changes go to the beginning and the end, where the formats say what they have.
    edges = st.one_of(places, st.integers(0, 150), st.integers(max(0, len(content) - 400), len(content) - 1))

    @settings(max_examples=150, derandomize=True, deadline=None, database=None)
    @given(changes=st.dictionaries(edges, st.integers(0, 255), max_size=4), length=st.none() | places)
    def damaged(changes: dict[int, int], length: int | None) -> None:
        changed = bytearray(content)
        for place, byte in changes.items():
            changed[place] = byte
        path.write_bytes(changed[:length])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                weights = read_weights(str(path))
        except InvalidValue as error:
            sentence = str(error)
            assert sentence.startswith(str(path)) and "\n" not in sentence and len(sentence) < len(str(path)) + 500
            return
        assert weights.arrays and all(array.dtype.kind in "fiub" for array in weights.arrays.values())
        assert all(np.isfinite(array).all() for array in weights.arrays.values())
        if name in CHECKED:
            for key in weights.arrays.keys() & STATE.keys():
                if weights.arrays[key].dtype == np.float32 and weights.arrays[key].shape == STATE[key].shape:
                    np.testing.assert_array_equal(weights.arrays[key], STATE[key])

    tracemalloc.start()
    try:
        damaged()
        # NumPy asks for what the header of an array says, but writes only to what comes of it.
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY or name.startswith("npz")
    finally:
        tracemalloc.stop()
