"""What every command sets up before it computes."""

import os

import jax
from ml_collections import ConfigDict

from convnets import kernels
from convnets.cli.allocator import keep_memory
from convnets.files import cache_folder
from convnets.training.this_machine import can_only_be_cpu


def prepare(config: ConfigDict, *, training: bool = False) -> None:
    """What a run's config says of the process itself, before anything is compiled.

    Raises:
      InvalidValue: kernels that can't be had on this machine.
    """
    # First of all: JAX's threads, once they are started, go on with the memory that they began with.
    if training and config.cpu.keep_memory and can_only_be_cpu():
        keep_memory()
    use_compilation_cache()
    kernels.select(config.cpu.kernels)


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache, unless JAX_COMPILATION_CACHE_DIR says where (empty: nowhere)."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    jax.config.update("jax_compilation_cache_dir", str(cache_folder("xla")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
