"""How far a long piece of work on data has come, told to whoever draws bars."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

DrawBar = Callable[[str, int | None], AbstractContextManager[Any]]
"""`f(title, total) -> context manager` of an object with `update(done)`; a total of None is not known."""

_draw: ContextVar[DrawBar | None] = ContextVar("bar of work on data", default=None)


@contextmanager
def drawn_by(draw: DrawBar) -> Iterator[None]:
    """Within it, work on data in this thread is drawn."""
    token = _draw.set(draw)
    try:
        yield
    finally:
        _draw.reset(token)


@contextmanager
def bar(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Gives a function that is told how many units of the work are done; it does nothing where nobody draws."""
    draw = _draw.get()
    with draw(title, total) if draw else nullcontext() as drawn:
        yield drawn.update if drawn else lambda done: None
