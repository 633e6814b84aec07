"""Files of torchvision's networks, with random numbers: read, converted, and the same responses; then back."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from published import all_taken, assert_close, by_jax, by_torch, learned, normalized, pictures
from safetensors.torch import save_file
from small_variables import shapes_of
from torch_arrays import relative_difference, torch
from torchvision_networks import RESNETS, VGG, AlexNet, GoogLeNet

from convnets import models
from convnets.data.normalization import IMAGENET
from convnets.layers import implementation
from convnets.models.googlenet import PUBLISHED_NORM, AuxiliaryClassifier
from convnets.pretrained.conversion import Imported, convert, naming_for, to_names
from convnets.pretrained.files import Weights, read_weights
from convnets.pretrained.surgery import Surgery, operate

# By our names: the network, and the side of the images.
NETWORKS: dict[str, Any] = (
    {"alexnet_owt": (lambda: AlexNet(window=2), 96)}
    | {
        f"vgg{depth}{'_bn' * norm}": (lambda depth=depth, norm=norm: VGG(depth, norm, window=2), 64)
        for depth in (11, 13, 16, 19)
        for norm in (False, True)
    }
    | {"googlenet_bn": (GoogLeNet, 64)}
    | {name if name in ("resnet18", "resnet34") else f"{name}_v1_5": (make, 64) for name, make in RESNETS.items()}
)
SEEN = ("alexnet_owt", "vgg11", "vgg16_bn", "googlenet_bn", "resnet18", "resnet50_v1_5")
"""Of each kind of layers and names one; of the others the arrays have their places."""
ENDINGS = (".pth", ".safetensors")


class Published(NamedTuple):
    architecture: str
    network: Any
    rgb: np.ndarray
    weights: Weights
    imported: Imported


@pytest.fixture(scope="module", params=NETWORKS)
def published(request, tmp_path_factory) -> Published:
    make, side = NETWORKS[request.param]
    rgb = pictures(4, side)
    network = learned(make(), normalized(rgb, IMAGENET))
    path = tmp_path_factory.mktemp("weights") / f"file{ENDINGS[list(NETWORKS).index(request.param) % 2]}"
    if path.suffix == ".pth":
        torch.save(network.state_dict(), path)
    else:
        save_file(network.state_dict(), path)
    weights = read_weights(str(path))
    path.unlink()
    return Published(request.param, network, rgb, weights, convert(weights, request.param))


@pytest.mark.parametrize("published", SEEN, indirect=True)
def test_logits_and_feature_maps_are_those_of_the_network_in_pytorch(published):
    rgb = published.rgb[:2]
    given = by_jax(published.imported, published.architecture, rgb)
    expected = by_torch(published.network, normalized(rgb, IMAGENET))
    assert given.keys() == {name for name in expected if not name.startswith("auxiliary")}
    assert_close(given, expected)


def test_every_array_has_its_place_and_back_in_their_names_the_arrays_are_the_files_bit_for_bit(published):
    network = models.create(published.architecture, 1000, image_size=published.rgb.shape[1])
    given = to_names(published.imported.variables, naming_for(published.architecture, "torchvision"))
    floating = {name: array for name, array in published.weights.arrays.items() if array.dtype == np.float32}
    assert all_taken(network, published.imported) == len(floating) and given.keys() == floating.keys()
    for name, array in floating.items():
        np.testing.assert_array_equal(given[name], array, strict=True)
    published.network.load_state_dict({name: torch.tensor(array) for name, array in given.items()}, strict=True)
    expected = ((0.5,) * 3, (0.5,) * 3) if published.architecture == "googlenet_bn" else IMAGENET
    assert published.imported.normalization == expected and not published.imported.options


def google(tmp_path: Path, without: str = "-") -> tuple[Any, Imported]:
    """GoogLeNet and its file, without the arrays whose names begin so."""
    network = learned(GoogLeNet(), normalized(pictures(4, 64), IMAGENET))
    torch.save(
        {name: x for name, x in network.state_dict().items() if not name.startswith(without)}, tmp_path / "g.pth"
    )
    return network, convert(read_weights(str(tmp_path / "g.pth")), "googlenet_bn")


def test_the_auxiliary_classifiers_of_googlenet_say_the_same_of_the_maps_that_they_see(tmp_path):
    network, imported = google(tmp_path)
    maps = by_torch(network, normalized(pictures(2, 64), IMAGENET))
    for name in ("auxiliary1", "auxiliary2"):
        classifier = AuxiliaryClassifier(1000, window=4, adaptive=True, dropout=0.7, norm=PUBLISHED_NORM)
        variables = {collection: arrays[name] for collection, arrays in imported.variables.items()}
        with implementation.use("plain"):
            given = classifier.apply(variables, maps[f"{name}_input"].astype(np.float32), False)
        assert relative_difference(given, maps[name]) < 1e-4


def test_a_googlenet_without_auxiliary_classifiers_is_taken_too_and_says_that_they_may_be_missing(tmp_path):
    _, imported = google(tmp_path, without="aux")
    assert not imported.left_over and imported.optional == ("auxiliary*",)
    for auxiliary in (False, True):
        network = models.create("googlenet_bn", 1000, image_size=64, auxiliary=auxiliary)
        allow = imported.optional if auxiliary else ()
        _, report = operate(shapes_of(network), imported.variables, Surgery(allow=allow))
        assert {entry.name.split("/")[0] for entry in report.entries if entry.what == "new"} == (
            {"auxiliary1", "auxiliary2"} if auxiliary else set()
        )


PARAMETERS: dict[str, tuple[Any, int]] = {
    "alexnet": (AlexNet, 61_100_840),
    "vgg11": (lambda: VGG(11, False), 132_863_336),
    "vgg13": (lambda: VGG(13, False), 133_047_848),
    "vgg16": (lambda: VGG(16, False), 138_357_544),
    "vgg19": (lambda: VGG(19, False), 143_667_240),
    "vgg11_bn": (lambda: VGG(11, True), 132_868_840),
    "vgg13_bn": (lambda: VGG(13, True), 133_053_736),
    "vgg16_bn": (lambda: VGG(16, True), 138_365_992),
    "vgg19_bn": (lambda: VGG(19, True), 143_678_248),
    "googlenet": (GoogLeNet, 13_004_888),
    "resnet18": (RESNETS["resnet18"], 11_689_512),
    "resnet34": (RESNETS["resnet34"], 21_797_672),
    "resnet50": (RESNETS["resnet50"], 25_557_032),
    "resnet101": (RESNETS["resnet101"], 44_549_160),
    "resnet152": (RESNETS["resnet152"], 60_192_808),
}


def test_the_networks_held_against_have_as_many_parameters_as_torchvision_publishes():
    with torch.device("meta"):
        found = {name: sum(x.numel() for x in make().parameters()) for name, (make, _) in PARAMETERS.items()}
    assert found == {name: number for name, (_, number) in PARAMETERS.items()}
