"""Addresses of clusters, and what of a node a trial is given."""

import socket

import pytest

from convnets.errors import InvalidValue

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
from convnets.sweeps.engines import ray_cluster
from convnets.sweeps.engines.ray_cluster import cluster, share_of_a_trial

LAPTOP = {"CPU": 4.0, "memory": 1e9}
SERVER = {"CPU": 64.0, "GPU": 8.0}
HEAD = {"memory": 1e9}


@pytest.mark.parametrize(
    ("nodes", "parallel", "share"),
    [
        ([LAPTOP], 0, {"CPU": 4}),
        ([LAPTOP, {"CPU": 10.0}], 3, {"CPU": 1}),
        ([HEAD, SERVER], 0, {"CPU": 8, "GPU": 1}),
        # Where there are GPUs, the other nodes have no trials.
        ([LAPTOP, SERVER], 2, {"CPU": 32, "GPU": 4}),
        ([SERVER, {"CPU": 8.0, "GPU": 4.0}], 0, {"CPU": 2, "GPU": 1}),
        ([{"CPU": 1.0, "GPU": 2.0}], 0, {"CPU": 1, "GPU": 1}),
        ([{"CPU": 208.0, "TPU": 4.0}], 1, {"CPU": 208, "TPU": 4}),
    ],
)
def test_the_smallest_node_has_room_for_so_many_trials(monkeypatch, nodes, parallel, share):
    described = [{"Alive": True, "Resources": node} for node in nodes] + [{"Alive": False, "Resources": {"CPU": 1}}]
    monkeypatch.setattr(ray_cluster.ray, "nodes", lambda: described)
    assert share_of_a_trial(parallel) == share


@pytest.mark.parametrize(
    ("nodes", "parallel", "words"),
    [
        ([SERVER], 9, "--parallel is 9, and a node has 8 GPUs for trials: each needs one"),
        ([LAPTOP], 5, "--parallel is 5, and a node has 4 CPUs for trials: each needs one"),
        ([HEAD], 0, "no node of the cluster has a CPU for trials"),
    ],
)
def test_more_trials_than_a_node_has_room_for_are_refused(monkeypatch, nodes, parallel, words):
    monkeypatch.setattr(ray_cluster.ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
    with pytest.raises(InvalidValue, match=words):
        share_of_a_trial(parallel)


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "somewhere", ":6379", "127.0.0.1:port"])
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(InvalidValue, match="must be HOST:PORT of the head node"), cluster(address):
        pass


def test_what_does_not_answer_or_is_no_cluster_is_refused_in_the_stated_time(monkeypatch):
    monkeypatch.setattr(ray_cluster, "SECONDS_TO_JOIN", 1.0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(InvalidValue, match="no cluster of Ray's answers at --address=127"), cluster(address):
            pass
        other.listen()
        with pytest.raises(InvalidValue, match="no answer of Ray's within 1 seconds"), cluster(address):
            pass
