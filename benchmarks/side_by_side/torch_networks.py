"""The networks in PyTorch's own layers: those that the tests hold ours against."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[2] / "tests"


def create(name: str, classes: int) -> Any:
    """A network by our name of it, from images `[N, C, H, W]` to a dict with `logits` and, in
    training, auxiliary ones, or to the logits alone.

    The numbers of its kernels are He et al.'s, so that responses neither fade nor grow.
    """
    for folder in (TESTS, TESTS / "architectures"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    network = FACTORIES[name](classes)
    initialize = import_module("torch").nn.init
    for tensor in network.parameters():
        if tensor.ndim > 1:
            initialize.kaiming_normal_(tensor)
    return network


def lenet5(classes: int) -> Any:
    """LeNet-5 as in the lecture, with average pooling; its logits alone."""
    nn = import_module("torch").nn
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.AvgPool2d(2), nn.Tanh()),
        *(nn.Conv2d(6, 16, 5), nn.AvgPool2d(2), nn.Tanh()),
        *(nn.Flatten(), nn.Linear(16 * 5 * 5, 120), nn.Tanh()),
        *(nn.Linear(120, 84), nn.Tanh()),
        nn.Linear(84, classes),
    )


def _of(module: str, make: Callable[[Any, int], Any]) -> Callable[[int], Any]:
    """A factory that imports the tests' module only when it is called."""
    return lambda classes: make(import_module(module), classes)


FACTORIES: dict[str, Callable[[int], Any]] = {
    "lenet5": lenet5,
    "resnet20": _of("torch_resnet", lambda module, classes: module.of_twenty_layers(classes, "A")),
    "alexnet": _of("torch_alexnet", lambda module, classes: module.AlexNet(classes, 6, dropout=0.5)),
    "alexnet_owt": _of("torch_alexnet", lambda module, classes: module.alexnet_owt(classes, 6, dropout=0.5)),
    "vgg16": _of("torch_vgg", lambda module, classes: module.VGG("D", classes, 7, dropout=0.5)),
    "googlenet": _of("torch_googlenet", lambda module, classes: module.GoogLeNet(classes, False, 4)),
    "googlenet_bn": _of("torch_googlenet", lambda module, classes: module.GoogLeNet(classes, True, 4)),
    "resnet18": _of("torch_resnet", lambda module, classes: module.resnet18(classes)),
    "resnet50": _of("torch_resnet", lambda module, classes: module.resnet50(classes, "1x1")),
}
