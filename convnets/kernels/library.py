"""The compiled kernels, loaded into this process and known to XLA.

Kernels take arrays of float32 and bfloat16. They are called on shapes and types that the operations above have
checked: what is wrong is refused there, in Python. Each call says how many threads it may use, so a sum is always
added up in the same order, and a program gives the same bits whenever it runs.
"""

import ctypes
import os
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from convnets.kernels.build import Unavailable, compiled_library

KERNELS = (
    "convolution_forward",
    "convolution_input_gradient",
    "convolution_kernel_gradient",
    "winograd_forward",
    "winograd_input_gradient",
    "winograd_kernel_gradient",
    "matrix_product",
    "batch_norm_moments",
    "batch_norm_normalize",
    "batch_norm_gradient_sums",
    "batch_norm_gradient",
    "max_pool",
    "max_pool_gradient",
    "relu_gradient",
    "local_response_norm",
    "local_response_norm_gradient",
)

ONEDNN = (*KERNELS[:3], "matrix_product")
"""Kernels that oneDNN computes: it takes bfloat16 only where the processor multiplies it."""


@cache
def load() -> ctypes.CDLL:
    """The library, compiled if need be, its kernels registered with XLA.

    Raises:
      Unavailable: why it can't be had on this machine.
    """
    try:
        library = ctypes.CDLL(str(compiled_library()))
    except OSError as error:
        raise Unavailable(f"the compiled library can't be loaded: {error}") from None
    for name in KERNELS:
        jax.ffi.register_ffi_target(_target(name), jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
    return library


@cache
def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it; without them float32 is faster."""
    return bool(load().convnets_has_bfloat16())


@cache
def multiplies_tiles() -> bool:
    """Whether the processor multiplies whole tiles of bfloat16 (AMX), many times as fast as float32."""
    return bool(load().convnets_has_tiles())


def threads() -> int:
    """Of one call: all cores (or OMP_NUM_THREADS), shared by the devices of this process."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(wanted) if wanted.isdigit() and int(wanted) else len(os.sched_getaffinity(0))
    return max(1, cores // jax.local_device_count())


def call(name: str, results: Any, *arguments: Array | None, **attributes: Any) -> Any:
    """Calls a kernel.

    Args:
      results: shape and dtype of its result, or a tuple of them.
      arguments: arrays; None stands for one that is left out, and reaches the kernel as an empty array.
      attributes: int, bool, float, or tuples of int.
    """
    load()
    if name in ONEDNN and not multiplies_bfloat16():
        arguments = tuple(None if array is None else array.astype(jnp.float32) for array in arguments)
        wide = jax.ShapeDtypeStruct(results.shape, jnp.float32)
        return _call(name, wide, arguments, attributes).astype(results.dtype)
    return _call(name, results, arguments, attributes)


def _call(name: str, results: Any, arguments: tuple[Array | None, ...], attributes: dict[str, Any]) -> Any:
    arrays = [jnp.zeros((0,), jnp.float32) if array is None else array for array in arguments]
    known = {key: _attribute(value) for key, value in (attributes | {"threads": threads()}).items()}
    return jax.ffi.ffi_call(_target(name), results, vmap_method="sequential")(*arrays, **known)


def _target(name: str) -> str:
    return f"convnets_{name}"


def _attribute(value: Any) -> Any:
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int64(value)
    return np.float32(value) if isinstance(value, float) else np.array(value, np.int64)
