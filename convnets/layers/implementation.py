"""What computes the operations of the layers: JAX alone, or on a CPU the kernels compiled for it (`convnets.kernels`).

On GPUs and TPUs it is JAX's own operations. On a CPU it is the compiled kernels where they can be had, else JAX, in
forms and with compiler options that suit XLA's CPU compiler.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

import jax

from convnets.errors import InvalidValue

try:
    import convnets.kernels as kernels
except ModuleNotFoundError:
    kernels = None  # type: ignore[assignment]

VARIABLE = "CONVNETS_KERNELS"
CHOICES = ("auto", "xla", "onednn", "direct")
COMPILED = ("onednn", "direct")
Implementation = Literal["onednn", "xla", "plain"]

COMPILER_OPTIONS: dict[str, str | bool] = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE",
}
"""What XLA's CPU compiler is to hand to YNNPACK, a library of kernels that comes with jaxlib: products and reductions,
which are faster there, and not convolutions, which are slower. The outermost `jit` decides."""

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
      choice: as of `select`, whatever CONVNETS_KERNELS says; or "plain", each operation as on GPUs and TPUs.

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
    if choice in COMPILED and (reason := _why_not()):
        raise InvalidValue(f"{name} is {choice!r}, but the compiled kernels can't be had: {reason}")


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
    return "onednn" if choice in COMPILED else "xla"


def filters_minimally() -> bool:
    """Whether the compiled convolutions may use Winograd's minimal filtering."""
    return _choice() != "direct"


def compiler_options() -> dict[str, Any]:
    """What XLA is to be told when a function of these operations is mapped or jitted now."""
    return known_options() if implementation() == "xla" else {}


@cache
def known_options() -> dict[str, Any]:
    """`COMPILER_OPTIONS` where this jaxlib's compiler takes them, else none."""
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=COMPILER_OPTIONS)
    except jax.errors.JaxRuntimeError:
        return {}
    return COMPILER_OPTIONS


def _choice() -> str:
    chosen = _chosen.value
    return _from_environment() or "auto" if chosen == "auto" else chosen


def _from_environment() -> str:
    """The choice that the environment variable names, checked; empty without it."""
    choice = os.environ.get(VARIABLE, "")
    if choice:
        check(choice, VARIABLE)
    return choice


def _why_not() -> str:
    """Why the compiled kernels can't be had; empty where they can."""
    if kernels is None:
        return "this installation is without convnets/kernels"
    try:
        kernels.load()
    except kernels.Unavailable as reason:
        return str(reason)
    return ""


@cache
def _available() -> bool:
    """Whether the compiled kernels can be had; says once why not."""
    reason = _why_not()
    if reason:
        print(f"CPU kernels: {reason}; XLA's own are used, which are slower", file=sys.stderr, flush=True)
    return not reason
