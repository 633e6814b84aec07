"""GoogLeNet in PyTorch: the paper's (table 1 and section 5), and the variant that torchvision's weights have."""

from typing import Any

from torch_arrays import torch
from torch_units import Unit, add, local_response_norm

nn = torch.nn

MODULES = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}
"""Channels that enter, then #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj."""


class Inception(nn.Module):
    """Figure 2b; the variant has 3x3 filters (`large=3`) where the paper has 5x5."""

    def __init__(self, numbers: tuple[int, ...], large: int, epsilon: float | None = None):
        super().__init__()
        channels, one, reduce3, three, reduce5, five, projection = numbers
        options = {"epsilon": epsilon}
        way1 = add(self, "1x1", Unit(channels, one, 1, **options))
        reduction3 = add(self, "3x3_reduce", Unit(channels, reduce3, 1, **options))
        way3 = add(self, "3x3", Unit(reduce3, three, 3, padding=1, **options))
        reduction5 = add(self, "5x5_reduce", Unit(channels, reduce5, 1, **options))
        way5 = add(self, "5x5", Unit(reduce5, five, large, padding={3: 1, 5: 2}[large], **options))
        pooled = add(self, "pool_projection", Unit(channels, projection, 1, **options))
        pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.ways = [[way1], [reduction3, way3], [reduction5, way5], [pool, pooled]]
        self.pool = pool

    def forward(self, x: Any) -> Any:
        results = []
        for way in self.ways:
            y = x
            for step in way:
                y = step(y)
            results.append(y)
        return torch.cat(results, 1)


class Auxiliary(nn.Module):
    """A classifier in the middle: 5x5/3 average pool (or 4x4 regions of any map), 1x1 to 128, fc 1024, fc."""

    def __init__(self, channels: int, classes: int, side: int, adaptive: bool, epsilon: float | None = None):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(side) if adaptive else nn.AvgPool2d(5, 3)
        self.convolution = Unit(channels, 128, 1, epsilon=epsilon)
        self.fc = nn.Linear(128 * side * side, 1024)
        self.relu = nn.ReLU()
        self.logits = nn.Linear(1024, classes)

    def forward(self, x: Any) -> Any:
        x = torch.flatten(self.convolution(self.pool(x)), 1)
        return self.logits(self.relu(self.fc(x)))


class GoogLeNet(nn.Module):
    """`variant` is torchvision's; `side` that of the map that the auxiliary classifiers' fc sees."""

    def __init__(self, classes: int, variant: bool, side: int):
        super().__init__()
        epsilon = 1e-3 if variant else None
        self.conv1 = Unit(3, 64, 7, 2, 3, epsilon=epsilon)
        self.conv2_reduce = Unit(64, 64, 1, epsilon=epsilon)
        self.conv2 = Unit(64, 192, 3, 1, 1, epsilon=epsilon)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.last_pool = nn.MaxPool2d(2, 2, ceil_mode=True) if variant else self.pool
        self.lrn = nn.Identity() if variant else local_response_norm()
        for name, numbers in MODULES.items():
            add(self, f"inception_{name}", Inception(numbers, 3 if variant else 5, epsilon))
        self.auxiliary1 = Auxiliary(512, classes, side, variant, epsilon)
        self.auxiliary2 = Auxiliary(528, classes, side, variant, epsilon)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.logits = nn.Linear(1024, classes)

    def forward(self, x: Any) -> dict[str, Any]:
        maps = {}
        maps["stem"] = self.conv1(x)
        x = self.lrn(self.pool(maps["stem"]))
        maps["stage1"] = self.lrn(self.conv2(self.conv2_reduce(x)))
        maps["stage2"] = self.modules_on(self.pool(maps["stage1"]), "3a", "3b")
        x = self.modules_on(self.pool(maps["stage2"]), "4a")
        if self.training:
            maps["auxiliary1"] = self.auxiliary1(x)
        x = self.modules_on(x, "4b", "4c", "4d")
        if self.training:
            maps["auxiliary2"] = self.auxiliary2(x)
        maps["stage3"] = self.modules_on(x, "4e")
        maps["stage4"] = self.modules_on(self.last_pool(maps["stage3"]), "5a", "5b")
        maps["pre_logits"] = self.average(maps["stage4"])
        return maps | {"logits": self.logits(torch.flatten(maps["pre_logits"], 1))}

    def modules_on(self, x: Any, *names: str) -> Any:
        for name in names:
            x = self.get_submodule(f"inception_{name}")(x)
        return x
