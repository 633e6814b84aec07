"""Sweeps on Ray Tune: a cluster of two nodes of which one is lost, and one of this machine that is stopped."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from launching import launch, needs_data, start
from sweeping import experiment, until

from convnets.errors import InvalidValue
from convnets.sweeps.trial_process import LOCK_FILE
from convnets.training.metrics_log import read_records

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
from convnets.sweeps.engines.ray_cluster import OBJECT_STORE, SETTINGS, check_shared, cluster

pytestmark = [needs_data(), pytest.mark.cluster]


def arguments(folder: Path, *rates: float) -> list[str]:
    """A sweep of these learning rates, whose workdir is `folder / "sweep"`."""
    # Long enough that a node is lost meanwhile.
    sweep = f'yield from grid({{"optimizer.learning_rate": {rates!r}}})'
    flag = experiment(folder, sweep, steps=2000, evaluate=200, save=20)
    return ["sweep", "--engine=ray", flag, f"--workdir={folder / 'sweep'}"]


def last_checkpoint(trial: Path) -> int:
    return max((int(path.name) for path in (trial / "checkpoints").glob("*") if path.name.isdigit()), default=0)


# In a process of its own: it forks, and the tests' has JAX's threads.
CLUSTER = """
import sys

from ray.cluster_utils import Cluster

node = {"num_cpus": 1, "object_store_memory": MEMORY}
cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
try:
    other = cluster.add_node(**node)
    print("cluster", cluster.address, other.all_processes["raylet"][0].process.pid, flush=True)
    sys.stdin.readline()
    cluster.remove_node(other, allow_graceful=False)
    sys.stdin.readline()
finally:
    cluster.shutdown()
"""


@dataclass(frozen=True)
class TwoNodes:
    """Ray's own cluster of a head and another node, each with a CPU."""

    process: subprocess.Popen[str]
    address: str
    raylet: int  # of the other node, the process that has started all that runs there

    def trains_on_the_other(self, trial: Path) -> bool:
        """Whether the process that holds the trial's workdir comes from that node."""
        holder = (trial / LOCK_FILE).read_text().split()[-1:] if (trial / LOCK_FILE).exists() else []
        process = int(holder[0]) if holder else 0
        while process not in (0, self.raylet) and (status := Path(f"/proc/{process}/status")).exists():
            process = int(re.search(r"^PPid:\s+(\d+)", status.read_text(), re.MULTILINE)[1])
        return process == self.raylet

    def lose_the_other(self) -> None:
        """Kills the other node."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    """The cluster, whose other node is lost in the first test."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER.replace("MEMORY", str(OBJECT_STORE))],
        env=os.environ | SETTINGS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said = iter(process.stdout.readline, "")
        _, address, raylet = next(line.split() for line in said if line.startswith("cluster "))
        yield TwoNodes(process, address, int(raylet))
        # At the end of its input the cluster is taken down, wherever it stands.
        process.communicate(timeout=60)


def test_the_trial_of_a_lost_node_goes_on_from_its_checkpoint_and_one_that_fails_stops_no_other(two_nodes, tmp_path):
    line = arguments(tmp_path, 0.02, 0.05, 1e38)
    workdir = tmp_path / "sweep"
    trials = [workdir / "trials" / f"{number:04}" for number in range(3)]
    with start([*line, f"--address={two_nodes.address}"]) as process:
        until(lambda: any(last_checkpoint(t) >= 60 and two_nodes.trains_on_the_other(t) for t in trials[:2]), process)
        two_nodes.lose_the_other()
        said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said

    # Killed where it was, and not asked to save.
    logs = [(trial / "output.log").read_text() for trial in trials]
    (resumed,) = [number for number in range(2) if "resuming at step" in logs[number]]
    at = int(re.search(r"resuming at step (\d+) of 2000", logs[resumed])[1])
    assert at >= 60 and at % 20 == 0 and "stopped by" not in logs[resumed]
    assert f"trial {resumed:04} has lost its process or its node (" in said

    records = [read_records(trial / "metrics.jsonl") for trial in trials[:2]]
    steps = [[(r["kind"], r["step"]) for r in each if r.get("split") != "test"] for each in records]
    assert steps[0] == steps[1] and len(steps[0]) == len(set(steps[0])), "each is recorded once, lost node or not"
    found = json.loads((workdir / "sweep.json").read_text())["trials"]
    for trial, its in zip(found, records, strict=False):
        assert trial["state"] == "complete"
        assert trial["history"] == [r["top1"] for r in its if r["kind"] == "evaluation" and r["split"] == "validation"]
        assert len(trial["history"]) == 10
    assert found[2]["state"] == "failed" and found[2]["error"].startswith("the loss of step 1 is ")
    assert logs[2].count("error: ") == 1, "what fails by itself is not tried again"
    best = max(found[:2], key=lambda trial: trial["value"])
    config = json.loads((workdir / "best.json").read_text())
    assert config["optimizer"]["learning_rate"] == best["values"]["optimizer.learning_rate"]


def test_a_node_without_the_workdir_is_named(two_nodes, tmp_path):
    elsewhere = SimpleNamespace(workdir=tmp_path / "sweep")
    words = f"the node .* does not have the workdir {elsewhere.workdir}: put it on a file system that all nodes share"
    with cluster(two_nodes.address), pytest.raises(InvalidValue, match=words):
        check_shared(elsewhere)


def test_a_stopped_sweep_has_saved_and_the_same_command_goes_on(tmp_path):
    line = [*arguments(tmp_path, 0.02), "--config.evaluation.every=2000 steps"]
    trial = tmp_path / "sweep" / "trials" / "0000"
    with start(line) as process:
        until(lambda: last_checkpoint(trial) >= 20, process)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "stopped by SIGTERM, and saved: the same command again resumes it" in said
    stopped_at = int((trial / "output.log").read_text().split("stopped by SIGTERM at step ")[1].split()[0])

    # On whatever engine: the study is the same.
    status, said = launch([argument for argument in line if argument != "--engine=ray"])
    assert status == 0, said
    assert f"resuming at step {stopped_at} of 2000" in (trial / "output.log").read_text()
    (found,) = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["trials"]
    assert (found["state"], found["step"]) == ("complete", 2000)
