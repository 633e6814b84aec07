"""Boxes come back from every motion and its inverse; those of augmentations that are drawn follow their image."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from painted_boxes import HEIGHT, WIDTH, check_agreement, painted

from convnets.augment import compose, transforms
from convnets.augment.crop import crop_at, mirror
from convnets.augment.lens import Lens, distort
from convnets.augment.mixing import MIXTURES
from convnets.augment.motions import about_centre, chain, inverse, rotation, scaling, shearing, translation, warp_by
from convnets.augment.resize import resize, resized_crop
from convnets.augment.warp import warp

# Well within the picture, so that nothing is cut off on the way.
BOXES = np.array([[14, 13, 22, 20], [20, 18, 30, 25], [0, 0, 0, 0]], np.float32)


def padded(example, rows, columns):
    """The example with zeros around it: the inverse of a crop."""
    around = ((rows, rows), (columns, columns))
    image = jnp.pad(example["image"], (*around, (0, 0)))
    boxes = example["boxes"]
    some = (boxes[:, 2:] > boxes[:, :2]).all(-1, keepdims=True)
    return {"image": image, "boxes": jnp.where(some, boxes + jnp.array([rows, columns] * 2), 0)}


def centred(matrix):
    return about_centre(matrix, HEIGHT, WIDTH)


MOTIONS = {
    "quarter turn": centred(rotation(90)),
    "half turn": centred(rotation(180)),
    "translation": translation(3.5, -2.25),
    "zoom": centred(scaling(1.25, 1.1)),
    "both": centred(chain(rotation(90), scaling(0.9, 0.9), translation(2, 1))),
}
PAIRS = {
    "flip": (mirror, mirror),
    "crop": (
        lambda example: crop_at(example, jnp.int32(6), jnp.int32(5), HEIGHT - 12, WIDTH - 10),
        lambda example: padded(example, 6, 5),
    ),
    "resize": (lambda example: resize(example, 31, 77), lambda example: resize(example, HEIGHT, WIDTH)),
    "resized crop": (
        lambda example: resized_crop(example, 8.0, 4.0, 32.0, 32.0, (64, 64)),
        lambda example: resized_crop(example, -16.0, -8.0, 96.0, 80.0, (HEIGHT, WIDTH)),
    ),
    **{
        name: (functools.partial(warp_by, matrix=matrix), functools.partial(warp_by, matrix=inverse(matrix)))
        for name, matrix in MOTIONS.items()
    },
}


@pytest.mark.parametrize("name", list(PAIRS))
def test_boxes_come_back_from_a_motion_and_its_inverse(name):
    there, back = PAIRS[name]
    example = {"image": jnp.zeros((HEIGHT, WIDTH, 1)), "boxes": jnp.asarray(BOXES)}
    moved = jax.jit(there)(example)
    assert name == "half turn" or not np.allclose(moved["boxes"], BOXES, atol=0.5)
    np.testing.assert_allclose(jax.jit(back)(moved)["boxes"], BOXES, atol=1e-3)


@pytest.mark.parametrize("name", ["turned", "sheared", "lens"])
def test_boxes_that_do_not_stay_upright_come_back_around_themselves(name):
    """A tilted box has a larger one around it, whose way back is larger still; its centre returns."""
    if name == "lens":
        lens = Lens(0.15, 0.05, HEIGHT, WIDTH)
        there = functools.partial(distort, coefficients=(0.15, 0.05))
        back = lambda example: warp(example, lens.distorted, lens.undistorted, border="zero")  # noqa: E731
    else:
        matrix = centred(rotation(12) if name == "turned" else shearing(8))
        there, back = (functools.partial(warp_by, matrix=each) for each in (matrix, inverse(matrix)))
    example = {"image": jnp.zeros((HEIGHT, WIDTH, 1)), "boxes": jnp.asarray(BOXES)}
    found = np.asarray(jax.jit(lambda example: back(there(example)))(example)["boxes"])
    assert (found[:2, :2] <= BOXES[:2, :2] + 1e-3).all() and (found[:2, 2:] >= BOXES[:2, 2:] - 1e-3).all()
    centres = [(boxes[:2, :2] + boxes[:2, 2:]) / 2 for boxes in (found, BOXES)]
    np.testing.assert_allclose(*centres, atol=0.6)
    assert (found[2] == 0).all()


@pytest.mark.parametrize("name", [name for name in transforms if name not in MIXTURES])
def test_boxes_and_image_agree_after_every_augmentation_that_is_drawn(name):
    """Whatever an augmentation draws, each box is still around what was painted in it."""
    options = {"pca_colour": {"components": ((0.1, 0.0), (0.0, 0.1))}}.get(name, {})
    plain = painted()
    augment = jax.jit(compose(((name, options),)))
    left = 0
    for seed in range(3):
        batch = {field: jnp.asarray(value)[None] for field, value in plain.items()}
        moved = jax.device_get(augment(jax.random.split(jax.random.key(seed), 1), batch))
        one = {field: np.asarray(value[0]) for field, value in moved.items()}
        turned = not np.allclose(one["boxes"], plain["boxes"]) and name in ("affine", "rotation", "lens_distortion")
        # Colours are not what is asked for here.
        one["image"] = np.stack([one["mask"] / 4, one["mask"] > 0], -1) * (one["mask"] < 255)[..., None]
        left += check_agreement(one, slack=1.51, turned=turned)
    assert left > 0
