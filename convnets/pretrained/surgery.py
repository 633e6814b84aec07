"""Parameters of one network put into another: strictly, and with a report."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from convnets.errors import InvalidValue, nearest
from convnets.pretrained.adapting import adapt_stem, identity_blocks, new_blocks
from convnets.pretrained.patterns import Path, flat, is_head, is_stem, is_stem_kernel, matches, nested

Variables = Mapping[str, Any]
"""What a network is applied with: `params` and `batch_stats`, trees of arrays by the names of layers."""

What = Literal["taken", "adapted", "identity", "new", "left over"]

SHOWN = 6
"""Complaints that an error names."""


@dataclass(frozen=True)
class Surgery:
    """What is to be done.

    Attributes:
      layers: patterns of those to take, such as "stage1_conv1", "stage3*"; none: all.
      head: "keep" the classifier (and auxiliary ones), or leave the "new" one as it is.
      stem: "keep" the filters that see the images, "adapt" them (`adapt_stem`), or leave the "new" ones.
      deepen: whether residual blocks that the source does not have begin as the identity.
      allow: patterns of layers that may be missing, misshapen (then they are left as they are) or left over.
    """

    layers: tuple[str, ...] = ()
    head: Literal["keep", "new"] = "keep"
    stem: Literal["keep", "adapt", "new"] = "keep"
    deepen: bool = False
    allow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """What became of an array.

    Attributes:
      name: its path, the collection left out.
      what: "taken" as it is, "adapted", "identity" (of a block that is new), "new" (as it was drawn), "left over".
      detail: how it was adapted.
    """

    name: str
    shape: tuple[int, ...]
    what: What
    detail: str = ""


@dataclass(frozen=True)
class Report:
    """What became of every array, by the names of the layers."""

    entries: tuple[Entry, ...]

    def count(self, *what: What) -> int:
        """Arrays of which that became."""
        return sum(entry.what in what for entry in self.entries)

    def to_json(self) -> list[dict[str, Any]]:
        """Ready for JSON."""
        return [asdict(entry) for entry in self.entries]


def operate(
    variables: Variables,
    source: Variables,
    surgery: Surgery = Surgery(),
    left_over: Mapping[str, tuple[int, ...]] | None = None,
) -> tuple[dict[str, Any], Report]:
    """`variables` with those of `source` in their places; what is not taken stays the same array.

    Args:
      variables: of the network that begins. Shapes and types are all that is read of its arrays, so that
        `jax.ShapeDtypeStruct`s do to find out what would be refused.
      source: of the network that is taken from.
      left_over: names, with shapes, that the source has besides and that stand for nothing in any network.

    Raises:
      InvalidValue: a pattern without a layer, another number of classes, and all that is missing, misshapen or left
        over and not allowed.
    """
    wanted, given, left_over = flat(variables), flat(source), left_over or {}
    _refuse_patterns(surgery, wanted, given, left_over)
    taken: dict[Path, Any] = {}
    entries: dict[Path, Entry] = {}
    complaints: dict[Path, str] = {}
    blocks = new_blocks(wanted, given) if surgery.deepen else set()
    identity = identity_blocks(wanted, blocks)
    for path, array in wanted.items():
        what: What = "new"
        detail = ""
        if _stays_new(path, surgery):
            pass
        elif path[1] in blocks:
            if path in identity:
                taken[path], what = identity[path], "identity"
        elif path in given and (adapted := _adapted(path, given[path], array, surgery)) is not None:
            taken[path], detail = adapted
            what = "adapted" if detail else "taken"
        elif not matches(path[1:], *surgery.allow):
            complaints[path] = f"{_name(path)} is {_in_words(given.get(path))} there and {_in_words(array)} here"
        entries[path] = Entry(_name(path), tuple(array.shape), what, detail)
    for path, array in given.items():
        if path not in wanted:
            entries[path] = Entry(_name(path), tuple(array.shape), "left over")
            if not (matches(path[1:], *surgery.allow) or _stays_new(path, surgery)):
                complaints[path] = f"{_name(path)} is {_in_words(array)} there and absent here"
    for name, shape in left_over.items():
        entries["", name] = Entry(name, tuple(shape), "left over")
        if not (surgery.layers or matches((name,), *surgery.allow)):
            complaints["", name] = f"{name} {list(shape)} is left over"
    if complaints:
        raise _refusal(complaints, wanted, given)
    report = Report(tuple(entries[path] for path in sorted(entries, key=_by_layer)))
    return {name: {} for name in variables} | nested(wanted | taken), report


def _adapted(path: Path, there: Any, here: Any, surgery: Surgery) -> tuple[Any, str] | None:
    """The array as it can be taken, and what was done to it; None if it does not fit."""
    if (there.shape, there.dtype) == (here.shape, here.dtype):
        return there, ""
    if surgery.stem == "adapt" and is_stem_kernel(path[1:]) and there.shape[-1] == here.shape[3]:
        return adapt_stem(there, here.shape[0], here.shape[2])
    # A matrix of the neurons' weights, of a fully connected layer that did not keep its window.
    if path[-1] == "kernel" and there.ndim == 2 and there.size == here.size and there.shape[1] == here.shape[3]:
        return there.reshape(here.shape), "matrix as convolution"
    return None


def _stays_new(path: Path, surgery: Surgery) -> bool:
    """Whether that array is not to be taken."""
    if surgery.layers and not matches(path[1:], *surgery.layers):
        return True
    return (surgery.head == "new" and is_head(path)) or (surgery.stem == "new" and is_stem(path[1:]))


def _refuse_patterns(
    surgery: Surgery, wanted: Mapping[Path, Any], given: Mapping[Path, Any], left_over: Mapping[str, Any]
) -> None:
    """Refuses patterns of `layers` that one of the two networks lacks, and of `allow` that neither has."""
    here, there = ([path[1:] for path in arrays] for arrays in (wanted, given))
    either: list[Path] = [*here, *there, *((name,) for name in left_over)]
    checks = [(pattern, there, "the network which is taken from has no layer", there) for pattern in surgery.layers]
    checks += [(pattern, here, "the network which begins has no layer", here) for pattern in surgery.layers]
    checks += [(pattern, either, "allow: neither network has a layer", here) for pattern in surgery.allow]
    for pattern, paths, said, known in checks:
        if not any(matches(path, pattern) for path in paths):
            raise InvalidValue(f"{said} {pattern!r}: {nearest(pattern, {path[0] for path in known})}")


def _refusal(complaints: Mapping[Path, str], wanted: Mapping[Path, Any], given: Mapping[Path, Any]) -> InvalidValue:
    """The error about all that does not fit."""
    here, there = (
        next((array.shape[-1] for path, array in arrays.items() if "logits" in path), 0) for arrays in (wanted, given)
    )
    if here != there and all(is_head(path) for path in complaints):
        found = f"tell {there:,} classes apart and this network {here:,}" if there else "have no classifier"
        return InvalidValue(f"the weights {found}: begin with a new head (head='new')")
    shown = list(complaints.values())[:SHOWN]
    if len(complaints) > SHOWN:
        shown.append(f"and {len(complaints) - SHOWN} more")
    counted = "1 array does" if len(complaints) == 1 else f"{len(complaints)} arrays do"
    stem = any(path[0] and is_stem_kernel(path[1:]) for path in complaints)
    filters = ", adapt the filters that see the images (stem='adapt')" if stem else ""
    return InvalidValue(
        f"{counted} not fit: {'; '.join(shown)}: take some layers only (layers){filters}, or name those that may be "
        "new or left over (allow)"
    )


def _by_layer(path: Path) -> tuple[bool, list[tuple[str, int]]]:
    """The order of layers' names, the numbers in them by size; names of no network last."""
    words = re.findall(r"(\D*)(\d*)", _name(path))
    return path[0] == "", [(text, int(number or 0)) for text, number in words]


def _name(path: Path) -> str:
    return "/".join(path[1:])


def _in_words(array: Any) -> str:
    return "absent" if array is None else f"{array.dtype.name}{list(array.shape)}"
