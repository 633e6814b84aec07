"""Scenes: garments of Fashion-MNIST at random places and scales on textured grounds, with exact masks and boxes.

No file is stored: example i is composed when it is asked for, from bits that (split, seed, i) alone decide. So there
are as many scenes as one likes, of any size, for localization and segmentation wherever Fashion-MNIST is.
"""

import copy
import functools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from convnets.data import fashion_mnist
from convnets.data.source import NO_OBJECT, SPLITS, Source, SourceInfo, as_index
from convnets.errors import InvalidValue

BACKGROUND = 0
"""The mask value of the ground; class c of `info.classes` is c + 1."""
MASK_CLASSES = ("background", *fashion_mnist.CLASSES)
PLACES = 20
"""Places tried for a garment, before the one with the least overlap is taken."""
OVERLAP = 0.15
"""The share of its box that a garment may hide of another's."""
BLOCK = 64
"""Numbers drawn at once."""
SMALLEST = 32


@dataclass(frozen=True)
class Recipe:
    """What scenes are made of.

    Attributes:
      size: height and width, pixels.
      objects: (fewest, most) garments of a scene; the most is also the number of boxes of every example.
      scale: (smallest, largest) side of a garment, as a share of the scene's.
      clutter: the most pieces of garments and stripes on the ground, which belong to no class.
      examples: of the training split; a tenth as many are in the test split.
      seed: scenes of other seeds are others.
    """

    size: int = 128
    objects: tuple[int, int] = (1, 4)
    scale: tuple[float, float] = (0.25, 0.5)
    clutter: int = 12
    examples: int = 10_000
    seed: int = 0

    def check(self) -> None:
        """Refuses what no scene can be made of.

        Raises:
          InvalidValue: the first option that is out of its range.
        """
        if not (len(self.objects) == 2 and 1 <= self.objects[0] <= self.objects[1]):
            raise InvalidValue(f"data.objects is (fewest, most) garments, at least 1, and is {self.objects!r}")
        if not (len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1] <= 1):
            raise InvalidValue(f"data.scale is (smallest, largest) in (0, 1], and is {self.scale!r}")
        for option, least in (("size", SMALLEST), ("examples", 10), ("clutter", 0), ("seed", 0)):
            if getattr(self, option) < least:
                raise InvalidValue(f"data.{option} is {getattr(self, option)}, and must be at least {least}")


