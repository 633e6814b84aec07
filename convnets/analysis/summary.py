"""The layers of a network in the order the image meets them, counted from the network itself.

Nothing is computed and nothing is written per architecture: the network is traced on shapes, and every count and every
receptive field follows from the operations in the trace.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, overload

import flax.linen as nn
import jax
import jax.numpy as jnp

from convnets.analysis.layer_row import LayerRow, Total, total
from convnets.analysis.trace import ModulePath, initialize, trace_inference, trace_initialization
from convnets.analysis.traced_layers import Entries, TracedLayers
from convnets.errors import InvalidValue

__all__ = ["LayerRow", "Summary", "Total", "group", "summarize", "total"]


@dataclass(frozen=True)
class Summary(Sequence[LayerRow]):
    """The rows of a network: a row for each call of a module that calls no other and for each pool.

    A module that calls others has a row too if it owns parameters or statistics or multiplies by weights itself. What
    works entry by entry (activations, additions, dropout) has none. Rows that are for training only come last. The
    parameters and statistics of all rows sum to those of the network.

    Attributes:
      rows: of the layers.
      modules: by their paths, what each module gave when it was called last, without counts.
    """

    rows: tuple[LayerRow, ...]
    modules: Mapping[str, LayerRow]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[LayerRow]:
        return iter(self.rows)

    @overload
    def __getitem__(self, index: int) -> LayerRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LayerRow]: ...
    def __getitem__(self, index: int | slice) -> LayerRow | Sequence[LayerRow]:
        return self.rows[index]


def summarize(network: nn.Module, image_shape: Sequence[int], batch: int = 1) -> Summary:
    """The layers of `network`.

    Args:
      network: called as `network.apply(variables, images, train=False)`.
      image_shape: `(H, W, C)` of one image.
      batch: the number of images N.

    Raises:
      InvalidValue: a shape that isn't three positive numbers, a batch that isn't positive, what the network refuses, or
        products in a loop.
    """
    if len(image_shape) != 3 or min(image_shape) < 1 or batch < 1:
        raise InvalidValue(
            f"a summary needs an image shape (H, W, C) and a batch of positive sizes, and was given "
            f"{tuple(image_shape)} and {batch}"
        )
    images = jax.ShapeDtypeStruct((batch, *image_shape), jnp.float32)
    variables = jax.eval_shape(partial(initialize, network), images)
    inference = trace_inference(network, variables, images)
    called = {call.path for call in inference.calls}
    traces = [(inference, set[ModulePath]())]
    if not _module_paths(variables) <= called:
        initialization = trace_initialization(network, images)
        traces.append((initialization, called))
        called = called | {call.path for call in initialization.calls}

    entries = _entries_by_owner(variables, called)
    rows: list[LayerRow] = []
    modules: dict[str, LayerRow] = {}
    for trace, seen_before in traces:
        layers = TracedLayers(trace, entries, seen_before)
        training_only = trace is not inference
        rows += [replace(row, training_only=training_only) for row in layers.rows()]
        modules |= {row.path: replace(row, training_only=training_only) for row in layers.modules()}
    return Summary(tuple(rows), modules)


def group(summary: Summary, depth: int) -> list[LayerRow]:
    """The rows of a summary, those merged into one that share the first `depth` names of their paths.

    Counts are summed; the output and its receptive field are what the module of that path gives, such as the
    concatenated maps of an inception module. Pools outside of such modules keep their own rows.

    Raises:
      InvalidValue: a depth below 1.
    """
    if depth < 1:
        raise InvalidValue(f"layers are grouped by the first names of their paths, at least 1, and not {depth}")
    groups: dict[tuple[Any, ...], list[LayerRow]] = {}
    for row in summary:
        path = "/".join(row.path.split("/")[:depth])
        groups.setdefault((row.training_only, path), []).append(row)
    return [_merge(path, rows, summary.modules.get(path)) for (_, path), rows in groups.items()]


def _merge(path: str, rows: Sequence[LayerRow], module: LayerRow | None) -> LayerRow:
    training_only = rows[0].training_only
    whole = total(rows, training_only=training_only)
    if module and module.training_only != training_only:
        module = None
    return replace(
        module or rows[-1],
        path=path,
        kind=_common_kind(rows) or (module.kind if module else ""),
        parameters=whole.parameters,
        statistics=whole.statistics,
        multiply_adds=whole.multiply_adds,
        activation_bytes=whole.activation_bytes,
        training_only=training_only,
    )


def _common_kind(rows: Sequence[LayerRow]) -> str:
    """The kind of the one row that is not a norm, if there is but one."""
    kinds = [row.kind for row in rows if "norm" not in row.kind] or [row.kind for row in rows]
    return kinds[0] if len(kinds) == 1 else ""


def _module_paths(variables: Any) -> set[ModulePath]:
    return {path[:-1] for _, path, _ in _leaves(variables)}


def _entries_by_owner(variables: Any, called: set[ModulePath]) -> dict[ModulePath, Entries]:
    """The entries of `params` and `batch_stats` by the deepest called module that they lie under."""
    entries: dict[ModulePath, Entries] = {}
    for collection, path, size in _leaves(variables):
        owner = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in called)
        parameters, statistics = entries.get(owner, (0, 0))
        if collection == "params":
            entries[owner] = (parameters + size, statistics)
        elif collection == "batch_stats":
            entries[owner] = (parameters, statistics + size)
    return entries


def _leaves(variables: Any) -> Iterator[tuple[str, ModulePath, int]]:
    """The collection, the path in it and the number of entries of each array."""
    for keys, leaf in jax.tree_util.tree_leaves_with_path(variables):
        collection, *path = (str(getattr(key, "key", key)) for key in keys)
        yield collection, tuple(path), leaf.size
