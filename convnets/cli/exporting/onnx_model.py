"""A network as an ONNX model, by jax2onnx."""

import dataclasses
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec

import jax
import jax.numpy as jnp

from convnets import kernels
from convnets.cli.exporting.onnx_operations import rewritten
from convnets.cli.exporting.prediction import images_of, in_words, prediction
from convnets.cli.exporting.trained import Exported, Trained
from convnets.errors import InvalidValue

NEEDED = ("onnx", "onnx_ir", "jax2onnx")
VERSION = ">=0.17,<0.18"


def check_installed() -> None:
    """Refuses where the converter is not installed.

    Raises:
      InvalidValue: with what to install, or what does without.
    """
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        raise InvalidValue(
            f"--format=onnx takes {' and '.join(missing)}, not installed here: pip install -r requirements-onnx.txt && "
            f'pip install --no-deps "jax2onnx{VERSION}", or use --format=stablehlo, which takes nothing more'
        )


def onnx(trained: Trained) -> Exported:
    """An ONNX model that computes in float32, whatever the run did: ONNX Runtime has little else for a CPU."""
    network = trained.model.network.clone(dtype=jnp.float32)
    trained = dataclasses.replace(trained, model=dataclasses.replace(trained.model, network=network))
    images = images_of(trained)
    with kernels.use("plain"):
        traced, outputs = jax.make_jaxpr(prediction(trained), return_shape=True)(images)
    with _quiet("jax2onnx", "onnx_ir"):
        from onnx.helper import set_model_props

        to_onnx = import_module("jax2onnx").to_onnx
        model = to_onnx(rewritten(traced), [images], input_names=["images"], output_names=sorted(outputs))
    set_model_props(model, {name: json.dumps(said) for name, said in trained.about().items()})
    return Exported(model.SerializeToString(), f"ONNX, {in_words(images, outputs)}")


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Without what is said of the libraries that jax2onnx could convert if they were installed."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
