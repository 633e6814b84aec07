"""A network as a StableHLO program, which runs wherever JAX does, without this project."""

import jax

from convnets import kernels
from convnets.cli.exporting.prediction import images_of, in_words, prediction
from convnets.cli.exporting.trained import Exported, Trained

PLATFORMS = ("cpu", "cuda", "tpu")


def stablehlo(trained: Trained) -> Exported:
    """What `jax.export` serializes, for `jax.export.deserialize`."""
    images, predict = images_of(trained), jax.jit(prediction(trained))
    # Kernels that are compiled for this machine are not to be had elsewhere.
    with kernels.use("plain"):
        exported = jax.export.export(predict, platforms=PLATFORMS)(images)
        outputs = jax.eval_shape(predict, images)
    return Exported(bytes(exported.serialize()), f"StableHLO, {in_words(images, outputs)}")
