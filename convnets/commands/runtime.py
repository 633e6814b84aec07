"""What every command sets up before it computes."""

import os
from pathlib import Path

import jax


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache, unless JAX_COMPILATION_CACHE_DIR says where (empty: nowhere)."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    jax.config.update("jax_compilation_cache_dir", str(Path(base) / "convnets" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
