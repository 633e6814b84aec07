"""The first step traced but not computed: what it would refuse is refused before anything is compiled or written."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from convnets.augmentation import compose, with_components
from convnets.data.source import Source, load_training_batch
from convnets.training.parallel import AXIS
from convnets.training.setup import Model
from convnets.training.step import unit_range


def rehearse(config: ConfigDict, model: Model, source: Source, sizes: Sequence[int | None]) -> None:
    """Augments, applies and scores the first two training examples, in shapes alone.

    Args:
      sizes: sides of training images that will occur; None stands for the source's own.

    Raises:
      InvalidValue: what a source, an augmentation, the network in training or the loss refuses.
    """
    channels = model.image_shape[-1]
    chain = with_components(config.augmentation, tuple((0.0,) * channels for _ in range(channels)))
    places = np.arange(2) % len(source)

    def once(native: Any, batch: Mapping[str, Any]) -> Any:
        variables = model.network.init(jax.random.key(0), native, train=False)
        example = compose(chain)(jax.random.split(jax.random.key(0)), unit_range(batch))
        outputs, _ = model.network.apply(
            variables,
            model.normalize(example["image"]),
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )
        return model.task.loss(outputs, example)

    native = jnp.zeros((1, *model.image_shape))
    for size in sizes:
        batch = load_training_batch(source, places, np.zeros(2, np.int64), config.seed, size)
        # One device: its axis is there for what is summed over all of them.
        one_device = jax.tree.map(lambda values: values[None], (native, batch))
        jax.eval_shape(jax.vmap(once, axis_name=AXIS), *one_device)
