import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from convnets.analysis.network_costs import NetworkCost, cost_of, known_networks, native_shape
from convnets.layers import Convolution, max_pool
from convnets.models import architectures


def test_every_registered_name_is_of_one_known_network() -> None:
    names = [name for network in known_networks() for name in network.names]
    assert sorted(names) == list(architectures)


def test_other_names_of_the_same_network_stand_behind_the_papers() -> None:
    found = {network.names for network in known_networks()}
    assert {("vgg_a", "vgg11"), ("vgg_d_bn", "vgg16_bn"), ("vgg_c",), ("resnet50",), ("resnet50_v1_5",)} <= found


def test_networks_for_small_images_are_counted_for_ten_classes() -> None:
    networks = {network.names[0]: network for network in known_networks(["lenet5", "resnet20", "alexnet"])}
    assert {name: network.classes for name, network in networks.items()} == {
        "lenet5": 10, "resnet20": 10, "alexnet": 1000,
    }  # fmt: skip
    assert {name: native_shape(network.module) for name, network in networks.items()} == {
        "lenet5": (32, 32, 1), "resnet20": (32, 32, 3), "alexnet": (227, 227, 3),
    }  # fmt: skip


def test_lenet_5_by_hand() -> None:
    [lenet] = known_networks(["lenet5"])
    assert cost_of(lenet.module, (32, 32, 1)) == NetworkCost(
        image_shape=(32, 32, 1),
        parameters=61_706,
        multiply_adds=25 * 6 * 28**2 + 25 * 6 * 16 * 10**2 + 400 * 120 + 120 * 84 + 84 * 10,
        activation_bytes=4 * (6 * 28**2 + 6 * 14**2 + 16 * 10**2 + 16 * 5**2 + 120 + 84 + 10),
        # 5x5, pool, 5x5, pool: 5, 6, 6 + 4 * 2 = 14, 14 + 2 = 16.
        receptive_field=16,
        stride=4,
    )


def test_the_last_map_of_vgg_16_sees_212_pixels() -> None:
    [vgg] = known_networks(["vgg16"])
    found = cost_of(vgg.module, (224, 224, 3))
    # A stage of n 3x3 filters at stride s adds 2 n s, and its pool s: 1 + 4 + 1 + 8 + 2 + 24 + 4 + 48 + 8 + 96 + 16.
    assert (found.receptive_field, found.stride) == (212, 32)


class TwoWays(nn.Module):
    """5x5 and 1x1 side by side on a pooled map; the narrower comes last."""

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        x = max_pool(x, 2, 2)
        ways = [Convolution(4, 5, padding=2, name="wide")(x), Convolution(4, 1, name="narrow")(x)]
        return jnp.concatenate(ways, axis=-1).mean((1, 2))


def test_of_ways_side_by_side_the_one_that_sees_most_counts() -> None:
    found = cost_of(TwoWays(), (8, 8, 3))
    assert (found.receptive_field, found.stride) == (2 + 4 * 2, 2)


def test_a_network_without_maps_sees_no_part_of_the_image() -> None:
    class Perceptron(nn.Module):
        @nn.compact
        def __call__(self, x: Array, train: bool = False) -> Array:
            return nn.Dense(10)(x.reshape(len(x), -1))

    found = cost_of(Perceptron(), (8, 8, 1))
    assert (found.multiply_adds, found.receptive_field, found.stride) == (640, None, None)
