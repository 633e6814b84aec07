"""A network with its weights, in one call."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from convnets import models
from convnets.data.normalization import Normalization
from convnets.data.resampling import read_part
from convnets.errors import InvalidValue
from convnets.pretrained.conversion import convert, recognised
from convnets.pretrained.files import read_weights
from convnets.pretrained.patterns import Path, flat, is_stem_kernel, matches, nested
from convnets.pretrained.surgery import Report, Surgery, operate


@dataclass(frozen=True)
class Pretrained:
    """A network with trained variables.

    Attributes:
      network: of `create`.
      variables: `params` and `batch_stats`, to apply it with.
      normalization: of the images that it takes; None if it is not known.
      classes: names of the classes in the order of the logits; empty if they are not known.
      report: what became of each array.
    """

    network: nn.Module
    variables: Mapping[str, Any]
    normalization: Normalization | None
    classes: tuple[str, ...]
    report: Report

    def predict(self, images: ArrayLike) -> Array:
        """Probabilities of the classes, float32 `[N, classes]`.

        Args:
          images: uint8 `[N, H, W, C]` of the network's size (`network.image_size`); larger ones give a map of
            probabilities `[N, h, w, classes]`.

        Raises:
          InvalidValue: images of another type, or a normalization that is not known.
        """
        images = jnp.asarray(images)
        if images.dtype != jnp.uint8 or images.ndim != 4:
            raise InvalidValue(f"predict takes uint8 images [N, H, W, C], and was given {images.dtype}{images.shape}")
        if self.normalization is None:
            raise InvalidValue(
                "it is not known how these weights expect images to be normalized: load them with "
                "normalization=Normalization(mean, std)"
            )
        return _probabilities(self.network, self.normalization, self.variables, images)

    def top(self, file: str | os.PathLike[str], k: int = 5) -> list[tuple[str, float]]:
        """The `k` most probable classes of an image file, each with its probability; numbers where no names are known.

        The centre of the picture is brought to the network's size.

        Raises:
          UnreadableImage: a file that can't be decoded.
          InvalidValue: as `predict`.
        """
        side, channels = int(self.network.image_size), _channels(flat(self.variables))
        probabilities = np.asarray(self.predict(read_part(file, (side, side, channels))[0][None]))[0]
        best = np.argsort(-probabilities, kind="stable")[:k]
        return [(self.classes[i] if self.classes else str(i), float(probabilities[i])) for i in best]


def load_pretrained(
    place: str,
    architecture: str = "",
    num_classes: int | None = None,
    *,
    normalization: Normalization | None = None,
    allow: tuple[str, ...] = (),
    **options: Any,
) -> Pretrained:
    """A network with the weights of a file, each array of which must fit.

    Args:
      place: what `read_weights` takes: a path (.safetensors, .pth, .npz, .onnx, .caffemodel), or `hf://owner/name`.
      architecture: the name in `create`; it may be left out where the file says it, as one exported from here does, or
        where it is told by the names of the arrays.
      num_classes: another number than the weights' asks for a new head, drawn at random; None: the weights' own.
      normalization: of the images, where the weights are not known to expect one.
      allow: patterns of layers that may be missing, misshapen or left over.
      **options: of the architecture.

    Raises:
      InvalidValue: a file that can't be read, weights of another or of an unknown network, and all arrays that are
        missing, misshapen or left over and not allowed.
    """
    weights = read_weights(place)
    name = architecture or weights.architecture or recognised(weights)
    imported = convert(weights, name)
    arrays = flat(imported.variables)
    own = next((x.shape[-1] for path, x in arrays.items() if path[-3:] == ("params", "logits", "kernel")), 0)
    if num_classes is None and not own:
        raise InvalidValue(f"{weights.origin} holds no classifier: say num_classes for a new one")
    said: dict[str, Any] = dict(weights.options) if name == weights.architecture else {}
    if weights.batch_norm and (norm := models.architectures.options(name).get("norm")):
        said["norm"] = partial(norm, **weights.batch_norm)
    network: Any = models.create(name, num_classes or own, **{**imported.options, **said, **options})
    channels = _channels(arrays)

    def initialize() -> dict[str, Any]:
        images = jnp.zeros((1, network.image_size, network.image_size, channels))
        return {"batch_stats": {}} | dict(network.init(jax.random.key(0), images, train=False))

    shapes = jax.eval_shape(initialize)
    paths = [path[1:] for path in (*flat(shapes), *arrays)]
    optional = tuple(pattern for pattern in imported.optional if any(matches(path, pattern) for path in paths))
    surgery = Surgery(head="keep" if num_classes in (None, own) else "new", allow=allow + optional)
    variables, report = operate(shapes, imported.variables, surgery, imported.left_over)
    arrays = flat(variables)
    missing = [path for path, array in arrays.items() if isinstance(array, jax.ShapeDtypeStruct)]
    # Compiled for what is new alone.
    drawn = jax.jit(lambda: [flat(initialize())[path] for path in missing])()
    variables = {"batch_stats": {}} | nested(arrays | dict(zip(missing, drawn, strict=True)))
    return Pretrained(
        network,
        jax.tree.map(jnp.asarray, variables),
        normalization or imported.normalization,
        imported.classes if surgery.head == "keep" else (),
        report,
    )


@partial(jax.jit, static_argnums=(0, 1))
def _probabilities(network: nn.Module, normalization: Normalization, variables: Any, images: Array) -> Array:
    outputs: Any = network.apply(variables, normalization(images.astype(jnp.float32) / 255), train=False)
    return jax.nn.softmax(outputs[0].astype(jnp.float32), axis=-1)


def _channels(arrays: Mapping[Path, Any]) -> int:
    """Of the images that the filters see."""
    return next((array.shape[2] for path, array in arrays.items() if is_stem_kernel(path[1:])), 3)
