"""The cluster that Ray runs trials on: one that is there, or one made of this machine."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from convnets.errors import InvalidValue
from convnets.sweeps.sweep import Sweep
from convnets.training.this_machine import PACKAGE

SETTINGS = {
    # It reports to nobody.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Nodes without an accelerator do as Ray will do by default, and don't warn of it.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
SECONDS_TO_CONNECT = 10.0
SECONDS_TO_JOIN = 60.0
SECONDS_TO_LOOK = 60.0
OBJECT_STORE = 128 * 2**20
"""Bytes; only configs and metrics pass through it."""
ACCELERATORS = ("GPU", "TPU")


@contextmanager
def cluster(address: str) -> Iterator[None]:
    """Joins the cluster at HOST:PORT or `auto`; with none given makes one of this machine.

    Raises:
      InvalidValue: no cluster there, or none that answers within `SECONDS_TO_CONNECT` and `SECONDS_TO_JOIN`.
    """
    os.environ.update(SETTINGS)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address:
        _check_address(address)
        options["address"] = address
    else:
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_STORE}
    ray.init(**options)
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Refuses what is no cluster, in good time: `ray.init` itself may try for many minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or "/" in host:
            raise InvalidValue(
                f"--address={address} must be HOST:PORT of the head node (ray start --head says it), or auto on one of "
                "its nodes"
            )
        try:
            socket.create_connection((host, int(port)), SECONDS_TO_CONNECT).close()
        except (OSError, OverflowError) as error:
            raise InvalidValue(
                f"no cluster of Ray's answers at --address={address} ({error}): start one by ray start --head, or "
                "leave --address out to run on this machine"
            ) from None
    attempt = [sys.executable, "-c", f"import ray; ray.init(address={address!r}, log_to_driver=False)"]
    try:
        ended = subprocess.run(attempt, capture_output=True, text=True, timeout=SECONDS_TO_JOIN, check=False)
        words = ended.stderr.strip().splitlines()[-1].rstrip(".") if ended.returncode else ""
    except subprocess.TimeoutExpired:
        words = f"no answer of Ray's within {SECONDS_TO_JOIN:.0f} seconds"
    if words:
        raise InvalidValue(
            f"the cluster at --address={address} can't be joined from here ({words}): start the sweep on one of its "
            "nodes, with the same version of Ray and of Python"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]


def check_shared(sweep: Sweep) -> None:
    """Refuses a cluster whose nodes don't have the sweep's workdir and this project at the same place.

    Raises:
      InvalidValue: naming the nodes.
    """
    needed = {
        str(sweep.workdir / "study.json"): f"the workdir {sweep.workdir}",
        str(PACKAGE): f"convnets in {PACKAGE.parent}",
        os.getcwd(): f"the folder {os.getcwd()} that the sweep is started in",
    }

    # Within a function, so that it goes to the nodes by value: what it looks for may not be there.
    def missing(paths: Sequence[str]) -> list[str]:
        return [path for path in paths if not os.path.exists(path)]

    looks = {
        node["NodeManagerHostname"]: ray.remote(num_cpus=0)(missing)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(list(needed))
        for node in _nodes()
    }
    for host, look in looks.items():
        try:
            lacking = ray.get(look, timeout=SECONDS_TO_LOOK)
        except ray.exceptions.RayError as error:
            raise InvalidValue(f"the node {host} of the cluster doesn't answer: {_first_line(error)}") from None
        if lacking:
            raise InvalidValue(
                f"the node {host} does not have {' and '.join(needed[path] for path in lacking)}: put it on a file "
                "system that all nodes share, at the same path"
            )


def share_of_a_trial(parallel: int) -> dict[str, int]:
    """What of a node a trial is given, as `{"CPU": 8, "GPU": 1}`, so that the smallest has room for `parallel` trials.

    Args:
      parallel: trials at once on each node; 0: one for each accelerator, where the CPU of a node without is one.

    Raises:
      InvalidValue: more than there are accelerators or cores.
    """
    nodes = [node["Resources"] for node in _nodes() if node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise InvalidValue("no node of the cluster has a CPU for trials: start nodes with --num-cpus above 0")
    for kind in ACCELERATORS:
        having = [node for node in nodes if node.get(kind, 0) >= 1]
        if having:
            count = int(min(node[kind] for node in having))
            return _share(having, parallel or count, kind, count)
    return _share(nodes, parallel or 1, "CPU", int(min(node["CPU"] for node in nodes)))


def _share(nodes: Sequence[dict[str, float]], parallel: int, kind: str, count: int) -> dict[str, int]:
    if parallel > count:
        raise InvalidValue(f"--parallel is {parallel}, and a node has {count} {kind}s for trials: each needs one")
    cpus = int(min(node["CPU"] for node in nodes))
    return {"CPU": max(1, cpus // parallel)} | {kind: count // parallel}


def trials_at_once(resources: dict[str, int]) -> int:
    """How many trials that are each given these resources the cluster has room for."""
    nodes = [node["Resources"] for node in _nodes()]
    return sum(int(min(node.get(name, 0) // count for name, count in resources.items())) for node in nodes)


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]
