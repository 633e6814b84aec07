"""The table of data sets."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from convnets.data import fashion_mnist as _fashion_mnist
from convnets.data import scenes as _scenes
from convnets.data.image_folder import image_folder
from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import serve
from convnets.data.records import Records
from convnets.data.segmentation_folder import segmentation_folder
from convnets.data.source import Source, SourceInfo
from convnets.data.tfds_records import load_in_memory, tfds
from convnets.data.voc import voc
from convnets.registry import Registry

sources: Registry[Callable[..., Source]] = Registry("data set")
"""Each is `f(split, *, options) -> source`, with the splits that its publisher made ("train", "test", ...)."""

descriptions: dict[str, Callable[..., SourceInfo]] = {}
"""For each data set a function of the same options that describes it without reading it."""


def create(name: str, split: str, **options: Any) -> Source:
    """A split of a data set by its name.

    Raises:
      InvalidValue: an unknown data set, split, or option.
      DataNotFound: its files are not there.
    """
    factory = sources[name]
    sources.check_options(name, options)
    return factory(split, **options)


def describe(name: str, **options: Any) -> SourceInfo:
    """What is known of a data set, without its files if it has an entry in `descriptions`.

    Raises:
      InvalidValue: an unknown data set, or option.
    """
    sources.check_options(name, options)
    if name in descriptions:
        return descriptions[name](**options)
    return create(name, "train", **options).info


def pictures(open_records: Callable[..., Records]) -> Callable[..., Source]:
    """Decorator: from a function that opens records to one that serves them, which takes `PictureOptions` as well."""
    signature = inspect.signature(open_records)
    of_pictures = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields(PictureOptions)
    ]
    names = {option.name for option in of_pictures}

    @functools.wraps(open_records)
    def source(split: str, **given: Any) -> Source:
        options = PictureOptions(**{name: value for name, value in given.items() if name in names})
        options.check()
        # What the function takes too, it is told too.
        own = {name: value for name, value in given.items() if name in signature.parameters or name not in names}
        return serve(open_records(split, **own), options, split)

    parameters = [*(own for own in signature.parameters.values() if own.name not in names), *of_pictures]
    source.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return source


for opener in (image_folder, segmentation_folder, voc, tfds):
    sources.register(pictures(opener))


@sources.register
def tfds_in_memory(
    split: str, *, dataset: str = "cifar10", data_dir: str = "", train: str = "", test: str = ""
) -> Source:
    """A data set of small images of one size that TFDS has prepared, decoded once and served as they are."""
    return load_in_memory(tfds(split, dataset=dataset, data_dir=data_dir, train=train, test=test))


@sources.register
def fashion_mnist(split: str, *, data_dir: str = "", padding: int = 2) -> Source:
    """Fashion-MNIST, padded from 28 x 28 to LeNet-5's 32 x 32."""
    return _fashion_mnist.load(split, data_dir=data_dir, padding=padding)


@sources.register
def scenes(
    split: str,
    *,
    data_dir: str = "",
    size: int = 128,
    objects: tuple[int, int] = (1, 4),
    scale: tuple[float, float] = (0.25, 0.5),
    clutter: int = 12,
    examples: int = 10_000,
    seed: int = 0,
    keep: bool = False,
) -> Source:
    """Garments on textured grounds, with boxes and masks, composed on the fly."""
    recipe = _scenes.Recipe(size, objects, scale, clutter, seed)
    return _scenes.Scenes(split, recipe, examples=examples, data_dir=data_dir, keep=keep)


def _describe_scenes(*, data_dir: str = "", examples: int = 10_000, keep: bool = False, **recipe: Any) -> SourceInfo:
    return _scenes.describe(_scenes.Recipe(**recipe), examples)


descriptions["scenes"] = _describe_scenes


def _describe_fashion_mnist(*, data_dir: str = "", padding: int = 2) -> SourceInfo:
    return _fashion_mnist.describe(padding)


descriptions["fashion_mnist"] = _describe_fashion_mnist
