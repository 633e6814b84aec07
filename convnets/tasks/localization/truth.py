"""What is true of the objects that are looked for, and which of it counts.

A box of which augmentation or a crop leaves nothing is (0, 0, 0, 0). It counts in no loss and no measure of boxes; of
one that is partly seen, the part that is seen is the truth.

One object: its class is the image's label, which counts whatever becomes of the box. Its box is the first of that class
that is seen, and found where any of them is (Russakovsky et al., ILSVRC, IJCV 2015, section 4.2). Images without a
label have the class of the first box that is seen, and count for nothing without one.

K objects: number k is box k, with its own class; it counts, class and box, while it is seen.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from convnets.augment.boxes import is_empty


class Truth(NamedTuple):
    """Of N images with K objects each.

    Attributes:
      labels: int32 `[N, K]`, 0 where none counts.
      has_class, has_box: whether the class and the box count, float32 `[N, K]` of 0 and 1.
      boxes: what is regressed to, `[N, K, 4]` (y0, x0, y1, x1), the image being 1 high and 1 wide.
      others: all boxes that are as good, `[N, K, P, 4]`; (0, 0, 0, 0) where there are fewer.
      size: height and width of the images, in pixels.
    """

    labels: Array
    has_class: Array
    has_box: Array
    boxes: Array
    others: Array
    size: tuple[int, int]

    def assigned(self, order: Array) -> "Truth":
        """The objects in another order, int `[N, K]`."""

        def taken(values: Array) -> Array:
            return jnp.take_along_axis(values, order.reshape(*order.shape, *(1,) * (values.ndim - 2)), axis=1)

        labels, has_class, has_box, boxes, others = map(taken, self[:5])
        return Truth(labels, has_class, has_box, boxes, others, self.size)


def truth_of(batch: Mapping[str, Array], objects: int) -> Truth:
    """Of a batch with `image [N, H, W, C]`, `boxes [N, P, 4]` in pixels, `box_labels [N, P]` and, perhaps, `label`."""
    height, width = batch["image"].shape[1:3]
    boxes = batch["boxes"] / jnp.array([height, width, height, width], jnp.float32)
    labels = batch["box_labels"]
    seen = ~is_empty(boxes) & (labels >= 0)
    if objects > 1:
        boxes, labels, seen = boxes[:, :objects], labels[:, :objects], seen[:, :objects]
        counts = seen.astype(jnp.float32)
        others = jnp.where(seen[..., None], boxes, 0)
        return Truth(jnp.where(seen, labels, 0), counts, counts, others, others[:, :, None], (height, width))
    first = jnp.take_along_axis(labels, jnp.argmax(seen, axis=1)[:, None], axis=1)[:, 0]
    label = batch.get("label", jnp.where(seen.any(1), first, 0))
    of_class = seen & (labels == label[:, None])
    place = jnp.argmax(of_class, axis=1)[:, None, None]
    has_box = of_class.any(1, keepdims=True).astype(jnp.float32)
    return Truth(
        label[:, None],
        jnp.ones_like(has_box) if "label" in batch else has_box,
        has_box,
        jnp.take_along_axis(boxes, place, axis=1) * has_box[..., None],
        jnp.where(of_class[..., None], boxes, 0)[:, None],
        (height, width),
    )


def of_classes(values: Array, labels: Array) -> Array:
    """The boxes or numbers of the given classes, `[N, K, B, 4]` and int `[N, K, G]` -> `[N, K, G, 4]`; B may be 1."""
    if values.shape[2] == 1:
        return jnp.broadcast_to(values, (*labels.shape, 4))
    return jnp.take_along_axis(values, labels[..., None], axis=2)


def likeliest(logits: Array, count: int) -> tuple[Array, Array]:
    """The classes of the highest logits `[..., C]`, int32 `[..., count]`, and their probabilities, float32."""
    # By the logits: probabilities round to equal ones where logits still differ.
    _, classes = jax.lax.top_k(logits, count)
    return classes.astype(jnp.int32), jnp.take_along_axis(jax.nn.softmax(logits), classes, axis=-1)


def cheapest(costs: Array) -> Array:
    """The assignment of least total cost (Kuhn, "The Hungarian Method", 1955), int32 `[N, K]`.

    Args:
      costs: of answer k and object j, `[N, K, K]`, finite.

    Returns:
      For each answer its object.
    """

    def assignment(matrix: Array) -> Array:
        answers, objects = optax.assignment.hungarian_algorithm(matrix)
        return jnp.zeros(len(matrix), jnp.int32).at[answers].set(objects.astype(jnp.int32))

    return jax.lax.stop_gradient(jax.vmap(assignment)(costs))
