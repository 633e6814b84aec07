"""Architectures are held against their sources by JAX's own operations; tests/kernels holds the kernels against these."""

from collections.abc import Iterator

import pytest

from convnets import kernels


@pytest.fixture(autouse=True)
def _plain_operations() -> Iterator[None]:
    with kernels.use("plain"):
        yield
