"""Which implementation computes a layer's operations.

On GPUs and TPUs it is XLA, and nothing else is wanted. On CPU there are two: kernels compiled for this machine
(`convnets.kernels.onednn`), and formulations in JAX that XLA's CPU compiler does well (`convnets.kernels.pure_jax`).
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import Literal

import jax

from convnets.errors import InvalidValue
from convnets.kernels.onednn import library
from convnets.kernels.onednn.build import Unavailable
from convnets.kernels.pure_jax.compiler_options import known_options

VARIABLE = "CONVNETS_KERNELS"
CHOICES = ("auto", "xla", "onednn", "direct")
COMPILED = ("onednn", "direct")
Implementation = Literal["onednn", "pure_jax", "plain"]

# JAX compiles again where a value of this context differs.
_chosen = jax.make_user_context("auto")


def select(choice: str) -> None:
    """Has operations on CPU computed by the choice, in the whole process, unless CONVNETS_KERNELS names another.

    Args:
      choice: "onednn", the compiled kernels; "direct", the same without Winograd's minimal filtering; "xla", JAX alone;
        "auto", the compiled kernels where they can be had.

    Raises:
      InvalidValue: another choice, or compiled kernels where they can't be had.
    """
    check(choice, "cpu.kernels")
    _chosen.set_global(_from_environment() or choice)


@contextlib.contextmanager
def use(choice: str) -> Iterator[None]:
    """Within it, operations on CPU are computed by the choice; functions jitted outside of it are compiled again.

    Args:
      choice: as of `select`, and whatever CONVNETS_KERNELS says; or "plain", each operation as on other devices, by
        the one of JAX that bears its name.

    Raises:
      InvalidValue: another choice, or compiled kernels where they can't be had.
    """
    if choice != "plain":
        check(choice, "the choice of kernels")
    with _chosen(choice):
        yield


def check(choice: str, name: str) -> None:
    """Refuses what can't be chosen.

    Args:
      name: of what holds the choice.

    Raises:
      InvalidValue: a choice that there is not, or compiled kernels where they can't be had.
    """
    if choice not in CHOICES:
        raise InvalidValue(f"{name} is {choice!r}, and must be one of {', '.join(CHOICES)}")
    if choice in COMPILED:
        try:
            library.load()
        except Unavailable as reason:
            raise InvalidValue(f"{name} is {choice!r}, but the compiled kernels can't be had: {reason}") from None


def implementation() -> Implementation:
    """What computes an operation that is traced now.

    Raises:
      InvalidValue: CONVNETS_KERNELS is not one of the choices, or compiled kernels where they can't be had.
    """
    if _chosen.value == "plain" or jax.default_backend() != "cpu":
        return "plain"
    choice = _choice()
    if choice == "auto":
        choice = "onednn" if _available() else "xla"
    return "onednn" if choice in COMPILED else "pure_jax"


def filters_minimally() -> bool:
    """Whether the compiled convolutions may be of Winograd's kind."""
    return _choice() != "direct"


def fuses_inference() -> bool:
    """Whether a convolution takes the batch norm, residual and ReLU after it along, if they are known beforehand."""
    return implementation() == "onednn"


def compiler_options() -> dict[str, str | bool]:
    """What the compiler is to be told for a function of these operations that is mapped or jitted now."""
    return known_options() if implementation() == "pure_jax" else {}


def _choice() -> str:
    chosen = _chosen.value
    return _from_environment() or "auto" if chosen == "auto" else chosen


def _from_environment() -> str:
    """The choice that the environment variable names; empty without it.

    Raises:
      InvalidValue: it names none, or compiled kernels where they can't be had.
    """
    choice = os.environ.get(VARIABLE, "")
    if choice:
        check(choice, VARIABLE)
    return choice


@cache
def _available() -> bool:
    """Whether the compiled kernels can be had; says once why not."""
    try:
        library.load()
    except Unavailable as reason:
        print(f"CPU kernels: {reason}; XLA's own are used, which are slower", file=sys.stderr, flush=True)
        return False
    return True
