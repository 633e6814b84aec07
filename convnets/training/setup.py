"""From a config to the things that it names, and what can be refused before anything is compiled or written.

What depends on batch sizes and devices is computed here, last.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import ScopeParamShapeError
from ml_collections import ConfigDict
from rich.console import Console

from convnets import data, models, tasks
from convnets.augment import Transform, compose, needs_components, with_components
from convnets.data.normalization import Normalization
from convnets.data.source import Source, SourceInfo, Splits, load_training_batch
from convnets.data.statistics import PixelStatistics, pixel_statistics
from convnets.data.views import class_subset, train_validation_split
from convnets.errors import InvalidValue
from convnets.files import write_atomically
from convnets.parallel import AXIS, REPLICATED, Devices
from convnets.progress import Bar, Screen, drawn_on
from convnets.tasks.model import Model, made_for, unit_range
from convnets.training import step
from convnets.training.config import options_of
from convnets.training.plan import Phase, Plan
from convnets.training.state import TrainState, create_state, first_state

STATISTICS_BATCH = 1000
"""Images whose pixels are counted at once."""


def build_model(config: ConfigDict, info: SourceInfo) -> Model:
    """The network that the config names, for the data that `info` describes.

    Raises:
      InvalidValue: what the task, the architecture, the normalization or an augmentation refuses.
    """
    task = tasks.create(config.task.name, info, **options_of(config, "task"))
    options = options_of(config, "network")
    norm = models.architectures.options(config.network.name).get("norm")
    if norm is not None:
        options["norm"] = partial(norm, **batch_norm_options(config))
    mean, std = tuple(config.normalization.mean), tuple(config.normalization.std)
    if len(mean) != info.image_shape[-1]:
        raise InvalidValue(
            f"normalization.mean has {len(mean)} numbers, but the images of {info.name!r} have "
            f"{info.image_shape[-1]} channels"
        )
    network = task.network(config.network.name, options)
    shape = augmented_shape(config, info)
    model = Model(task, network, Normalization(mean, std), info, shape)
    batch = {"image": jnp.zeros((1, *shape))}

    def once() -> Any:
        variables = model.init(jax.random.key(0))
        return variables["params"], task.decode(model.forward(variables, batch), batch)

    # Traced, not computed: images that don't fit the network or the task are refused here and not after minutes.
    params, _ = jax.eval_shape(once)
    _refuse_idle_weight(config, params)
    return model


def _refuse_idle_weight(config: ConfigDict, params: Any) -> None:
    """Refuses a weight of auxiliary losses, other than the default, for a network that has none."""
    option = "auxiliary_weight"
    usual, given = tasks.tasks.options(config.task.name).get(option), config.task.get(option)
    if given != usual and not any(layer.startswith("auxiliary") for layer in params):
        raise InvalidValue(
            f"task.{option} is {given}, and the network {config.network.name!r} has no auxiliary classifiers as it is "
            f"set up: leave the weight at {usual}, or use googlenet with network.auxiliary"
        )


def batch_norm_options(config: ConfigDict) -> dict[str, Any]:
    """What the config says of every batch norm; an epsilon of 0 leaves the architecture its own."""
    norm = config.batch_norm
    epsilon = {"epsilon": norm.epsilon} if norm.epsilon else {}
    scope = {"axis_name": AXIS, "synchronized": norm.scope == "synchronized"}
    return {"momentum": norm.momentum, "per": norm.per, **epsilon, **scope}


def load_splits(config: ConfigDict, console: Console | None = None) -> Splits:
    """The data that the config names; long work, as making a cache, is shown on the console.

    Raises:
      ConvnetsError: data that is missing, corrupt, or too little for the validation split.
    """
    options = options_of(config, "data")
    with Screen(console) as screen, drawn_on(screen):
        whole, test = (data.create(config.data.name, split, **options) for split in ("train", "test"))
    classes, per_class = tuple(config.subset.classes), config.subset.per_class
    whole, test = (
        class_subset(whole, "train", classes, per_class, config.subset.seed),
        class_subset(test, "test", classes),
    )
    held_out = config.validation.examples
    if not 0 <= held_out < len(whole):
        raise InvalidValue(
            f"validation.examples is {held_out}, and must lie in [0, {len(whole)}), the training examples"
        )
    train, validation = train_validation_split(whole, held_out, config.validation.seed)
    return Splits(train, validation if len(validation) else None, test)


def check_splits(config: ConfigDict, splits: Splits) -> None:
    """Refuses a test split that the task can't be evaluated on.

    Raises:
      InvalidValue: what the task refuses of its data, as boxes of another number.
    """
    try:
        tasks.create(config.task.name, splits.test.info, **options_of(config, "task"))
    except InvalidValue as error:
        raise InvalidValue(f"of the test split, {error}") from None


def check_masks(splits: Splits, console: Console | None = None) -> None:
    """Refuses masks that have other sizes than their pictures, in any split, as far as the files' headers say it.

    Raises:
      InvalidValue: more of them than are to be passed over.
    """
    with Screen(console) as screen, drawn_on(screen):
        for source in vars(splits).values():
            if source is not None:
                source.check_masks()


def initial_state(config: ConfigDict, model: Model, plan: Plan, at: int = 0) -> TrainState:
    """The state before the first step, in the shape that it has after the first `at` steps."""
    return create_state(_beginning(config, model, plan, at))


def initial_shapes(config: ConfigDict, model: Model, plan: Plan, at: int = 0) -> TrainState:
    """The shapes and types of `initial_state`, of which nothing is computed."""
    shapes: TrainState = jax.eval_shape(_beginning(config, model, plan, at))
    return shapes


def _beginning(config: ConfigDict, model: Model, plan: Plan, at: int) -> Callable[[], TrainState]:
    return partial(
        first_state,
        model,
        plan.optimizer,
        seed=config.seed,
        average=config.train.average_decay > 0,
        plateau=plan.plateau,
        frozen=plan.phase_at(at).frozen,
    )


def augmented_shape(config: ConfigDict, info: SourceInfo) -> tuple[int, int, int]:
    """The shape of an image after augmentation.

    Raises:
      InvalidValue: what an augmentation refuses.
    """
    channels = info.image_shape[-1]
    augment = _augmentation_in_shapes(config, channels)
    batch = {"image": jnp.zeros((2, *info.shape_in_training)), "label": jnp.zeros(2, jnp.int32)}
    height, width, _ = jax.eval_shape(augment, jax.random.split(jax.random.key(0)), batch)["image"].shape[1:]
    return height, width, channels


def _augmentation_in_shapes(config: ConfigDict, channels: int) -> Callable[[jax.Array, Any], Any]:
    """The augmentation, with zeros for principal components of the training pixels."""
    return compose(with_components(config.augmentation, tuple((0.0,) * channels for _ in range(channels))))


def check_batch_size(config: ConfigDict, devices: Devices) -> None:
    """Refuses a training batch that the devices can't share equally.

    Raises:
      InvalidValue: with the nearest batch sizes that they can.
    """
    parts = devices.count * config.train.gradient_accumulation
    size = config.train.batch_size
    if size % parts:
        below, above = size // parts * parts, -(-size // parts) * parts
        nearest_sizes = f"{below} or {above}" if below else str(above)
        raise InvalidValue(
            f"train.batch_size is {size}, which {devices.count} devices x train.gradient_accumulation "
            f"{config.train.gradient_accumulation} don't divide: use {nearest_sizes}"
        )


def train_step(
    config: ConfigDict, model: Model, plan: Plan, phase: Phase, chain: Sequence[Transform] | None = None
) -> Callable[[TrainState, step.Batch], tuple[TrainState, step.Metrics]]:
    """`(state, batch) -> (state, metrics)` on one device, in a phase of training; see `step.make_train_step`."""
    return step.make_train_step(
        model,
        compose(config.augmentation if chain is None else chain),
        plan.optimizer,
        plan.schedule,
        seed=config.seed,
        microbatches=config.train.gradient_accumulation,
        average_decay=config.train.average_decay,
        unroll=_unrolls(),
        images_grow=bool(plan.resolutions),
        frozen=phase.frozen,
        factors=phase.factors,
    )


def _unrolls() -> bool:
    """Inside a loop convolutions leave XLA's fast path on CPU; elsewhere a loop compiles faster."""
    return jax.default_backend() == "cpu"


