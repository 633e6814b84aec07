"""Architectures are held against their sources by the operations of JAX; tests/kernels holds the kernels to those."""

from collections.abc import Iterator

import pytest

from convnets.layers import implementation


@pytest.fixture(autouse=True)
def _plain_operations() -> Iterator[None]:
    with implementation.use("plain"):
        yield
