"""What a network of PyTorch and ours make of the same pictures, each fed as its weights expect."""

from typing import Any

import jax
import numpy as np
from small_variables import shapes_of
from torch_arrays import channels_last, relative_difference, torch

from convnets import models
from convnets.data.normalization import Normalization
from convnets.layers import implementation
from convnets.pretrained.conversion import Imported
from convnets.pretrained.surgery import operate

CLOSE = 1e-4
"""How far two arrays may lie apart, relative to the largest entry."""


def pictures(count: int, side: int) -> np.ndarray:
    """Noise `[N, H, W, 3]` in float32, red, green, blue, where white is 1."""
    return np.random.default_rng(0).uniform(size=(count, side, side, 3)).astype(np.float32)


def normalized(rgb: np.ndarray, normalization: Normalization) -> np.ndarray:
    mean, deviation = normalization
    return ((rgb - np.array(mean)) / np.array(deviation)).astype(np.float32)


def learned(network: Any, images: np.ndarray) -> Any:
    """The network in float32 with numbers as training leaves them, by which every array counts in what it says.

    Kernels are drawn by He et al., the first of them for the deviation of the images; the statistics of batch norms are
    those of its responses to the images `[N, H, W, 3]`. So all responses are of one scale, and no bias is lost in them.
    """
    random = np.random.default_rng(1)
    deviation = float(images.std())
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            shape = tuple(tensor.shape)
            if len(shape) > 1:
                numbers = random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
                numbers, deviation = numbers / np.float32(deviation), 1.0
            else:
                # Biases are positive, as closed ReLUs magnify rounding errors.
                low = 0.5 if name.endswith("weight") else 0.0
                numbers = random.uniform(low, low + 1, shape)
            tensor.copy_(torch.tensor(numbers))
        norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        if norms:
            network.train()(tensor_of(images).float())
    return network.eval()


def by_torch(network: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """The network's responses in float64, `[N, H, W, C]`."""
    with torch.no_grad():
        outputs = network.double()(tensor_of(images))
    network.float()
    return {name: channels_last(x).numpy() for name, x in outputs.items()}


def by_jax(imported: Imported, architecture: str, rgb: np.ndarray, **options: Any) -> dict[str, np.ndarray]:
    """The logits and feature maps of our network of 1,000 classes, in evaluation; made for images of that size."""
    network = models.create(architecture, 1000, **({"image_size": rgb.shape[1]} | options))
    assert imported.normalization is not None
    images = normalized(rgb, imported.normalization)
    with implementation.use("plain"):
        # Compiling is most of the time.
        apply = jax.jit(network.apply, compiler_options={"xla_backend_optimization_level": 0})
        logits, maps = apply(imported.variables, images)
    return {"logits": logits} | maps


def all_taken(network: Any, imported: Imported) -> int:
    """How many arrays the network has, each of which must come from the weights, and every weight have its place."""
    _, report = operate(shapes_of(network), imported.variables, left_over=imported.left_over)
    assert report.count("taken") == len(report.entries)
    return len(report.entries)


def assert_close(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each of the given responses is as the expected one of that name."""
    found = {name: relative_difference(x, expected[name]) for name, x in given.items()}
    far = {name: f"{difference:.1e}" for name, difference in found.items() if not difference <= CLOSE}
    assert not far, f"{len(far)} of {len(found)} differ: {far}"


def tensor_of(images: np.ndarray) -> Any:
    """`[N, H, W, C]` -> `[N, C, H, W]`, in float64."""
    return torch.tensor(np.ascontiguousarray(images), dtype=torch.float64).permute(0, 3, 1, 2).contiguous()
