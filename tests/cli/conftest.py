"""Runs that tests read, each trained once for all of them."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from small_runs import CLASSIFICATION, LOCALIZATION, SEGMENTATION, small_things_are_known, without_report

from convnets.cli.command_line import main
from convnets.data import fashion_mnist


@pytest.fixture(autouse=True, scope="module")
def _small_things_are_known() -> Iterator[None]:
    with small_things_are_known():
        yield


@pytest.fixture
def no_report() -> Iterator[None]:
    """For runs of which the report is not read."""
    with without_report():
        yield


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first of the processes of this test run has made, for all of them."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"once-{name}"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def _classifiers(tmp_path_factory) -> Path:
    def make(folder: Path) -> None:
        different = {
            "small-seed0": ["--config.seed=0"],
            "small-seed1": ["--config.seed=1"],
            "large": ["--config.optimizer.learning_rate=0.1"],
        }
        with small_things_are_known():
            for name, fields in different.items():
                with nullcontext() if name == "small-seed0" else without_report():
                    assert main(["", "train", *CLASSIFICATION, *fields, f"--workdir={folder / name}"]) == 0

    return once(tmp_path_factory, "classifiers", make)


@pytest.fixture(scope="session")
def classifiers(_classifiers) -> list[Path]:
    """Workdirs of two seeds, and of another learning rate; the first has a report; not to be written to."""
    return [_classifiers / name for name in ("small-seed0", "small-seed1", "large")]


@pytest.fixture(scope="session")
def classifier(classifiers) -> Path:
    """The workdir of a run of LeNet-5 on stripes, with checkpoints at steps 15 and 30; not to be written to."""
    return classifiers[0]


def _of_scenes(name: str, fields: tuple[str, ...]) -> Any:
    @pytest.fixture(scope="session", name=name)
    def run(tmp_path_factory) -> Path:
        try:
            fashion_mnist.find()
        except fashion_mnist.DataNotFound as error:
            pytest.skip(str(error))

        def make(folder: Path) -> None:
            with small_things_are_known():
                assert main(["", "train", *fields, f"--workdir={folder / 'scenes'}"]) == 0

        return once(tmp_path_factory, name, make) / "scenes"

    return run


localizer = _of_scenes("localizer", LOCALIZATION)
"""The workdir of a run of localization on scenes; not to be written to."""
segmenter = _of_scenes("segmenter", SEGMENTATION)
"""The same of segmentation."""


@pytest.fixture
def said(capsys) -> Callable[..., Any]:
    """`said(command, *arguments)`: what a command prints with --json."""

    def call(*arguments: str) -> Any:
        capsys.readouterr()
        assert main(["", *map(str, arguments), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """`refused(command, *arguments)`: the one sentence by which a command refuses."""

    def call(*arguments: str) -> str:
        capsys.readouterr()
        assert main(["", *map(str, arguments)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1, error
        return str(error)

    return call
