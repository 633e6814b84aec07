"""Shirts told from T-shirts by a network that learned the other eight garments of Fashion-MNIST; over ten minutes.

A ResNet-20 half as wide learns the eight classes; with few examples of the two that are left, the pair hardest to tell
apart, its features are classified linearly, it is fine-tuned, or the same network is trained from scratch.
"""

from functools import partial
from typing import Any

import jax
from ml_collections import ConfigDict

from benchmarks.few_examples import Scores, add, drawn, probed, rows_of
from benchmarks.measuring import Result
from benchmarks.repeated_training import RepeatedTraining
from convnets import data
from convnets.cli.transfer import RATES
from convnets.data.fashion_mnist import CLASSES
from convnets.data.source import Source
from convnets.data.views import Subset, class_subset
from convnets.pretrained.surgery import Surgery, operate
from convnets.training.config import complete, default_config
from convnets.training.state import TrainState

NEW = ("T-shirt/top", "Shirt")
KNOWN = tuple(name for name in CLASSES if name not in NEW)
STAGES = ("stem", "stage1", "stage2", "stage3")
SHOTS = (5, 20, 100)
"""Training examples of a class."""
SEEDS = 5
KNOWN_BATCH, KNOWN_STEPS = 128, 750
"""Two epochs of 48,000 images."""
NEW_BATCH, NEW_STEPS = 40, 200
"""8,000 images, however few they are."""
SCRATCH = "trained from scratch"
WAYS: dict[str, dict[str, Any]] = {
    "fine-tuned, all stages (1/10 below the head)": {"optimizer.rates": RATES},
    "fine-tuned, last stage and head": {"optimizer.rates": RATES, "freeze.below": "stage3"},
    SCRATCH: {},
}


def run(quick: bool) -> Result:
    """Mean and deviation over seeds, which choose the examples and draw new parameters; the eight classes' are one.

    Raises:
      DataNotFound: Fashion-MNIST is not there.
    """
    seeds, known_steps, new_steps = (2, 10, 5) if quick else (SEEDS, KNOWN_STEPS, NEW_STEPS)
    whole, tested = (data.create("fashion_mnist", split) for split in ("train", "test"))
    learned, accuracy = _learn_known(
        class_subset(whole, "train", KNOWN), class_subset(tested, "test", KNOWN), known_steps
    )
    train, test = class_subset(whole, "train", NEW), class_subset(tested, "test", NEW)
    trainings = {
        way: RepeatedTraining(_experiment(new_steps, NEW_BATCH, fields), train.info) for way, fields in WAYS.items()
    }
    probes = trainings[SCRATCH]
    variables = _begun(learned, probes.drawn(0)).variables()
    features = probes.features(variables, train), probes.features(variables, test)
    scores: Scores = {}
    for shots in SHOTS:
        for seed in range(seeds):
            places = drawn(features[0]["label"], shots, seed)
            stages = [probed(features, stage, places) for stage in STAGES]
            # Of equals the deepest.
            best = max(reversed(stages), key=lambda each: each.validation)
            add(scores, "linear classifier on stage3", shots, stages[-1].test)
            add(scores, "linear classifier on the stage that held out examples choose", shots, best.test)
            for way, training in trainings.items():
                begin = _as_drawn if way == SCRATCH else partial(_begun, learned)
                found = training(Subset(train, places.ravel()), seed, begin)
                add(scores, way, shots, training.accuracy(found, test))
    return Result(
        f"Test accuracy in % on {len(test):,} images of {' and '.join(NEW)}",
        rows_of(scores),
        f"{seeds} seeds; the network that is begun with is right about {accuracy:.1%} of the test images of the other "
        f"{len(KNOWN)} classes",
    )


def _learn_known(train: Source, test: Source, steps: int) -> tuple[Any, float]:
    """The variables of the network that learned the known classes, as NumPy arrays, and its test accuracy."""
    training = RepeatedTraining(_experiment(steps, KNOWN_BATCH, {}), train.info)
    variables = training(train, 0)
    return jax.device_get(variables), training.accuracy(variables, test)


def _experiment(steps: int, batch_size: int, fields: dict[str, Any]) -> ConfigDict:
    config = default_config()
    config.network.update({"name": "resnet20", "width": 0.5})
    config.normalization.update({"mean": (0.2190,), "std": (0.3318,)})
    config.augmentation = (("flip", {}), ("pad_and_crop", {"padding": 2}))
    config.optimizer.update({"learning_rate": 0.05, "weight_decay": 5e-4})
    config.schedule.warmup = f"{steps // 20} steps"
    config.train.update({"batch_size": batch_size, "duration": f"{steps} steps"})
    config.update_from_flattened_dict(fields)
    return complete(config)


def _begun(learned: Any, state: TrainState) -> TrainState:
    """The state with all that was learned but the head."""
    own = {"params": state.params, "batch_stats": state.batch_stats}
    begun, _ = operate(own, learned, Surgery(head="new"))
    return state.with_variables(begun["params"], begun["batch_stats"])


def _as_drawn(state: TrainState) -> TrainState:
    return state
