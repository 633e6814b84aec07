"""Random numbers for a PyTorch network, of which float32 and float64 say the same.

Gradients jump where what enters a ReLU is zero, and where the two largest of a pooled region are equal. If a response
lies nearer to such a place than the rounding errors of float32, two correct networks differ. So biases are moved until
no response is near zero, and numbers are drawn until no two of a region are nearly equal.
"""

from typing import Any

import numpy as np
from torch_arrays import to_torch, torch

nn = torch.nn

REACH = 0.5
"""How far a bias may be moved, in standard deviations of the layer's responses."""

TIE = 5e-7
"""The least difference of the two largest of a region, in standard deviations of the map: six of these, and one more
for each batch norm that was passed in training, since rounding errors grow with them."""


TRIALS = 100


class Tie(Exception):
    """Two of a pooled region are nearly equal."""


def draw(
    network: Any, shape: tuple[int, ...], deviation: float = 1.0, seed: int = 1, smooth: bool = True
) -> np.ndarray:
    """Gives the network numbers, none of which is what it began with, and images `[N, H, W, C]` in float32.

    Args:
      network: gets float32 numbers in float64; its mode of training or evaluation is that of the responses.
      deviation: of the images.
      seed: to try first; the next ones follow until there is no tie.
      smooth: whether gradients will be compared, and kinks and ties matter.

    Raises:
      AssertionError: ties with every seed that was tried.
    """
    network.double()
    for trial in range(seed, seed + TRIALS):
        random = np.random.default_rng(trial)
        images = random.normal(0, deviation, shape).astype(np.float32)
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if tensor.is_floating_point():
                    tensor.copy_(torch.tensor(numbers(random, name, tuple(tensor.shape))))
            try:
                if smooth:
                    clear_kinks(network, images)
            except Tie:
                continue
        return images
    raise AssertionError(f"the pools tie with the seeds from {seed} to {trial}: name a later one, or smaller images")


def numbers(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Kernels by He et al., so that responses neither fade nor grow; scales and variances around 1.

    Biases are positive: batch norms in training magnify rounding errors, the more the more of the ReLUs are closed.
    (With a mean of zero, PyTorch's own float32 lies 6e-5 from its float64 after 50 layers; so it lies 1e-5 from it.)
    """
    if len(shape) > 1:
        return random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    low = {"bias": 0.0, "running_mean": -0.5}.get(name.rsplit(".")[-1], 0.5)
    return random.uniform(low, low + 1, shape).astype(np.float32)


def clear_kinks(network: Any, images: np.ndarray) -> None:
    """Moves the bias before each ReLU away from its kink, from the first to the last in one pass.

    Raises:
      Tie: the two largest of a pooled region are nearly equal.
    """
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    passed: list[Any] = []

    def clear(module: Any, inputs: Any) -> Any:
        (responses,), layer = inputs, passed[-1]
        bias = (layer.bias - middle_of_widest_gap(responses)).float().double()
        moved = (bias - layer.bias).reshape(1, -1, *[1] * (responses.ndim - 2))
        layer.bias.copy_(bias)
        return responses + moved

    def refuse_ties(module: Any, inputs: Any) -> None:
        norms = sum(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in passed)
        if nearest_tie(inputs[0], module.kernel_size, module.stride, module.padding) < (6 + norms) * TIE:
            raise Tie

    hooks = []
    for module in network.modules():
        if getattr(module, "bias", None) is not None:
            hooks.append(module.register_forward_hook(lambda layer, *_: passed.append(layer)))
        elif isinstance(module, nn.ReLU):
            hooks.append(module.register_forward_pre_hook(clear))
        elif isinstance(module, nn.MaxPool2d):
            hooks.append(module.register_forward_pre_hook(refuse_ties))
    try:
        network(to_torch(images))
    finally:
        for hook in hooks:
            hook.remove()
        for name, buffer in network.named_buffers():
            buffer.copy_(before[name])


def middle_of_widest_gap(responses: Any) -> Any:
    """`[N, C, ...] -> [C]`: for each filter, the number near zero that its responses keep farthest away from."""
    reach = float(REACH * responses.std())
    ordered = responses.transpose(0, 1).flatten(1).clamp(-reach, reach)
    ends = torch.tensor([-reach, reach]).double().expand(len(ordered), 2)
    ordered = torch.cat([ordered, ends], 1).sort(1).values
    widest = ordered.diff(dim=1).argmax(1, keepdim=True)
    return (ordered.gather(1, widest) + ordered.gather(1, widest + 1))[:, 0] / 2


def nearest_tie(x: Any, size: int, stride: int, padding: int) -> float:
    """How much the largest of a region exceeds the next, at the least and in standard deviations.

    Regions of zeros that a ReLU left don't count, and equal numbers count once: they are one response, which
    overlapping pools have copied.
    """
    padded = nn.functional.pad(x, (padding, padding + stride - 1) * 2, value=-torch.inf)
    regions = padded.unfold(2, size, stride).unfold(3, size, stride).flatten(-2)
    first = regions.amax(-1, keepdim=True)
    second = regions.masked_fill(regions == first, -torch.inf).amax(-1, keepdim=True)
    return float((first - second)[second != 0].min() / x.std())