class Scenes(Source):
    """A split of scenes; garments of the training split never appear in the test split.

    An example is `image [S, S, 3]` uint8, `mask [S, S]` int32 (0 the ground, else class + 1), `boxes [K, 4]` float32
    (y0, x0, y1, x1, tight around what is seen of each garment), `box_labels [K]` int32 (-1 for none), `label` (of the
    first, which is the largest) and `index`.

    Args:
      keep: keep the scenes in memory once they are composed: 64 KB each at 128 x 128.

    Raises:
      InvalidValue: another split, or options out of their range.
      DataNotFound: Fashion-MNIST is not there.
    """

    def __init__(self, split: str, recipe: Recipe, *, data_dir: str = "", keep: bool = False):
        if split not in SPLITS:
            raise InvalidValue(f"scenes have the splits {', '.join(SPLITS)}, not {split!r}")
        self.recipe, self.split = recipe, split
        self.info = describe(recipe)
        self._garments = fashion_mnist.load(split, data_dir=data_dir, padding=0)
        self._kept: dict[int, dict[str, Any]] | None = {} if keep else None

    def __len__(self) -> int:
        return self.info.splits[self.split]

    def __getitem__(self, i: int, /) -> dict[str, Any]:
        i = as_index(i, len(self))
        if self._kept is None:
            return self._compose(int(i))
        if i not in self._kept:
            scene = self._compose(int(i))
            # A byte of each pixel.
            self._kept[int(i)] = scene | {"mask": scene["mask"].astype(np.uint8)}
        scene = copy.deepcopy(self._kept[int(i)])
        return scene | {"mask": scene["mask"].astype(np.int32)}

    def training_batch(
        self, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None = None
    ) -> dict[str, np.ndarray]:
        """The scenes at `indices [n]` as arrays, the same in every epoch; scaled to another `size` if one is given."""
        scenes = [self[int(i)] for i in indices]
        if size is not None:
            scenes = [_scaled(scene, size) for scene in scenes]
        return {name: np.stack([scene[name] for scene in scenes]) for name in scenes[0]}

    def _compose(self, i: int) -> dict[str, Any]:
        draws = Draws(self.recipe.seed, SPLITS.index(self.split), i)
        size, most = self.recipe.size, self.recipe.objects[1]
        image = ground(draws, size)  # its channels first, which is faster
        self._strew(draws, image)
        garments = self._choose(draws)
        owner = np.full((size, size), NO_OBJECT)
        boxes: list[np.ndarray] = []
        for number, (_, grey, cover) in enumerate(garments):
            top, left = _place(draws, size, cover.shape[0], boxes)
            _paint(image, grey, cover, top, left, draws.colour())
            rows, columns = slice(top, top + cover.shape[0]), slice(left, left + cover.shape[1])
            owner[rows, columns] = np.where(cover > 0.5, number, owner[rows, columns])
            boxes.append(np.array([top, left, top + cover.shape[0], left + cover.shape[1]]))
        labels = np.full(most, NO_OBJECT, np.int32)
        labels[: len(garments)] = [label for label, _, _ in garments]
        seen = np.stack([tight_box(owner == number) for number in range(most)])
        return {
            "image": np.ascontiguousarray((255 * image).round().astype(np.uint8).transpose(1, 2, 0)),
            "mask": np.append(labels + 1, BACKGROUND)[owner].astype(np.int32),
            "boxes": seen,
            "box_labels": np.where(seen.any(1), labels, NO_OBJECT).astype(np.int32),
            "label": labels[0],
            "index": np.int32(i),
        }

    def _choose(self, draws: "Draws") -> list[tuple[int, np.ndarray, np.ndarray]]:
        """Garments, the largest first: label, grey values and cover, `[s, s]` in [0, 1]."""
        fewest, most = self.recipe.objects
        count = fewest + draws.below(most - fewest + 1)
        shares = sorted((draws.between(*self.recipe.scale) for _ in range(count)), reverse=True)
        chosen = []
        for share in shares:
            garment = self._garments[draws.below(len(self._garments))]
            grey = garment["image"][..., 0]
            side = max(8, round(share * self.recipe.size))
            grey, cover = _resized(np.stack([grey / np.float32(255), fashion_mnist.silhouette(grey)]), side)
            chosen.append((int(garment["label"]), grey, cover))
        return chosen

    def _strew(self, draws: "Draws", image: np.ndarray) -> None:
        """Pieces of garments, and stripes, on the ground."""
        size = self.recipe.size
        for _ in range(draws.below(self.recipe.clutter + 1)):
            height, width = (max(2, round(draws.between(0.03, 0.15) * size)) for _ in range(2))
            grey = self._garments[draws.below(len(self._garments))]["image"][..., 0] / 255
            top, left = draws.below(14), draws.below(14)
            piece = _resized(grey[top : top + 14, left : left + 14], max(height, width))[:height, :width]
            y, x = draws.below(size - height + 1), draws.below(size - width + 1)
            _paint(image, piece, np.ones_like(piece), y, x, draws.colour())


def _scaled(scene: dict[str, Any], size: int) -> dict[str, Any]:
    """A scene with sides of `size` pixels: the image averaged, the mask as it is in the middle of each pixel."""
    ratio = size / len(scene["mask"])
    middle = ((np.arange(size) + 0.5) / ratio).astype(int)
    return scene | {
        "image": cv2.resize(
            scene["image"], (size, size), interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
        ),
        "mask": scene["mask"][middle[:, None], middle],
        "boxes": scene["boxes"] * np.float32(ratio),
    }


class Draws:
    """Random numbers from raw bits, which NumPy promises to be the same in every version."""

    def __init__(self, *seed: int):
        self._bits = np.random.PCG64(np.random.SeedSequence(seed[0], spawn_key=seed[1:]))
        self._ahead: list[float] = []

    def below(self, count: int) -> int:
        """An integer in [0, count)."""
        return int(self.between(0, count))

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        if not self._ahead:
            # Drawn in blocks, the next one last.
            self._ahead = self._drawn(BLOCK)[::-1].tolist()
        return low + (high - low) * self._ahead.pop()

    def many(self, count: int) -> np.ndarray:
        """Numbers in [0, 1), float64 `[count]`."""
        ahead = [self._ahead.pop() for _ in range(min(count, len(self._ahead)))]
        return np.concatenate([ahead, self._drawn(count - len(ahead))])

    def _drawn(self, count: int) -> np.ndarray:
        return (self._bits.random_raw(count) >> np.uint64(11)) * 2.0**-53

    def colour(self) -> np.ndarray:
        """Red, green and blue in [0.3, 1)."""
        return 0.3 + 0.7 * self.many(3)