def mapped_train_step(
    config: ConfigDict,
    model: Model,
    plan: Plan,
    devices: Devices,
    chain: Sequence[Transform] | None = None,
    *,
    at: int = 0,
) -> Any:
    """`(state, batches on the devices [steps, ...]) -> (state, metrics [steps])`, the state's buffers donated.

    Args:
      chain: of transforms, instead of the config's.
      at: steps done before; what is trained then is trained in all of the steps.
    """
    one = train_step(config, model, plan, plan.phase_at(at), chain)
    return devices.wrap(
        step.repeat(one, unroll=_unrolls()),
        (REPLICATED, REPLICATED),
        batch_axis=1,
        donate=True,
        rematerialized=config.network.get("remat", False),
    )


def transforms_of(config: ConfigDict, source: Source, file: Path | None, screen: Screen) -> tuple[Transform, ...]:
    """The config's augmentations; those that need the principal components of the training pixels are given them.

    Args:
      source: of the training examples.
      file: where statistics are kept; None: nowhere.

    Raises:
      InvalidValue: a file that is damaged.
    """
    if not needs_components(config.augmentation):
        return tuple(config.augmentation)
    return with_components(config.augmentation, statistics_of(source, file, screen).components)


def statistics_of(source: Source, file: Path | None, screen: Screen) -> PixelStatistics:
    """Those in the file, or else counted, and kept there.

    Raises:
      InvalidValue: a file that is damaged.
    """
    if file is not None and file.exists():
        try:
            return PixelStatistics.from_json(json.loads(file.read_text()))
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidValue(f"{file} is damaged ({error}): delete it, and it is made anew") from None
    with Bar(screen, "training pixels", len(source)) as bar:
        statistics = pixel_statistics(source, batch_size=STATISTICS_BATCH, progress=lambda done, _: bar.update(done))
    if file is not None and jax.process_index() == 0:
        write_atomically(file, json.dumps(statistics.to_json(), indent=2))
    return statistics


