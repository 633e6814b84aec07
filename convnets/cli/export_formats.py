"""What a run's network is exported as: weights by name, or its prediction as a StableHLO program."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from ml_collections import ConfigDict

from convnets import models
from convnets.evaluation.inference import predict
from convnets.layers import implementation
from convnets.pretrained.conversion import to_own_names
from convnets.pretrained.writing import difference_from_torchvision, torchvision_state
from convnets.tasks.model import Model
from convnets.training.config import options_of
from convnets.training.setup import batch_norm_options

PLATFORMS = ("cpu", "cuda", "tpu")
"""That a StableHLO program is for."""


@dataclass(frozen=True)
class Trained:
    """A network and a checkpoint of it.

    Attributes:
      variables: those that evaluation applies the network with, NumPy arrays.
      step: of the checkpoint.
    """

    config: ConfigDict
    model: Model
    variables: Any
    step: int

    @property
    def architecture(self) -> str:
        """Its name in `create`."""
        return str(self.config.network.name)

    def about(self) -> dict[str, Any]:
        """What one needs to know to use the weights, ready for JSON.

        `image_size` (height, width) is that of the images that the network takes, normalized by `normalization` on the
        scale where white is 1; `image_shape` (height, width, channels) that of the images that `launch.py predict`
        brings pictures to, a frame of `padding` zeros around them included.
        """
        info, normalize = self.model.info, self.model.normalize
        norms = "norm" in models.architectures.options(self.architecture)
        given = batch_norm_options(self.config) if norms else {}
        batch_norm = {name: given[name] for name in ("epsilon", "per") if name in given}
        return {
            "architecture": self.architecture,
            "options": options_of(self.config, "network"),
            "classes": list(info.classes),
            "batch_norm": batch_norm,
            "normalization": {"mean": list(normalize.mean), "std": list(normalize.std)},
            "image_size": list(self.model.image_shape[:2]),
            "image_shape": list(info.image_shape),
            "padding": info.padding,
            "step": self.step,
        }


@dataclass(frozen=True)
class Exported:
    """A file to be written.

    Attributes:
      inside: what it is, in words, for the console.
    """

    content: bytes
    inside: str


def as_safetensors(trained: Trained) -> Exported:
    """torchvision's names and layouts where it has the network, so that it loads it strictly; else our own."""
    different = difference_from_torchvision(trained.architecture, trained.model.network, trained.variables)
    if different:
        arrays, names, layout = to_own_names(trained.variables), f"our own names ({different})", "np"
    else:
        arrays, names, layout = torchvision_state(trained.architecture, trained.variables), "torchvision's names", "pt"
    about = {name: said if isinstance(said, str) else json.dumps(said) for name, said in trained.about().items()}
    content = safetensors.numpy.save(arrays, metadata={"format": layout} | about)
    return Exported(content, f"{len(arrays)} arrays in {names}")


def as_npz(trained: Trained) -> Exported:
    """Our own names, such as `params/conv1/convolution/kernel`."""
    arrays, content = to_own_names(trained.variables), io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    return Exported(content.getvalue(), f"{len(arrays)} arrays in our own names")


def as_stablehlo(trained: Trained) -> Exported:
    """What `jax.export` serializes, for `jax.export.deserialize`; it runs wherever JAX does, without this project."""
    images, predict = images_of(trained), jax.jit(prediction(trained))
    # Kernels that are compiled for this machine are not to be had elsewhere.
    with implementation.use("plain"):
        exported = jax.export.export(predict, platforms=PLATFORMS)(images)
        outputs = jax.eval_shape(predict, images)
    return Exported(bytes(exported.serialize()), f"StableHLO, {in_words(images, outputs)}")


def prediction(trained: Trained) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """What `launch.py predict` computes of uint8 images `[N, H, W, C]`, parameters and preprocessing within it."""
    return partial(predict, trained.model, trained.variables)


def images_of(trained: Trained) -> jax.ShapeDtypeStruct:
    """uint8 `[N, H, W, C]`, N being left open."""
    return jax.ShapeDtypeStruct((*jax.export.symbolic_shape("N"), *trained.model.info.image_shape), jnp.uint8)


def in_words(images: jax.ShapeDtypeStruct, outputs: Mapping[str, Any]) -> str:
    """Such as `images uint8 [N, 32, 32, 1] -> classes int32 [N, 5]`."""
    given, *made = (
        f"{name} {array.dtype} [{', '.join(map(str, array.shape))}]"
        for name, array in {"images": images, **dict(sorted(outputs.items()))}.items()
    )
    return f"{given} -> {', '.join(made)}"
