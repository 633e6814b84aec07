"""What networks cost is counted of and compared by JAX's own operations."""

from collections.abc import Iterator

import pytest

from convnets import kernels


@pytest.fixture(autouse=True)
def _plain_operations() -> Iterator[None]:
    with kernels.use("plain"):
        yield
