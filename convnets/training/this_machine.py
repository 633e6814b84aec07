"""What this machine has for processes that are started on it: devices, without holding them, and cores."""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from importlib.util import find_spec

import jax

from convnets.errors import InvalidValue

ASK = """
import json, jax
devices = jax.local_devices()
kind = devices[0].platform
if kind == "gpu" and "rocm" in devices[0].client.platform_version.lower():
    kind = "rocm"
count = len({tuple(device.coords) for device in devices}) if kind == "tpu" else len(devices)
print(json.dumps([kind, count]))
"""


def can_only_be_cpu() -> bool:
    """Whether JAX is told to use the CPU, or is installed for nothing else; asking JAX would start its threads."""
    chosen: str | None = jax.config.jax_platforms  # type: ignore[attr-defined]
    if chosen:
        return chosen == "cpu"
    return not entry_points(group="jax_plugins") and all(find_spec(name) is None for name in ("jax_plugins", "libtpu"))


def devices_here() -> tuple[str, int]:
    """The kind of this machine's devices, "gpu" (NVIDIA's), "rocm", "tpu" or "cpu", and how many there are.

    Raises:
      InvalidValue: a driver that fails.
    """
    if can_only_be_cpu():
        return "cpu", 1
    # In a process of its own: here JAX would hold them. It needs none of their memory, of which others may have most.
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    asked = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=False)
    if asked.returncode:
        words = (asked.stderr.strip() or f"exit status {asked.returncode}").splitlines()[-1][:400]
        raise InvalidValue(
            f"JAX can't say what devices there are ({words}): put that right, or train on the CPU by "
            "JAX_PLATFORMS=cpu in the environment"
        )
    kind, count = json.loads(asked.stdout.splitlines()[-1])
    return kind, count


def cores_here() -> list[int]:
    """Those of the CPU that this process may use; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextmanager
def bound_to(cores: Collection[int]) -> Iterator[None]:
    """Processes that this thread starts meanwhile are bound to these cores, from before they have threads; (): all."""
    if not cores:
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)
