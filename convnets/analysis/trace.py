"""The operations of a traced function: a flat list, each with the module call that it belongs to.

A function is traced, not run: JAX writes its operations down as a jaxpr, on shapes instead of arrays. Nested jaxprs
that only wrap (`jit`, rematerialization, custom derivatives) are written out in place, so that a network comes out
the same however it is wrapped. Loops and conditions stay one operation each, with those of their functions in `body`.

This is the only walk over a jaxpr here: whatever is counted of a network or of a training step reads this list.
"""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from convnets.layers import implementation

ModulePath = tuple[str, ...]

# fmt: off
WRAPPERS = {
    "jit", "pjit", "closed_call", "core_call", "checkpoint", "remat2", "custom_jvp_call", "custom_vjp_call",
    "custom_vjp_call_jaxpr",
}
# fmt: on
"""Primitives that do what their one jaxpr does."""

CALL = re.compile(r"convnets-call-(\d+)")
OUTPUT = re.compile(r"convnets-output-(\d+)")

# A jitted module that JAX has traced before is not traced again, and its calls would go unnoticed. Within a value of
# this context that is new to JAX it is.
_unseen = jax.make_user_context(None)
_numbers = itertools.count(1)


@dataclass(frozen=True, eq=False)
class Value:
    """An array that an operation takes or gives; equal to itself alone."""

    shape: tuple[int, ...]
    dtype: Any


@dataclass(frozen=True, eq=False)
class Operation:
    """One primitive, such as a convolution or an addition.

    Attributes:
      name: of the JAX primitive.
      options: the primitive's own, such as its window.
      call: the index of the innermost module call that it happens in.
      body: the operations of the functions among its options, if it is a loop, a condition or the like.
    """

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    options: dict[str, Any]
    call: int
    body: tuple["Operation", ...] = ()


@dataclass
class Call:
    """One call of a module.

    Attributes:
      path: of the module in the tree of parameters.
      kind: its class.
      caller: the index of the call in which it was called; None for the network's own.
      output: the (first) array that it gave back, if any.
    """

    path: ModulePath
    kind: str
    caller: int | None
    output: Value | None = None


@dataclass(frozen=True)
class Trace:
    """The operations of a network in their order, and the module calls in theirs.

    Attributes:
      image: the batch of images.
      variables: the arrays of `params` and all other collections.
    """

    operations: list[Operation]
    calls: list[Call]
    image: Value
    variables: list[Value]


def operations_of(jaxpr: ClosedJaxpr) -> tuple[list[Operation], list[Value], list[Value]]:
    """The operations of any traced function, as `jax.make_jaxpr` gives it, and its inputs and outputs, flat."""
    walk, inputs = _Walk([]), [_new_value(var) for var in jaxpr.jaxpr.invars]
    outputs = walk.write_out(jaxpr.jaxpr, inputs, 0)
    return walk.operations, inputs, outputs


def trace_inference(network: nn.Module, images: jax.ShapeDtypeStruct) -> tuple[Trace, Any]:
    """The trace of `network.apply(variables, images, train=False)`, and the shapes of the variables, as a tree.

    Args:
      images: shape `[N, H, W, C]` and dtype.
    """
    variables = jax.eval_shape(lambda images: _initialized(network, images)[1], images)
    walk, inputs, _ = _trace(lambda variables, images: network.apply(variables, images, train=False), variables, images)
    return Trace(walk.operations, walk.calls, inputs[-1], inputs[:-1]), variables


def trace_initialization(network: nn.Module, images: jax.ShapeDtypeStruct) -> Trace:
    """The trace of an initialization, which calls modules that inference leaves out too."""
    walk, [image], variables = _trace(lambda images: _initialized(network, images)[1], images)
    return Trace(walk.operations, walk.calls, image, variables)


def trace_outputs(network: nn.Module, images: jax.ShapeDtypeStruct) -> tuple[Trace, dict[str, Value]]:
    """The same with the feature maps in it, those of training alone too, and the logits last, under that name."""
    names: list[str] = []

    def outputs(images: Any) -> Any:
        (logits, maps), variables = _initialized(network, images)
        # JAX sorts the entries of a dict.
        names[:] = [*maps, "logits"]
        return [*maps.values(), logits], variables

    walk, [image], values = _trace(outputs, images)
    trace = Trace(walk.operations, walk.calls, image, values[len(names) :])
    return trace, dict(zip(names, values, strict=False))


def _initialized(network: nn.Module, images: Any) -> Any:
    """Outputs and variables, for their shapes: the numbers always come from the same key."""
    key = jax.random.key(0)
    return network.init_with_output({"params": key, "dropout": key}, images, train=False)


def dependents(operations: Iterable[Operation], sources: Iterable[Value]) -> set[Value]:
    """The sources and all that is computed from one of them."""
    found = set(sources)
    for operation in operations:
        if not found.isdisjoint(operation.inputs):
            found.update(operation.outputs)
    return found


