"""What every command sets up before it computes: memory, the compilation cache, the kernels."""

import ctypes
import os
import platform

import jax
from ml_collections import ConfigDict

from convnets.files import cache_folder
from convnets.layers import implementation
from convnets.training.this_machine import can_only_be_cpu

KEEP_MEMORY = {"M_ARENA_MAX": (-8, 1), "M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, 2**31 - 1)}
"""Options of glibc's mallopt: their numbers in its malloc.h, and their values."""


def prepare(config: ConfigDict, *, training: bool = False) -> None:
    """Sets up this process as a run's config says, before anything is compiled.

    Raises:
      InvalidValue: kernels that can't be had on this machine.
    """
    # First of all: JAX's threads, once they are started, go on with the memory that they began with.
    if training and config.cpu.keep_memory and can_only_be_cpu():
        keep_memory()
    use_compilation_cache()
    implementation.select(config.cpu.kernels)


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache, unless JAX_COMPILATION_CACHE_DIR says where (empty: nowhere)."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    jax.config.update("jax_compilation_cache_dir", str(cache_folder("xla")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def keep_memory() -> bool:
    """Has freed memory stay with this process, where the C library is glibc; elsewhere nothing changes.

    On CPU a training step takes buffers of hundreds of megabytes and frees them at its end. By default glibc hands them
    back to the system, and the next step pays for fresh pages, which the system has to fault in and to clear: 5 to 30 %
    of a step. So large buffers come from the heap instead of mappings of their own, the heap is not trimmed, and all
    threads share the one heap for which that holds (those of other threads are unmapped as soon as they are empty).

    The cost: what the process needed at its peak is never there for other programs while it runs, and threads that
    allocate at the same moment wait for each other, but for small blocks, of which each has some in store.

    It holds for what is allocated from now on, by all libraries of the process; call it before there are threads.

    Returns:
      Whether the C library took all of it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(option, value) == 1 for option, value in KEEP_MEMORY.values())
