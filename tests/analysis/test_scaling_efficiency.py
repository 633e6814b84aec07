"""Efficiency of a step over devices, by hand and against what was published."""

from dataclasses import replace

import pytest

from convnets.analysis.interconnects import MACHINES, Cluster, Link
from convnets.analysis.scaling import StepTime, StepTraffic, Work, scaling_steps, step_time, sustained_rate
from convnets.errors import InvalidValue

GRADIENTS_OF_RESNET50 = 4 * 25_557_032
WORK = Work("resnet50", 3_857_973_248, StepTraffic(GRADIENTS_OF_RESNET50, (), (4, 4)))
FAR = Link("a byte a second", 1.0, 0.0)


def plain(node: int = 1) -> Cluster:
    """Devices that send a byte a second and compute six operations in one."""
    return Cluster("bytes", 6.0, node, FAR, FAR, 0.0, 1024, ())


@pytest.mark.parametrize(("gradients", "efficiency"), [(3.0, 6 / 7), (4.0, 6 / 7), (5.0, 6 / 8)])
def test_with_overlap_gradients_hide_behind_two_thirds_of_computing(gradients, efficiency):
    time = StepTime(computing=6.0, updating=gradients, waiting=1.0)
    assert time.efficiency_with_overlap == pytest.approx(efficiency)
    assert time.efficiency_without_overlap == pytest.approx(6 / (7 + gradients))


def test_a_step_by_hand():
    work = Work("small", 10, StepTraffic(gradients=80, statistics=(8, 16), metrics=(4,)))
    # 10 multiply-adds, two operations each, three passes, six operations a second: an image takes 10 s.
    rate = sustained_rate(work, plain(), 1.0)
    assert (work.operations, rate) == (60, pytest.approx(0.1))
    time = step_time(work, plain(), 2, 3, rate)
    # Two devices send as much as they have, whichever way they sum.
    assert (time.computing, time.updating, time.waiting) == pytest.approx((30, 80, 24))
    assert work.intensity(4) == 60 * 4 / 80
    apart = step_time(replace(work, norms_apart=True), plain(), 2, 3, rate)
    assert (apart.updating, apart.waiting, apart.summing) == (pytest.approx(104), 0, time.summing)


def test_weak_scaling_keeps_the_batch_of_a_device_and_strong_scaling_that_of_all():
    counts = (1, 2, 8, 512)
    weak = scaling_steps(WORK, MACHINES["tpu-v5e"], counts, 32, 100.0)
    strong = scaling_steps(WORK, MACHINES["tpu-v5e"], counts, 32, 100.0, shared=True)
    assert [(point.devices, point.batch) for point in weak] == [(1, 32), (2, 32), (8, 32)]
    assert [(point.devices, point.batch) for point in strong] == [(1, 32), (2, 16), (8, 4)]
    assert [point.time.computing for point in strong] == pytest.approx([0.32, 0.16, 0.04])
    assert weak[0].time.efficiency_without_overlap == strong[0].time.efficiency_with_overlap == 1


def test_a_batch_that_the_devices_do_not_divide_is_refused():
    with pytest.raises(InvalidValue, match="a global batch of 100 can't be shared by 8 devices"):
        scaling_steps(WORK, MACHINES["dgx-h100"], (1, 4, 8), 100, 1.0, shared=True)


def test_what_goyal_et_al_reached_lies_between_the_bounds():
    # "Accurate, large minibatch SGD" (2017), section 4.3: nodes of 8 P100 (NVLink 1: 160 GB/s in both directions) with
    # 50 Gb/s Ethernet each; 32 images a GPU, 120 ms of backward pass; about 90 % from 8 to 256 GPUs (section 5.5).
    machine = Cluster("Big Basin", 0.0, 8, Link("NVLink 1", 80e9, 0), Link("Ethernet", 50e9 / 8 / 8, 0), 0.0, 1024, ())
    rate = 32 / (0.120 * 3 / 2)
    eight, many = (point.time for point in scaling_steps(WORK, machine, (8, 256), 32, rate))
    without = many.efficiency_without_overlap / eight.efficiency_without_overlap
    overlapped = many.efficiency_with_overlap / eight.efficiency_with_overlap
    assert 0.8 < without < 0.9 < overlapped <= 1


def test_an_a100_at_a_fifth_of_its_peak_trains_about_as_fast_as_published():
    # NVIDIA/DeepLearningExamples, PyTorch, ResNet-50 v1.5 (4.09 GMACs), mixed precision: 2,470 images/s on one A100.
    work = Work("resnet50_v1_5", 4_089_184_256, WORK.traffic)
    assert sustained_rate(work, MACHINES["p4d"], 0.2) == pytest.approx(2470, rel=0.05)
