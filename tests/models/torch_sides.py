"""What our network and PyTorch's compute from the same numbers, in the same names and shapes."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from torch_arrays import channels_last, to_torch, torch

NAMES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "variance": "running_var"}
"""Our names of numbers, and PyTorch's."""

COMPILE_QUICKLY = {"xla_backend_optimization_level": 0}
"""Each program runs once, and compiling it is most of the time."""

Numbers = dict[tuple[str, ...], Any]
"""By their paths among our variables."""


class Computed(NamedTuple):
    """`gradients` and `image_gradient` are those of a sum of the logits, weighted at random."""

    outputs: dict[str, Any]
    statistics: Numbers
    gradients: Numbers
    image_gradient: Any


def as_ours(shapes: Numbers, tensors: dict[str, Any]) -> Numbers:
    """PyTorch's tensors in our shapes; every one must have its place, and every place its tensor."""
    left = dict(tensors)

    def find(path: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray:
        name = ".".join([*path[1:-1], NAMES[path[-1]]])
        assert name in left, f"PyTorch's network has no {name}"
        x = left.pop(name).detach().numpy()
        assert x.size == np.prod(shape), f"{name} is {shape} here and {x.shape} there"
        if path[-1] == "kernel":
            height, width, channels, features = shape
            x = x.reshape(features, channels, height, width).transpose(2, 3, 1, 0)
        return x

    numbers = {path: find(path, array.shape) for path, array in shapes.items()}
    assert not left, f"PyTorch's network has {sorted(left)} besides"
    return numbers


def by_jax(network: nn.Module, start: Numbers, images: np.ndarray, train: bool, gradients: bool) -> Computed:
    """In float32."""
    variables = unflatten_dict({path: x.astype(np.float32) for path, x in start.items()})

    def forward(params: Any, images: Any) -> Any:
        everything = variables | {"params": params}
        result, changed = network.apply(everything, images, train=train, mutable=["batch_stats"])
        outputs = {"logits": result[0]} | result[1] if isinstance(result, tuple) else {"result": result}
        return sum(jnp.sum(x * weights) for x, weights in weighed(outputs)), (outputs, changed)

    function = jax.value_and_grad(forward, (0, 1), has_aux=True) if gradients else forward
    compiled = jax.jit(function, compiler_options=COMPILE_QUICKLY)
    by_params, by_images = {}, None
    if gradients:
        (_, (outputs, changed)), (by_params, by_images) = compiled(variables["params"], images)
    else:
        _, (outputs, changed) = compiled(variables["params"], images)
    return Computed(outputs, flatten_dict(changed), flatten_dict({"params": by_params}), by_images)


def by_torch(network: Any, shapes: Numbers, images: np.ndarray, gradients: bool) -> Computed:
    """In float64."""
    keep_biased_variances(network)
    pixels = to_torch(images)
    result = network(pixels)
    outputs = result if isinstance(result, dict) else {"result": result}
    outputs = {name: channels_last(x) for name, x in outputs.items()}
    by_params, by_images = {}, None
    if gradients:
        sum((x * torch.tensor(weights)).sum() for x, weights in weighed(outputs)).backward()
        params = {path: array for path, array in shapes.items() if path[0] == "params"}
        slopes = {name: torch.zeros_like(x) if x.grad is None else x.grad for name, x in network.named_parameters()}
        by_params, by_images = as_ours(params, slopes), channels_last(pixels.grad)
    statistics = {path: array for path, array in shapes.items() if path[0] == "batch_stats"}
    moved = as_ours(statistics, {name: x for name, x in network.named_buffers() if x.is_floating_point()})
    outputs = {name: x.detach() for name, x in outputs.items()}
    return Computed(outputs, moved, by_params, by_images)


def weighed(outputs: dict[str, Any]) -> Iterator[tuple[Any, np.ndarray]]:
    """The outputs that training judges, and random weights `[N, ..., C]` for them."""
    random = np.random.default_rng(0)
    for name in sorted(outputs):
        if name in ("result", "logits") or name.startswith("auxiliary"):
            yield outputs[name], random.normal(size=outputs[name].shape)


def keep_biased_variances(network: Any) -> None:
    """PyTorch's running variances take the mean over n - 1 numbers; from now on they take it over n, as ours do."""

    def correct(norm: Any, inputs: Any, output: Any, old: Any) -> None:
        if norm.training:
            n = output.numel() // output.shape[1]
            step = norm.running_var - (1 - norm.momentum) * old
            norm.running_var = (1 - norm.momentum) * old + step * (n - 1) / n

    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            old = norm.running_var.clone()
            norm.register_forward_hook(lambda *call, old=old: correct(*call, old=old))
