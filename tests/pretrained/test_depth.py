"""Which layers lie below which feature map, against lists written by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from convnets import models
from convnets.errors import InvalidValue
from convnets.pretrained.depth import below, height, needs
from convnets.pretrained.patterns import flat

RESNET18 = {
    "stem": {"conv1"},
    "stage1": {"stage1_block1", "stage1_block2"},
    "stage2": {"stage2_block1", "stage2_block2"},
    "stage3": {"stage3_block1", "stage3_block2"},
    "stage4": {"stage4_block1", "stage4_block2"},
    "pre_logits": set(),
}
GOOGLENET = {
    "stem": {"conv1"},
    "stage1": {"conv2_reduce", "conv2"},
    "stage2": {"inception_3a", "inception_3b"},
    "stage3": {"inception_4a", "inception_4b", "inception_4c", "inception_4d", "inception_4e"},
    "stage4": {"inception_5a", "inception_5b"},
    "pre_logits": set(),
}
VGG11 = {
    "stage1": {"stage1_conv1"},
    "pool1": set(),
    "stage2": {"stage2_conv1"},
    "pool2": set(),
    "stage3": {"stage3_conv1", "stage3_conv2"},
    "pool3": set(),
    "stage4": {"stage4_conv1", "stage4_conv2"},
    "pool4": set(),
    "stage5": {"stage5_conv1", "stage5_conv2"},
    "pool5": set(),
    "fc6": {"fc6"},
    "pre_logits": {"fc7"},
}
LENET5_BN = {
    "stage1": {"conv1", "norm1"},
    "stage2": {"conv2", "norm2"},
    "stage3": {"fc3", "norm3"},
    "pre_logits": {"fc4", "norm4"},
}
SMALL = {"width": 1 / 16, "image_size": 32, "stem": "small"}

NETWORKS: list[Any] = [
    ("lenet5_bn", {}, LENET5_BN, {"logits"}),
    ("vgg11", SMALL, VGG11, {"logits"}),
    ("vgg11", SMALL | {"remat": True}, VGG11, {"logits"}),
    ("resnet18", SMALL, RESNET18, {"logits"}),
    ("resnet18", SMALL | {"remat": True}, RESNET18, {"logits"}),
    ("googlenet", SMALL | {"image_size": 64}, GOOGLENET, {"logits", "auxiliary1", "auxiliary2"}),
    ("googlenet", SMALL | {"image_size": 64, "remat": True}, GOOGLENET, {"logits", "auxiliary1", "auxiliary2"}),
]


def network_of(name: str, options: dict[str, Any]) -> tuple[Any, tuple[int, int, int], set[Any]]:
    """A network, the shape of its images, and the paths of its parameters."""
    network = models.create(name, 10, **options)
    shape = (network.image_size, network.image_size, 3)
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, *shape))))
    return network, shape, set(flat(variables["params"]))


@pytest.mark.parametrize(("name", "options", "adds", "above"), NETWORKS)
def test_below_a_map_is_what_the_maps_before_it_add_and_the_height_counts_from_the_logits(name, options, adds, above):
    network, shape, paths = network_of(name, options)
    assert list(needs(network, shape)) == list(adds)
    expected = set()
    for number, (name_of_map, added) in enumerate(adds.items()):
        if number:
            assert below(network, shape, name_of_map) == {path for path in paths if path[0] in expected}
        expected |= added
    assert below(network, shape, "logits") == {path for path in paths if path[0] not in above}
    # Maps that add nothing make no group.
    groups = [added for added in adds.values() if added]
    heights = {layer: len(groups) - number for number, group in enumerate(groups) for layer in group}
    assert height(network, shape) == {path: heights[path[0]] for path in paths if path[0] not in above}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("stage33", "the network has no feature map 'stage33': did you mean 'stage3'"),
        ("head", "the network has no feature map 'head': known are logits, pre_logits, stage1, "),
        ("stem", "no layers lie below the feature map 'stem': name a later one"),
        ("auxiliary1", "the network has no feature map 'auxiliary1'"),
    ],
)
def test_maps_that_there_are_not_and_the_first_one_are_refused(name, sentence):
    network, shape, _ = network_of("googlenet", SMALL | {"image_size": 64})
    with pytest.raises(InvalidValue, match=sentence):
        below(network, shape, name)