def describe(recipe: Recipe) -> SourceInfo:
    """What is known of scenes before any is made.

    Raises:
      InvalidValue: options out of their range.
    """
    recipe.check()
    splits = {"train": recipe.examples, "test": recipe.examples // 10}
    shape = (recipe.size, recipe.size, 3)
    boxes = recipe.objects[0], recipe.objects[1]
    return SourceInfo("scenes", fashion_mnist.CLASSES, shape, splits, mask_classes=MASK_CLASSES, box_counts=boxes)


def ground(draws: Draws, size: int) -> np.ndarray:
    """A texture, float32 `[3, size, size]` in [0, 1]: two colours that three waves blend, and grain."""
    along = np.arange(size) / size
    waves = np.zeros((size, size), np.float32)
    for _ in range(3):
        turn, frequency, phase = draws.between(0, np.pi), draws.between(1, 10), draws.between(0, 2 * np.pi)
        waves += _wave(
            2 * np.pi * frequency * np.cos(turn) * along + phase, 2 * np.pi * frequency * np.sin(turn) * along
        )
    blend = 0.5 + waves / 6
    one, other = 0.6 * draws.many(3), 0.6 * draws.many(3)
    grain = (0.08 * draws.many(size * size) - 0.04).astype(np.float32).reshape(size, size)
    texture = np.empty((3, size, size), np.float32)
    for channel in range(3):
        texture[channel] = np.float32(one[channel] - other[channel]) * blend + (grain + np.float32(other[channel]))
    return np.clip(texture, 0, 1, out=texture)


def _wave(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """sin(down + right) of angles `[H]` and `[W]`, float32 `[H, W]`, from sines and cosines of each alone."""
    y, x = (np.stack([np.sin(angles), np.cos(angles)]).astype(np.float32) for angles in (down, right))
    return y[0, :, None] * x[1] + y[1, :, None] * x[0]


def tight_box(pixels: np.ndarray) -> np.ndarray:
    """(y0, x0, y1, x1) around the True of `[H, W]`, float32; zeros where there is none."""
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    if not len(rows):
        return np.zeros(4, np.float32)
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], np.float32)


def _place(draws: Draws, size: int, side: int, boxes: list[np.ndarray]) -> tuple[int, int]:
    """The first of some places that hides little of what is there, or else the one that hides least."""
    best, least = (0, 0), np.inf
    for _ in range(PLACES):
        top, left = draws.below(size - side + 1), draws.below(size - side + 1)
        hidden = max((_hidden(box, top, left, side) for box in boxes), default=0.0)
        if hidden < least:
            best, least = (top, left), hidden
        if least <= OVERLAP:
            break
    return best


def _hidden(box: np.ndarray, top: int, left: int, side: int) -> float:
    height = min(box[2], top + side) - max(box[0], top)
    width = min(box[3], left + side) - max(box[1], left)
    return max(height, 0) * max(width, 0) / ((box[2] - box[0]) * (box[3] - box[1]))


def _paint(image: np.ndarray, grey: np.ndarray, cover: np.ndarray, top: int, left: int, colour: np.ndarray) -> None:
    part = image[:, top : top + grey.shape[0], left : left + grey.shape[1]]
    part += cover * ((0.15 + 0.85 * grey) * colour.astype(np.float32)[:, None, None] - part)


def _resized(values: np.ndarray, side: int) -> np.ndarray:
    """`[..., n, n]` in [0, 1] -> float32 `[..., side, side]`, linear and antialiased."""
    matrix = _resizing(values.shape[-1], side)
    resized: np.ndarray = matrix @ values.astype(np.float32) @ matrix.T
    return np.clip(resized, 0, 1, out=resized)


@functools.cache
def _resizing(length: int, side: int) -> np.ndarray:
    """`[side, length]`: what Pillow makes of each pixel of a row when it is resized linearly, antialiased."""
    pixels = Image.fromarray(np.eye(length, dtype=np.float32))
    return np.asarray(pixels.resize((length, side), Image.Resampling.BILINEAR))
