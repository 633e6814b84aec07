"""A classifier over an image larger than its own, by a sliding window and as a fully convolutional network (lecture:
"Sliding Window Approach to Semantic Segmentation", "Replace fully connected layer with convolutional layer").

The same network with the same parameters both ways: every window of the image is cut out and classified, or the network
is applied to the whole image once and gives a map of logits. Both answer for the same places.
"""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError
from jax import Array, lax

from convnets.errors import InvalidValue
from convnets.evaluation.views import Size
from convnets.layers.geometry import positions


class SlidingClassifier:
    """A classifier and an image that it is slid over.

    Args:
      network: gives logits `[N, classes]` of images of the window's size.
      variables: what it is applied with.
      image: `[H, W, C]` float32, as the network takes it: normalized.
      window: height and width of the images that the network was trained on, in pixels.
      stride: from a window to the next one, down and to the right, in pixels: that of the network's map of logits.
      batch: windows that are classified at once, at most.

    Attributes:
      places: top and left of each window that fits into the image, int32 `[rows, columns, 2]`.

    Raises:
      InvalidValue: an image smaller than the window, a batch of none, or a network that gives no map of logits of a
        larger image with a position for each window.
    """

    def __init__(self, network: nn.Module, variables: Any, image: Array, *, window: Size, stride: Size, batch: int):
        if batch < 1:
            raise InvalidValue(f"the batch is {batch}, and must hold at least one window")
        self.window, self.places = window, window_places((image.shape[0], image.shape[1]), window, stride)
        self._network, self._variables, self._image = network, jax.device_put(variables), jnp.asarray(image)
        self._check_map()
        # Batches of one size are compiled once, and of the smallest that does, least is filled up.
        places = self.places.reshape(-1, 2)
        batches = -(-len(places) // batch)
        filled_up = np.resize(places, (batches, -(-len(places) // batches), 2))
        self._batches = [jnp.asarray(places) for places in filled_up]
        self._classify, self._convolve = jax.jit(self._classify_windows), jax.jit(self._pass)

    def one_by_one(self) -> Array:
        """Logits of each window cut out of the image, float32 `[rows, columns, classes]`."""
        logits = [self._classify(self._variables, self._image, places) for places in self._batches]
        rows, columns, _ = self.places.shape
        return jnp.concatenate(logits)[: rows * columns].reshape(rows, columns, -1)

    def one_pass(self) -> Array:
        """Logits at the same places of one fully convolutional pass over the image, `[rows, columns, classes]`."""
        return self._convolve(self._variables, self._image)

    def _classify_windows(self, variables: Any, image: Array, places: Array) -> Array:
        def cut(place: Array) -> Array:
            return lax.dynamic_slice(image, (place[0], place[1], 0), (*self.window, image.shape[-1]))

        outputs: Any = self._network.apply(variables, jax.vmap(cut)(places), train=False)
        return outputs[0]

    def _pass(self, variables: Any, image: Array) -> Array:
        outputs: Any = self._network.apply(variables, image[None], train=False)
        rows, columns, _ = self.places.shape
        # A network that pads its maps may have one position more along a side than windows fit.
        return outputs[0].reshape(*_map_size(outputs[0]), -1)[:rows, :columns]

    def _check_map(self) -> None:
        """Traces the pass; nothing is computed."""
        size, needed = " x ".join(map(str, self._image.shape[:2])), self.places.shape[:2]
        try:
            logits: Any = jax.eval_shape(
                lambda variables, image: self._network.apply(variables, image[None], train=False)[0],
                self._variables,
                self._image,
            )
        except (FlaxError, InvalidValue, TypeError, ValueError) as error:
            raise InvalidValue(
                f"the network was made for images of {self.window[0]} x {self.window[1]} and can't be applied to "
                f"{size} ({str(error).splitlines()[0].rstrip('.')}): slide one without layers that are tied to a size, "
                "such as batch norm per location"
            ) from error
        given = _map_size(logits)
        if given[0] < needed[0] or given[1] < needed[1]:
            raise InvalidValue(
                f"the network gives {given[0]} x {given[1]} logits of an image of {size}, where {needed[0]} x "
                f"{needed[1]} windows fit: slide one whose classifier is a convolution over its last map"
            )


@dataclass(frozen=True)
class Agreement:
    """How far two maps of logits say the same.

    Attributes:
      places: of both maps.
      equal: places where both have the same likeliest class.
      largest_difference: of two logits.
      largest_logit: the largest absolute value of the first map, to hold the difference against.
    """

    places: int
    equal: int
    largest_difference: float
    largest_logit: float

    @property
    def share(self) -> float:
        """Of the places, those where both have the same likeliest class."""
        return self.equal / self.places


def agreement(one: np.ndarray, other: np.ndarray) -> Agreement:
    """Of two maps of logits `[rows, columns, classes]`."""
    same = one.argmax(-1) == other.argmax(-1)
    return Agreement(same.size, int(same.sum()), float(np.abs(one - other).max()), float(np.abs(one).max()))


def window_places(image: Size, window: Size, stride: Size) -> np.ndarray:
    """Top and left of every window that fits into an image, int32 `[rows, columns, 2]`.

    Raises:
      InvalidValue: an image smaller than the window.
    """
    if image[0] < window[0] or image[1] < window[1]:
        raise InvalidValue(
            f"the image is {image[0]} x {image[1]} pixels, and the window {window[0]} x {window[1]}: give a larger one"
        )
    tops, lefts = (
        np.arange(positions(whole, part, step), dtype=np.int32) * step
        for whole, part, step in zip(image, window, stride, strict=True)
    )
    return np.stack(np.meshgrid(tops, lefts, indexing="ij"), axis=-1)


def _map_size(logits: Any) -> Size:
    """Rows and columns of logits `[N, classes]` or `[N, rows, columns, classes]`."""
    return (1, 1) if logits.ndim == 2 else (logits.shape[1], logits.shape[2])
