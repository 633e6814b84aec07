"""PyTorch's contestants, eager and by `torch.compile`: channels last, on all cores."""

import os
from importlib import import_module
from typing import Any

from benchmarks.side_by_side import torch_networks
from benchmarks.side_by_side.cases import (
    AUXILIARY_WEIGHT,
    DEVIATION,
    LEARNING_RATE,
    MEAN,
    MOMENTUM,
    WEIGHT_DECAY,
    Case,
    draw_batch,
)
from benchmarks.side_by_side.contestant import Contestant

torch: Any = import_module("torch")

CHANNELS_LAST = torch.channels_last


def make(case: Case, *, compiled: bool) -> Contestant:
    """The contestant, with its network and its batch.

    Args:
      compiled: whether it is PyTorch at its fastest: `torch.compile`, with frozen parameters in inference and the
        fused update of SGD in training; else it is eager, with the default update.
    """
    torch.manual_seed(0)
    network = torch_networks.create(case.network, case.sizes.classes).to(memory_format=CHANNELS_LAST)
    # The tests that the networks come from ask for one thread.
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    images, labels = draw_batch(case.sizes)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert pixels.is_contiguous(memory_format=CHANNELS_LAST)
    make_one = training if case.mode == "training" else inference
    return make_one(network, pixels, torch.from_numpy(labels).long(), case.dtype == "bfloat16", compiled)


def training(network: Any, pixels: Any, labels: Any, half: bool, compiled: bool) -> Contestant:
    """Steps of training: parameters in float32, and for bfloat16 the forward pass under autocast."""
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True if compiled else None
    )

    def objective(pixels: Any, labels: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            heads = named_heads(network(normalize(pixels)))
        loss = {name: torch.nn.functional.cross_entropy(logits.float(), labels) for name, logits in heads.items()}
        return loss.pop("logits") + AUXILIARY_WEIGHT * sum(loss.values())

    forward = torch.compile(objective) if compiled else objective

    def call() -> Any:
        loss = forward(pixels, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return Contestant(call, lambda loss: None, float)


def inference(network: Any, pixels: Any, labels: Any, half: bool, compiled: bool) -> Contestant:
    """The loss and the five likeliest classes of each image.

    For bfloat16 the parameters are bfloat16 too, which is faster than autocast; only local response norms need float32,
    and their networks autocast.
    """
    network.eval()
    autocast = half and any(isinstance(module, torch.nn.LocalResponseNorm) for module in network.modules())
    dtype = torch.bfloat16 if half and not autocast else torch.float32
    network.to(dtype)
    if compiled:
        # Constant parameters: batch norms are folded into the convolutions, and kernels laid out once.
        inductor: Any = import_module("torch._inductor.config")
        inductor.freezing = True

    def predict(pixels: Any, labels: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            heads = named_heads(network(normalize(pixels).to(dtype)))
        logits = heads["logits"].float()
        probabilities, classes = torch.topk(torch.softmax(logits, 1), 5)
        return torch.nn.functional.cross_entropy(logits, labels), classes, probabilities

    forward = torch.compile(predict) if compiled else predict

    def call() -> Any:
        with torch.inference_mode():
            return forward(pixels, labels)

    return Contestant(call, lambda result: None, lambda result: float(result[0]))


def normalize(pixels: Any) -> Any:
    """uint8 -> float32 of about zero mean and unit deviation."""
    return (pixels.float() / 255 - MEAN) / DEVIATION


def named_heads(outputs: Any) -> dict[str, Any]:
    """The logits, and those of auxiliary classifiers in training."""
    if not isinstance(outputs, dict):
        return {"logits": outputs}
    return {name: x for name, x in outputs.items() if name == "logits" or name.startswith("auxiliary")}
