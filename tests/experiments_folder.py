"""The experiments of the folder, and data of the right shape to try them on."""

import functools
import importlib.util
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convnets.data import sources
from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import serve
from convnets.data.records import Record
from convnets.data.source import UNKNOWN_SHAPE, ArraySource, Source, SourceInfo

ROOT = Path(__file__).parents[1]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "experiments").glob("*.py"))

SIZES = {
    "imagenet2012": (1000, 1_281_167),
    "cifar10": (10, 50_000),
    "imagenette/320px-v2": (10, 9_469),
    "oxford_iiit_pet": (37, 3_680),
    "": (10, 60_000),
}
"""Classes and training examples of each data set; the last is Fashion-MNIST, which has no options of a name."""

EXAMPLES = 8
MASKED = {"scenes": 11, "voc": 21}
"""Classes of the masks of each data set of segmentation; localization finds boxes there."""


def module_of(file: str) -> Any:
    """The module of an experiment's file."""
    spec = importlib.util.spec_from_file_location(Path(file).stem, ROOT / file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words_of(file: str) -> list[str]:
    """What may stand behind the file's colon: the table of its module that has the default in it; [""] without one."""
    module = module_of(file)
    parameters = list(inspect.signature(module.get_config).parameters.values())
    if not parameters:
        return [""]
    default = parameters[0].default
    tables = [value for value in vars(module).values() if isinstance(value, dict | tuple) and default in value]
    assert len(tables) == 1, f"{file} needs one table of the words that its get_config takes"
    return list(tables[0])


def experiments() -> list[str]:
    """All of them as `--config` names them: `experiments/imagenet_vgg.py:D`."""
    return [f"{file}:{word}" if word else file for file in FILES for word in words_of(file)]


class FewPictures:
    """Records of noise in several sizes."""

    def __init__(self, classes: int):
        self.classes = classes
        names = tuple(f"class {number}" for number in range(classes))
        self.info = SourceInfo("noise", names, UNKNOWN_SHAPE, {"train": EXAMPLES, "test": EXAMPLES}, fields=("label",))

    def __len__(self) -> int:
        return EXAMPLES

    def __getitem__(self, i: int, /) -> Record:
        pixels = np.random.default_rng(i).integers(0, 256, (60 + i, 90 - 2 * i, 3)).astype(np.uint8)
        return Record(pixels, f"picture {i}", i % self.classes)


def few_images(classes: int, shape: tuple[int, int, int]) -> ArraySource:
    """Noise of one size."""
    images = np.random.default_rng(0).integers(0, 256, (EXAMPLES, *shape)).astype(np.uint8)
    names = tuple(f"class {number}" for number in range(classes))
    info = SourceInfo("noise", names, shape, {"train": EXAMPLES, "test": EXAMPLES})
    return ArraySource({"image": images, "label": np.arange(EXAMPLES, dtype=np.int32)}, info)


class Growing(ArraySource):
    """Serves the upper left part of its images for training with smaller ones."""

    def training_batch(
        self, indices: np.ndarray, epochs: np.ndarray, seed: int, size: int | None = None
    ) -> dict[str, np.ndarray]:
        batch = self.batch(indices)
        return batch | {name: batch[name][:, :size, :size] for name in ("image", "mask")}


@contextmanager
def noise_for_data() -> Iterator[None]:
    """In the place of every data set that an experiment names; with its own options, so that a wrong one is refused."""
    with pytest.MonkeyPatch.context() as patch:
        for name in sources:
            patch.setitem(
                sources._choices, name, _masks_for(sources[name]) if name in MASKED else _noise_for(sources[name])
            )
        yield


def _masks_for(source: Any) -> Any:
    """Noise with masks and boxes, of the size that training is served."""

    @functools.wraps(source)
    def noise(split: str, **options: Any) -> Source:
        count = MASKED[source.__name__]
        size = options.get("size") or 128
        plain = few_images(10, (size, size, 3))
        masks = np.random.default_rng(1).integers(0, count, (EXAMPLES, size, size)).astype(np.int32)
        boxes = options.get("objects", (1, 1))[1]
        info = replace(
            plain.info,
            mask_classes=tuple(f"class {number}" for number in range(count)),
            box_counts=(boxes, boxes),
        )
        arrays = {
            "image": plain.batch(np.arange(EXAMPLES))["image"],
            "mask": masks,
            "label": np.arange(EXAMPLES, dtype=np.int32),
            "boxes": np.tile(np.array([size // 4, size // 4, size // 2, size], np.float32), (EXAMPLES, boxes, 1)),
            "box_labels": np.repeat(np.arange(EXAMPLES, dtype=np.int32)[:, None], boxes, 1),
        }
        return Growing(arrays, info)

    return noise


def _noise_for(source: Any) -> Any:
    options_of_serving = {field.name for field in fields(PictureOptions)}

    @functools.wraps(source)
    def noise(split: str, **options: Any) -> Source:
        classes, _ = SIZES[options.get("dataset", "")]
        serving = {name: value for name, value in options.items() if name in options_of_serving}
        if serving:
            return serve(FewPictures(classes), PictureOptions(**serving), split)
        return few_images(classes, (32, 32, 3 if "dataset" in options else 1))

    return noise
