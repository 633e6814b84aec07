"""The pieces that the PyTorch networks have in common, of PyTorch's own layers.

Modules are named as the parameters of ours are, so that numbers find their place by name. Networks map images
`[N, C, H, W]` to a dictionary of the logits and the named feature maps.
"""

from typing import Any

from torch_arrays import torch

nn = torch.nn


def add(parent: Any, name: str, module: Any) -> Any:
    """The module, as a part of its parent under a name that may begin with a digit."""
    parent.add_module(name, module)
    return module


class Unit(nn.Module):
    """Convolution, batch norm (`epsilon` says that there is one), ReLU."""

    def __init__(
        self,
        channels: int,
        features: int,
        size: int,
        stride: int = 1,
        padding: int = 0,
        *,
        epsilon: float | None = None,
        bias: bool | None = None,
        relu: bool = True,
    ):
        super().__init__()
        bias = epsilon is None if bias is None else bias
        self.convolution = nn.Conv2d(channels, features, size, stride, padding, bias=bias)
        if epsilon is not None:
            self.norm = nn.BatchNorm2d(features, eps=epsilon, momentum=0.1)
        self.normalizes = epsilon is not None
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Any) -> Any:
        x = self.convolution(x)
        return self.relu(self.norm(x) if self.normalizes else x)


def local_response_norm() -> Any:
    """Of section 3.3 of the AlexNet paper: n = 5, k = 2, alpha = 1e-4 (which PyTorch divides by n), beta = 0.75."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)
