"""Layers of one network in another: exactly those, exactly theirs, and nothing that does not fit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets import architectures
from convnets.errors import InvalidValue
from convnets.pretrained.initialize import initialize

OF_NET_A = ("stage1_conv1", "stage2_conv1", "stage3_conv1", "stage3_conv2", "fc6", "fc7", "logits")
"""The first four convolutions and the fully connected layers (Simonyan and Zisserman 2015, section 3.1)."""


def variables_of(name: str, seed: int, **options: Any) -> Any:
    network = architectures.create(name, 10, **({"width": 1 / 32, "image_size": 32} | options))
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), shapes)


def flat(variables: Any) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return {"/".join(key.key for key in path): np.asarray(array) for path, array in leaves}


@pytest.mark.parametrize("letter", "bcde")
def test_a_deep_vgg_has_the_arrays_of_net_a_in_those_layers_and_its_own_draws_elsewhere(letter):
    deep, a = flat(variables_of(f"vgg_{letter}", 0)), flat(variables_of("vgg_a", 1))
    begun, taken = initialize(variables_of(f"vgg_{letter}", 0), variables_of("vgg_a", 1), OF_NET_A)
    begun = flat(begun)
    assert begun.keys() == deep.keys()
    for name, array in begun.items():
        layer = name.split("/")[1]
        np.testing.assert_array_equal(array, (a if layer in OF_NET_A else deep)[name])
    numbers = sum(array.size for name, array in a.items() if name.split("/")[1] in OF_NET_A)
    assert (taken.layers, taken.arrays, taken.numbers) == (OF_NET_A, 14, numbers)
    assert str(taken).startswith("7 layers (stage1_conv1, ") and str(taken).endswith(f"14 arrays, {numbers:,} numbers")


def test_statistics_of_batch_norm_come_with_a_layer_and_what_was_given_stays_as_it_was():
    into, source = variables_of("resnet18", 0), variables_of("resnet18", 1)
    before = flat(jax.tree.map(np.copy, into))
    begun = flat(initialize(into, source, ["stage2_block1/projection"])[0])
    changed = {name for name in before if np.any(begun[name] != before[name])}
    below = {name for name in before if "stage2_block1/projection/" in name}
    assert below == changed and len(below) == 5
    for name in below:
        np.testing.assert_array_equal(begun[name], flat(source)[name])
    for name, array in flat(into).items():
        np.testing.assert_array_equal(array, before[name])


def test_a_name_stands_for_that_layer_and_for_no_longer_name_that_begins_with_it():
    into, source = variables_of("vgg_e", 0), variables_of("vgg_e", 1)
    with pytest.raises(InvalidValue, match="has no layer 'stage3_conv': did you mean 'stage3_conv"):
        initialize(into, source, ["stage3_conv"])


@pytest.mark.parametrize(
    ("into", "source", "layers", "sentence"),
    [
        ({}, {}, (), "no layers are named to begin with: name some of fc6, "),
        ({}, {}, ("conv1",), "the network which is taken from has no layer 'conv1': "),
        (
            {"name": "vgg_a"},
            {},
            ("stage1_conv2",),
            "the network which begins has no layer 'stage1_conv2': did you mean",
        ),
        ({}, {"name": "vgg_a"}, ("fc6", "stage1_conv2"), "the network which is taken from has no layer 'stage1_conv2'"),
        (
            {"name": "vgg_c"},
            {},
            ("stage3_conv3",),
            r"the layer 'stage3_conv3' does not fit: stage3_conv3/convolution/kernel is float32\[3, 3, 8, 8\] in the "
            r"network which is taken from and float32\[1, 1, 8, 8\] in the one which begins: leave the layer out",
        ),
        ({"width": 1 / 16}, {}, ("fc7",), r"fc7/bias is float32\[128\] in the .* and float32\[256\] in the"),
        ({}, {"name": "vgg_d_bn"}, ("stage1_conv1",), r"norm/mean is float32\[2\] in the .* and absent in the one"),
    ],
)
def test_a_layer_that_is_missing_on_either_side_or_has_other_arrays_is_refused(into, source, layers, sentence):
    one, other = (variables_of(**({"name": "vgg_d", "seed": 0} | given)) for given in (into, source))
    with pytest.raises(InvalidValue, match=sentence) as refused:
        initialize(one, other, layers)
    assert "\n" not in str(refused.value)


def test_shapes_are_enough_to_find_out_what_would_be_refused():
    source = variables_of("vgg_a", 1)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables_of("vgg_d", 0))
    assert initialize(shapes, source, OF_NET_A)[1].arrays == 14
