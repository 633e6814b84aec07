"""A network with its task, and how images come to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from convnets.data.normalization import Normalization
from convnets.data.source import SourceInfo
from convnets.tasks.task import Batch, Outputs, Task, initial_shapes


@dataclass(frozen=True)
class Model:
    """A network with its task, and how images come to it.

    Attributes:
      info: of the source; its images are evaluated.
      image_shape: (H, W, C) of the images that the network is trained on, as augmentation leaves them; the last of
        them under progressive resizing.
    """

    task: Task
    network: nn.Module
    normalize: Normalization
    info: SourceInfo
    image_shape: tuple[int, int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images that the network is trained on."""
        return self.image_shape[0], self.image_shape[1]

    @property
    def size_of_evaluation(self) -> tuple[int, int]:
        """Height and width of the images that are evaluated."""
        return self.info.image_shape[0], self.info.image_shape[1]

    def init(self, key: Array) -> Any:
        """The network's initial variables."""
        return self.task.init(self.network, key, self.image_shape)

    def shapes(self) -> Any:
        """The shapes and types of the network's variables; nothing is computed."""
        return initial_shapes(self.task, self.network, self.image_shape)

    @property
    def of_images(self) -> Any:
        """The network as a function of images alone, as summaries trace it."""
        return self.network if type(self.task).forward is Task.forward else _OfImages(self.task, self.network)

    def forward(self, variables: Any, batch: Mapping[str, Any]) -> Outputs:
        """The network's outputs, in evaluation, for a batch whose images are in [0, 1]."""
        fed = dict(batch) | {"image": zeros_beyond(self.normalize(batch["image"]), batch.get("extent"))}
        outputs, _ = self.task.forward(self.network, variables, fed, train=False)
        return outputs


@dataclass(frozen=True)
class _OfImages:
    """A network that is fed with more than images, as the task feeds it where there is nothing else."""

    task: Task
    network: nn.Module

    def init(self, rngs: Mapping[str, Array], images: Array, train: bool = False) -> Any:
        return self.task.init(self.network, rngs["params"], images.shape[1:])

    def apply(self, variables: Any, images: Array, train: bool = False) -> Any:
        return self.task.forward(self.network, variables, {"image": images}, train=train)[0]

    def init_with_output(self, rngs: Mapping[str, Array], images: Array, train: bool = False) -> Any:
        variables = self.init(rngs, images)
        return self.apply(variables, images, train), variables


def unit_range(batch: Batch) -> dict[str, Array]:
    """The batch with its uint8 images as float32 in [0, 1]."""
    return dict(batch) | {"image": batch["image"].astype(jnp.float32) / 255}


def zeros_beyond(images: Array, extents: Array | None) -> Array:
    """Normalized images `[N, H, W, C]`, with zeros beyond the `extents [N, 2]` (height and width) of each.

    So the padding of images of variable size is zero to the network, as the padding of its maps is.
    """
    if extents is None:
        return images
    rows, columns = (jnp.arange(side) < extents[:, axis, None] for axis, side in enumerate(images.shape[1:3]))
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], images, 0.0)


def made_for(network: nn.Module, shape: Sequence[int]) -> nn.Module:
    """The network whose last pool covers the whole map of images of `shape [..., H, W, C]`, of the same parameters."""
    has_size = any(field.name == "image_size" for field in fields(network))
    return network.clone(image_size=shape[-3]) if has_size else network


def trace(model: Model, size: tuple[int, int]) -> None:
    """Applies the network to an image of a size, in shapes alone.

    Raises:
      Exception: of Flax, JAX or the layers: the network has no outputs for images of that size.
    """
    image = jax.ShapeDtypeStruct((1, *size, model.image_shape[-1]), jnp.float32)
    jax.eval_shape(
        lambda variables, image: model.task.forward(model.network, variables, {"image": image}, train=False),
        model.shapes(),
        image,
    )
