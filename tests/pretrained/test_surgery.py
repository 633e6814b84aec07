"""Parameters of one network in another: what is named, exactly that, and nothing that does not fit."""

from typing import Any

import jax
import numpy as np
import pytest
from small_variables import by_name, narrow, variables_of

from convnets import models
from convnets.errors import InvalidValue
from convnets.pretrained.surgery import Report, Surgery, operate

OF_NET_A = ("stage1_conv1", "stage2_conv1", "stage3_conv1", "stage3_conv2", "fc6", "fc7", "logits")
"""The first four convolutions and the fully connected layers (Simonyan and Zisserman 2015, section 3.1)."""


def drawn(name: str, seed: int = 0, channels: int = 3, **options: Any) -> Any:
    return variables_of(narrow(name, **options), seed, channels)


def named(report: Report, what: Any) -> set[str]:
    return {entry.name for entry in report.entries if entry.what == what}


def assert_equal(given: Any, expected: Any) -> None:
    given, expected = by_name(given), by_name(expected)
    assert given.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(given[name], array, strict=True, err_msg=name)


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "googlenet_bn", "plain20"])
def test_without_more_words_every_array_is_taken_as_it_is(name):
    mine, theirs = drawn(name, 0), drawn(name, 1)
    begun, report = operate(mine, theirs)
    assert_equal(begun, theirs)
    assert report.count("taken") == len(report.entries) == len(by_name(theirs))


def test_a_layer_is_taken_with_its_statistics_and_what_is_not_taken_stays_the_same_array():
    mine, theirs = drawn("resnet18", 0), drawn("resnet18", 1)
    copies = jax.tree.map(np.copy, (mine, theirs))
    begun, report = operate(mine, theirs, Surgery(layers=("stage2_block1/projection",)))
    for tree, copy in zip((mine, theirs), copies, strict=True):
        assert_equal(tree, copy)
    for name, array in by_name(begun).items():
        assert array is by_name(theirs if "stage2_block1/projection/" in name else mine)[name]
    assert report.count("taken") == 5


@pytest.mark.parametrize("letter", "bcde")
def test_a_deep_vgg_has_the_arrays_of_net_a_in_those_layers_and_its_own_draws_elsewhere(letter):
    deep, a = drawn(f"vgg_{letter}", 0), drawn("vgg_a", 1)
    begun, report = operate(deep, a, Surgery(layers=OF_NET_A))
    expected = {"params": {layer: (a if layer in OF_NET_A else deep)["params"][layer] for layer in deep["params"]}}
    assert_equal(begun, {"batch_stats": {}} | expected)
    assert {name.split("/")[0] for name in named(report, "taken")} == set(OF_NET_A)
    assert report.count("taken") == 14 and named(report, "left over") == {
        name.removeprefix("params/") for name in by_name(a) if name.split("/")[1] not in {*OF_NET_A, *deep["params"]}
    }


def test_a_pattern_takes_all_that_it_matches():
    mine, theirs = drawn("resnet18", 0), drawn("resnet18", 1)
    _, report = operate(mine, theirs, Surgery(layers=("conv1", "stage[12]*", "*/projection")))
    blocks = ("conv1/", "stage1_", "stage2_", "stage3_block1/projection/", "stage4_block1/projection/")
    names = {name.split("/", 1)[1] for name in by_name(mine)}
    assert named(report, "taken") == {name for name in names if name.startswith(blocks)}


def test_a_new_head_is_left_as_it_was_drawn_with_auxiliary_ones_and_of_any_number_of_classes():
    mine = drawn("googlenet_bn", 0)
    theirs = variables_of(models.create("googlenet_bn", 12, width=1 / 16, image_size=32), 1)
    begun, report = operate(mine, theirs, Surgery(head="new"))
    heads = {f"{prefix}logits/{array}" for prefix in ("", "auxiliary1/", "auxiliary2/") for array in ("kernel", "bias")}
    assert named(report, "new") == heads
    for name, array in by_name(begun).items():
        assert array is by_name(mine if "logits" in name else theirs)[name]


def test_another_number_of_classes_or_none_is_refused_with_the_way_out():
    mine, theirs = drawn("resnet18", 0), variables_of(models.create("resnet18", 1000, width=1 / 16, image_size=32), 1)
    for said in ("tell 1,000 classes apart and this network 10", "have no classifier"):
        with pytest.raises(InvalidValue) as refused:
            operate(mine, theirs)
        assert str(refused.value) == f"the weights {said}: begin with a new head (head='new')"
        assert named(operate(mine, theirs, Surgery(head="new"))[1], "new") == {"logits/kernel", "logits/bias"}
        theirs["params"].pop("logits", None)


