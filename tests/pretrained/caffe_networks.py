"""VGG and ResNet-50 as their authors' prototxt files have them, in PyTorch's layers, and their `.caffemodel` files.

Images are blue, green, red on the scale to 255, less the means of ImageNet's training images. Modules map them,
`[N, 3, H, W]`, to a dictionary of the logits and of the feature maps that our networks name.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch_arrays import torch

from tests.pretrained.files.caffe_wire import layer, net, old_layer

nn = torch.nn

MEANS_BGR = (103.939, 116.779, 123.68)

CONVOLUTION_V1, INNER_PRODUCT_V1 = 4, 14
"""Types of layers in the older form of the file."""


def as_caffe_sees(rgb: np.ndarray) -> np.ndarray:
    """Images `[N, H, W, 3]` where white is 1."""
    return 255.0 * rgb[..., ::-1] - np.array(MEANS_BGR)


VGG_DEPTHS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions of each stage."""


class VGG(nn.Module):
    """`window` is the side of the map that fc6 sees, 7 for images of 224."""

    def __init__(self, layers: int, window: int):
        super().__init__()
        self.depths, channels = VGG_DEPTHS[layers], 3
        for stage, (filters, depth) in enumerate(zip([64, 128, 256, 512, 512], self.depths, strict=True), 1):
            for number in range(1, depth + 1):
                self.add_module(f"conv{stage}_{number}", nn.Conv2d(channels, filters, 3, padding=1))
                channels = filters
        self.fc6 = nn.Linear(512 * window * window, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, 1000)

    def forward(self, x: Any) -> dict[str, Any]:
        maps = {}
        for stage, depth in enumerate(self.depths, 1):
            for number in range(1, depth + 1):
                x = torch.relu(self.get_submodule(f"conv{stage}_{number}")(x))
            maps[f"stage{stage}"] = x
            maps[f"pool{stage}"] = x = nn.functional.max_pool2d(x, 2, 2, ceil_mode=True)
        x = torch.relu(self.fc6(torch.flatten(x, 1)))
        maps["fc6"] = x[:, :, None, None]
        x = torch.relu(self.fc7(x))
        maps["pre_logits"] = x[:, :, None, None]
        return maps | {"logits": self.fc8(x)}


class Scale(nn.Module):
    """Caffe's, with `bias_term`."""

    def __init__(self, filters: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(filters))
        self.bias = nn.Parameter(torch.zeros(filters))

    def forward(self, x: Any) -> Any:
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class ResNet50(nn.Module):
    """The stride of a bottleneck is in its first 1x1 convolution; of all convolutions conv1 alone has a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.unit("conv1", "_conv1", 3, 64, 7, 2, 3, bias=True)
        channels = 64
        for stage, (planes, letters) in enumerate([(64, "abc"), (128, "abcd"), (256, "abcdef"), (512, "abc")], 2):
            for letter in letters:
                stride = 2 if stage > 2 and letter == "a" else 1
                if letter == "a":
                    self.unit(f"res{stage}a_branch1", f"{stage}a_branch1", channels, 4 * planes, 1, stride)
                branch = f"{stage}{letter}_branch2"
                self.unit(f"res{branch}a", f"{branch}a", channels, planes, 1, stride)
                self.unit(f"res{branch}b", f"{branch}b", planes, planes, 3, 1, 1)
                self.unit(f"res{branch}c", f"{branch}c", planes, 4 * planes, 1)
                channels = 4 * planes
        self.fc1000 = nn.Linear(2048, 1000)

    def unit(
        self, name: str, suffix: str, channels: int, filters: int, size: int, stride: int = 1, padding: int = 0,
        bias: bool = False,
    ) -> None:  # fmt: skip
        self.add_module(name, nn.Conv2d(channels, filters, size, stride, padding, bias=bias))
        self.add_module(f"bn{suffix}", nn.BatchNorm2d(filters, eps=1e-5, affine=False))
        self.add_module(f"scale{suffix}", Scale(filters))

    def normalized(self, x: Any, name: str, suffix: str) -> Any:
        x = self.get_submodule(name)(x)
        return self.get_submodule(f"scale{suffix}")(self.get_submodule(f"bn{suffix}")(x))

    def forward(self, x: Any) -> dict[str, Any]:
        maps = {}
        maps["stem"] = x = torch.relu(self.normalized(x, "conv1", "_conv1"))
        x = nn.functional.max_pool2d(x, 3, 2, ceil_mode=True)
        for stage, letters in enumerate(["abc", "abcd", "abcdef", "abc"], 2):
            for letter in letters:
                around, branch = x, f"{stage}{letter}_branch2"
                if letter == "a":
                    around = self.normalized(x, f"res{stage}a_branch1", f"{stage}a_branch1")
                x = torch.relu(self.normalized(x, f"res{branch}a", f"{branch}a"))
                x = torch.relu(self.normalized(x, f"res{branch}b", f"{branch}b"))
                x = torch.relu(self.normalized(x, f"res{branch}c", f"{branch}c") + around)
            maps[f"stage{stage - 1}"] = x
        maps["pre_logits"] = x = x.mean((2, 3), keepdim=True)
        return maps | {"logits": self.fc1000(torch.flatten(x, 1))}


def caffemodel(network: Any, factor: float = 1.0) -> bytes:
    """The network's file in Caffe's present form, its batch norms as sums of which there are `factor`."""
    return net(*(layer(name, kind, *arrays) for name, kind, arrays in layers(network, factor)))


def caffemodel_v1(network: Any) -> bytes:
    """The same in the form of 2014, in which all arrays have four axes."""
    types = {"Convolution": CONVOLUTION_V1, "InnerProduct": INNER_PRODUCT_V1}
    return net(*(old_layer(name, types[kind], *arrays) for name, kind, arrays in layers(network)))


def layers(network: Any, factor: float = 1.0) -> Iterator[tuple[str, str, list[np.ndarray]]]:
    """Names, types and blobs, in float32."""
    for name, part in network.named_children():
        arrays = {key: x.detach().float().numpy() for key, x in part.state_dict().items()}
        if isinstance(part, nn.BatchNorm2d):
            sums = [np.float32(factor) * arrays["running_mean"], np.float32(factor) * arrays["running_var"]]
            yield name, "BatchNorm", [*sums, np.array([factor], np.float32)]
        else:
            kind = {nn.Conv2d: "Convolution", nn.Linear: "InnerProduct", Scale: "Scale"}[type(part)]
            yield name, kind, [arrays[key] for key in ("weight", "bias") if key in arrays]
