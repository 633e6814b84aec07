"""The training step that one would write by hand for one device: the bare work that everything else is held against.

No mapped axis, no feed, no microbatches, no task: a function of (state, batch) under `jax.jit`, its state donated. Of
the library it takes what defines the experiment (network, augmentation, schedule, optimizer) and nothing that runs it.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from convnets import models
from convnets.augment import compose, example_keys
from convnets.layers import BatchNorm
from convnets.training.config import options_of
from convnets.training.setup import Plan


def make_plain_step(config: ConfigDict, num_classes: int, plan: Plan) -> Any:
    """`(state, batch) -> (state, figures)`, jitted; the state is the loop's, the batch one of `[N, ...]`.

    The figures are those that the loop logs: loss, top-1, top-5, learning rate, norms of gradient and parameters.
    """
    options = options_of(config, "network")
    if "norm" in models.architectures.options(config.network.name):
        options["norm"] = partial(BatchNorm, momentum=config.batch_norm.momentum, per=config.batch_norm.per)
    network = models.create(config.network.name, num_classes, **options)
    augment = compose(config.augmentation)
    mean, deviation = jnp.array(config.normalization.mean), jnp.array(config.normalization.std)

    def loss_of(params: Any, batch_stats: Any, batch: Any) -> Any:
        example = {"image": batch["image"].astype(jnp.float32) / 255}
        example = augment(example_keys(config.seed, batch["epoch"], batch["index"]), example)
        (logits, _), updates = network.apply(
            {"params": params, "batch_stats": batch_stats},
            (example["image"] - mean) / deviation,
            train=True,
            mutable=["batch_stats"],
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        return jnp.mean(losses), (updates.get("batch_stats", {}), logits)

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, batch: Any) -> Any:
        (loss, (batch_stats, logits)), gradient = jax.value_and_grad(loss_of, has_aux=True)(
            state.params, state.batch_stats, batch
        )
        learning_rate = plan.schedule(state.step)
        direction, optimizer_state = plan.optimizer.update(gradient, state.optimizer_state, state.params)
        params = jax.tree.map(lambda p, d: p - learning_rate * d, state.params, direction)
        state = state.replace(
            step=state.step + 1, params=params, batch_stats=batch_stats, optimizer_state=optimizer_state
        )
        five = jax.lax.top_k(logits, 5)[1] == batch["label"][:, None]
        return state, {
            "loss": loss,
            "top1": jnp.sum(five[:, 0]),
            "top5": jnp.sum(five),
            "learning_rate": learning_rate,
            "gradient_norm": optax.tree.norm(gradient),
            "parameter_norm": optax.tree.norm(params),
        }

    return step