def test_a_head_that_sees_other_channels_is_not_said_to_be_of_other_classes():
    sentence = r"logits/kernel is float32\[1, 1, 32, 10\] there and float32\[1, 1, 64, 10\]"
    with pytest.raises(InvalidValue, match=sentence):
        operate(drawn("resnet18", width=1 / 8), drawn("resnet18", 1), Surgery(layers=("logits",)))


def test_a_new_stem_is_left_as_it_was_drawn_with_its_norm():
    mine, theirs = drawn("resnet18", 0), drawn("resnet18", 1)
    _, report = operate(mine, theirs, Surgery(stem="new"))
    assert named(report, "new") == {name.split("/", 1)[1] for name in by_name(mine) if name.split("/")[1] == "conv1"}


@pytest.mark.parametrize(
    ("images", "options", "detail"),
    [(1, {}, "3 channels summed"), (3, {"stem": "small"}, "7x7 filters shared out to 3x3")],
)
def test_an_adapted_stem_serves_other_images_and_is_refused_otherwise(images, options, detail):
    mine, theirs = drawn("resnet18", 0, channels=images, **options), drawn("resnet18", 1)
    with pytest.raises(InvalidValue, match=r"conv1/convolution/kernel is float32\[7, 7, 3, 4\] there and"):
        operate(mine, theirs)
    begun, report = operate(mine, theirs, Surgery(stem="adapt"))
    adapted = [(entry.name, entry.detail) for entry in report.entries if entry.what == "adapted"]
    assert adapted == [("conv1/convolution/kernel", detail)] and report.count("taken") == len(report.entries) - 1
    sums = [tree["params"]["conv1"]["convolution"]["kernel"].sum((0, 1, 2)) for tree in (begun, theirs)]
    np.testing.assert_allclose(*sums, atol=1e-5)


def test_a_gray_image_has_the_same_logits_when_it_is_given_in_one_channel_three_or_six():
    network, gray = narrow("resnet18"), np.random.default_rng(2).normal(size=(2, 32, 32, 1)).astype(np.float32)
    theirs = drawn("resnet18", 1)
    expected, _ = jax.jit(network.apply)(theirs, gray.repeat(3, -1))
    for channels in (1, 4, 6):
        begun, _ = operate(drawn("resnet18", 0, channels=channels), theirs, Surgery(stem="adapt"))
        given, _ = jax.jit(network.apply)(begun, gray.repeat(channels, -1))
        np.testing.assert_allclose(given, expected, atol=1e-5 * np.abs(expected).max())


def test_a_matrix_of_neurons_is_taken_as_the_convolution_that_it_is():
    mine, theirs = drawn("vgg11", 0, image_size=64), drawn("vgg11", 1, image_size=64)
    kernel = theirs["params"]["fc6"]["kernel"]
    assert kernel.shape == (2, 2, 32, 256)
    theirs["params"]["fc6"]["kernel"] = kernel.reshape(-1, 256)
    begun, report = operate(mine, theirs)
    np.testing.assert_array_equal(begun["params"]["fc6"]["kernel"], kernel)
    assert [entry.detail for entry in report.entries if entry.what == "adapted"] == ["matrix as convolution"]


def unlike() -> Any:
    """VGG-11 with an array of another shape, one that is missing, and a layer of its own."""
    theirs = drawn("vgg11", 1)
    theirs["params"]["stage1_conv1"]["convolution"]["kernel"] = np.zeros((5, 5, 3, 4), np.float32)
    del theirs["params"]["fc6"]["bias"]
    theirs["params"]["fc8"] = {"bias": np.zeros(3, np.float32)}
    return theirs


def test_what_is_missing_misshapen_or_left_over_is_refused_all_at_once_and_by_name():
    mine, theirs = drawn("vgg11", 0), unlike()
    theirs["params"]["stage2_conv1"]["convolution"]["bias"] = np.zeros(8, np.float16)
    with pytest.raises(InvalidValue) as refused:
        operate(mine, theirs, left_over={"step": ()})
    for part in (
        "5 arrays do not fit: ",
        "stage1_conv1/convolution/kernel is float32[5, 5, 3, 4] there and float32[3, 3, 3, 4] here",
        "stage2_conv1/convolution/bias is float16[8] there and float32[8] here",
        "fc6/bias is absent there and float32[256] here",
        "fc8/bias is float32[3] there and absent here",
        "step [] is left over",
        "take some layers only (layers), adapt the filters that see the images (stem='adapt'), or name those that may ",
        "be new or left over (allow)",
    ):
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)
    theirs["params"]["stage1_conv1"] = mine["params"]["stage1_conv1"]
    with pytest.raises(InvalidValue, match=r"^3 arrays do not fit: .*\(layers\), or name those that may be new"):
        operate(mine, theirs)


