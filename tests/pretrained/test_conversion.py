"""Which weights are taken for a network's, what is said of others, and what the variables are good for."""

from typing import Any

import numpy as np
import pytest
from caffe_networks import ResNet50, caffemodel
from published import all_taken, by_jax, learned, normalized, pictures, tensor_of
from small_variables import by_name, narrow, shapes_of, variables_of
from torch_arrays import relative_difference, torch
from torchvision_networks import RESNETS, VGG, AlexNet, BasicBlock, GoogLeNet, ResNet

from convnets import models
from convnets.data.normalization import IMAGENET
from convnets.errors import InvalidValue
from convnets.pretrained.conversion import convert, naming_for, to_names, to_own_names
from convnets.pretrained.files import Weights, read_weights
from convnets.pretrained.surgery import Surgery, operate


def vgg16() -> Any:
    return VGG(16, batch_norm=False)


def weights_of(make: Any, without: tuple[str, ...] = ()) -> Weights:
    """A file of zeros in the names and shapes of a network of torchvision, which take no memory."""
    with torch.device("meta"):
        state = make().state_dict()
    arrays = {name: np.broadcast_to(np.float32(0), tuple(x.shape)) for name, x in state.items()}
    return Weights({name: x for name, x in arrays.items() if not name.startswith(without)}, "some.pth", "pytorch")


def shapes_for(architecture: str) -> Any:
    return shapes_of(models.create(architecture, 1000))


@pytest.mark.parametrize(("architecture", "make", "side"), [("alexnet_owt", AlexNet, 6), ("vgg16", vgg16, 7)])
def test_at_the_published_size_the_matrix_of_fc6_covers_the_last_map(architecture, make, side):
    imported = convert(weights_of(make), architecture)
    assert imported.variables["params"]["fc6"]["kernel"].shape[:2] == (side, side)
    assert all_taken(models.create(architecture, 1000), imported) == len(weights_of(make).arrays)


@pytest.mark.parametrize(
    ("make", "architecture", "suggested"),
    [
        (RESNETS["resnet50"], "resnet50", "torchvision's resnet50_v1_5, so name the network 'resnet50_v1_5',"),
        (vgg16, "vgg19", "torchvision's vgg16, so name the network 'vgg16',"),
        (lambda: VGG(19, batch_norm=False), "vgg16", "torchvision's vgg19, so name the network 'vgg19',"),
        (lambda: VGG(16, batch_norm=True), "vgg16", "torchvision's vgg16_bn, so name the network 'vgg16_bn',"),
        (RESNETS["resnet18"], "resnet34", "torchvision's resnet18, so name the network 'resnet18',"),
        (RESNETS["resnet34"], "resnet18", "torchvision's resnet34, so name the network 'resnet34',"),
        (RESNETS["resnet18"], "resnet20", "torchvision's resnet18, so name the network 'resnet18',"),
        (AlexNet, "alexnet", "torchvision's alexnet_owt, so name the network 'alexnet_owt',"),
        (GoogLeNet, "googlenet", "torchvision's googlenet_bn, so name the network 'googlenet_bn',"),
    ],
)
def test_weights_of_another_network_are_refused_with_the_one_that_they_fit(make, architecture, suggested):
    with pytest.raises(InvalidValue) as refused:
        convert(weights_of(make), architecture)
    assert str(refused.value).startswith(f"some.pth does not hold weights of {architecture}: they are most like ")
    assert suggested in str(refused.value) and "\n" not in str(refused.value)


def test_caffes_resnet_is_refused_elsewhere_with_the_option_that_it_needs(tmp_path):
    (tmp_path / "net.caffemodel").write_bytes(caffemodel(ResNet50()))
    suggestion = "most like Caffe's resnet50, so name the network 'resnet50' with stem_pool='ceil', or"
    with pytest.raises(InvalidValue, match=suggestion):
        convert(read_weights(str(tmp_path / "net.caffemodel")), "resnet50_v1_5")


