"""The layers of a network in the order the image meets them, counted from the network itself.

Nothing is computed and nothing is written per architecture: the network is traced on shapes, and every count and every
receptive field follows from the operations in the trace.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from convnets.analysis.layer_kinds import POOLS, convolution_in_words, in_words, pools_of
from convnets.analysis.operations import CONVOLUTION, ELEMENTWISE, REARRANGING, UNCHANGED, multiply_adds
from convnets.analysis.receptive_field import axes_of
from convnets.analysis.trace import (
    ModulePath,
    Operation,
    Trace,
    Value,
    dependents,
    trace_inference,
    trace_initialization,
)
from convnets.errors import InvalidValue

PLAIN = ELEMENTWISE | REARRANGING | UNCHANGED
"""Operations that alone make no layer."""

WITHOUT_WINDOW = ("fully connected",)
"""Kinds that say nothing about filters, though a larger map makes them convolutions."""


@dataclass(frozen=True)
class LayerRow:
    """One call of a layer.

    Attributes:
      path: its place in the tree of parameters, such as `stage1/convolution`; empty for the network itself. A pool
        that is a function has the path of the module that calls it and a name of its own, such as `pool1`.
      kind: what it is, in words: `convolution 11×11/4` has filters of 11 x 11 at stride 4.
      output_shape: of the (first) array that it gives, with the batch.
      parameters: entries of `params` that belong to it and to none of the modules it calls; counted in its first call.
      statistics: entries of `batch_stats` likewise.
      multiply_adds: of its own convolutions and products with weights, for the whole batch.
      activation_bytes: of its output for the whole batch; 0 if a layer that it calls gives the same array.
      receptive_field: height and width of what a response sees of the image, in pixels; None if that is unknown.
      stride: from one response's receptive field to the next one's, down and to the right, in pixels.
      offset: row and column where the first response's field begins; negative in the padding.
      training_only: whether inference leaves it out, as it does auxiliary classifiers.
    """

    path: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int = 0
    statistics: int = 0
    multiply_adds: int = 0
    activation_bytes: int = 0
    receptive_field: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    offset: tuple[int, int] | None = None
    training_only: bool = False


@dataclass(frozen=True)
class Total:
    """Sums over rows; see `LayerRow`."""

    parameters: int
    statistics: int
    multiply_adds: int
    activation_bytes: int


COUNTS = tuple(field.name for field in fields(Total))


def total(rows: Iterable[LayerRow], *, training_only: bool = False) -> Total:
    """The sums over the layers that inference uses, or over those that training alone does."""
    chosen = [row for row in rows if row.training_only == training_only]
    return Total(*(sum(getattr(row, count) for row in chosen) for count in COUNTS))


class Summary(tuple[LayerRow, ...]):
    """The rows of a network: a row for each call of a module that calls no other and for each pool.

    A module that calls others has a row too if it owns parameters or statistics or multiplies by weights itself. What
    works entry by entry (activations, additions, dropout) has none. Rows that are for training only come last. The
    parameters and statistics of all rows sum to those of the network.

    Attributes:
      modules: by their paths, what each module gave when it was called last, without counts.
    """

    modules: Mapping[str, LayerRow]

    def __new__(cls, rows: Iterable[LayerRow], modules: Mapping[str, LayerRow]) -> "Summary":
        summary = super().__new__(cls, rows)
        summary.modules = modules
        return summary


def summarize(network: nn.Module, image_shape: Sequence[int], batch: int = 1) -> Summary:
    """The layers of `network` on `batch` images of `image_shape` `(H, W, C)`.

    Raises:
      InvalidValue: a shape or batch that isn't positive, what the network refuses, or products in a loop.
    """
    if len(image_shape) != 3 or min(image_shape) < 1 or batch < 1:
        raise InvalidValue(
            f"a summary needs an image shape (H, W, C) and a batch of positive sizes, and was given "
            f"{tuple(image_shape)} and {batch}"
        )
    images = jax.ShapeDtypeStruct((batch, *image_shape), jnp.float32)
    inference, variables = trace_inference(network, images)
    arrays = flatten_dict(variables)
    called = {call.path for call in inference.calls}
    traces = [(inference, set[ModulePath]())]
    if not {path[1:-1] for path in arrays} <= called:
        initialization = trace_initialization(network, images)
        traces.append((initialization, called))
        called = called | {call.path for call in initialization.calls}

    # The numbers of parameters and statistics, by the deepest called module that they lie under.
    entries: dict[ModulePath, tuple[int, int]] = {}
    for (collection, *path), array in arrays.items():
        owner = next(tuple(path[:n]) for n in range(len(path), -1, -1) if tuple(path[:n]) in called)
        parameters, statistics = entries.get(owner, (0, 0))
        if collection == "params":
            entries[owner] = parameters + array.size, statistics
        elif collection == "batch_stats":
            entries[owner] = parameters, statistics + array.size
    rows: list[LayerRow] = []
    modules: dict[str, LayerRow] = {}
    for trace, seen_before in traces:
        layers = _Layers(trace, entries, seen_before, training_only=trace is not inference)
        rows += layers.rows()
        modules |= {row.path: row for row in layers.modules()}
    return Summary(rows, modules)


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
    if module and module.training_only != rows[0].training_only:
        module = None
    # The kind of the one row that is not a norm, if there is but one.
    kinds = [row.kind for row in rows if "norm" not in row.kind] or [row.kind for row in rows]
    kind = kinds[0] if len(kinds) == 1 else module.kind if module else ""
    sums = {count: sum(getattr(row, count) for row in rows) for count in COUNTS}
    return replace(module or rows[-1], path=path, kind=kind, training_only=rows[0].training_only, **sums)


class _Layers:
    """The layers of one trace: which calls of modules and which functions have a row, and what is in it.

    Args:
      trace: of the network.
      entries: the parameters and statistics of each module that has some of its own.
      left_out: paths of modules that are not looked at.
      training_only: whether inference leaves them out.
    """

    def __init__(
        self,
        trace: Trace,
        entries: Mapping[ModulePath, tuple[int, int]],
        left_out: Iterable[ModulePath],
        *,
        training_only: bool,
    ):
        self._trace, self._training_only = trace, training_only
        self._entries = {path: own for path, own in entries.items() if path not in left_out}
        self._chosen = [index for index, call in enumerate(trace.calls) if call.path not in left_out]
        self._image = dependents(trace.operations, [trace.image])
        self._axes = axes_of(trace, 1), axes_of(trace, 2)

        weights = dependents(trace.operations, trace.variables)
        self._multiply_adds = [0] * len(trace.calls)
        self._first = [len(trace.operations)] * len(trace.calls)
        self._own: list[list[Operation]] = [[] for _ in trace.calls]
        of_image: list[Operation] = []
        for position, operation in enumerate(trace.operations):
            # The first operation of a call is that of those around it too.
            call: int | None = operation.call
            while call is not None and position < self._first[call]:
                self._first[call] = position
                call = trace.calls[call].caller
            if not self._image.isdisjoint(operation.inputs):
                of_image.append(operation)
                self._own[operation.call].append(operation)
                self._multiply_adds[operation.call] += multiply_adds(operation, self._image, weights)
        self._pools = pools_of(of_image, self._image, self._axes)
        self._parents = {call.caller for i, call in enumerate(trace.calls) if self._first[i] < len(trace.operations)}

    def rows(self) -> list[LayerRow]:
        """In the order of their first operations, a module before those that it calls."""
        places: list[tuple[tuple[int, int], LayerRow]] = []
        counted: set[Value | None] = set()
        with_row = [index for index in self._chosen if self._has_row(index)]
        for position, output, row in self._pool_rows(with_row):
            counted.add(output)
            places.append(((position, len(self._first)), row))
        unclaimed = dict(self._entries)
        # Modules that call others come last: what they give may be what one of those has given.
        for index in sorted(with_row, key=lambda index: (index in self._parents, index)):
            call = self._trace.calls[index]
            parameters, statistics = unclaimed.pop(call.path, (0, 0))
            row = replace(
                self._row("/".join(call.path), self._kind(index), call.output),
                parameters=parameters,
                statistics=statistics,
                multiply_adds=self._multiply_adds[index],
                activation_bytes=0 if call.output in counted else _bytes(call.output),
            )
            counted.add(call.output)
            places.append(((self._first[index], index), row))
        return [row for _, row in sorted(places, key=lambda place: place[0])]

    def modules(self) -> Iterator[LayerRow]:
        """What each call of a module gives, without counts."""
        for index in self._chosen:
            call = self._trace.calls[index]
            if call.output in self._image:
                yield self._row("/".join(call.path), self._kind(index), call.output)

    def _has_row(self, index: int) -> bool:
        call = self._trace.calls[index]
        if call.path in self._entries or self._multiply_adds[index]:
            return True
        is_network = call.caller is None
        return not is_network and index not in self._parents and any(o.name not in PLAIN for o in self._own[index])

    def _pool_rows(self, with_row: Iterable[int]) -> Iterator[tuple[int, Value, LayerRow]]:
        """Position, output and row of each pool that is not the work of a module that calls no other."""
        calls = self._trace.calls
        positions = {operation: position for position, operation in enumerate(self._trace.operations)}
        paths = {call.path for call in calls}
        numbers: dict[int, int] = {}
        layers = {index for index in with_row if index not in self._parents and calls[index].caller is not None}
        for pool in self._pools:
            index = pool.operation.call
            if index in layers or index not in self._chosen:
                continue
            numbers[index] = numbers.get(index, 0) + 1
            while (*calls[index].path, f"pool{numbers[index]}") in paths:
                numbers[index] += 1
            row = self._row("/".join((*calls[index].path, f"pool{numbers[index]}")), pool.kind, pool.output)
            yield positions[pool.operation], pool.output, replace(row, activation_bytes=_bytes(pool.output))

    def _row(self, path: str, kind: str, output: Value | None) -> LayerRow:
        """With the output's shape and receptive field, without counts."""
        row = LayerRow(path, kind, output.shape if output else (), training_only=self._training_only)
        rows, columns = (axes[output].field if output in axes else None for axes in self._axes)
        if rows is None or columns is None:
            return row
        return replace(
            row,
            receptive_field=(rows.size, columns.size),
            stride=(rows.stride, columns.stride),
            offset=(rows.offset, columns.offset),
        )

    def _kind(self, index: int) -> str:
        call = self._trace.calls[index]
        if call.caller is None:
            return "network"
        kind = in_words(call.kind)
        windows = [o for o in self._own[index] if o.name in (CONVOLUTION, *POOLS)]
        if index in self._parents or kind in WITHOUT_WINDOW or len(windows) != 1:
            return kind
        [window] = windows
        if window.name == CONVOLUTION:
            return f"{kind} {convolution_in_words(window)}"
        return next((f"{kind} {pool.regions}".strip() for pool in self._pools if pool.operation is window), kind)


def _bytes(value: Value | None) -> int:
    return math.prod(value.shape) * value.dtype.itemsize if value is not None else 0
