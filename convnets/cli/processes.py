"""How the processes of one run find each other: by flags, or by the cluster that started them."""

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import jax

from convnets.errors import InvalidValue

NOT_GIVEN = -1
"""The default of the flags that are numbers of processes."""

ANSWERS_WITHIN = 300
"""Seconds that a process waits for the others to come, at the start."""

HEARTBEAT = 20
"""Seconds without a sign of life after which a process counts as dead while no collective is under way."""


@dataclass(frozen=True)
class Cluster:
    """What started this process, perhaps with others.

    Attributes:
      count: how many it started together; None if only JAX can find out.
      certain: whether there is a cluster at all, which only JAX can find out too.
    """

    name: str
    count: int | None
    certain: bool = True


def cluster_of(environment: Mapping[str, str]) -> Cluster | None:
    """The cluster that says of itself, in the environment, that it started this process as a task of a job."""
    # In the order in which JAX looks. A job of one task, such as an interactive shell, has nobody to join.
    if count := environment.get("OMPI_COMM_WORLD_SIZE"):
        return Cluster("Open MPI", int(count))
    if {"SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID"} <= environment.keys():
        # Within `salloc` SLURM_NTASKS may be the job's, while the step that is this shell has one task.
        count = environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS") or "1"
        return Cluster("Slurm", int(count))
    if "TPU_WORKER_HOSTNAMES" in environment or "TPU_PROCESS_ADDRESSES" in environment:
        hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES", "")
        return Cluster("Cloud TPU", len(hosts.split(",")) * int(environment.get("MEGASCALE_NUM_SLICES", "1")))
    if {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environment.keys():
        return Cluster("Kubernetes", None)
    # The other Cloud TPUs know it from a server of their own.
    return (
        Cluster("Cloud TPU", None, certain=False)
        if find_spec("libtpu") and not environment.get("JAX_PLATFORMS")
        else None
    )


def own_gpu(environment: Mapping[str, str]) -> int | None:
    """The GPU of this process by its local number, as JAX chooses it in a cluster, where several share a node.

    Returns:
      None: all that it sees, or those of JAX_LOCAL_DEVICE_IDS. On CPUs either is without effect.
    """
    if "JAX_LOCAL_DEVICE_IDS" in environment:
        return None
    if int(environment.get("OMPI_COMM_WORLD_LOCAL_SIZE", "1")) > 1:
        return int(environment["OMPI_COMM_WORLD_LOCAL_RANK"])
    # Such as "8(x4)", or "2,1": a node of eight tasks four times, one of two and one of one.
    tasks = re.findall(r"\d+(?=\(|,|$)", environment.get("SLURM_STEP_TASKS_PER_NODE", "1"))
    number = environment.get("SLURM_LOCALID")
    return int(number) if number and max(map(int, tasks), default=1) > 1 else None


@dataclass(frozen=True)
class Meeting:
    """Where the processes of a run meet, and which of them this is; all None: JAX asks the cluster."""

    coordinator: str | None = None
    count: int | None = None
    number: int | None = None


def meeting_of(coordinator: str, count: int, number: int, cluster: Cluster | None) -> Meeting | None:
    """Where to join the others; None for a process that trains alone.

    Args:
      coordinator: host:port of the first process, or empty.
      count: of the processes, or `NOT_GIVEN`; 1 trains alone wherever it is.
      number: of this one, or `NOT_GIVEN`.

    Raises:
      InvalidValue: numbers that don't fit, something missing, or another number than the cluster started.
    """
    if count == NOT_GIVEN:
        if coordinator or number != NOT_GIVEN:
            raise InvalidValue("--num_processes is missing: --coordinator and --process_id go with it")
        return None if cluster is None or cluster.count == 1 else Meeting()
    if count < 1 or (number != NOT_GIVEN and not 0 <= number < count):
        given = "not given" if number == NOT_GIVEN else number
        raise InvalidValue(f"--process_id must lie in [0, --num_processes), and they are {given} and {count}")
    if count == 1:
        return None
    if cluster is not None and cluster.count not in (None, 1, count):
        raise InvalidValue(
            f"--num_processes is {count}, and {cluster.name} has started {cluster.count}: leave the flags out to join "
            "those, or give --num_processes=1 to train alone in each"
        )
    if number == NOT_GIVEN:
        raise InvalidValue(f"--process_id is missing: give each process its own, 0 to {count - 1}")
    if not coordinator:
        raise InvalidValue("--coordinator is missing: give host:port of the first process, the same to all")
    if not re.fullmatch(r"[^\s/]+:\d{1,5}", coordinator) or not 1 <= int(coordinator.rpartition(":")[2]) <= 65535:
        raise InvalidValue(
            f"--coordinator is {coordinator!r}, and must be host:port, such as node1:12345, with a port in [1, 65535]"
        )
    return Meeting(coordinator, count, number)


def join(meeting: Meeting, cluster: Cluster | None) -> bool:
    """Joins the other processes, and waits until all are there.

    Returns:
      Whether there are any; always, but where only JAX knows whether this is a cluster.

    Raises:
      InvalidValue: nobody there within `ANSWERS_WITHIN` seconds, or a cluster that JAX can't find its way in.
    """
    if meeting.coordinator is not None:
        (_wait_for if meeting.number else _refuse_taken)(meeting.coordinator)
    host = (meeting.coordinator or "").rpartition(":")[0]
    # JAX would end the process at its own time limit, with a trace of its C++.
    impatience = threading.Timer(ANSWERS_WITHIN, _give_up, (meeting, cluster))
    impatience.daemon = True
    impatience.start()
    try:
        jax.distributed.initialize(
            meeting.coordinator,
            meeting.count,
            meeting.number,
            local_device_ids=own_gpu(os.environ) if meeting.coordinator else None,
            cluster_detection_method="deactivate" if meeting.coordinator else None,
            # What is for this machine alone is not offered to the network.
            coordinator_bind_address=meeting.coordinator if host in ("127.0.0.1", "localhost") else None,
            initialization_timeout=ANSWERS_WITHIN + 60,
            heartbeat_timeout_seconds=HEARTBEAT,
        )
    except (RuntimeError, ValueError, OSError) as error:
        if cluster is not None and not cluster.certain and not meeting.coordinator:
            return False
        raise InvalidValue(_why_not(meeting, cluster, " ".join(str(error).split()))) from None
    finally:
        impatience.cancel()
    return True


def _give_up(meeting: Meeting, cluster: Cluster | None) -> None:
    print(f"error: {_why_not(meeting, cluster, 'not all of them came')}", file=sys.stderr, flush=True)
    os._exit(1)


def _why_not(meeting: Meeting, cluster: Cluster | None, words: str) -> str:
    if meeting.coordinator is None and cluster is not None:
        several = "several processes" if cluster.count is None else f"{cluster.count} processes"
        return (
            f"{cluster.name} seems to have started {several} together, and JAX can't join them ({words[:600]}): give "
            "--coordinator, --num_processes and --process_id, or --num_processes=1 to train alone in each"
        )
    return (
        f"the {meeting.count} processes did not meet at {meeting.coordinator} within {ANSWERS_WITHIN} s "
        f"({words[:200]}): start them all, with the same --coordinator, on a port that is free on its host"
    )


def _wait_for(coordinator: str) -> None:
    host, _, port = coordinator.rpartition(":")
    deadline = time.monotonic() + ANSWERS_WITHIN
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise InvalidValue(
                    f"nobody answers at --coordinator={coordinator} ({error}), after {ANSWERS_WITHIN} s: start "
                    "--process_id=0 on that host, and let no firewall close the port"
                ) from None
        time.sleep(0.1)


def _refuse_taken(coordinator: str) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = int(coordinator.rpartition(":")[2])
        try:
            listener.bind(("", port))
        except OSError as error:
            raise InvalidValue(
                f"the port of --coordinator={coordinator} can't be had here, where --process_id=0 is ({error}): name "
                "another, the same to all processes"
            ) from None
