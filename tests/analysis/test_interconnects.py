"""Times of sums over devices, by hand and against figures that are published."""

import numpy as np
import pytest

from convnets.analysis.interconnects import MACHINES, Cluster, Link, Torus, grid, recursive_doubling, ring
from convnets.errors import InvalidValue

BYTE = Link("a byte a second", 1.0, 0.0)
STEP = Link("a second a step", np.inf, 1.0)


@pytest.mark.parametrize(
    ("formula", "devices", "steps", "sent"),
    # By hand, of 48 bytes: a ring sends an n-th part 2 (n - 1) times, recursive doubling all of it log2(n) times.
    [
        (ring, 2, 2, 48),
        (ring, 4, 6, 72),
        (ring, 8, 14, 84),
        (recursive_doubling, 2, 1, 48),
        (recursive_doubling, 8, 3, 144),
    ],
)
def test_the_formulas_count_the_steps_of_the_algorithms_and_what_each_device_sends(formula, devices, steps, sent):
    assert formula(48, devices, STEP) == steps
    assert formula(48, devices, BYTE) == pytest.approx(sent)


def test_a_node_of_h100_sums_the_gradient_of_alexnet_in_under_a_millisecond():
    # By hand: 62,378,344 parameters of 4 bytes, of which 2 x 7/8 pass each GPU's 450 GB/s: 0.970 ms; 14 steps, a start.
    seconds = MACHINES["dgx-h100"].all_reduce_seconds(249_513_376, 8)
    assert seconds == pytest.approx(0.9703e-3 + 14 * 0.6e-6 + 6.6e-6, rel=1e-3)


def test_between_nodes_goes_the_share_of_one_device():
    machine = Cluster("two levels", 1.0, 8, Link("fast", 100.0, 0.0), Link("slow", 10.0, 0.0), 0.0, 1024, ())
    # By hand, 800 bytes on 4 nodes of 8: 2 x 7/8 x 800 / 100 within, and 2 x 3/4 x 100 / 10 between.
    assert machine.all_reduce_seconds(800, 32) == pytest.approx(14 + 15)
    assert machine.all_reduce_seconds(800, 8) == pytest.approx(14)


def test_little_data_takes_as_many_steps_as_doublings():
    machine = Cluster("steps", 1.0, 8, Link("near", np.inf, 1.0), Link("far", np.inf, 10.0), 100.0, 1024, ())
    assert machine.all_reduce_seconds(4, 8) == 100 + 3
    assert machine.all_reduce_seconds(4, 1024) == 100 + 3 + 7 * 10


@pytest.mark.parametrize(
    ("devices", "axes", "sides"), [(1, 3, [1, 1, 1]), (1024, 3, [8, 8, 16]), (8, 2, [2, 4]), (256, 2, [16, 16])]
)
def test_grids_are_as_near_a_cube_as_they_can_be(devices, axes, sides):
    assert grid(devices, axes) == sides


def test_open_axes_are_used_one_way_and_closed_ones_both():
    def seconds(devices: int, link: Link) -> float:
        return Torus("grid", 1.0, 2, link, 4, 1024, ()).all_reduce_seconds(160, devices)

    # 2 x 15/16 x 160 bytes over two axes, in both directions each; 2 x 3/4 x 160 over two, one way.
    assert seconds(16, BYTE) == pytest.approx(300 / 4)
    assert seconds(4, BYTE) == pytest.approx(240 / 2)
    # Halfway around each closed axis of 4, and once along each open one of 2, there and back.
    assert seconds(16, STEP) == 2 * (2 + 2)
    assert seconds(4, STEP) == 2 * (1 + 1)


@pytest.mark.parametrize(
    ("name", "chips", "published"),
    # Google Cloud's documentation of the versions: "All-reduce bandwidth per Pod".
    [("tpu-v4", 4096, 1.1e15), ("tpu-v5e", 256, 51.2e12)],
)
def test_a_pod_reduces_about_what_google_says_of_it(name, chips, published):
    size = 1e12
    reached = 2 * (chips - 1) / chips * size / MACHINES[name].all_reduce_seconds(size, chips) * chips
    assert 0.85 * published < reached < 1.02 * published


def test_other_numbers_than_powers_of_two_are_refused_with_the_nearest():
    for name in ("dgx-h100", "tpu-v4"):
        with pytest.raises(InvalidValue, match="must be a power of two: use 8 or 16"):
            MACHINES[name].all_reduce_seconds(4, 12)
