"""`launch.py augment`: a contact sheet of what training will see."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from convnets.analysis.contact_sheet import plot_contact_sheet
from convnets.augmentation import compose, example_keys
from convnets.commands.command_line import Arguments
from convnets.commands.experiments import load_experiment, override, refuse_rest, with_data_dir
from convnets.commands.pictures import picture_path
from convnets.data.pipeline import TrainingBatches
from convnets.errors import InvalidValue
from convnets.training.pixel_statistics import chain_of
from convnets.training.progress import Screen
from convnets.training.setup import augmented_shape, load_splits
from convnets.training.step import unit_range

MOST = 32


def run(arguments: Arguments) -> int:
    """Draws the first training images, a row each, and what the first epochs make of them, a column each."""
    refuse_rest(arguments)
    out = picture_path(arguments.required("out"))
    assert out is not None
    rows, columns = arguments["rows"], arguments["columns"]
    for flag, value in {"rows": rows, "columns": columns}.items():
        if not 1 <= value <= MOST:
            raise InvalidValue(f"--{flag} is {value}, and must lie in [1, {MOST}]")
    config = override(load_experiment(arguments.required("config")), with_data_dir(arguments))
    source = load_splits(config).train
    augmented_shape(config, source.info)
    console = Console(file=sys.stderr)
    with Screen(console) as screen:
        chain = chain_of(config, source, None, screen)
    batch = TrainingBatches(source, batch_size=rows, seed=config.seed, steps=1)[0]
    example = unit_range({name: jnp.asarray(value) for name, value in batch.items() if name not in ("weight", "epoch")})

    @jax.jit
    def draw(epoch: jax.Array) -> dict[str, jax.Array]:
        return compose(chain)(example_keys(config.seed, epoch, example["index"]), example)

    draws = [jax.device_get(draw(np.full(rows, epoch, np.int32))) for epoch in range(columns)]
    names = ", ".join(name for name, _ in chain) or "no augmentation"
    title = f"{source.info.name}: {names}"
    plot_contact_sheet(jax.device_get(example), draws, source.info.classes, title, out)
    console.print(f"drawn: {out}", highlight=False, soft_wrap=True)
    return 0
