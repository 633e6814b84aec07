"""The first step traced but not computed: what it would refuse is refused before anything is compiled or written."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import ScopeParamShapeError
from ml_collections import ConfigDict

from convnets.augment import compose, with_components
from convnets.data.source import Source, load_training_batch
from convnets.errors import InvalidValue
from convnets.parallel import AXIS
from convnets.tasks.model import Model, made_for, unit_range
from convnets.training.plan import Plan


def dry_run(config: ConfigDict, model: Model, source: Source, plan: Plan) -> None:
    """Augments, applies and scores the first two training examples in each size that will occur, in shapes alone.

    Raises:
      InvalidValue: what a source, an augmentation, the network in training or the loss refuses.
    """
    channels = model.image_shape[-1]
    chain = with_components(config.augmentation, tuple((0.0,) * channels for _ in range(channels)))
    grow = bool(plan.resolutions)
    sizes: list[int | None] = [side for _, side in plan.resolutions]
    places = np.arange(2) % len(source)

    def once(key: Any, batch: Mapping[str, Any]) -> Any:
        variables = model.init(key)
        example = compose(chain)(jax.random.split(jax.random.key(0)), unit_range(batch))
        example["image"] = images = model.normalize(example["image"])
        example["weight"] = jnp.ones(len(images))
        network = made_for(model.network, images.shape) if grow else model.network
        try:
            outputs, _ = model.task.forward(
                network, variables, example, train=True, rngs={"dropout": jax.random.key(0)}
            )
        except ScopeParamShapeError as error:
            raise InvalidValue(
                f"train.resolutions is for networks whose parameters fit any size of images, and those of "
                f"{config.network.name!r} do not fit {images.shape[1]} x {images.shape[2]}: leave it empty"
            ) from error
        return model.task.loss(outputs, example, train=True)[0]

    for size in sizes or [None]:
        batch = load_training_batch(source, places, np.zeros(2, np.int64), config.seed, size)
        # One device: its axis is there for what is summed over all of them.
        one_device = jax.tree.map(lambda values: values[None], (jax.random.key(0), batch))
        jax.eval_shape(jax.vmap(once, axis_name=AXIS), *one_device)
