"""PyTorch where it is installed (who imports this is skipped elsewhere), and arrays on their way to it and back."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the independent source here: pip install torch==2.13.0")
# Two threads that wait for each other take many times as long where other programs keep the cores busy.
torch.set_num_threads(1)


def to_torch(x: Any) -> Any:
    """Array `[N, H, W, C]` -> tensor `[N, C, H, W]` in float64, a leaf of the gradient's graph."""
    return torch.tensor(np.asarray(x, np.float64)).permute(0, 3, 1, 2).contiguous().requires_grad_()


def channels_last(x: Any) -> Any:
    """Tensor `[N, C, H, W]` -> `[N, H, W, C]`; `[N, C]` as it is."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def relative_difference(given: Any, expected: Any, scale: Any = None) -> float:
    """The largest difference of two arrays of one shape, relative to the largest entry of `scale`, or `expected`."""
    given, expected = np.asarray(given), np.asarray(expected)
    assert given.shape == expected.shape, f"{given.shape} is not {expected.shape}"
    largest = largest_entry(expected if scale is None else scale)
    return largest_entry(np.subtract(given, expected, dtype=np.float64)) / (largest or 1)


def largest_entry(x: Any) -> float:
    """Of either sign."""
    return max(float(x.max()), -float(x.min()))
