"""The networks of torchvision in PyTorch's own layers, with the names that its published files have.

Modules map images `[N, 3, H, W]` to a dictionary of the logits and of the feature maps that our networks name.
"""

from collections.abc import Callable
from typing import Any

from torch_arrays import torch

nn = torch.nn


class AlexNet(nn.Module):
    """`window` is the side of the map that the classifier sees, 6 for images of 224."""

    def __init__(self, window: int = 6, classes: int = 1000):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((window, window))
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * window * window, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, classes),
        )

    def forward(self, x: Any) -> dict[str, Any]:
        seen = {1: "stage1", 2: "pool1", 4: "stage2", 5: "pool2", 11: "stage3", 12: "pool3"}
        x, maps = through(self.features, x, seen)
        x, hidden = through(self.classifier, torch.flatten(self.avgpool(x), 1), {2: "fc6", 5: "pre_logits"})
        return maps | hidden | {"logits": x}


VGG_LAYERS = {
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
    13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}
"""Filters of the convolutions, and pools."""


class VGG(nn.Module):
    """`window` is the side of the map that the classifier sees, 7 for images of 224."""

    def __init__(self, depth: int, batch_norm: bool, window: int = 7, classes: int = 1000):
        super().__init__()
        layers, channels, stage = [], 3, 1
        self.seen = {}
        for word in VGG_LAYERS[depth].split():
            if word == "M":
                self.seen |= {len(layers) - 1: f"stage{stage}", len(layers): f"pool{stage}"}
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
                stage += 1
            else:
                layers.append(nn.Conv2d(channels, int(word), kernel_size=3, padding=1))
                layers += [nn.BatchNorm2d(int(word))] if batch_norm else []
                layers.append(nn.ReLU())
                channels = int(word)
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((window, window))
        self.classifier = nn.Sequential(
            nn.Linear(512 * window * window, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, classes),
        )

    def forward(self, x: Any) -> dict[str, Any]:
        x, maps = through(self.features, x, self.seen)
        x, hidden = through(self.classifier, torch.flatten(self.avgpool(x), 1), {1: "fc6", 4: "pre_logits"})
        return maps | hidden | {"logits": x}


