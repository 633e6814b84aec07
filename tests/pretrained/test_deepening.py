"""A deeper residual network that says what the shallower one says, before its first step."""

from typing import Any

import jax
import numpy as np
import pytest
from small_variables import by_name, narrow, variables_of

from convnets.errors import InvalidValue
from convnets.pretrained.surgery import Surgery, operate

DEEPER = [
    ("resnet18", "resnet34", 8, {}),
    ("resnet50", "resnet101", 17, {}),
    ("resnet20", "resnet32", 6, {}),
    ("resnet20", "resnet32", 6, {"shortcut": "B", "width": 1 / 4}),
]
"""From, to, and by how many blocks."""


def images() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(4, 32, 32, 3)).astype(np.float32)


def logits(network: Any, variables: Any, train: bool) -> tuple[Any, Any]:
    """And the running statistics afterwards."""
    apply = jax.jit(
        lambda v, x: network.apply(v, x, train=train, mutable=["batch_stats"]),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    (result, _), changed = apply(variables, images())
    return np.asarray(result), changed


@pytest.mark.parametrize("train", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(("shallow", "deep", "blocks", "options"), DEEPER)
def test_new_blocks_are_the_identity_and_the_logits_those_of_the_shallow_network(shallow, deep, blocks, options, train):
    small, large = narrow(shallow, **options), narrow(deep, **options)
    theirs, mine = variables_of(small, 1), variables_of(large, 0)
    begun, report = operate(mine, theirs, Surgery(deepen=True))
    expected, statistics = logits(small, theirs, train)
    given, changed = logits(large, begun, train)
    np.testing.assert_allclose(given, expected, atol=1e-6 * np.abs(expected).max())
    for name, array in by_name(statistics).items():
        np.testing.assert_allclose(by_name(changed)[name], array, rtol=1e-5, atol=1e-6)
    assert report.count("identity") == 2 * blocks and report.count("taken") == len(by_name(theirs))


def test_only_the_last_norm_of_a_new_block_is_zero_and_the_rest_of_it_stays_as_it_was_drawn():
    theirs, mine = variables_of(narrow("resnet50"), 1), variables_of(narrow("resnet101"), 0)
    begun, report = operate(mine, theirs, Surgery(deepen=True))
    zero = {entry.name for entry in report.entries if entry.what == "identity"}
    assert zero == {f"stage3_block{b}/conv3/norm/{array}" for b in range(7, 24) for array in ("scale", "bias")}
    for name, array in by_name(begun).items():
        name_of_array, block = name.split("/", 1)[1], name.split("/")[1]
        if name_of_array in zero:
            assert array.dtype == np.float32 and not array.any()
        else:
            assert array is (by_name(theirs) if block in theirs["params"] else by_name(mine))[name]


def test_a_deeper_network_is_refused_unless_it_is_asked_for():
    with pytest.raises(InvalidValue, match=r"stage1_block3/conv1/.* is absent there"):
        operate(variables_of(narrow("resnet34")), variables_of(narrow("resnet18"), 1))


def test_a_shallower_network_is_no_deeper_one():
    with pytest.raises(InvalidValue, match=r"stage1_block3/conv1/.* there and absent here"):
        operate(variables_of(narrow("resnet18")), variables_of(narrow("resnet34"), 1), Surgery(deepen=True))
