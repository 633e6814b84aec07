"""One step on one device: pure functions of (state, batch) with collectives over the devices' axis."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from convnets.augment import example_keys
from convnets.data.normalization import Normalization
from convnets.parallel import AXIS, sum_over_devices
from convnets.pretrained.freezing import divided, joined, still_norms
from convnets.pretrained.patterns import Path, flat, nested
from convnets.tasks import Task
from convnets.training.state import TrainState

Batch = Mapping[str, Array]
Figures = dict[str, Array]


DROPOUT_STREAM = 2
"""What sets the draws of dropout apart from all others of the same seed."""


def unit_range(batch: Batch) -> dict[str, Array]:
    """The batch with its uint8 images as float32 in [0, 1]."""
    return dict(batch) | {"image": batch["image"].astype(jnp.float32) / 255}


def own_pixels(images: Array, batch: Batch) -> Array:
    """Normalized images of a batch `[N, H, W, C]` with zeros beyond what `extent [N, 2]` says of each, if it does.

    So what pictures of their own sizes are filled up with is zero to the network, as the zeros around its maps are.
    """
    if "extent" not in batch:
        return images
    rows, columns = (jnp.arange(side) < batch["extent"][:, axis, None] for axis, side in enumerate(images.shape[1:3]))
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], images, 0.0)


def made_for(network: nn.Module, shape: Sequence[int]) -> nn.Module:
    """The network whose last pool covers the whole map of images of `shape [..., H, W, C]`, of the same parameters."""
    has_size = any(field.name == "image_size" for field in fields(network))
    return network.clone(image_size=shape[-3]) if has_size else network


def make_train_step(
    network: nn.Module,
    task: Task,
    normalize: Normalization,
    augment: Callable[[Array, dict[str, Array]], dict[str, Array]],
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    *,
    seed: int,
    microbatches: int = 1,
    average_decay: float = 0.0,
    unroll: bool = True,
    images_grow: bool = False,
    frozen: Collection[Path] = (),
    factors: Mapping[Path, float] | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, Figures]]:
    """A training step.

    Args:
      augment: of (keys, batch), as `compose` gives it, with a key for each example drawn from (seed, epoch, index).
      optimizer: gradients to directions; the learning rate is applied here.
      schedule: learning rate of a step, before the plateau's scale.
      seed: of augmentation and dropout.
      microbatches: the device's batch is worked through in so many equal parts whose gradients are added; each part is
        normalized by its own batch statistics.
      average_decay: share of the averaged parameters that a step keeps.
      unroll: whether the parts are written out or looped over; on CPU convolutions in a loop leave XLA's fast path.
      images_grow: whether the network is made for the size of each batch's images (`made_for`).
      frozen: parameters that stay as they are; no gradient of them is computed.
      factors: of the learning rate, for the parameters where it is not 1.

    Returns:
      `step(state, batch) -> (state, figures)`. The batch has `image [n, H, W, C]` uint8, `epoch`, `index` and `weight`
      (`[n]`) and what the task reads. The figures are float32 scalars over the batch of all devices: the task's
      sums, `objective` (the mean loss that was differentiated), `learning_rate`, `gradient_norm`, and `parameter_norm`
      after the step.
    """
    factor_of = (factors or {}).get

    def objective(
        trained: Any, held: Any, batch_stats: Any, batch: Batch, key: Array, examples: Array
    ) -> tuple[Array, tuple[Any, Figures]]:
        example = unit_range(batch)
        weight = example.pop("weight")
        example = augment(example_keys(seed, batch["epoch"], batch["index"]), example)
        example["weight"] = weight
        sized = made_for(network, example["image"].shape) if images_grow else network
        with still_norms(frozen):
            outputs, updates = sized.apply(
                {"params": joined(trained, held), "batch_stats": batch_stats},
                normalize(example["image"]),
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )
        # A share of the mean over all examples, so that parts and devices count by what they hold.
        loss = jnp.sum(weight * task.loss(outputs, example)) / examples
        return loss, (updates.get("batch_stats", {}), task.measure(outputs, example, train=True))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Figures]:
        stream = jax.random.fold_in(jax.random.key(seed), DROPOUT_STREAM)
        key = jax.random.fold_in(jax.random.fold_in(stream, state.step), lax.axis_index(AXIS))
        trained, held = divided(state.params, frozen)
        differentiate = jax.value_and_grad(objective, has_aux=True)
        examples = sum_over_devices(jnp.sum(batch["weight"]))

        def part(carry: Any, numbered: tuple[Array, Batch]) -> tuple[Any, None]:
            batch_stats, loss, gradient, sums = carry
            number, microbatch = numbered
            (more_loss, (batch_stats, more_sums)), more_gradient = differentiate(
                trained, held, batch_stats, microbatch, jax.random.fold_in(key, number), examples
            )
            loss, gradient, sums = jax.tree.map(jnp.add, (loss, gradient, sums), (more_loss, more_gradient, more_sums))
            return (batch_stats, loss, gradient, sums), None

        if microbatches == 1:
            (loss, (batch_stats, sums)), gradient = differentiate(
                trained, held, state.batch_stats, batch, key, examples
            )
        else:
            parts = jax.tree.map(lambda x: x.reshape(microbatches, -1, *x.shape[1:]), dict(batch))
            first = jax.tree.map(lambda x: x[0], parts)
            shapes = jax.eval_shape(differentiate, trained, held, state.batch_stats, first, key, examples)
            (loss, (_, sums)), gradient = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
            carry = (state.batch_stats, loss, gradient, sums)
            carry, _ = _scan(part, carry, (jnp.arange(microbatches), parts), unroll)
            batch_stats, loss, gradient, sums = carry

        loss, gradient, sums = sum_over_devices((loss, gradient, sums))

        learning_rate = jnp.asarray(schedule(state.step), jnp.float32)
        if state.plateau is not None:
            learning_rate = learning_rate * state.plateau.scale
        gradient_norm = optax.tree.norm(gradient)
        # The update waits for the whole gradient, which reads the old parameters: so XLA sees that they may then be
        # overwritten, and need not be copied first.
        rate = learning_rate + 0.0 * gradient_norm
        direction, optimizer_state = optimizer.update(gradient, state.optimizer_state, trained)
        descent = flat(direction)
        trained = nested({path: p - rate * factor_of(path, 1.0) * descent[path] for path, p in flat(trained).items()})
        average = state.average
        if average is not None:
            average = optax.incremental_update(trained, average, 1 - average_decay)
        params = joined(trained, held)

        state = state.replace(
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            optimizer_state=optimizer_state,
            average=average,
        )
        figures = sums | {
            "objective": loss,
            "learning_rate": learning_rate,
            "gradient_norm": gradient_norm,
            "parameter_norm": optax.tree.norm(params),
        }
        return state, figures

    return step


def repeat(
    step: Callable[[TrainState, Batch], tuple[TrainState, Figures]], *, unroll: bool
) -> Callable[[TrainState, Batch], tuple[TrainState, Figures]]:
    """Several steps in one call: batches `[steps, n, ...]` -> the last state and the figures of each, `[steps]`.

    Args:
      unroll: whether to write the steps out or to loop over them.
    """

    def steps(state: TrainState, batches: Batch) -> tuple[TrainState, Figures]:
        return _scan(step, state, dict(batches), unroll)

    return steps


def _scan(function: Callable[[Any, Any], tuple[Any, Any]], carry: Any, inputs: Any, unroll: bool) -> tuple[Any, Any]:
    """`lax.scan`, or the same written out: a scan that unrolls itself still compiles as the body of a loop."""
    if not unroll:
        return lax.scan(function, carry, inputs)
    results = []
    for i in range(len(jax.tree.leaves(inputs)[0])):
        carry, result = function(carry, jax.tree.map(lambda x: x[i], inputs))  # noqa: B023
        results.append(result)
    return carry, jax.tree.map(lambda *parts: jnp.stack(parts), *results)


def make_evaluation_step(
    network: nn.Module, task: Task, normalize: Normalization
) -> Callable[[Any, Batch], tuple[Figures, dict[str, Array]]]:
    """`step(variables, batch) -> (sums over the batch of all devices, predictions [n, ...] of this device's part)`."""

    def step(variables: Any, batch: Batch) -> tuple[Figures, dict[str, Array]]:
        example = unit_range(batch)
        images = own_pixels(normalize(example["image"]), batch)
        outputs: Any = network.apply(variables, images, train=False)
        return sum_over_devices(task.measure(outputs, example)), task.predictions(outputs)

    return step