@pytest.mark.parametrize("architecture", ["resnet18", "lenet5"])
def test_names_that_nobody_knows_are_refused_with_the_networks_of_which_names_are_known(architecture):
    weights = Weights({"encoder.weight": np.zeros((2, 2), np.float32)}, "some.npz", "npz")
    with pytest.raises(InvalidValue) as refused:
        convert(weights, architecture)
    said = str(refused.value)
    assert said.startswith("some.npz holds arrays such as encoder.weight, which are no names known of " + architecture)
    assert "alexnet_owt, googlenet_bn, resnet101_v1_5" in said and "\n" not in said


def test_a_file_without_a_classifier_or_of_other_classes_is_that_network_and_needs_a_new_head():
    for weights in (
        weights_of(RESNETS["resnet18"], without=("fc.",)),
        weights_of(lambda: ResNet(BasicBlock, [2, 2, 2, 2], classes=7)),
    ):
        imported = convert(weights, "resnet18")
        assert not imported.left_over
        with pytest.raises(InvalidValue, match=r"begin with a new head \(head='new'\)"):
            operate(shapes_for("resnet18"), imported.variables)
        _, report = operate(shapes_for("resnet18"), imported.variables, Surgery(head="new"))
        assert (report.count("taken"), report.count("new")) == (100, 2)


def test_arrays_that_a_network_lacks_are_left_over_with_their_shapes():
    weights = weights_of(RESNETS["resnet18"])
    weights.arrays["projector.weight"] = np.zeros((128, 512), np.float32)
    imported = convert(weights, "resnet18")
    assert imported.left_over == {"projector.weight": (128, 512)}
    with pytest.raises(InvalidValue, match=r"^1 array does not fit: projector.weight \[128, 512\] is left over: "):
        operate(shapes_for("resnet18"), imported.variables, left_over=imported.left_over)


@pytest.mark.parametrize("architecture", ["resnet20", "vgg11"])
def test_our_own_names_are_known_of_every_network_and_lose_nothing(tmp_path, architecture):
    variables = variables_of(narrow(architecture))
    np.savez(tmp_path / "own.npz", **to_own_names(variables))
    imported = convert(read_weights(str(tmp_path / "own.npz")), architecture)
    assert by_name(imported.variables).keys() == by_name(variables).keys()
    for name, array in by_name(variables).items():
        np.testing.assert_array_equal(by_name(imported.variables)[name], array, strict=True)
    assert imported.normalization is None and not imported.left_over


def test_a_network_with_a_layer_that_the_library_has_not_is_not_given_its_names():
    variables = variables_of(narrow("resnet18"))
    variables["params"]["extra"] = {"bias": np.zeros(3, np.float32)}
    with pytest.raises(InvalidValue, match=r"torchvision's resnet18 has no extra/bias: export with our own names"):
        to_names(variables, naming_for("resnet18", "torchvision"))
    assert naming_for("resnet20", "torchvision") is None


def test_on_a_larger_image_imported_weights_say_of_each_window_what_the_classifier_says_of_it(tmp_path):
    """The classifier is PyTorch's, on each window of its own last map of the larger image."""
    rgb = pictures(1, 128)
    images = normalized(rgb, IMAGENET)
    network = learned(VGG(11, batch_norm=False, window=2), images[:, :64, :64])
    torch.save(network.state_dict(), tmp_path / "vgg11.pth")
    imported = convert(read_weights(str(tmp_path / "vgg11.pth")), "vgg11")
    given = by_jax(imported, "vgg11", rgb, image_size=64)["logits"]
    assert given.shape == (1, 3, 3, 1000)
    with torch.no_grad():
        last = network.features(tensor_of(images).float())
        for i in range(3):
            for j in range(3):
                window = last[:, :, i : i + 2, j : j + 2]
                expected = network.classifier(torch.flatten(window, 1)).numpy()
                assert relative_difference(given[:, i, j], expected) < 1e-4


def test_the_papers_names_of_vgg_are_known_too():
    for letter, depth in {"a": 11, "b": 13, "d": 16, "e": 19}.items():
        for norms in ("", "_bn"):
            naming = naming_for(f"vgg_{letter}{norms}", "torchvision")
            assert naming is not None and naming is naming_for(f"vgg{depth}{norms}", "torchvision")
    assert naming_for("vgg_c", "torchvision") is None
