"""What this machine has for the processes that are started on it, devices and cores, and the share of each process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax

from convnets.errors import InvalidValue
from convnets.training.interruption import PARENT

PACKAGE = Path(__file__).resolve().parents[1]
PROGRAM = (sys.executable, "-P", "-m", "convnets")
"""The program of which other processes are started; -P: not what lies in the current folder under that name."""

ASK = """
import json, jax
devices = jax.local_devices()
kind = devices[0].platform
if kind == "gpu" and "rocm" in devices[0].client.platform_version.lower():
    kind = "rocm"
count = len({tuple(device.coords) for device in devices}) if kind == "tpu" else len(devices)
print(json.dumps([kind, count]))
"""

VISIBLE = {"gpu": "CUDA_VISIBLE_DEVICES", "rocm": "HIP_VISIBLE_DEVICES", "tpu": "TPU_VISIBLE_CHIPS"}
TPU_BOUNDS = {1: "1,1,1", 2: "1,2,1", 4: "2,2,1", 8: "2,4,1"}
"""The shape of so many chips of a host."""


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


@dataclass(frozen=True)
class Share:
    """The part of this machine that a process is bound to.

    Attributes:
      environment: variables that the process is given.
      cores: of the CPU; () for all.
      description: such as "2 GPUs".
    """

    environment: dict[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    description: str = field(default="", compare=False)

    def start(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Starts `convnets ARGUMENTS` in a process that saves and ends once this one is gone.

        Args:
          options: of `subprocess.Popen`.
        """
        environment = os.environ | program_environment() | self.environment | {PARENT: str(os.getpid())}
        with _bound_to(self.cores):
            return subprocess.Popen([*PROGRAM, *arguments], env=environment, **options)


def program_environment() -> dict[str, str]:
    """The variables with which another process imports this package: needed where it is a checkout, not installed."""
    if PACKAGE.parent.name in ("site-packages", "dist-packages"):
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))}


@contextmanager
def _bound_to(cores: Sequence[int]) -> Iterator[None]:
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


def shares_of_processes(count: int) -> list[Share]:
    """An equal share of the visible GPUs, or else of the CPU cores, for each of the processes of one run.

    Raises:
      InvalidValue: GPUs that the processes can't share equally, devices that one process drives alone, or a driver that
        fails.
    """
    kind, devices = devices_here()
    if kind == "cpu":
        cores = cores_here()
        # Not every system binds processes, and where cores are fewer than processes they share all.
        if len(cores) < count:
            return [Share(description=f"all {len(cores)} cores" if cores else "all cores")] * count
        return [Share(cores=share, description=_counted(len(share), "core")) for share in _split(cores, count)]
    if kind == "tpu":
        raise InvalidValue("--local_processes is for GPUs and CPUs, and one process drives all chips of a TPU host")
    if devices % count:
        fitting = ", ".join(str(number) for number in range(1, devices + 1) if devices % number == 0)
        raise InvalidValue(f"--local_processes is {count}, which can't share {devices} GPUs equally: use {fitting}")
    return [
        Share({"JAX_LOCAL_DEVICE_IDS": ",".join(map(str, share))}, description=_counted(len(share), "GPU"))
        for share in _split(range(devices), count)
    ]


def shares_of_trials(parallel: int = 0) -> list[Share]:
    """An equal share of the devices for each of the trials that run at once.

    Args:
      parallel: how many; 0: one for each device, where the CPU is one.

    Raises:
      InvalidValue: more than there are devices or cores, or devices that JAX can't start.
    """
    kind, count = devices_here()
    parallel = parallel or count
    cores = cores_here() or range(os.cpu_count() or 1)
    if kind == "cpu" and parallel > len(cores):
        raise InvalidValue(f"--parallel is {parallel}, and this machine has {len(cores)} cores for the trials")
    if kind != "cpu" and parallel > count:
        raise InvalidValue(f"--parallel is {parallel}, and this machine has {count} devices: a trial needs one")
    if parallel == 1:
        return [Share()]
    if kind == "cpu":
        shares = _split(cores, parallel)
        if hasattr(os, "sched_setaffinity"):
            return [Share(cores=share) for share in shares]
        # Where a process can't be bound, its libraries at least start no more threads.
        return [Share({name: str(len(share)) for name in ("NPROC", "OMP_NUM_THREADS")}) for share in shares]
    visible = [name for name in os.environ.get(VISIBLE[kind], "").split(",") if name]
    return [_device_share(kind, share) for share in _split(visible or [str(i) for i in range(count)], parallel)]


def _device_share(kind: str, devices: Sequence[str]) -> Share:
    environment = {VISIBLE[kind]: ",".join(devices)}
    if kind == "tpu":
        if len(devices) not in TPU_BOUNDS:
            raise InvalidValue(
                f"a trial would have {len(devices)} TPU chips: choose --parallel so that it has 1, 2, 4 or 8"
            )
        environment |= {"TPU_CHIPS_PER_PROCESS_BOUNDS": TPU_BOUNDS[len(devices)], "TPU_PROCESS_BOUNDS": "1,1,1"}
    return Share(environment)


def _split(items: Sequence[Any], parts: int) -> list[tuple[Any, ...]]:
    """Equal shares; what is left over stays unused, so that all are alike."""
    size = len(items) // parts
    return [tuple(items[i * size : (i + 1) * size]) for i in range(parts)]


def _counted(count: int, name: str) -> str:
    return f"{count} {name if count == 1 else name + 's'}"
