"""How fast the machine multiplies matrices: what no convolution can be expected to exceed by much.

    python -m benchmarks.side_by_side.floor

prints, for each type, the operations a second of the best product, as JSON. PyTorch multiplies where it is installed
(MKL, and oneDNN for bfloat16), else XLA does.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.side_by_side.cases import TYPES

SHAPES = ((2048, 2048, 2048), (4096, 1024, 4096), (16384, 1152, 256))
"""Rows, inner length and columns; the last as convolutions of resnet18 have them."""

TRIALS = 12
"""Of each shape, the first one to warm up."""


def measured_rates() -> dict[str, float]:
    """Of each type, operations a second of the best product, two a multiply-add; from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.side_by_side.floor"]
    said = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, text=True, stdout=subprocess.PIPE).stdout
    rates: dict[str, float] = json.loads(said)
    return rates


def best_rate(dtype: str) -> float:
    """Operations a second of the best product in this process."""
    multiply, convert = by_torch(dtype) if find_spec("torch") is not None else by_xla(dtype)
    best = 0.0
    for rows, inner, columns in SHAPES:
        random = np.random.default_rng(0)
        left = convert(random.standard_normal((rows, inner), np.float32))
        right = convert(random.standard_normal((inner, columns), np.float32))
        for _ in range(TRIALS):
            began = time.perf_counter()
            multiply(left, right)
            best = max(best, 2 * rows * inner * columns / (time.perf_counter() - began))
    return best


def by_torch(dtype: str) -> tuple[Callable[[Any, Any], Any], Callable[[np.ndarray], Any]]:
    """The product, and what makes a tensor of an array."""
    torch: Any = import_module("torch")
    return torch.mm, lambda array: torch.from_numpy(array).to(getattr(torch, dtype))


def by_xla(dtype: str) -> tuple[Callable[[Any, Any], Any], Callable[[np.ndarray], Any]]:
    """The product, finished when it returns, and what makes an array of that type."""
    jax: Any = import_module("jax")
    product = jax.jit(jax.numpy.matmul)
    return lambda left, right: product(left, right).block_until_ready(), lambda array: jax.numpy.asarray(array, dtype)


if __name__ == "__main__":
    print(json.dumps({dtype: best_rate(dtype) for dtype in TYPES}))
