"""A small ImageNet, in the layout that most people have it in, through the published recipe of ResNet-18."""

import json
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from launching import evaluations, launch, losses, start
from PIL import Image

CLASSES = [f"n{10_000_000 + 37 * number}" for number in range(1000)]
FLAT = 300
"""Validation images of the flat layout."""
SIDES = (36, 40, 47, 60, 75)


def write_jpeg(path: Path, label: int, number: int) -> None:
    """A picture of a colour of its own with some structure, of one of several sizes."""
    random = np.random.default_rng((label, number))
    colours = np.random.default_rng(label).integers(0, 256, (2, 2, 3))
    pixels = (colours + random.integers(-20, 20, (2, 2, 3))).clip(0, 255).astype(np.uint8)
    size = tuple(int(side) for side in random.choice(SIDES, 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR).save(path, "JPEG")


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory) -> Path:
    """`train` with a folder for each class, and a flat `val` with a file of synsets."""
    folder = tmp_path_factory.mktemp("imagenet")
    for label, synset in enumerate(CLASSES):
        write_jpeg(folder / "train" / synset / f"{synset}_0.JPEG", label, 0)
    labels = np.random.default_rng(0).integers(0, 1000, FLAT)
    for number, label in enumerate(labels, 1):
        write_jpeg(folder / "val" / f"ILSVRC2012_val_{number:08}.JPEG", int(label), 2)
    (folder / "imagenet_2012_validation_synset_labels.txt").write_text(
        "".join(f"{CLASSES[label]}\n" for label in labels)
    )
    names = "".join(f"{synset} name {label}, other name\n" for label, synset in enumerate(CLASSES))
    (folder / "LOC_synset_mapping.txt").write_text(names)
    return folder


def arguments(folder: Path, workdir: Path, *more: str) -> list[str]:
    """The recipe at a tiny size: 12 steps of 75 of a net of a sixteenth of the width on 32 x 32 parts."""
    return [
        "train",
        "--config=experiments/imagenet_resnet.py:18",
        "--config.data.name=image_folder",
        f"--data_dir={folder}",
        f"--workdir={workdir}",
        "--config.data.size=32",
        "--config.data.evaluation_size=37",
        "--config.network.image_size=32",
        "--config.network.width=0.0625",
        "--config.validation.examples=100",
        "--config.train.batch_size=75",
        "--config.train.duration=12 steps",
        "--config.evaluation.batch_size=100",
        "--config.checkpoint.every=2 steps",
        "--config.log.every=1 steps",
        "--config.loader.threads=2",
        *more,
    ]


@pytest.fixture(scope="module")
def left_alone(imagenet, tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("run") / "run"
    status, said = launch(arguments(imagenet, workdir))
    assert status == 0, said
    return workdir


def test_the_run_is_tested_by_ten_crops_on_every_image(left_alone):
    *_, last = evaluations(left_alone)
    assert last[0] == "test" and last[2] == FLAT
    info = json.loads((left_alone / "data.json").read_text())
    assert info["classes"][:2] == ["name 0", "name 1"] and len(info["classes"]) == 1000
    assert info["splits"] == {"train": 1000, "test": FLAT}
    records = [json.loads(line) for line in (left_alone / "metrics.jsonl").read_text().splitlines()]
    assert all(0 <= record["waiting_for_data"] <= 1 for record in records if record["kind"] == "train")


def test_a_run_that_was_stopped_goes_on_with_worker_processes_to_the_same_figures(imagenet, left_alone, tmp_path):
    workdir = tmp_path / "run"
    with start(arguments(imagenet, workdir)) as process:
        deadline = time.monotonic() + 240
        while max(losses(workdir), default=0) < 4 and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, said
    status, said = launch(arguments(imagenet, workdir, "--config.loader.workers=2"))
    assert status == 0, said
    assert re.search(r"resuming at step \d+ of 12", said)
    assert evaluations(workdir) == evaluations(left_alone)
    shared = losses(workdir).keys() & losses(left_alone).keys()
    assert len(shared) > 5
    assert all(losses(workdir)[step] == losses(left_alone)[step] for step in shared)


def test_a_folder_that_has_changed_is_refused(left_alone, tmp_path):
    smaller = tmp_path / "smaller"
    for label, synset in enumerate(CLASSES[:150]):
        for split in ("train", "val"):
            write_jpeg(smaller / split / synset / "0.JPEG", label, 0)
    for command in (arguments(smaller, left_alone), ["evaluate", f"--workdir={left_alone}", f"--data_dir={smaller}"]):
        status, said = launch(command)
        assert status == 1
        assert "have changed since it began (classes" in said and "name another --workdir" in said
