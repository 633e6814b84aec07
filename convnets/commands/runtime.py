"""What every command sets up before it computes."""

import os
from importlib.metadata import entry_points
from importlib.util import find_spec

import jax
from ml_collections import ConfigDict

from convnets import kernels
from convnets.commands.allocator import keep_memory
from convnets.files import cache_folder


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


def can_only_be_cpu() -> bool:
    """Whether JAX is told to use the CPU, or is installed for nothing else; asking JAX would start its threads."""
    chosen: str | None = jax.config.jax_platforms  # type: ignore[attr-defined]
    if chosen:
        return chosen == "cpu"
    return not entry_points(group="jax_plugins") and all(find_spec(name) is None for name in ("jax_plugins", "libtpu"))


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache, unless JAX_COMPILATION_CACHE_DIR says where (empty: nowhere)."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    jax.config.update("jax_compilation_cache_dir", str(cache_folder("xla")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