def test_many_that_do_not_fit_are_counted_and_some_are_named():
    with pytest.raises(InvalidValue, match=r"^50 arrays do not fit: .*and 44 more: take") as refused:
        operate(drawn("resnet18", width=1 / 8), drawn("resnet18", 1), Surgery(layers=("stage[34]*",)))
    assert str(refused.value).count(" there and ") == 6


def test_what_is_allowed_stays_new_or_is_left_over_and_the_rest_is_strict_as_before():
    mine, theirs = drawn("vgg11", 0), unlike()
    allow = ("stage1_conv1", "fc6/bias", "fc8", "global_*")
    begun, report = operate(mine, theirs, Surgery(allow=allow), {"global_step": ()})
    assert named(report, "new") == {"stage1_conv1/convolution/kernel", "fc6/bias"}
    assert named(report, "left over") == {"fc8/bias", "global_step"}
    assert begun["params"]["fc6"]["bias"] is mine["params"]["fc6"]["bias"]
    for pattern in allow:
        with pytest.raises(InvalidValue, match=r"^1 array does not fit: "):
            operate(mine, theirs, Surgery(allow=tuple(set(allow) - {pattern})), {"global_step": ()})


@pytest.mark.parametrize(
    ("surgery", "sentence"),
    [
        (Surgery(layers=("conv1",)), "the network which is taken from has no layer 'conv1': known are fc6, "),
        (Surgery(layers=("stage1_conv2",)), "the network which begins has no layer 'stage1_conv2': did you mean "),
        (Surgery(layers=("stage3_conv",)), "has no layer 'stage3_conv': did you mean 'stage3_conv"),
        (Surgery(allow=("fc9",)), "allow: neither network has a layer 'fc9': did you mean "),
    ],
)
def test_a_pattern_that_stands_for_no_layer_is_refused(surgery, sentence):
    with pytest.raises(InvalidValue, match=sentence) as refused:
        operate(drawn("vgg_a"), drawn("vgg_d", 1), surgery)
    assert "\n" not in str(refused.value)


def test_shapes_are_enough_for_the_report_which_names_every_array_once():
    deep, theirs = drawn("resnet34", 0), drawn("resnet18", 1)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), deep)
    surgery = Surgery(head="new", stem="adapt", deepen=True)
    _, report = operate(shapes, theirs, surgery)
    assert report == operate(deep, theirs, surgery)[1] and report.count("identity") == 16
    assert sorted(entry.name for entry in report.entries) == sorted(name.split("/", 1)[1] for name in by_name(deep))
    first = report.to_json()[0]
    assert first["name"].startswith("conv1/") and first["what"] == "taken" and first["detail"] == ""
    with pytest.raises(InvalidValue, match=r"^80 arrays do not fit: stage1_block3/conv1/norm/mean is absent there and"):
        operate(shapes, theirs)


DEEPER = [
    ("resnet18", "resnet34", 8, {}),
    ("resnet50", "resnet101", 17, {}),
    ("resnet20", "resnet32", 6, {}),
    ("resnet20", "resnet32", 6, {"shortcut": "B", "width": 1 / 4}),
]
"""From, to, and by how many blocks."""


def logits(network: Any, variables: Any, train: bool) -> tuple[Any, Any]:
    """And the running statistics afterwards."""
    images = np.random.default_rng(3).normal(size=(4, 32, 32, 3)).astype(np.float32)
    apply = jax.jit(
        lambda v, x: network.apply(v, x, train=train, mutable=["batch_stats"]),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    (result, _), changed = apply(variables, images)
    return np.asarray(result), changed


@pytest.mark.parametrize(
    ("shallow", "deep", "blocks", "options", "train"), [*((*each, True) for each in DEEPER), (*DEEPER[0], False)]
)
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
    theirs, mine = drawn("resnet50", 1), drawn("resnet101", 0)
    begun, report = operate(mine, theirs, Surgery(deepen=True))
    zero = named(report, "identity")
    assert zero == {f"stage3_block{b}/conv3/norm/{array}" for b in range(7, 24) for array in ("scale", "bias")}
    for name, array in by_name(begun).items():
        if name.split("/", 1)[1] in zero:
            assert array.dtype == np.float32 and not array.any()
        else:
            assert array is (by_name(theirs) if name.split("/")[1] in theirs["params"] else by_name(mine))[name]


@pytest.mark.parametrize(
    ("mine", "theirs", "deepen", "said"),
    [("resnet34", "resnet18", False, "is absent there"), ("resnet18", "resnet34", True, "there and absent here")],
)
def test_another_depth_is_refused_unless_a_deeper_network_is_asked_for(mine, theirs, deepen, said):
    with pytest.raises(InvalidValue, match=rf"stage1_block3/conv1/.* {said}"):
        operate(drawn(mine), drawn(theirs, 1), Surgery(deepen=deepen))