class BasicConv2d(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels: int, filters: int, **options: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, bias=False, **options)
        self.bn = nn.BatchNorm2d(filters, eps=0.001)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Four branches; the third has 3x3 filters, as torchvision's has in place of 5x5."""

    def __init__(self, channels: int, one: int, red3: int, three: int, red5: int, five: int, projection: int):
        super().__init__()
        self.branch1 = BasicConv2d(channels, one, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(channels, red3, kernel_size=1), BasicConv2d(red3, three, kernel_size=3, padding=1)
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(channels, red5, kernel_size=1), BasicConv2d(red5, five, kernel_size=3, padding=1)
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            BasicConv2d(channels, projection, kernel_size=1),
        )

    def forward(self, x: Any) -> Any:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """An auxiliary classifier on a map of any size."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.conv = BasicConv2d(channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, classes)
        self.dropout = nn.Dropout(p=0.7)

    def forward(self, x: Any) -> Any:
        x = torch.flatten(self.conv(nn.functional.adaptive_avg_pool2d(x, (4, 4))), 1)
        return self.fc2(self.dropout(torch.relu(self.fc1(x))))


class GoogLeNet(nn.Module):
    """With `transform_input`, as it is where published weights are loaded: images come in ImageNet's normalization.

    In evaluation the auxiliary classifiers are computed too, on the maps that they see in training.
    """

    def __init__(self, classes: int = 1000):
        super().__init__()
        self.conv1 = BasicConv2d(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, kernel_size=1)
        self.conv3 = BasicConv2d(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = InceptionAux(512, classes)
        self.aux2 = InceptionAux(528, classes)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=0.2)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x: Any) -> dict[str, Any]:
        maps = {}
        x = self.transform_input(x)
        maps["stem"] = x = self.conv1(x)
        maps["stage1"] = x = self.conv3(self.conv2(self.maxpool1(x)))
        maps["stage2"] = x = self.inception3b(self.inception3a(self.maxpool2(x)))
        maps["auxiliary1_input"] = x = self.inception4a(self.maxpool3(x))
        maps["auxiliary2_input"] = x = self.inception4d(self.inception4c(self.inception4b(x)))
        maps["auxiliary1"], maps["auxiliary2"] = self.aux1(maps["auxiliary1_input"]), self.aux2(x)
        maps["stage3"] = x = self.inception4e(x)
        maps["stage4"] = x = self.inception5b(self.inception5a(self.maxpool4(x)))
        maps["pre_logits"] = x = self.avgpool(x)
        return maps | {"logits": self.fc(self.dropout(torch.flatten(x, 1)))}

    def transform_input(self, x: Any) -> Any:
        red = x[:, 0:1] * (0.229 / 0.5) + (0.485 - 0.5) / 0.5
        green = x[:, 1:2] * (0.224 / 0.5) + (0.456 - 0.5) / 0.5
        blue = x[:, 2:3] * (0.225 / 0.5) + (0.406 - 0.5) / 0.5
        return torch.cat((red, green, blue), 1)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, channels: int, planes: int, stride: int, downsample: Any):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        identity = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + identity)


class Bottleneck(nn.Module):
    """The stride is in the 3x3 convolution."""

    expansion = 4

    def __init__(self, channels: int, planes: int, stride: int, downsample: Any):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * 4, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * 4)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        identity = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + identity)


class ResNet(nn.Module):
    def __init__(self, block: Any, layers: list[int], classes: int = 1000):
        super().__init__()
        self.inplanes = 64
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self.layer(block, 64, layers[0], 1)
        self.layer2 = self.layer(block, 128, layers[1], 2)
        self.layer3 = self.layer(block, 256, layers[2], 2)
        self.layer4 = self.layer(block, 512, layers[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, classes)

    def layer(self, block: Any, planes: int, blocks: int, stride: int) -> Any:
        channels, downsample = self.inplanes, None
        if stride != 1 or channels != planes * block.expansion:
            downsample = nn.Sequential(
                nn.Conv2d(channels, planes * block.expansion, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(planes * block.expansion),
            )
        self.inplanes = planes * block.expansion
        first = block(channels, planes, stride, downsample)
        return nn.Sequential(first, *(block(self.inplanes, planes, 1, None) for _ in range(1, blocks)))

    def forward(self, x: Any) -> dict[str, Any]:
        maps = {}
        maps["stem"] = x = torch.relu(self.bn1(self.conv1(x)))
        maps["stage1"] = x = self.layer1(self.maxpool(x))
        maps["stage2"] = x = self.layer2(x)
        maps["stage3"] = x = self.layer3(x)
        maps["stage4"] = x = self.layer4(x)
        maps["pre_logits"] = x = self.avgpool(x)
        return maps | {"logits": self.fc(torch.flatten(x, 1))}


def through(layers: Any, x: Any, seen: dict[int, str]) -> tuple[Any, dict[str, Any]]:
    """What the layers make of x one after the other, and what some gave, named by their places."""
    maps = {}
    for place, layer in enumerate(layers):
        x = layer(x)
        if place in seen:
            maps[seen[place]] = x if x.ndim == 4 else x[:, :, None, None]
    return x, maps


RESNETS: dict[str, Callable[[], ResNet]] = {
    "resnet18": lambda: ResNet(BasicBlock, [2, 2, 2, 2]),
    "resnet34": lambda: ResNet(BasicBlock, [3, 4, 6, 3]),
    "resnet50": lambda: ResNet(Bottleneck, [3, 4, 6, 3]),
    "resnet101": lambda: ResNet(Bottleneck, [3, 4, 23, 3]),
    "resnet152": lambda: ResNet(Bottleneck, [3, 8, 36, 3]),
}
"""By torchvision's names."""
