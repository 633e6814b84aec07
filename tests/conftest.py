"""Two devices made of the host's cores for every test, and compiled programs that are kept between runs."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

DEVICES = int(os.environ.get("CONVNETS_TEST_DEVICES", "2"))
"""Set to 8 for the tests that are marked `devices8`."""

# Before jax is imported; the processes that tests start inherit it.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"
# Fewer threads than twice the devices can starve their rendezvous.
os.environ["NPROC"] = "16"
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # Programs are compiled for this processor.
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text().splitlines() if processor.exists() else []
    features = sorted({line for line in lines if line.startswith(("model name", "flags"))})
    name = hashlib.sha256("".join(features).encode()).hexdigest()[:16]
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(__file__).parents[1] / ".pytest_cache" / "programs" / name)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests of the compiled kernels and those that compare with PyTorch; skips what needs more devices."""
    for item in items:
        if item.path.parent.name == "kernels":
            item.add_marker(pytest.mark.kernels)
        if hasattr(getattr(item, "module", None), "torch"):
            item.add_marker(pytest.mark.torch)
        if item.get_closest_marker("devices8") and DEVICES < 8:
            item.add_marker(pytest.mark.skip(reason="needs CONVNETS_TEST_DEVICES=8"))


@pytest.fixture(scope="module")
def onednn() -> None:
    """Skips where the compiled kernels can't be had, but not where they don't compile."""
    from convnets.kernels import Unavailable, load

    try:
        load()
    except Unavailable as reason:
        if "the compiler failed" in str(reason):
            raise
        pytest.skip(f"the compiled kernels can't be had: {reason}")
