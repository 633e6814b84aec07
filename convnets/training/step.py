"""One step on one device: pure functions of (state, batch) with collectives over the devices' axis."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from convnets.augment import example_keys
from convnets.parallel import AXIS, sum_over_devices
from convnets.pretrained.freezing import divided, frozen_batch_norm, joined
from convnets.pretrained.patterns import Path, flat, nested
from convnets.tasks.model import Model, made_for, unit_range
from convnets.tasks.task import Batch, loss_and_sums
from convnets.training.state import TrainState

Metrics = dict[str, Array]


DROPOUT_STREAM = 2
"""What sets the draws of dropout apart from all others of the same seed."""


def make_train_step(
    model: Model,
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
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
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
      `step(state, batch) -> (state, metrics)`. The batch has `image [n, H, W, C]` uint8, `epoch`, `index` and `weight`
      (`[n]`) and what the task reads. The metrics are float32 over the batch of all devices: the task's
      sums, `objective` (the mean loss that was differentiated), `learning_rate`, `gradient_norm`, and `parameter_norm`
      after the step.
    """
    task, factor_of = model.task, (factors or {}).get

    def objective(
        trained: Any, held: Any, batch_stats: Any, batch: Batch, key: Array, examples: Array
    ) -> tuple[Array, tuple[Any, Metrics]]:
        example = unit_range(batch)
        weight = example.pop("weight")
        example = augment(example_keys(seed, batch["epoch"], batch["index"]), example)
        example["weight"] = weight
        example["image"] = model.normalize(example["image"])
        network = made_for(model.network, example["image"].shape) if images_grow else model.network
        variables = {"params": joined(trained, held), "batch_stats": batch_stats}
        with frozen_batch_norm(frozen):
            outputs, updates = task.forward(network, variables, example, train=True, rngs={"dropout": key})
        losses, sums = loss_and_sums(task, outputs, example, train=True)
        # A share of the mean over all examples, so that parts and devices count by what they hold.
        return jnp.sum(weight * losses) / examples, (updates.get("batch_stats", {}), sums)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
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
        metrics = sums | {
            "objective": loss,
            "learning_rate": learning_rate,
            "gradient_norm": gradient_norm,
            "parameter_norm": optax.tree.norm(params),
        }
        return state, metrics

    return step


def repeat(
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]], *, unroll: bool
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Several steps in one call: batches `[steps, n, ...]` -> the last state and the metrics of each, `[steps]`.

    Args:
      unroll: whether to write the steps out or to loop over them.
    """

    def steps(state: TrainState, batches: Batch) -> tuple[TrainState, Metrics]:
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
