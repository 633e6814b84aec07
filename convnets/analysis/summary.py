"""The layers of a network in the order an image meets them, with their output shapes and sizes.

Nothing is computed and nothing is written per architecture: the network's own `init` is traced abstractly,
and every module that is called on the way is noted.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

ModulePath = tuple[str, ...]


@dataclass(frozen=True)
class LayerRow:
    """One layer of a network.

    Attributes:
      path: its place in the tree of parameters, such as `stage1/convolution`; empty for the network itself.
      kind: its class.
      output_shape: of the (first) array it returned when it was first called.
      parameters: entries of `params` that belong to it and to none of the modules it calls.
      statistics: entries of `batch_stats` likewise.
    """

    path: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    statistics: int


@dataclass
class _Call:
    kind: str
    output_shape: tuple[int, ...] = ()
    calls_others: bool = False


def summarize(network: nn.Module, image_shape: tuple[int, int, int], batch: int = 1) -> list[LayerRow]:
    """The layers of `network`, one row per module that calls no other, in the order of their first calls.

    A module that calls others has a row too if it owns parameters or statistics itself. Every entry is
    counted in exactly one row, a layer that is used twice in the row of its first use, so that the rows sum
    to the whole.

    Args:
      network: called as `network.apply(variables, images, train=False)`.
      image_shape: `(H, W, C)` of one image.
      batch: the number of images N, for the shapes only.

    Raises:
      ValueError: `image_shape` isn't three positive numbers or `batch` isn't positive.
    """
    if len(image_shape) != 3 or min(image_shape) < 1 or batch < 1:
        raise ValueError(
            f"A summary needs an image shape (H, W, C) and a batch of positive sizes, "
            f"but they are {tuple(image_shape)} and {batch}."
        )
    calls: dict[ModulePath, _Call] = {}
    images = jax.ShapeDtypeStruct((batch, *image_shape), jnp.float32)

    def init(key: jax.Array, images: jax.Array) -> Any:
        with nn.intercept_methods(_note_calls_in(calls)):
            return network.init({"params": key, "dropout": key}, images, train=False)

    variables = jax.eval_shape(init, jax.random.key(0), images)
    parameters = _entries_by_owner(variables.get("params", {}), calls)
    statistics = _entries_by_owner(variables.get("batch_stats", {}), calls)
    return [
        LayerRow("/".join(path), call.kind, call.output_shape, parameters.get(path, 0), statistics.get(path, 0))
        for path, call in calls.items()
        if not call.calls_others or path in parameters or path in statistics
    ]


def print_summary(rows: Sequence[LayerRow], console: Console, title: str) -> None:
    """Prints `rows` and their totals as a table on `console`."""
    table = Table(title=title, title_justify="left", title_style="bold", show_footer=True)
    parameters = sum(row.parameters for row in rows)
    statistics = sum(row.statistics for row in rows)
    table.add_column("layer", footer="total", overflow="fold")
    table.add_column("kind", overflow="fold")
    table.add_column("output", justify="right", no_wrap=True)
    table.add_column("parameters", justify="right", footer=f"{parameters:,}", no_wrap=True)
    table.add_column("statistics", justify="right", footer=f"{statistics:,}", no_wrap=True)
    for row in rows:
        shape = " × ".join(map(str, row.output_shape))
        counts = [f"{number:,}" if number else "" for number in (row.parameters, row.statistics)]
        table.add_row(row.path or "(network)", row.kind, shape, *counts)
    console.print(table)


def rows_as_json(rows: Sequence[LayerRow]) -> list[dict[str, Any]]:
    """`rows` as a list of dicts that `json.dumps` takes: the fields of `LayerRow`, shapes as lists."""
    return [asdict(row) | {"output_shape": list(row.output_shape)} for row in rows]


def _note_calls_in(calls: dict[ModulePath, _Call]) -> Callable[..., Any]:
    """An interceptor that enters each module called in `calls`, in the order of the first calls."""
    running: list[ModulePath] = []

    def interceptor(method: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if context.method_name == "setup":
            return method(*args, **kwargs)
        path = context.module.path
        if running and running[-1] != path:
            calls[running[-1]].calls_others = True
        call = calls.setdefault(path, _Call(type(context.module).__name__))
        running.append(path)
        try:
            outputs = method(*args, **kwargs)
        finally:
            running.pop()
        shapes = [leaf.shape for leaf in jax.tree.leaves(outputs) if hasattr(leaf, "shape")]
        if not call.output_shape and shapes:
            call.output_shape = tuple(shapes[0])
        return outputs

    return interceptor


def _entries_by_owner(tree: Any, calls: dict[ModulePath, _Call]) -> dict[ModulePath, int]:
    """The number of entries of `tree` by the deepest called module they lie under."""
    entries: dict[ModulePath, int] = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        names = tuple(str(getattr(key, "key", key)) for key in keys)
        owner = next(names[:n] for n in range(len(names), -1, -1) if names[:n] in calls)
        entries[owner] = entries.get(owner, 0) + int(np.prod(leaf.shape))
    return entries
