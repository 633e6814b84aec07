"""The layers in a network's trace: which calls of modules, and which functions, deserve a row, and what is in it."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from convnets.analysis.elementwise import ELEMENTWISE, REARRANGING, UNCHANGED
from convnets.analysis.field_rules import axes_of
from convnets.analysis.kinds import POOLS, convolution_in_words, in_words
from convnets.analysis.layer_row import LayerRow
from convnets.analysis.multiply_adds import PRODUCTS, multiply_adds
from convnets.analysis.pools import pools_of
from convnets.analysis.trace import ModulePath, Operation, Trace, Value, dependents

Entries = tuple[int, int]
"""The numbers of parameters and of statistics."""

PLAIN = ELEMENTWISE | REARRANGING | UNCHANGED
"""Operations that alone make no layer."""

WITHOUT_WINDOW = ("fully connected",)
"""Kinds that say nothing about filters, though a larger map makes them convolutions."""


class TracedLayers:
    """The layers of one trace.

    Args:
      trace: of the network.
      entries: the parameters and statistics of each module that has some of its own.
      left_out: paths of modules that are not looked at.
    """

    def __init__(self, trace: Trace, entries: Mapping[ModulePath, Entries], left_out: Iterable[ModulePath] = ()):
        self._trace = trace
        self._entries = {path: own for path, own in entries.items() if path not in left_out}
        self._chosen = {index for index, call in enumerate(trace.calls) if call.path not in left_out}
        self._image = dependents(trace.operations, [trace.image])
        self._axes = axes_of(trace, 1), axes_of(trace, 2)

        weights = dependents(trace.operations, trace.variables)
        self._counts = [0] * len(trace.calls)
        self._first = [len(trace.operations)] * len(trace.calls)
        self._of_image: list[Operation] = []
        self._own: list[list[Operation]] = [[] for _ in trace.calls]
        for position, operation in enumerate(trace.operations):
            self._mark_first(operation.call, position)
            if not self._image.isdisjoint(operation.inputs):
                self._of_image.append(operation)
                self._own[operation.call].append(operation)
                self._counts[operation.call] += multiply_adds(operation, self._image, weights)
        self._pools = pools_of(self._of_image, self._image, self._axes)
        self._parents = {call.caller for i, call in enumerate(trace.calls) if self._first[i] < len(trace.operations)}

    def _mark_first(self, call: int | None, position: int) -> None:
        """Enters where a call, and those around it, begin."""
        while call is not None and position < self._first[call]:
            self._first[call] = position
            call = self._trace.calls[call].caller

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
            is_new = call.output not in counted
            counted.add(call.output)
            row = replace(
                self._row("/".join(call.path), self._kind(index), call.output),
                parameters=parameters,
                statistics=statistics,
                multiply_adds=self._counts[index],
                activation_bytes=_bytes(call.output) if is_new else 0,
            )
            places.append(((self._first[index], index), row))
        return [row for _, row in sorted(places, key=lambda place: place[0])]

    def modules(self) -> Iterator[LayerRow]:
        """What each call of a module gives, without counts."""
        for index in sorted(self._chosen):
            call = self._trace.calls[index]
            if call.output in self._image:
                yield self._row("/".join(call.path), self._kind(index), call.output)

    def _has_row(self, index: int) -> bool:
        call = self._trace.calls[index]
        if call.path in self._entries or self._counts[index]:
            return True
        is_network = call.caller is None
        return not is_network and index not in self._parents and any(o.name not in PLAIN for o in self._own[index])

    def _pool_rows(self, with_row: Iterable[int]) -> Iterator[tuple[int, Value, LayerRow]]:
        """Position, output and row of each pool that is not the work of a module that calls no other."""
        positions = {operation: position for position, operation in enumerate(self._trace.operations)}
        paths = {call.path for call in self._trace.calls}
        numbers: dict[int, int] = {}
        layers = {
            index for index in with_row if index not in self._parents and self._trace.calls[index].caller is not None
        }
        for pool in self._pools:
            index = pool.operation.call
            if index in layers or index not in self._chosen:
                continue
            path = self._trace.calls[index].path
            numbers[index] = numbers.get(index, 0) + 1
            while (*path, f"pool{numbers[index]}") in paths:
                numbers[index] += 1
            name = "/".join((*path, f"pool{numbers[index]}"))
            row = self._row(name, pool.kind, pool.output)
            yield positions[pool.operation], pool.output, replace(row, activation_bytes=_bytes(pool.output))

    def _row(self, path: str, kind: str, output: Value | None) -> LayerRow:
        """With the output's shape and receptive field."""
        row = LayerRow(path, kind, output.shape if output else ())
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
        windows = [o for o in self._own[index] if o.name in (PRODUCTS[0], *POOLS)]
        if index in self._parents or kind in WITHOUT_WINDOW or len(windows) != 1:
            return kind
        [window] = windows
        if window.name == PRODUCTS[0]:
            return f"{kind} {convolution_in_words(window)}"
        return next((f"{kind} {pool.regions}".strip() for pool in self._pools if pool.operation is window), kind)


def _bytes(value: Value | None) -> int:
    return math.prod(value.shape) * value.dtype.itemsize if value is not None else 0
