"""Each of the trials that run at once has an equal share of the devices."""

import pytest

from convnets.errors import InvalidValue
from convnets.sweeps import devices
from convnets.sweeps.devices import Slot, slots_of_this_machine


def machine(monkeypatch, kind: str, count: int) -> None:
    monkeypatch.setattr(devices, "devices_here", lambda: (kind, count))


def test_on_a_cpu_one_trial_has_all_cores_and_several_share_them(monkeypatch):
    machine(monkeypatch, "cpu", 1)
    monkeypatch.setattr(devices, "cores_here", lambda: [1, 2, 3, 5, 6])
    assert slots_of_this_machine() == [Slot()]
    assert [slot.cores for slot in slots_of_this_machine(2)] == [(1, 2), (3, 5)]
    assert [slot.cores for slot in slots_of_this_machine(5)] == [(1,), (2,), (3,), (5,), (6,)]
    with pytest.raises(InvalidValue, match="--parallel is 6, and this machine has 5 cores"):
        slots_of_this_machine(6)


def test_each_device_has_a_trial_and_fewer_trials_have_several(monkeypatch):
    machine(monkeypatch, "gpu", 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots_of_this_machine()] == ["0", "1", "2", "3"]
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots_of_this_machine(2)] == ["0,1", "2,3"]
    assert slots_of_this_machine(1) == [Slot()]
    with pytest.raises(InvalidValue, match="--parallel is 5, and this machine has 4 devices"):
        slots_of_this_machine(5)


def test_devices_that_a_job_was_given_keep_their_names(monkeypatch):
    machine(monkeypatch, "gpu", 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots_of_this_machine()] == ["5", "GPU-7"]
    machine(monkeypatch, "rocm", 2)
    monkeypatch.delenv("HIP_VISIBLE_DEVICES", raising=False)
    assert [slot.environment for slot in slots_of_this_machine()] == [
        {"HIP_VISIBLE_DEVICES": "0"},
        {"HIP_VISIBLE_DEVICES": "1"},
    ]


def test_chips_of_a_tpu_are_told_their_shape(monkeypatch):
    machine(monkeypatch, "tpu", 4)
    monkeypatch.delenv("TPU_VISIBLE_CHIPS", raising=False)
    slots = slots_of_this_machine(2)
    assert [slot.environment["TPU_VISIBLE_CHIPS"] for slot in slots] == ["0,1", "2,3"]
    assert {slot.environment["TPU_CHIPS_PER_PROCESS_BOUNDS"] for slot in slots} == {"1,2,1"}
    machine(monkeypatch, "tpu", 6)
    with pytest.raises(InvalidValue, match="a trial would have 3 TPU chips"):
        slots_of_this_machine(2)
