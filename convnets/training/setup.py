"""From a config to the things that it names. What depends on batch sizes and devices is computed here, last."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from convnets import architectures, data, tasks
from convnets.augmentation import Link, compose, with_components
from convnets.data.source import Source, SourceInfo, carve
from convnets.errors import InvalidValue, nearest
from convnets.tasks import Task
from convnets.training import optimizers, schedules, step
from convnets.training.config import options_of
from convnets.training.duration import Clock, Duration
from convnets.training.parallel import AXIS, REPLICATED, SPLIT, Devices
from convnets.training.state import TrainState, create_state


@dataclass(frozen=True)
class Model:
    """A network with its task, and how images come to it.

    Attributes:
      info: of the source; its images are evaluated.
      image_shape: (H, W, C) of the images that the network is trained on, as augmentation leaves them.
    """

    task: Task
    network: nn.Module
    normalize: step.Normalization
    info: SourceInfo
    image_shape: tuple[int, int, int]

    @property
    def evaluation_step(self) -> Any:
        """Of one device; see `step.make_evaluation_step`."""
        return step.make_evaluation_step(self.network, self.task, self.normalize)


def build_model(config: ConfigDict, info: SourceInfo) -> Model:
    """The network that the config names, for the data that `info` describes.

    Raises:
      InvalidValue: what the task, the architecture, the normalization or an augmentation refuses.
    """
    task = tasks.create(config.task.name, info, **options_of(config, "task"))
    options = options_of(config, "network")
    norm = architectures.architectures.options(config.network.name).get("norm")
    if norm is not None:
        options["norm"] = partial(norm, **batch_norm_options(config))
    mean, deviation = tuple(config.normalization.mean), tuple(config.normalization.deviation)
    if len(mean) != info.image_shape[-1]:
        raise InvalidValue(
            f"normalization.mean has {len(mean)} numbers, but the images of {info.name!r} have "
            f"{info.image_shape[-1]} channels"
        )
    network = task.network(config.network.name, options)
    shape = augmented_shape(config, info)
    image = jnp.zeros((1, *shape))

    def once() -> Any:
        variables = network.init(jax.random.key(0), image, train=False)
        outputs: Any = network.apply(variables, image, train=False)
        return task.predictions(outputs)

    # Traced, not computed: images that don't fit the network or the task are refused here and not after minutes.
    jax.eval_shape(once)
    return Model(task, network, step.Normalization(mean, deviation), info, shape)


def batch_norm_options(config: ConfigDict) -> dict[str, Any]:
    """What the config says of every batch norm; an epsilon of 0 leaves the architecture its own."""
    norm = config.batch_norm
    epsilon = {"epsilon": norm.epsilon} if norm.epsilon else {}
    scope = {"axis_name": AXIS, "synchronized": norm.scope == "synchronized"}
    return {"momentum": norm.momentum, "per": norm.per, **epsilon, **scope}


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set: to learn from, to choose by (None if none is held out), and to report."""

    train: Source
    validation: Source | None
    test: Source


def load_splits(config: ConfigDict) -> Splits:
    """The data that the config names.

    Raises:
      ConvnetsError: data that is missing, corrupt, or too little for the validation split.
    """
    options = options_of(config, "data")
    whole = data.create(config.data.name, "train", **options)
    held_out = config.validation.examples
    if not 0 <= held_out < len(whole):
        raise InvalidValue(
            f"validation.examples is {held_out}, and must lie in [0, {len(whole)}), the training examples"
        )
    train, validation = carve(whole, held_out, config.validation.seed)
    return Splits(train, validation if len(validation) else None, data.create(config.data.name, "test", **options))


@dataclass(frozen=True)
class Plan:
    """What follows from the config once the size of an epoch is known.

    Attributes:
      steps: of the whole training.
      learning_rate: the peak, after scaling by the batch size.
      metric, higher: what the best checkpoint goes by, and whether more of it is better.
    """

    clock: Clock
    steps: int
    learning_rate: float
    schedule: optax.Schedule
    optimizer: optax.GradientTransformation
    plateau: optax.GradientTransformationExtraArgs | None
    metric: str
    higher: bool
    evaluate_every: Duration
    checkpoint_every: Duration
    log_every: Duration


