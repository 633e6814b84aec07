"""Eight devices made of the host's cores for every test, and one cache of compiled programs for all of them."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before jax is imported; the processes that tests start inherit it.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
# Fewer threads than twice the devices can starve their rendezvous.
os.environ["NPROC"] = "16"
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    cache = tempfile.mkdtemp(prefix="convnets-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = cache
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
    atexit.register(shutil.rmtree, cache, ignore_errors=True)

MAPS, MOST_MAPS = Path("/proc/self/maps"), 30_000
MEMORY, MOST_MEMORY = Path("/proc/self/statm"), 3 * 2**30


@pytest.fixture(autouse=True, scope="session")
def _memory_goes_back() -> Iterator[None]:
    """Trainings in this process leave its memory to the system: unlike a training's own, it has other things to do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("convnets.cli.runtime.keep_memory", lambda: False)
        yield


@pytest.fixture(autouse=True, scope="module")
def _few_compiled_programs() -> Iterator[None]:
    """Forgets what is compiled before the kernel refuses more mapped memory (65,530 pieces), which ends the process,
    and before two processes take what a machine has."""
    yield
    if _maps() > MOST_MAPS or _memory() > MOST_MEMORY:
        import jax

        jax.clear_caches()


def _maps() -> int:
    return MAPS.read_bytes().count(b"\n") if MAPS.exists() else 0


def _memory() -> int:
    return int(MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if MEMORY.exists() else 0
