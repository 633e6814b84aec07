"""The compiled kernels for the tests of this folder, on two threads though the process has eight devices."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def two_threads() -> Iterator[None]:
    """What one call of a kernel may use, so that maps are split as on a machine with a device of two cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(2 * jax.local_device_count()))
        yield
