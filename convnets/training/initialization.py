"""A run that begins with what another network has learned: a run of this project, or published weights."""

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from convnets.data.normalization import Normalization
from convnets.errors import ConvnetsError, InvalidValue
from convnets.pretrained.conversion import Imported, convert
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


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a run begins with, as they were read.

    Attributes:
      origin: where they come from, in words.
    """

    imported: Imported
    origin: str


@dataclass(frozen=True)
class Initialization:
    """Initial weights that have been found to fit a network.

    Attributes:
      report: what becomes of each array.
    """

    weights: InitialWeights
    surgery: Surgery
    report: Report

    @property
    def summary(self) -> str:
        """What is taken from where, in words."""
        counts = {what: self.report.count(what) for what in ("taken", "adapted", "identity", "new")}
        words = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        return f"{self.weights.origin}: {words} arrays"

    def apply(self, state: TrainState) -> TrainState:
        """The state before the first step with the weights in it, in the average of its parameters too."""
        own = {"params": state.params, "batch_stats": state.batch_stats}
        imported = self.weights.imported
        variables, _ = operate(own, imported.variables, self.surgery, imported.left_over)
        return state.with_variables(variables["params"], variables["batch_stats"])


def initial_weights(config: ConfigDict, workdir: Workdir | None = None) -> InitialWeights | None:
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
        for name in usual:
            if given[name] != usual[name]:
                raise InvalidValue(
                    f"initialize.{name} is {given[name]!r}, and there is nothing to begin with: name the workdir of a "
                    "run (initialize.workdir) or a weight file (initialize.weights), or leave it out"
                )
        return None
    if workdir is not None and steps_of(workdir):
        return None
    return _of_run(Workdir(given.workdir), given.checkpoint) if given.workdir else _of_file(config)


def _of_run(workdir: Workdir, checkpoint: str) -> InitialWeights:
    try:
        config = complete(workdir.config())
        model = build_model(config, workdir.info())
        step = find_step(workdir, config, model, checkpoint)
        _, variables = restore_variables(workdir, config, model, str(step))
    except ConvnetsError as error:
        raise InvalidValue(f"initialize.workdir: {error}") from None
    imported = Imported(variables, {}, normalization=model.normalize, classes=model.task.classes)
    return InitialWeights(imported, f"{workdir.folder} at step {step:,}")


def _of_file(config: ConfigDict) -> InitialWeights:
    given = config.initialize
    if Path(given.weights).is_dir():
        raise InvalidValue(f"initialize.weights is the folder {given.weights}: name a file, or a run's by workdir")
    try:
        weights = read_weights(given.weights)
        imported = convert(weights, given.architecture or config.network.name)
    except ConvnetsError as error:
        raise InvalidValue(f"initialize.weights: {error}") from None
    notes = "".join(f", {note}" for note in weights.notes)
    return InitialWeights(imported, f"{weights.origin} ({imported.whose}{notes})")


def take_normalization_of_run(config: ConfigDict, workdir: Workdir) -> None:
    """Puts the normalization of the run in the workdir, if there is one, in the place of an empty one."""
    if not config.normalization.mean and workdir.config_file.exists():
        config.normalization.update(workdir.config().normalization)


def take_normalization(config: ConfigDict, weights: InitialWeights | None, channels: int) -> None:
    """Puts what the weights expect in the place of an empty normalization.

    Raises:
      InvalidValue: there are no weights, or it is not known what they expect.
    """
    if config.normalization.mean:
        return
    if weights is None or weights.imported.normalization is None:
        reason = "there are none" if weights is None else f"{weights.origin} does not say"
        raise InvalidValue(
            f"normalization.mean is (), which stands for what initialize.weights expect, and {reason}: give the mean "
            "and the std of each channel"
        )
    config.normalization.update(weights.imported.normalization.for_channels(channels)._asdict())


def initialization_of(config: ConfigDict, model: Model, weights: InitialWeights | None) -> Initialization | None:
    """The weights in the model's network; None without any.

    Raises:
      InvalidValue: layers that don't fit, a classifier of other classes, or a normalization or an option of the network
        other than the weights expect.
    """
    if weights is None:
        return None
    given, network, imported = config.initialize, config.network, weights.imported
    for option, value in imported.options.items():
        if network.get(option) != value:
            raise InvalidValue(
                f"{weights.origin} expects network.{option}={value!r}, and it is {network.get(option)!r}: set it so"
            )
    if given.deepen and network.get("shortcut") not in ("A", "B"):
        raise InvalidValue(
            f"initialize.deepen begins new blocks as the identity, which is for residual networks with shortcuts A or "
            f"B, and {network.name!r} has none such: leave it at False"
        )
    allow = tuple(pattern for pattern in given.allow if pattern != "normalization")
    if getattr(model.network, "auxiliary", False) or any(
        n.startswith("auxiliary") for n in imported.variables["params"]
    ):
        allow += imported.optional
    surgery = Surgery(tuple(given.layers), given.head, given.stem, given.deepen, allow)
    own = {"batch_stats": {}} | model.shapes()
    try:
        _, report = operate(own, imported.variables, surgery, imported.left_over)
    except InvalidValue as error:
        raise InvalidValue(f"initialize, from {weights.origin}: {error}") from None
    taken = [tuple(entry.name.split("/")) for entry in report.entries if entry.what in ("taken", "adapted")]
    if any(map(is_head, taken)):
        _refuse_other_classes(model, weights)
    if any(map(is_stem_kernel, taken)) and "normalization" not in given.allow:
        _refuse_other_normalization(model, weights)
    return Initialization(weights, surgery, report)


def _refuse_other_classes(model: Model, weights: InitialWeights) -> None:
    """Refuses a classifier that fits by its shape alone."""
    theirs, ours = weights.imported.classes, model.task.classes
    if not theirs or theirs == ours:
        return
    label, (there, here) = next((i, pair) for i, pair in enumerate(zip_longest(theirs, ours)) if pair[0] != pair[1])
    raise InvalidValue(
        f"initialize, from {weights.origin}: its head tells other classes apart (label {label} is {there!r} there and "
        f"{here!r} here): begin with a new head (initialize.head='new')"
    )


def _refuse_other_normalization(model: Model, weights: InitialWeights) -> None:
    if weights.imported.normalization is None:
        return
    ours, theirs = model.normalize, weights.imported.normalization.for_channels(len(model.normalize.mean))
    if not np.allclose(ours, theirs, rtol=0, atol=CLOSE):
        raise InvalidValue(
            f"{weights.origin} expects images normalized by {_in_words(theirs)}, and normalization says "
            f"{_in_words(ours)}: set normalization.mean to () for what the weights expect, or add 'normalization' to "
            "initialize.allow"
        )


def _in_words(normalization: Normalization) -> str:
    mean, std = ("(" + ", ".join(f"{number:.4g}" for number in numbers) + ")" for numbers in normalization)
    return f"the mean {mean} and the std {std}"
