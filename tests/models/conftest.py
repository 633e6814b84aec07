"""Architectures are held against their sources by the operations of JAX; tests/kernels holds the kernels to those."""

from collections.abc import Iterator

import pytest

from convnets import kernels


@pytest.fixture(autouse=True)
def _plain_operations() -> Iterator[None]:
    with kernels.use("plain"):
        yield
