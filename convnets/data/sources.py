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
from convnets.data.source import SPLITS, Source, SourceInfo
from convnets.data.tfds_records import load_in_memory, tfds
from convnets.data.voc import voc
from convnets.errors import InvalidValue
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


def with_fields(function: Callable[..., Source], options: type) -> Callable[..., Source]:
    """Gives a function the fields of a dataclass as keyword-only parameters, in the place of `**`."""
    of_fields = {
        each.name: inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type
        )
        for each in fields(options)
    }
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.name not in of_fields and p.kind != p.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*own, *of_fields.values()])  # type: ignore[attr-defined]
    return function


def pictures(open_records: Callable[..., Records]) -> Callable[..., Source]:
    """Decorator: from a function that opens records to one that serves them, which takes `PictureOptions` as well."""
    names, own = {field.name for field in fields(PictureOptions)}, inspect.signature(open_records).parameters

    @functools.wraps(open_records)
    def source(split: str, **given: Any) -> Source:
        if split not in SPLITS:
            raise InvalidValue(f"{open_records.__name__} has the splits {' and '.join(SPLITS)}, not {split!r}")
        options = PictureOptions(**{name: value for name, value in given.items() if name in names})
        options.check()
        # What the function takes too, it is told too.
        records = open_records(split, **{name: value for name, value in given.items() if name in own})
        return serve(records, options, split)

    return with_fields(source, PictureOptions)


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


def scenes(split: str, *, data_dir: str = "", keep: bool = False, **recipe: Any) -> Source:
    """Garments on textured grounds, with boxes and masks, composed on the fly."""
    return _scenes.Scenes(split, _scenes.Recipe(**recipe), data_dir=data_dir, keep=keep)


sources.register(with_fields(scenes, _scenes.Recipe))


def _describe_scenes(*, data_dir: str = "", keep: bool = False, **recipe: Any) -> SourceInfo:
    return _scenes.describe(_scenes.Recipe(**recipe))


def _describe_fashion_mnist(*, data_dir: str = "", padding: int = 2) -> SourceInfo:
    return _fashion_mnist.describe(padding)


descriptions |= {"scenes": _describe_scenes, "fashion_mnist": _describe_fashion_mnist}
