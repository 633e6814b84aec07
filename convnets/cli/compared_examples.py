"""What several runs say of the same pixels, side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from convnets.cli.experiments import override
from convnets.errors import InvalidValue
from convnets.plots.compared_segmentation import plot_compared_segmentations
from convnets.training.setup import load_splits
from convnets.training.workdir import Workdir

SHOWN = 6
"""Examples, spread over those whose predictions all runs keep."""

SPLIT = "test"


def draw_examples(runs: Mapping[str, Path], classes: Sequence[str], out: Path) -> None:
    """Draws images of the test split with their truth and what each run says of them.

    Args:
      runs: workdirs by the names they are to have.

    Raises:
      InvalidValue: runs that were not tested, or not on the same examples.
    """
    kept = {name: _predicted(Workdir(place)) for name, place in runs.items()}
    common = sorted(set.intersection(*(set(masks) for masks in kept.values())))
    if not common:
        raise InvalidValue("the runs keep predictions of no example in common: compare runs of the same data")
    source = load_splits(override(Workdir(next(iter(runs.values()))).config(), [])).test
    places = [common[i] for i in np.unique(np.linspace(0, len(common) - 1, SHOWN).astype(int))]
    images, truths = [], []
    for place in places:
        example = source[place]
        height, width = example.get("extent", example["mask"].shape)
        images.append(example["image"][:height, :width])
        truths.append(example["mask"][:height, :width])
    said = {
        name: [masks[place][: truth.shape[0], : truth.shape[1]] for place, truth in zip(places, truths, strict=True)]
        for name, masks in kept.items()
    }
    plot_compared_segmentations(images, truths, said, classes, out)


def _predicted(workdir: Workdir) -> dict[int, np.ndarray]:
    """The masks that a run keeps of the test split, by the examples' places."""
    path = workdir.predictions_file(SPLIT)
    if not path.exists():
        raise InvalidValue(f"{workdir.folder} has no {path.name}: let the run finish, or evaluate it on the test split")
    with np.load(path) as predictions:
        return dict(zip(predictions["place"].tolist(), predictions["mask"], strict=True))