def make_plan(config: ConfigDict, task: Task, epoch_size: int) -> Plan:
    """Durations in steps, the learning rate for the batch size, the schedule and the optimizer.

    Raises:
      InvalidValue: a field that says what can't be.
    """
    clock = Clock(config.train.batch_size, epoch_size)
    steps = clock.duration(config.train.duration).steps
    rate = config.optimizer.learning_rate
    if config.optimizer.reference_batch_size:
        rate *= config.train.batch_size / config.optimizer.reference_batch_size
    metric = config.evaluation.metric or task.primary
    if metric not in task.metrics:
        raise InvalidValue(f"unknown evaluation.metric {metric!r}: {nearest(metric, task.metrics)}")
    plateau = None
    if config.schedule.name == "plateau":
        if not config.validation.examples:
            raise InvalidValue("the plateau schedule goes by the validation split: set validation.examples above 0")
        plateau = optax.contrib.reduce_on_plateau(
            factor=config.schedule.factor,
            patience=config.schedule.patience,
            rtol=0.0,
            # Optax wants one of the two above zero; below the smallest float32 it counts as none.
            atol=max(config.schedule.tolerance, 1e-45),
        )
    return Plan(
        clock=clock,
        steps=steps,
        learning_rate=rate,
        schedule=schedules.create(
            config.schedule.name,
            rate,
            steps,
            lambda text: clock.duration(text).steps,
            warmup=config.schedule.warmup,
            **options_of(config, "schedule"),
        ),
        optimizer=optimizers.create(
            config.optimizer.name,
            weight_decay=config.optimizer.weight_decay,
            decay_bias_and_norm=config.optimizer.decay_bias_and_norm,
            gradient_clip=config.optimizer.gradient_clip,
            **options_of(config, "optimizer"),
        ),
        plateau=plateau,
        metric=metric,
        higher=task.metrics[metric],
        evaluate_every=clock.duration(config.evaluation.every),
        checkpoint_every=clock.duration(config.checkpoint.every or "0 steps"),
        log_every=clock.duration(config.log.every),
    )


def initial_state(config: ConfigDict, model: Model, plan: Plan) -> TrainState:
    """The state before the first step."""
    return create_state(
        model.network,
        model.image_shape,
        plan.optimizer,
        seed=config.seed,
        average=config.train.average_decay > 0,
        plateau=plan.plateau,
    )


def augmented_shape(config: ConfigDict, info: SourceInfo) -> tuple[int, int, int]:
    """The shape of an image after augmentation.

    Raises:
      InvalidValue: what an augmentation refuses.
    """
    channels = info.image_shape[-1]
    chain = with_components(config.augmentation, tuple((0.0,) * channels for _ in range(channels)))
    batch = {"image": jnp.zeros((2, *info.image_shape)), "label": jnp.zeros(2, jnp.int32)}
    height, width, _ = jax.eval_shape(compose(chain), jax.random.split(jax.random.key(0)), batch)["image"].shape[1:]
    return height, width, channels


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


def mapped_train_step(
    config: ConfigDict, model: Model, plan: Plan, devices: Devices, chain: Sequence[Link] | None = None
) -> Any:
    """`(state, batches on the devices [steps, ...]) -> (state, figures [steps])`, the state's buffers donated.

    Args:
      chain: of augmentations, instead of the config's.
    """
    # Inside a loop convolutions leave XLA's fast path on CPU; elsewhere a loop compiles faster.
    unroll = jax.default_backend() == "cpu"
    one = step.make_train_step(
        model.network,
        model.task,
        model.normalize,
        compose(config.augmentation if chain is None else chain),
        plan.optimizer,
        plan.schedule,
        seed=config.seed,
        microbatches=config.train.gradient_accumulation,
        average_decay=config.train.average_decay,
        unroll=unroll,
    )
    return devices.wrap(
        step.repeat(one, unroll=unroll),
        (REPLICATED, REPLICATED),
        batch_axis=1,
        donate=True,
        rematerialized=config.network.get("remat", False),
    )


def mapped_evaluation_step(model: Model, devices: Devices) -> Any:
    """`(variables, batch on the devices) -> (sums, predictions)`."""
    return devices.wrap(model.evaluation_step, (REPLICATED, SPLIT))
