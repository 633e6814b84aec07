"""The named tensors of a network, found in what a PyTorch file holds."""

from typing import Any

from convnets.pretrained.files.torch_tensors import Tensor
from convnets.pretrained.files.unreadable import Unreadable

NESTED = ("state_dict", "model", "model_state_dict", "state_dict_ema")
"""Under which of these names, in this order, training scripts keep the weights beside other things."""

PARALLEL = "module."
"""What `torch.nn.DataParallel` puts before every name."""


def state_dict(found: Any) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors by their names, and notes on where they were, what was left out and what names lost.

    Raises:
      Unreadable: there is no mapping with tensors at the top or one step below.
    """
    if not isinstance(found, dict):
        raise Unreadable(
            f"holds a {type(found).__name__.lower()} and no named tensors: save them as "
            "torch.save(model.state_dict(), path) does"
        )
    notes = []
    within = next((name for name in NESTED if _tensors(found.get(name))), None)
    if within is not None:
        found = found[within]
        notes.append(f"under {within!r}")
    tensors = _tensors(found)
    if not tensors:
        raise Unreadable(
            f"holds no tensors at its top or under {', '.join(NESTED)}, only {_names(list(found)) or 'nothing'}: save "
            "one state_dict by itself"
        )
    if others := [key for key in found if key not in tensors]:
        notes.append(f"left out what is no tensor: {_names(others)}")
    if all(name.startswith(PARALLEL) for name in tensors):
        tensors = {name.removeprefix(PARALLEL): tensor for name, tensor in tensors.items()}
        notes.append(f"{PARALLEL!r} taken off the names")
    return tensors, tuple(notes)


def _tensors(found: Any) -> dict[str, Tensor]:
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, Tensor)}


def _names(keys: list[Any]) -> str:
    return ", ".join(repr(key)[:40] for key in keys[:3]) + (", ..." if len(keys) > 3 else "")
