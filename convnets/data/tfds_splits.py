"""Splits of a data set that TFDS has prepared, and expressions of them, as files and the examples taken from each."""

from pathlib import Path
from typing import Any

from convnets.data.tfrecord import Shard
from convnets.errors import InvalidValue

TESTED = ("validation", "test")
"""What the test split of a run is, the first that there is: ILSVRC's figures are of its validation images."""


def splits_of_run(splits: Any, train: str = "", test: str = "") -> dict[str, str]:
    """The expressions for what a run calls "train" and "test"; empty ones: `train`, and the first of `TESTED`."""
    tested = next((name for name in TESTED if name in splits), TESTED[-1])
    return {"train": train or "train", "test": test or tested}


def shards_of(splits: Any, dataset: str, split: str) -> list[Shard]:
    """The files of a split, or of an expression of splits.

    Args:
      splits: a builder's, by name.

    Raises:
      InvalidValue: it is malformed or empty, or has a split in it that the data set doesn't have.
    """
    there = f"{dataset} has the splits {', '.join(f'{name} ({part.num_examples})' for name, part in splits.items())}"
    try:
        instructions = splits[split].file_instructions
    except (ValueError, NotImplementedError) as error:
        names = [part.partition("[")[0].strip() for part in split.split("+")]
        if unknown := [name for name in names if name not in (*splits, "all")]:
            raise InvalidValue(f"{there}, and not {unknown[0]!r}") from error
        known = next(iter(splits))
        raise InvalidValue(
            f"{there}, and {split!r} is no part of them: write it as {known}, {known}[:90%] or {known}[100:200], "
            "within the examples that there are, with + in between if they are several"
        ) from error
    shards = [Shard(Path(part.filename), part.skip, part.take, part.examples_in_shard) for part in instructions]
    if not sum(shard.take for shard in shards):
        raise InvalidValue(f"{there}, and {split!r} leaves no example: take a larger part")
    return shards
