"""The compiled kernels for the tests of this folder, on two threads though the process has eight devices."""

from collections.abc import Iterator

import jax
import pytest

from convnets.kernels import library
from convnets.kernels.build import Unavailable


@pytest.fixture(scope="module", autouse=True)
def two_threads() -> Iterator[None]:
    """What one call of a kernel may use, so that maps are split as on a machine with a device of two cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(2 * jax.local_device_count()))
        yield


@pytest.fixture(scope="module")
def onednn() -> None:
    """Skips where the compiled kernels can't be had, but not where they don't compile."""
    try:
        library.load()
    except Unavailable as reason:
        if "the compiler failed" in str(reason):
            raise
        pytest.skip(f"the compiled kernels can't be had: {reason}")
