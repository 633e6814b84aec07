"""AlexNet in PyTorch: the paper's (2012), and that of "One weird trick" (2014) as torchvision's weights have it."""

from typing import Any

from torch_arrays import torch
from torch_units import local_response_norm

nn = torch.nn


class AlexNet(nn.Module):
    """`last` is the side of the map that fc6 sees; `order` says what stands between two stages, "LP", "PL" or "P"."""

    def __init__(
        self,
        classes: int,
        last: int,
        *,
        filters: tuple[int, ...] = (96, 256, 384, 384, 256),
        padding: int = 0,
        groups: int = 1,
        order: str = "PL",
        dropout_before: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        one, two, three, four, five = filters
        self.conv1 = nn.Conv2d(3, one, 11, 4, padding)
        self.conv2 = nn.Conv2d(one, two, 5, 1, 2, groups=groups)
        self.conv3 = nn.Conv2d(two, three, 3, 1, 1)
        self.conv4 = nn.Conv2d(three, four, 3, 1, 1, groups=groups)
        self.conv5 = nn.Conv2d(four, five, 3, 1, 1, groups=groups)
        self.fc6 = nn.Linear(five * last * last, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.logits = nn.Linear(4096, classes)
        self.relu = nn.ReLU()
        between = {"P": nn.MaxPool2d(3, 2), "L": local_response_norm()}
        self.between = nn.Sequential(*(between[letter] for letter in order))
        self.pool = between["P"]
        self.before = nn.Dropout(dropout) if dropout_before else nn.Identity()
        self.after = nn.Identity() if dropout_before else nn.Dropout(dropout)

    def forward(self, x: Any) -> dict[str, Any]:
        maps = {}
        maps["stage1"] = self.relu(self.conv1(x))
        maps["pool1"] = self.between(maps["stage1"])
        maps["stage2"] = self.relu(self.conv2(maps["pool1"]))
        maps["pool2"] = self.between(maps["stage2"])
        x = self.relu(self.conv3(maps["pool2"]))
        x = self.relu(self.conv4(x))
        maps["stage3"] = self.relu(self.conv5(x))
        maps["pool3"] = self.pool(maps["stage3"])
        x = torch.flatten(maps["pool3"], 1)
        x = self.after(self.relu(self.fc6(self.before(x))))
        maps["fc6"] = x[:, :, None, None]
        x = self.after(self.relu(self.fc7(self.before(x))))
        maps["pre_logits"] = x[:, :, None, None]
        return maps | {"logits": self.logits(x)}


def alexnet_owt(classes: int, last: int, dropout: float = 0.0) -> AlexNet:
    """A network of one column: 64-192-384-256-256 filters, images padded by 2, no norms."""
    filters = (64, 192, 384, 256, 256)
    return AlexNet(classes, last, filters=filters, padding=2, order="P", dropout_before=True, dropout=dropout)
