"""The table of data sets."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from convnets.data import fashion_mnist as _fashion_mnist
from convnets.data import scenes as _scenes
from convnets.data.image_folder import open_folder
from convnets.data.pictures import Serving
from convnets.data.records import Records
from convnets.data.reporting import bar
from convnets.data.source import Source, SourceInfo
from convnets.data.tfds_records import load_in_memory, open_split_of_run
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
    """Decorator: from a function that opens records to one that serves them, with the options of `Serving` besides."""
    signature = inspect.signature(open_records)
    options = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields(Serving)
    ]

    @functools.wraps(open_records)
    def source(split: str, **given: Any) -> Source:
        serving = Serving(**{option.name: given.pop(option.name) for option in options if option.name in given})
        serving.check()
        return serving.serve(open_records(split, **given), split)

    parameters = [*signature.parameters.values(), *options]
    source.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return source


@sources.register
@pictures
def image_folder(split: str, *, data_dir: str = "", train: str = "", test: str = "", labels: str = "") -> Records:
    """A user's own pictures, in folders of classes or in lists."""
    with bar(f"files of {data_dir}") as update:
        return open_folder(split, data_dir=data_dir, train=train, test=test, labels=labels, progress=update)


@sources.register
@pictures
def tfds(split: str, *, dataset: str = "imagenet2012", data_dir: str = "", train: str = "", test: str = "") -> Records:
    """A data set that TFDS has prepared."""
    with bar(f"index of {dataset}") as update:
        return open_split_of_run(
            split,
            dataset=dataset,
            data_dir=data_dir,
            train=train,
            test=test,
            progress=lambda done, _: update(done),
        )


@sources.register
def tfds_in_memory(
    split: str, *, dataset: str = "cifar10", data_dir: str = "", train: str = "", test: str = ""
) -> Source:
    """A data set of small images of one size that TFDS has prepared, decoded once and served as they are."""
    records = open_split_of_run(split, dataset=dataset, data_dir=data_dir, train=train, test=test)
    with bar(f"decoding {dataset}", len(records)) as update:
        return load_in_memory(records, lambda done, _: update(done))


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
) -> Source:
    """Garments on textured grounds, with boxes and masks, composed on the fly."""
    recipe = _scenes.Recipe(size, objects, scale, clutter, seed)
    return _scenes.Scenes(split, recipe, examples=examples, data_dir=data_dir)


def _describe_scenes(*, data_dir: str = "", examples: int = 10_000, **recipe: Any) -> SourceInfo:
    return _scenes.describe(_scenes.Recipe(**recipe), examples)


descriptions["scenes"] = _describe_scenes


def _describe_fashion_mnist(*, data_dir: str = "", padding: int = 2) -> SourceInfo:
    return _fashion_mnist.describe(padding)


descriptions["fashion_mnist"] = _describe_fashion_mnist