def dry_run(config: ConfigDict, model: Model, source: Source, plan: Plan) -> None:
    """Augments, applies and scores the first two training examples in each size that will occur, in shapes alone.

    Raises:
      InvalidValue: what a source, an augmentation, the network in training or the loss refuses.
    """
    augment = _augmentation_in_shapes(config, model.image_shape[-1])
    grow = bool(plan.resolutions)
    sizes: list[int | None] = [side for _, side in plan.resolutions]
    places = np.arange(2) % len(source)

    def once(key: Any, batch: Mapping[str, Any]) -> Any:
        variables = model.init(key)
        example = augment(jax.random.split(jax.random.key(0)), unit_range(batch))
        example["image"] = images = model.normalize(example["image"])
        example["weight"] = jnp.ones(len(images))
        network = made_for(model.network, images.shape) if grow else model.network
        try:
            outputs, _ = model.task.forward(
                network, variables, example, train=True, rngs={"dropout": jax.random.key(0)}
            )
        except ScopeParamShapeError as error:
            raise InvalidValue(
                f"train.resolutions is for networks whose parameters fit any size of images, and those of "
                f"{config.network.name!r} do not fit {images.shape[1]} x {images.shape[2]}: leave it empty"
            ) from error
        return model.task.loss(outputs, example, train=True)[0]

    for size in sizes or [None]:
        batch = load_training_batch(source, places, np.zeros(2, np.int64), config.seed, size)
        # One device: its axis is there for what is summed over all of them.
        one_device = jax.tree.map(lambda values: values[None], (jax.random.key(0), batch))
        jax.eval_shape(jax.vmap(once, axis_name=AXIS), *one_device)