def sources(operations: Sequence[Operation], output: Value) -> set[Value]:
    """An output and all that it is computed from."""
    found = {output}
    for operation in reversed(operations):
        if not found.isdisjoint(operation.outputs):
            found.update(operation.inputs)
    return found


def _trace(
    function: Callable[..., Any], *inputs: Any, forget_at_every_call: bool = False
) -> tuple["_Walk", list[Value], list[Value]]:
    """The walk over `function(*inputs)`, and its inputs and outputs, flat."""
    walk = _Walk([])
    with contextlib.ExitStack() as contexts:

        def forget() -> None:
            contexts.enter_context(_unseen(next(_numbers)))

        forget()
        contexts.enter_context(implementation.use("plain"))
        contexts.enter_context(nn.intercept_methods(_noting(walk.calls, forget if forget_at_every_call else None)))
        jaxpr = jax.make_jaxpr(function)(*inputs)
    values = [_new_value(var) for var in jaxpr.jaxpr.invars]
    outputs = walk.write_out(jaxpr.jaxpr, values, 0)
    # To forget what is traced once in a trace is nearly always enough, and far quicker than to do so at every call.
    if walk.borrowed and not forget_at_every_call:
        return _trace(function, *inputs, forget_at_every_call=True)
    return walk, values, outputs


def _noting(calls: list[Call], forget: Callable[[], None] | None) -> Callable[..., Any]:
    """An interceptor that enters each module call in `calls` and marks its operations and its output."""
    running: list[int] = []

    def interceptor(method: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        # Wrappers (nn.remat, nn.jit) call a lambda to set a module up.
        if context.method_name in ("setup", "<lambda>") or module.scope is None:
            return method(*args, **kwargs)
        caller = running[-1] if running else None
        if caller is not None and calls[caller].path == module.path:
            return method(*args, **kwargs)
        if forget:
            forget()
        index = len(calls)
        calls.append(Call(module.path, type(module).__name__, caller))
        running.append(index)
        try:
            with jax.named_scope(f"convnets-call-{index}"):
                outputs = method(*args, **kwargs)
        finally:
            running.pop()
        return _mark_output(outputs, index)

    return interceptor


def _mark_output(outputs: Any, index: int) -> Any:
    leaves, structure = jax.tree.flatten(outputs)
    first = next((i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)), None)
    if first is None:
        return outputs
    leaves[first] = checkpoint_name(leaves[first], f"convnets-output-{index}")
    return jax.tree.unflatten(structure, leaves)


class _Walk:
    """Writes a jaxpr out as a list of operations, and enters the calls' outputs in `calls`.

    Attributes:
      borrowed: whether a call's operations were marked as another's, whose trace JAX used again.
    """

    def __init__(self, calls: list[Call]):
        self.calls = calls
        self.operations: list[Operation] = []
        self.borrowed = False
        self._written: set[int] = set()

    def write_out(self, jaxpr: Jaxpr, inputs: Sequence[Value], call: int) -> list[Value]:
        """Appends the operations of a jaxpr that stands in a call; returns its outputs."""
        again = id(jaxpr) in self._written
        self._written.add(id(jaxpr))
        known: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
        known |= {var: _new_value(var) for var in jaxpr.constvars}

        def values(atoms: Iterable[Any]) -> list[Value]:
            return [_new_value(atom) if isinstance(atom, Literal) else known[atom] for atom in atoms]

        for equation in jaxpr.eqns:
            marks = CALL.findall(str(equation.source_info.name_stack))
            here = int(marks[-1]) if marks else call
            self.borrowed |= again and bool(marks)
            inputs = values(equation.invars)
            name, options = equation.primitive.name, equation.params
            inner = list(_jaxprs_in(options.values()))
            if name == "name" and (output_of := OUTPUT.fullmatch(options["name"])):
                if self.calls:
                    self.calls[int(output_of[1])].output = inputs[0]
                outputs = inputs
            elif name in WRAPPERS:
                [wrapped] = inner
                outputs = self.write_out(wrapped, inputs, here)
            else:
                outputs = [_new_value(var) for var in equation.outvars]
                body = tuple(operation for jaxpr in inner for operation in self._body(jaxpr, here))
                self.operations.append(Operation(name, tuple(inputs), tuple(outputs), options, here, body))
            known |= zip(equation.outvars, outputs, strict=True)
        return values(jaxpr.outvars)

    @staticmethod
    def _body(jaxpr: Jaxpr, call: int) -> list[Operation]:
        """The operations of a function that another operation calls, apart from those around it."""
        inner = _Walk([])
        inner.write_out(jaxpr, [_new_value(var) for var in jaxpr.invars], call)
        return inner.operations


def _new_value(atom: Any) -> Value:
    return Value(tuple(getattr(atom.aval, "shape", ())), getattr(atom.aval, "dtype", None))


def _jaxprs_in(options: Iterable[Any]) -> Iterator[Jaxpr]:
    for option in options:
        if isinstance(option, tuple | list):
            yield from _jaxprs_in(option)
        elif isinstance(option, ClosedJaxpr):
            yield option.jaxpr
        elif isinstance(option, Jaxpr):
            yield option
