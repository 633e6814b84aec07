"""Arrays as the bytes of a weight file; `read_weights` gives the same arrays back."""

import io
from collections.abc import Mapping

import numpy as np
import safetensors.numpy


def as_safetensors(arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> bytes:
    """A safetensors file, with what is said about the arrays in its header."""
    return safetensors.numpy.save(dict(arrays), metadata=dict(about))


def as_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An archive of `numpy.savez`."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()
