"""Parameters that training leaves alone: kept apart from the others, and the batch norms that own them frozen."""

import contextlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import flax.linen as nn

from convnets.layers import BatchNorm, ConvolutionNormReLU
from convnets.pretrained.patterns import Path, flat, nested

Tree = dict[str, Any]


def divided(params: Mapping[str, Any], frozen: Collection[Path]) -> tuple[Tree, Tree]:
    """The parameters that are trained and those that are not, as two trees."""
    arrays = flat(params)
    trained = nested({path: array for path, array in arrays.items() if path not in frozen})
    return trained, nested({path: array for path, array in arrays.items() if path in frozen})


def joined(one: Tree, other: Tree) -> Tree:
    """The tree that `divided` divided, from its two parts in any order."""
    return nested(flat(one) | flat(other))


@contextlib.contextmanager
def frozen_batch_norm(frozen: Collection[Path]) -> Iterator[None]:
    """Within it, batch norms whose scale and bias are frozen work as in evaluation, whatever they are told.

    They normalize by their running statistics, which stay as they are: a frozen layer responds to an image in training
    as it does in evaluation, whichever images it is in a batch with.
    """

    def intercept(call: Callable[..., Any], values: Any, options: Any, context: nn.module.InterceptorContext) -> Any:
        norm = _norm_of(context)
        if norm is None or not all((*norm, name) in frozen for name in ("scale", "bias")):
            return call(*values, **options)
        given = inspect.signature(context.orig_method).bind(*values, **options)
        given.arguments["train"] = False
        return call(*given.args, **given.kwargs)

    with nn.intercept_methods(intercept):
        yield


def _norm_of(context: nn.module.InterceptorContext) -> Path | None:
    """Where the batch norm lies whose mode is an argument of this call; None for other calls."""
    module = context.module
    if context.method_name != "__call__":
        return None
    if isinstance(module, BatchNorm):
        return module.path
    # It asks for the mode before its norm is called, because a convolution takes a frozen norm along.
    if isinstance(module, ConvolutionNormReLU) and module.norm is not None:
        return (*module.path, "norm")
    return None
