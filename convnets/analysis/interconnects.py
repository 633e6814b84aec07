"""Machines of many devices: how long a sum over the devices takes on their links.

Every number is published, with its source; none was measured here. Bandwidths are those of one direction of one device,
as data sheets have them: a program reaches less, so times are lower bounds.

The algorithms are those of Thakur, Rabenseifner and Gropp ("Optimization of collective communication operations in
MPICH", 2005). Of n devices that sum V bytes over links of bandwidth B, each step of which takes a latency a:

- a ring: 2 (n - 1) steps of V / n bytes each, 2 (n - 1) a + 2 (n - 1) / n V / B. Best for much data;
- recursive doubling: log2(n) steps of all the data, log2(n) (a + V / B). Best for little.
"""

import math
from dataclasses import dataclass

from convnets.errors import InvalidValue

MICROSECOND = 1e-6


@dataclass(frozen=True)
class Link:
    """What connects a device with others.

    Attributes:
      name: as it is printed.
      bandwidth: bytes a second that one device sends, while it receives as many.
      latency: seconds of one step.
    """

    name: str
    bandwidth: float
    latency: float


@dataclass(frozen=True)
class Cluster:
    """Nodes of devices: all of a node on one fast link, each device with a slower one of its own to the other nodes.

    Much data goes in three stages: within a node each device sums its share, the shares are summed over the nodes, and
    every device of a node takes all shares. So the slow link carries a device's share only.

    Attributes:
      title: as it is printed.
      peak: operations of bfloat16 a second of one device; a multiply-add is two.
      node: devices in a node.
      inside, between: the link within a node, and a device's part of that between nodes.
      call: seconds that a collective takes to begin.
      largest: the most devices that are looked at here.
      sources: of the numbers.
    """

    title: str
    peak: float
    node: int
    inside: Link
    between: Link
    call: float
    largest: int
    sources: tuple[str, ...]

    def all_reduce_seconds(self, size: float, devices: int) -> float:
        """Seconds of one sum of `size` bytes over so many devices, by the better of the two algorithms.

        Raises:
          InvalidValue: a number of devices that is no power of two.
        """
        check_power_of_two(devices)
        here = min(devices, self.node)
        nodes = devices // here
        rings = ring(size, here, self.inside) + ring(size / here, nodes, self.between)
        doubling = recursive_doubling(size, here, self.inside) + recursive_doubling(size, nodes, self.between)
        return self.call + min(rings, doubling) if devices > 1 else 0.0


@dataclass(frozen=True)
class Torus:
    """Chips on a grid whose links lead to the nearest in each direction, and around it along axes that are long enough.

    The data are summed in as many parts as there are axes, each along the axes in another order, so that all links are
    busy; a ring that is closed is used in both directions.

    Attributes:
      title, peak, sources: as of a cluster.
      axes: of the grid.
      link: of one chip to one neighbour.
      closed: chips along an axis from which on, in multiples, its ends are linked.
      largest: the most chips on one grid, of those that are looked at here.
    """

    title: str
    peak: float
    axes: int
    link: Link
    closed: int
    largest: int
    sources: tuple[str, ...]

    def all_reduce_seconds(self, size: float, devices: int) -> float:
        """Seconds of one sum over so many chips on a grid as near a cube as it can be; otherwise as of a cluster."""
        sides = [side for side in grid(devices, self.axes) if side > 1]
        if not sides:
            return 0.0
        ways = min(2 if side % self.closed == 0 else 1 for side in sides)
        steps = sum(side // 2 if side % self.closed == 0 else side - 1 for side in sides)
        moved = 2 * (devices - 1) / devices * size
        return 2 * steps * self.link.latency + moved / (len(sides) * ways * self.link.bandwidth)


Machine = Cluster | Torus


def ring(size: float, devices: int, link: Link) -> float:
    """Seconds of a sum of `size` bytes around a ring: each device's n-th part is summed on its way, then spread."""
    return 2 * (devices - 1) * (link.latency + size / devices / link.bandwidth)


def recursive_doubling(size: float, devices: int, link: Link) -> float:
    """Seconds of a sum of `size` bytes by devices that exchange all they have with one twice as far at each step."""
    return math.log2(devices) * (link.latency + size / link.bandwidth)


def grid(devices: int, axes: int) -> list[int]:
    """The sides of a grid of a power of two of chips, the longest last: 1,024 in three axes are 8, 8 and 16."""
    check_power_of_two(devices)
    twos = devices.bit_length() - 1
    return [2 ** ((twos + axis) // axes) for axis in range(axes)]


def check_power_of_two(devices: int) -> None:
    """Refuses numbers of devices that are no powers of two.

    Raises:
      InvalidValue: with the nearest ones that are.
    """
    if devices < 1 or devices & (devices - 1):
        below = 2 ** (max(devices, 1).bit_length() - 1)
        raise InvalidValue(
            f"the number of devices is {devices}, and must be a power of two: use {below} or {2 * below}"
        )


_SCALING_BOOK = ("Austin et al., How to Scale Your Model, 2025 (jax-ml.github.io/scaling-book)",)
_ICI = Link("ICI", 45e9, MICROSECOND)


def _gpus(title: str, peak: float, inside: Link, between: Link, *sources: str) -> Cluster:
    """Nodes of eight GPUs, whose collectives begin as NCCL's model says."""
    nccl = "NCCL 2.18, src/graph/tuning.cc (its own model; protocol LL)"
    return Cluster(title, peak, 8, inside, between, 6.6 * MICROSECOND, 1024, (*sources, nccl))


MACHINES: dict[str, Machine] = {
    "dgx-h100": _gpus(
        "H100: NVLink in nodes of 8, InfiniBand 400 Gb/s a GPU",
        989e12,
        Link("NVLink 4", 450e9, 0.6 * MICROSECOND),
        Link("InfiniBand NDR", 50e9, 2.7 * MICROSECOND),
        "NVIDIA H100 data sheet: NVLink 900 GB/s in both directions, 989 TFLOP/s in bfloat16",
        "NVIDIA DGX H100 user guide: an NDR InfiniBand adapter of 400 Gb/s for each GPU",
    ),
    "p4d": _gpus(
        "A100: NVLink in nodes of 8, Ethernet 400 Gb/s a node",
        312e12,
        Link("NVLink 3", 300e9, 0.6 * MICROSECOND),
        Link("Elastic Fabric Adapter", 6.25e9, 2.7 * MICROSECOND),
        "NVIDIA A100 data sheet: NVLink 600 GB/s in both directions, 312 TFLOP/s in bfloat16",
        "Amazon EC2 P4d instances: 400 Gb/s for the eight GPUs of a machine",
    ),
    "tpu-v4": Torus("TPU v4: 3D torus", 275e12, 3, _ICI, 4, 1024, _SCALING_BOOK),
    "tpu-v5p": Torus("TPU v5p: 3D torus", 459e12, 3, Link("ICI", 90e9, MICROSECOND), 4, 1024, _SCALING_BOOK),
    "tpu-v5e": Torus("TPU v5e: 2D torus of up to 256", 197e12, 2, _ICI, 16, 256, _SCALING_BOOK),
}
"""By the names that the command line takes. A TPU chip's link is that to one of its neighbours."""
