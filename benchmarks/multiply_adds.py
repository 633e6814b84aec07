"""How many multiply-adds a network's layers need, by the textbook formula."""

import flax.linen as nn

from convnets.analysis.summary import summarize


def of_an_image(network: nn.Module, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Multiply-adds of (inference, training) of one image `(H, W, C)`.

    Backward takes as much as forward for the gradient of the kernels, and again for that of the layers' inputs, which
    the first layer does without. Everything without a kernel (pooling, activations, batch norm) is left out.
    """
    layers = [row for row in summarize(network, image_shape) if not row.training_only]
    forward = [row.multiply_adds for row in layers if row.multiply_adds]
    return sum(forward), 3 * sum(forward) - forward[0]
