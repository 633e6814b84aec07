"""A run that begins with what another network has learned: a run of this project, or published weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from convnets.data.normalization import Normalization
from convnets.errors import ConvnetsError, InvalidValue
from convnets.pretrained.conversion import convert
from convnets.pretrained.files import read_weights
from convnets.pretrained.patterns import is_head, is_stem_kernel
from convnets.pretrained.surgery import Report, Surgery, operate
from convnets.tasks.model import Model
from convnets.training.checkpoints import find_step, restore_variables, steps_of
from convnets.training.config import complete, default_config
from convnets.training.setup import build_model
from convnets.training.state import TrainState
from convnets.training.workdir import Workdir

CLOSE = 1e-6
"""How far a normalization may lie from what weights expect, as rounding in print leaves it."""

TAKEN = ("taken", "adapted")
"""What a report says of arrays that come from the source."""


@dataclass(frozen=True)
class Source:
    """What is begun with.

    Attributes:
      variables: `params` and `batch_stats` of another network.
      origin: where they come from, in words.
      normalization: of RGB images (or of the run's own), that they expect; None if it is not known.
      left_over, optional: as `Imported` has them.
      options: of the architecture, that they expect.
      classes: names of those that their head tells apart, in the order of the labels; empty if they are not known.
    """

    variables: Any
    origin: str
    normalization: Normalization | None
    left_over: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Beginning:
    """A source that has been found to fit.

    Attributes:
      report: what becomes of each array.
    """

    source: Source
    surgery: Surgery
    report: Report

    @property
    def of(self) -> str:
        """What was taken from where, in words."""
        counts = {what: self.report.count(what) for what in ("taken", "adapted", "identity", "new")}
        words = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        return f"{self.source.origin}: {words} arrays"

    def put_into(self, state: TrainState) -> TrainState:
        """The state before the first step with what is taken in it, in the average of its parameters too."""
        own = {"params": state.params, "batch_stats": state.batch_stats}
        begun, _ = operate(own, self.source.variables, self.surgery, self.source.left_over)
        return state.with_variables(begun["params"], begun["batch_stats"])


def source_of(config: ConfigDict, workdir: Workdir | None = None) -> Source | None:
    """What the config's `initialize` names, read; None without it, or if the run in the workdir has begun before.

    Raises:
      InvalidValue: a folder without such a checkpoint of a run, a file that can't be read or is of another network, or
        other fields of `initialize` without something to begin with.
    """
    given = config.initialize
    if given.workdir and given.weights:
        raise InvalidValue(
            f"initialize.workdir is {given.workdir!r} and initialize.weights {given.weights!r}: begin with one of them"
        )
    if given.workdir and given.architecture:
        raise InvalidValue(
            f"initialize.architecture is {given.architecture!r}, and a run says itself which network it is of: "
            "leave it out"
        )
    if given.weights and given.checkpoint != "best":
        raise InvalidValue(
            f"initialize.checkpoint is {given.checkpoint!r}, and a weight file has none: leave it at 'best'"
        )
    if not (given.workdir or given.weights):
        usual = default_config().initialize
        idle = [name for name in usual if given[name] != usual[name]]
        if idle:
            raise InvalidValue(
                f"initialize.{idle[0]} is {given[idle[0]]!r}, and there is nothing to begin with: name the workdir of "
                "a run (initialize.workdir) or a weight file (initialize.weights), or leave it out"
            )
        return None
    if workdir is not None and steps_of(workdir):
        return None
    return _of_run(Workdir(given.workdir), given.checkpoint) if given.workdir else _of_file(config)


def take_normalization_of_run(config: ConfigDict, workdir: Workdir) -> None:
    """Puts the normalization of the run in the workdir, if there is one, in the place of an empty one."""
    if not config.normalization.mean and workdir.config_file.exists():
        config.normalization.update(workdir.config().normalization)


def take_normalization(config: ConfigDict, source: Source | None, channels: int) -> None:
    """Puts what the source expects in the place of an empty normalization.

    Raises:
      InvalidValue: there is no source, or it does not say what it expects.
    """
    if config.normalization.mean:
        return
    if source is None or source.normalization is None:
        of = "nothing that says what it expects is begun with" if source is None else f"{source.origin} does not say"
        raise InvalidValue(
            f"normalization.mean is (), which stands for what initialize.weights expect, and {of}: give the mean and "
            "the deviation of each channel"
        )
    mean, std = source.normalization.for_channels(channels)
    config.normalization.update({"mean": mean, "std": std})


def beginning_of(config: ConfigDict, model: Model, source: Source | None) -> Beginning | None:
    """The source in the model's network; None without one.

    Raises:
      InvalidValue: layers that don't fit, a classifier of other classes, or a normalization or an option of the network
        other than the weights expect.
    """
    if source is None:
        return None
    given, network = config.initialize, config.network
    for option, value in source.options.items():
        if network.get(option) != value:
            raise InvalidValue(
                f"{source.origin} expects network.{option}={value!r}, and it is {network.get(option)!r}: set it so"
            )
    if given.deepen and network.get("shortcut") not in ("A", "B"):
        raise InvalidValue(
            f"initialize.deepen begins new blocks as the identity, which is for residual networks with shortcuts A or "
            f"B, and {network.name!r} has none such: leave it at False"
        )
    surgery = Surgery(
        tuple(given.layers),
        given.head,
        given.stem,
        given.deepen,
        tuple(pattern for pattern in given.allow if pattern != "normalization") + _optional(model, source),
    )
    image = jnp.zeros((1, *model.image_shape))
    own = {"batch_stats": {}} | jax.eval_shape(partial(model.network.init, train=False), jax.random.key(0), image)
    try:
        _, report = operate(own, source.variables, surgery, source.left_over)
    except InvalidValue as error:
        raise InvalidValue(f"initialize, from {source.origin}: {error}") from None
    _refuse_other_classes(model, source, report)
    if "normalization" not in given.allow:
        _refuse_normalization(config, source, report)
    return Beginning(source, surgery, report)


def _of_run(workdir: Workdir, checkpoint: str) -> Source:
    try:
        config = complete(workdir.config())
        model = build_model(config, workdir.info())
        step = find_step(workdir, config, model, checkpoint)
        _, variables = restore_variables(workdir, config, model, str(step))
    except ConvnetsError as error:
        raise InvalidValue(f"initialize.workdir: {error}") from None
    normalization = Normalization(tuple(config.normalization.mean), tuple(config.normalization.std))
    return Source(variables, f"{workdir.folder} at step {step:,}", normalization, classes=model.task.classes)


def _of_file(config: ConfigDict) -> Source:
    given = config.initialize
    if Path(given.weights).is_dir():
        raise InvalidValue(f"initialize.weights is the folder {given.weights}: name a file, or a run's by workdir")
    try:
        weights = read_weights(given.weights)
        imported = convert(weights, given.architecture or config.network.name)
    except ConvnetsError as error:
        raise InvalidValue(f"initialize.weights: {error}") from None
    notes = "".join(f", {note}" for note in weights.notes)
    return Source(
        imported.variables,
        f"{weights.origin} ({imported.whose}{notes})",
        imported.normalization,
        imported.left_over,
        imported.optional,
        imported.options,
        imported.classes,
    )


def _optional(model: Model, source: Source) -> tuple[str, ...]:
    """Patterns of what weights may lack or have in vain, as far as there is such."""
    has_auxiliary = getattr(model.network, "auxiliary", False) or any(
        name.startswith("auxiliary") for name in source.variables["params"]
    )
    return source.optional if has_auxiliary else ()


def _refuse_other_classes(model: Model, source: Source, report: Report) -> None:
    """Refuses a classifier that fits by its shape alone."""
    kept = any(entry.what in TAKEN and is_head(_path(entry.name)) for entry in report.entries)
    if not (kept and source.classes) or source.classes == model.task.classes:
        return
    pairs = enumerate(zip_longest(source.classes, model.task.classes))
    label, (there, here) = next((label, names) for label, names in pairs if names[0] != names[1])
    raise InvalidValue(
        f"initialize, from {source.origin}: its head tells other classes apart (label {label} is {there!r} there and "
        f"{here!r} here): begin with a new head (initialize.head='new')"
    )


def _refuse_normalization(config: ConfigDict, source: Source, report: Report) -> None:
    sees = any(entry.what in TAKEN and is_stem_kernel(_path(entry.name)) for entry in report.entries)
    if not sees or source.normalization is None:
        return
    mean, std = tuple(config.normalization.mean), tuple(config.normalization.std)
    expected = source.normalization.for_channels(len(mean))
    if not np.allclose((mean, std), expected, rtol=0, atol=CLOSE):
        raise InvalidValue(
            f"{source.origin} expects images normalized by the mean {_short(expected.mean)} and the std "
            f"{_short(expected.std)}, and normalization says {_short(mean)} and {_short(std)}: set "
            "normalization.mean to () for what the weights expect, or add 'normalization' to initialize.allow"
        )


def _path(name: str) -> tuple[str, ...]:
    return tuple(name.split("/"))


def _short(numbers: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{number:.4g}" for number in numbers) + ")"
