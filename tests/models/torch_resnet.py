"""Residual and plain networks in PyTorch: figure 5, table 1 and section 4.2 of the paper."""

from typing import Any

from torch_arrays import torch
from torch_units import Unit, add

nn = torch.nn

EPSILON = 1e-5


class NewFiltersAreZero(nn.Module):
    """Shortcut A where the shape changes: every second pixel, and zeros for the filters that come new."""

    def __init__(self, new: int, stride: int):
        super().__init__()
        self.new, self.stride = new, stride

    def forward(self, x: Any) -> Any:
        return nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))


class Block(nn.Module):
    """`relu(F(x) + shortcut(x))`; F is `units`, each (features, size, stride), and the shortcut "A", "B", "C" or ""."""

    def __init__(self, channels: int, units: list[tuple[int, int, int]], shortcut: str):
        super().__init__()
        entered, self.path = channels, []
        for number, (features, size, stride) in enumerate(units, 1):
            unit = Unit(entered, features, size, stride, (size - 1) // 2, epsilon=EPSILON, relu=number < len(units))
            self.path.append(add(self, f"conv{number}", unit))
            entered = features
        stride = max(stride for _, _, stride in units)
        self.joined, same = shortcut != "", entered == channels and stride == 1
        if shortcut == "C" or (shortcut == "B" and not same):
            self.projection = Unit(channels, entered, 1, stride, epsilon=EPSILON, relu=False)
        elif shortcut == "A" and not same:
            self.projection = NewFiltersAreZero(entered - channels, stride)
        else:
            self.projection = nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:
        around = self.projection(x) if self.joined else 0
        for unit in self.path:
            x = unit(x)
        return self.relu(x + around)


def basic(channels: int, features: int, stride: int, shortcut: str) -> Block:
    """Two 3x3 convolutions, the stride in the first."""
    return Block(channels, [(features, 3, stride), (features, 3, 1)], shortcut)


def bottleneck(channels: int, features: int, stride: int, shortcut: str, stride_in: str = "1x1") -> Block:
    """1x1 to a quarter, 3x3, 1x1 back; the stride in the first as in the paper, or in the 3x3 as in version 1.5."""
    quarter = features // 4
    strides = {"1x1": (stride, 1), "3x3": (1, stride)}[stride_in]
    return Block(channels, [(quarter, 1, strides[0]), (quarter, 3, strides[1]), (features, 1, 1)], shortcut)


class ResNet(nn.Module):
    """A stem ("7x7" with its pool, or "3x3"), stages of blocks, the mean of the map, the classifier.

    `stages` has features and number of blocks of each; `block` is called with channels, features and stride.
    """

    def __init__(self, classes: int, stem: str, channels: int, stages: list[tuple[int, int]], block: Any):
        super().__init__()
        seven = stem == "7x7"
        self.conv1 = (
            Unit(3, channels, 7, 2, 3, epsilon=EPSILON) if seven else Unit(3, channels, 3, 1, 1, epsilon=EPSILON)
        )
        self.pool = nn.MaxPool2d(3, 2, 1) if seven else nn.Identity()
        self.stages = []
        for stage, (features, depth) in enumerate(stages, 1):
            blocks = []
            for number in range(1, depth + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                blocks.append(add(self, f"stage{stage}_block{number}", block(channels, features, stride)))
                channels = features
            self.stages.append(blocks)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.logits = nn.Linear(channels, classes)

    def forward(self, x: Any) -> dict[str, Any]:
        maps = {}
        maps["stem"] = self.conv1(x)
        x = self.pool(maps["stem"])
        for stage, blocks in enumerate(self.stages, 1):
            for block in blocks:
                x = block(x)
            maps[f"stage{stage}"] = x
        maps["pre_logits"] = self.average(x)
        return maps | {"logits": self.logits(torch.flatten(maps["pre_logits"], 1))}


def resnet18(classes: int) -> ResNet:
    stages = [(64, 2), (128, 2), (256, 2), (512, 2)]
    return ResNet(classes, "7x7", 64, stages, lambda *shape: basic(*shape, shortcut="B"))


def resnet50(classes: int, stride_in: str) -> ResNet:
    stages = [(256, 3), (512, 4), (1024, 6), (2048, 3)]
    return ResNet(classes, "7x7", 64, stages, lambda *shape: bottleneck(*shape, shortcut="B", stride_in=stride_in))


def of_twenty_layers(classes: int, shortcut: str) -> ResNet:
    """Section 4.2 with n = 3: residual with shortcut "A", plain with ""."""
    return ResNet(classes, "3x3", 16, [(16, 3), (32, 3), (64, 3)], lambda *shape: basic(*shape, shortcut=shortcut))
