"""Pickles read as data, not run.

Python's own unpickler imports what a pickle names and calls it, and even one whose `find_class` is restricted lets a
pickle set attributes of what it may name, and asks for 17 GB at the ten bytes that put a value into a far cell of its
memo. So the operations are followed here, one by one as `pickletools` takes them apart: those that PyTorch's files
consist of, on values that are plain data. Names are looked up in a table and never imported.
"""

import pickletools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from convnets.pretrained.files.weights import UnreadableFile

LONGEST_NAME = 100


@dataclass(frozen=True)
class Constructor:
    """What a pickle may call: `build` is our own, and takes the arguments that the pickle has for the original."""

    build: Callable[..., Any]


NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
LITERALS = NUMBERS | TEXTS | BYTES
CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}


def load(stream: IO[bytes], names: Mapping[str, Any], persistent: Callable[[Any], Any]) -> Any:
    """The object of the pickle at the stream's place, which is then behind it.

    Args:
      names: what stands for the names that the pickle may import, "module.name": a `Constructor`, or plain data.
      persistent: what stands for something that is kept outside the pickle, from what the pickle calls it by.

    Raises:
      UnreadableFile: the pickle imports another name, or holds an operation that files of tensors have no use for.
      Exception: of any kind, at a pickle that is damaged.
    """
    stack: list[Any] = []
    marks: list[list[Any]] = []
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(stream):
        operation = opcode.name
        if operation in LITERALS:
            stack.append(argument)
            continue
        if operation in CONSTANTS:
            stack.append(CONSTANTS[operation]())
            continue
        match operation:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(stack)
                stack = []
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(_popped(stack, int(operation[-1]))))
            case "TUPLE":
                items, stack = stack, marks.pop()
                stack.append(tuple(items))
            case "LIST":
                items, stack = stack, marks.pop()
                stack.append(items)
            case "DICT":
                items, stack = stack, marks.pop()
                stack.append(mapping(_pairs(items)))
            case "APPEND":
                items = _popped(stack, 1)
                _extend(stack[-1], items)
            case "APPENDS":
                items, stack = stack, marks.pop()
                _extend(stack[-1], items)
            case "SETITEM":
                items = _popped(stack, 2)
                _update(stack[-1], items)
            case "SETITEMS":
                items, stack = stack, marks.pop()
                _update(stack[-1], items)
            case "GLOBAL":
                stack.append(_named(argument.replace(" ", "."), names))
            case "STACK_GLOBAL":
                stack.append(_named(".".join(_popped(stack, 2)), names))
            case "INST":
                raise _forbidden(argument.replace(" ", "."))
            case "BINPERSID":
                stack.append(persistent(stack.pop()))
            case "REDUCE" | "NEWOBJ":
                constructor, arguments = _popped(stack, 2)
                if not isinstance(constructor, Constructor):
                    raise UnreadableFile(f"is damaged: its pickle calls a {type(constructor).__name__}")
                stack.append(constructor.build(*arguments))
            case "BUILD":
                # Attributes of an object, such as the `_metadata` of a state dict: nothing here has any.
                _popped(stack, 1)
            case _:
                raise UnreadableFile(
                    f"holds the pickle operation {operation}, which no file of tensors has; nothing of it was run: "
                    "fetch another file"
                )
    raise UnreadableFile("is damaged: its pickle has no end")


def mapping(pairs: Iterable[Iterable[Any]] = ()) -> dict[Any, Any]:
    """A dict of keys and values; the keys must be plain ones."""
    found = {}
    for key, value in pairs:
        # Hashing a tuple in a tuple, a million deep, would overrun the interpreter's stack.
        if key is not None and not isinstance(key, str | int | float | bytes):
            raise UnreadableFile(f"is damaged: its pickle has a {type(key).__name__} for a key")
        found[key] = value
    return found


def _named(name: str, names: Mapping[str, Any]) -> Any:
    if name not in names:
        raise _forbidden(name)
    return names[name]


def _forbidden(name: str) -> UnreadableFile:
    return UnreadableFile(
        f"holds code or objects besides tensors: {name[:LONGEST_NAME]!r}; nothing of it was run: save the tensors "
        "alone, as torch.save(model.state_dict(), path) does"
    )


def _popped(stack: list[Any], number: int) -> list[Any]:
    if len(stack) < number:
        raise UnreadableFile("is damaged: its pickle takes more than it has given")
    items = stack[-number:]
    del stack[-number:]
    return items


def _pairs(items: list[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(items[::2], items[1::2], strict=True)


def _extend(target: Any, items: list[Any]) -> None:
    if not isinstance(target, list):
        raise UnreadableFile(f"is damaged: its pickle appends to a {type(target).__name__}")
    target.extend(items)


def _update(target: Any, items: list[Any]) -> None:
    if not isinstance(target, dict):
        raise UnreadableFile(f"is damaged: its pickle sets items of a {type(target).__name__}")
    target.update(mapping(_pairs(items)))
