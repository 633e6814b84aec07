"""What networks cost is counted of and compared by JAX's own operations."""

from collections.abc import Iterator

import pytest

from convnets.layers import implementation


@pytest.fixture(autouse=True)
def _plain_operations() -> Iterator[None]:
    with implementation.use("plain"):
        yield
