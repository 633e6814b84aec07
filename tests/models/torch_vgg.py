"""VGG in PyTorch, its configurations spelled as in table 1 of the paper."""

from typing import Any

from torch_arrays import torch
from torch_units import Unit, add, local_response_norm

nn = torch.nn

TABLE = {
    "A": "3-64 | 3-128 | 3-256 3-256 | 3-512 3-512 | 3-512 3-512",
    "A-LRN": "3-64 LRN | 3-128 | 3-256 3-256 | 3-512 3-512 | 3-512 3-512",
    "C": "3-64 3-64 | 3-128 3-128 | 3-256 3-256 1-256 | 3-512 3-512 1-512 | 3-512 3-512 1-512",
    "D": "3-64 3-64 | 3-128 3-128 | 3-256 3-256 3-256 | 3-512 3-512 3-512 | 3-512 3-512 3-512",
}
"""Size and number of each layer's filters; the stages part at the pools."""


class VGG(nn.Module):
    """`last` is the side of the map that fc6 sees, 7 for images of 224; `epsilon` of the batch norms, if any."""

    def __init__(self, configuration: str, classes: int, last: int, epsilon: float | None = None, dropout: float = 0.0):
        super().__init__()
        self.stages, channels = [], 3
        for stage, layers in enumerate(TABLE[configuration].split(" | "), 1):
            steps = []
            for number, layer in enumerate(layers.split(), 1):
                if layer == "LRN":
                    steps.append(local_response_norm())
                    continue
                size, features = (int(word) for word in layer.split("-"))
                unit = Unit(channels, features, size, padding=(size - 1) // 2, epsilon=epsilon, bias=True)
                steps.append(add(self, f"stage{stage}_conv{number}", unit))
                channels = features
            self.stages.append(steps)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc6 = nn.Linear(512 * last * last, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.logits = nn.Linear(4096, classes)
        self.relu, self.dropout = nn.ReLU(), nn.Dropout(dropout)

    def forward(self, x: Any) -> dict[str, Any]:
        maps = {}
        for stage, steps in enumerate(self.stages, 1):
            for step in steps:
                x = step(x)
            maps[f"stage{stage}"] = x
            x = maps[f"pool{stage}"] = self.pool(x)
        x = self.dropout(self.relu(self.fc6(torch.flatten(x, 1))))
        maps["fc6"] = x[:, :, None, None]
        x = self.dropout(self.relu(self.fc7(x)))
        maps["pre_logits"] = x[:, :, None, None]
        return maps | {"logits": self.logits(x)}
