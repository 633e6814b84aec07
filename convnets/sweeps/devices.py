"""What each of the trials that run at once is bound to: devices of this machine, or cores of its CPU."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from convnets.errors import InvalidValue
from convnets.training.this_machine import cores_here, devices_here

VISIBLE = {"gpu": "CUDA_VISIBLE_DEVICES", "rocm": "HIP_VISIBLE_DEVICES", "tpu": "TPU_VISIBLE_CHIPS"}
TPU_BOUNDS = {1: "1,1,1", 2: "1,2,1", 4: "2,2,1", 8: "2,4,1"}
"""The shape of so many chips of a host."""


@dataclass(frozen=True)
class Slot:
    """A place for one trial at a time.

    Attributes:
      environment: variables that its process is given.
      cores: of the CPU that it is bound to; () for all.
    """

    environment: dict[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()


def slots_of_this_machine(parallel: int = 0) -> list[Slot]:
    """As many slots as trials run at once, each with an equal share of the devices.

    Args:
      parallel: how many; 0: one for each device, where the CPU is one.

    Raises:
      InvalidValue: more than there are devices or cores, or devices that JAX can't start.
    """
    kind, count = devices_here()
    if kind == "cpu":
        return _cpu_slots(cores_here() or range(os.cpu_count() or 1), parallel or 1)
    return _device_slots(kind, count, parallel or count)


def _cpu_slots(cores: Sequence[int], parallel: int) -> list[Slot]:
    if parallel > len(cores):
        raise InvalidValue(f"--parallel is {parallel}, and this machine has {len(cores)} cores for the trials")
    if parallel == 1:
        return [Slot()]
    shares = _shares(cores, parallel)
    if hasattr(os, "sched_setaffinity"):
        return [Slot(cores=tuple(share)) for share in shares]
    # Where a process can't be bound, its libraries at least start no more threads.
    return [Slot({name: str(len(share)) for name in ("NPROC", "OMP_NUM_THREADS")}) for share in shares]


def _device_slots(kind: str, count: int, parallel: int) -> list[Slot]:
    if parallel > count:
        raise InvalidValue(f"--parallel is {parallel}, and this machine has {count} devices: a trial needs one")
    if parallel == 1:
        return [Slot()]
    visible = [name for name in os.environ.get(VISIBLE[kind], "").split(",") if name]
    names = visible or [str(number) for number in range(count)]
    slots = []
    for share in _shares(names, parallel):
        environment = {VISIBLE[kind]: ",".join(share)}
        if kind == "tpu":
            if len(share) not in TPU_BOUNDS:
                raise InvalidValue(
                    f"a trial would have {len(share)} TPU chips: choose --parallel so that it has 1, 2 or 4"
                )
            environment |= {"TPU_CHIPS_PER_PROCESS_BOUNDS": TPU_BOUNDS[len(share)], "TPU_PROCESS_BOUNDS": "1,1,1"}
        slots.append(Slot(environment))
    return slots


def _shares(items: Sequence[Any], parts: int) -> list[Sequence[Any]]:
    """Equal shares; what is left over stays unused, so that trials are alike."""
    size = len(items) // parts
    return [items[i * size : (i + 1) * size] for i in range(parts)]
