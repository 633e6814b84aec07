"""Optimizers: optax's, with weight decay that can leave biases and batch norm out."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from convnets.errors import InvalidValue
from convnets.registry import Registry

optimizers: Registry[Callable[..., optax.GradientTransformation]] = Registry("optimizer")
"""Each is `f(decay, *, options)`: gradients to the direction of descent, not yet times the learning rate."""


@optimizers.register
def sgd(
    decay: optax.GradientTransformation, *, momentum: float = 0.9, nesterov: bool = False
) -> optax.GradientTransformation:
    """Stochastic gradient descent with momentum; the decay is part of the gradient, as in the lecture's papers."""
    if not 0 <= momentum < 1:
        raise InvalidValue(f"optimizer.momentum is {momentum}, and must lie in [0, 1)")
    return optax.chain(decay, optax.trace(momentum, nesterov)) if momentum else decay


@optimizers.register
def adamw(
    decay: optax.GradientTransformation, *, b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-8
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    if not (0 <= b1 < 1 and 0 <= b2 < 1 and epsilon > 0):
        raise InvalidValue(f"adamw needs b1 and b2 in [0, 1) and epsilon > 0, not {b1}, {b2} and {epsilon}")
    return optax.chain(optax.scale_by_adam(b1, b2, epsilon), decay)


def create(
    name: str,
    *,
    weight_decay: float = 0.0,
    decay_bias_and_norm: bool = False,
    gradient_clip: float = 0.0,
    separately: bool = False,
    **options: Any,
) -> optax.GradientTransformation:
    """An optimizer by its name: gradients to the direction of descent, not yet times the learning rate.

    Args:
      weight_decay: times the parameter, added to its gradient (sgd) or its direction (adamw).
      decay_bias_and_norm: whether that holds for biases and the scales of batch norm too (as in the papers).
      gradient_clip: largest global norm of the gradient; 0 for no limit.
      separately: whether each parameter counts its own steps, so that one that is trained from later on begins as all
        others did.

    Raises:
      InvalidValue: an unknown optimizer, an option it does not have, or a value that it can't have.
    """
    factory = optimizers[name]
    optimizers.check_options(name, options)
    mask = None if decay_bias_and_norm else is_kernel
    decay = optax.add_decayed_weights(weight_decay, mask) if weight_decay else optax.identity()
    clip = optax.clip_by_global_norm(gradient_clip) if gradient_clip else optax.identity()
    optimizer = factory(decay, **options)
    return optax.chain(clip, _each_by_itself(optimizer) if separately else optimizer)


def _each_by_itself(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """The optimizer with a state of its own for each parameter, by the parameter's path."""

    def init(params: Any) -> dict[str, Any]:
        return {"/".join(path): optimizer.init(unflatten_dict({path: p})) for path, p in flatten_dict(params).items()}

    def update(gradient: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        arrays = flatten_dict(params)
        direction: dict[Any, Any] = {}
        after: dict[str, Any] = {}
        for path, array in flatten_dict(gradient).items():
            name, parameter = "/".join(path), unflatten_dict({path: arrays[path]})
            alone, after[name] = optimizer.update(unflatten_dict({path: array}), state[name], parameter)
            direction |= flatten_dict(alone)
        return unflatten_dict(direction), after

    return optax.GradientTransformation(init, update)


def is_kernel(params: Any) -> Any:
    """A tree of booleans: whether each parameter is a `kernel`, rather than a bias or a scale of batch norm."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
