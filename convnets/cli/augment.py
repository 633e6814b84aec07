"""`launch.py augment`: a contact sheet of what training will see."""

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from convnets.augment import compose, example_keys
from convnets.cli.command_line import Arguments
from convnets.cli.experiments import load_experiment, override, refuse_rest, with_data_dir
from convnets.cli.printing import picture_path, print_aside
from convnets.data.pipeline import EpochOrder
from convnets.data.source import load_training_batch
from convnets.errors import InvalidValue
from convnets.plots.contact_sheet import plot_contact_sheet
from convnets.progress import Screen
from convnets.tasks.model import unit_range
from convnets.training.setup import augmented_shape, load_splits, transforms_of

MOST = 32


def run(arguments: Arguments) -> int:
    """Draws the first training images, a row each, and what the first epochs make of them, a column each.

    The first column shows an image as it is evaluated; the others, the part that training sees, augmented.
    """
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
    with Screen(Console(stderr=True)) as screen:
        chain = transforms_of(config, source, None, screen)
    order = EpochOrder(len(source), config.seed)
    _, places = order(0, rows)
    originals = unit_range({name: jnp.asarray(value) for name, value in source.batch(places).items()})

    @jax.jit
    def draw(epochs: jax.Array, pairs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        return compose(chain)(example_keys(config.seed, epochs, pairs["index"]), unit_range(pairs))

    draws = []
    for epoch in range(columns):
        # Where in the endless training stream the examples stand in this epoch. There each has a neighbour, the other
        # of two, which a mixture mixes it with.
        _, whole = order(epoch * len(source), (epoch + 1) * len(source))
        positions = epoch * len(source) + np.argsort(whole)[places]
        pairs_of = np.stack([positions & ~1, positions | 1], axis=1).ravel()
        parts = [order(int(position), int(position) + 1) for position in pairs_of]
        epochs, neighbours = (np.concatenate(column) for column in zip(*parts, strict=True))
        pairs = load_training_batch(source, neighbours, epochs, config.seed)
        drawn = jax.device_get(draw(epochs.astype(np.int32), pairs))
        draws.append({name: value[2 * np.arange(rows) + (positions & 1)] for name, value in drawn.items()})
    names = ", ".join(name for name, _ in chain) or "no augmentation"
    title = f"{source.info.name}: {names}"
    plot_contact_sheet(jax.device_get(originals), draws, source.info.classes, title, out)
    print_aside(f"drawn: {out}")
    return 0
