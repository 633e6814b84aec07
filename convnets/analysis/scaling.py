"""How a training step scales over devices: what it computes, what it sums over them, and the efficiency of both.

Data parallel training computes the gradient of each device's examples and sums it over all devices, once a step. So
computing grows with the operations of a network and summing with its parameters: what counts is the operations for each
byte. AlexNet, with most of its parameters in fully connected layers, has the fewest by far.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from convnets.analysis.interconnects import Machine
from convnets.errors import InvalidValue

PASSES = 3
"""The gradient by the maps and that by the weights take as many multiply-adds each as the forward pass."""

OPERATIONS = 2
"""Of a multiply-add, as the peaks of data sheets count them."""

BACKWARD = 2 / 3
"""The part of computing during which gradients become known, and can be summed while the next are computed."""


@dataclass(frozen=True)
class StepTraffic:
    """What one training step sums over the devices, in bytes of one device's arrays.

    Attributes:
      gradients: of the parameters that are trained.
      statistics: of the batch norms, forward and backward, each sum by itself.
      metrics: of the loss, the metrics and the number of examples, each sum by itself.
    """

    gradients: int
    statistics: tuple[int, ...]
    metrics: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.gradients + sum(self.statistics) + sum(self.metrics)


@dataclass(frozen=True)
class Work:
    """A network in training.

    Attributes:
      name: of the network.
      multiply_adds: of the forward pass of one image, with what training alone computes.
      traffic: of one step.
      norms_apart: whether each device normalizes by its own statistics, and no layer waits for their sums.
    """

    name: str
    multiply_adds: int
    traffic: StepTraffic
    norms_apart: bool = False

    @property
    def operations(self) -> int:
        """Of one image in training: forward and backward, two for a multiply-add."""
        return PASSES * OPERATIONS * self.multiply_adds

    def intensity(self, batch: float) -> float:
        """Operations for each byte of gradients, of a device with so many images."""
        return self.operations * batch / self.traffic.gradients


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step.

    Attributes:
      computing: forward and backward.
      updating: of the sums that the update of parameters and running statistics alone waits for.
      waiting: of the sums that layers wait for, those of synchronized batch norms.
    """

    computing: float
    updating: float
    waiting: float

    @property
    def summing(self) -> float:
        """All sums."""
        return self.updating + self.waiting

    @property
    def efficiency_without_overlap(self) -> float:
        """The part of the step that is spent computing, if gradients are summed when all of them are there."""
        return self.computing / (self.computing + self.summing)

    @property
    def efficiency_with_overlap(self) -> float:
        """The same, if gradients are summed beside the backward pass, as far as they find time there."""
        exposed = max(0.0, self.updating - BACKWARD * self.computing)
        return self.computing / (self.computing + exposed + self.waiting)


@dataclass(frozen=True)
class Point:
    """A step on so many devices, each with so many images."""

    devices: int
    batch: float
    time: StepTime


def step_time(work: Work, machine: Machine, devices: int, batch: float, rate: float) -> StepTime:
    """The time of a step in which each device has `batch` images.

    Args:
      rate: images a second that a device computes by itself.
    """
    # The metrics are left out: they travel with the gradients, the number of examples ahead of the layers.
    gradients = machine.all_reduce_seconds(work.traffic.gradients, devices)
    statistics = sum(machine.all_reduce_seconds(size, devices) for size in work.traffic.statistics)
    if work.norms_apart:
        return StepTime(batch / rate, gradients + statistics, 0.0)
    return StepTime(batch / rate, gradients, statistics)


def sustained_rate(work: Work, machine: Machine, utilization: float) -> float:
    """Images a second of a device that reaches so much of its peak, from 0 to 1."""
    return utilization * machine.peak / work.operations


def scaling_steps(
    work: Work, machine: Machine, counts: Sequence[int], batch: int, rate: float, *, shared: bool = False
) -> list[Point]:
    """Steps on more and more devices, as many as there may be of a machine.

    Args:
      batch: images of each device (weak scaling) or, if `shared`, of all devices together (strong scaling).

    Raises:
      InvalidValue: a shared batch that the devices don't divide.
    """
    points = []
    for count in counts:
        if count > machine.largest:
            continue
        if shared and batch % count:
            raise InvalidValue(f"a global batch of {batch} can't be shared by {count} devices: use a multiple")
        each = batch / count if shared else batch
        points.append(Point(count, each, step_time(work, machine, count, each, rate)))
    return points
