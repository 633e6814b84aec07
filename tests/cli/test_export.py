"""`launch.py export` of a run of a few steps: what comes out serves as the run itself does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launching import ROOT
from PIL import Image
from small_runs import CLASSES, CLASSIFICATION, stripes, without_report

from convnets.cli.command_line import main
from convnets.cli.export_onnx import NEEDED
from convnets.pretrained.conversion import to_own_names
from convnets.training.checkpoints import restore_variables
from convnets.training.setup import build_model
from convnets.training.workdir import Workdir

FIELDS = (
    *CLASSIFICATION,
    "--config.network.name=lenet5_bn",
    "--config.train.average_decay=0.9",
    "--config.schedule.warmup=0 steps",
)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> Path:
    """The workdir of a run of twenty steps, with checkpoints of step 10 and 20."""
    os.chdir(ROOT)
    folder = tmp_path_factory.mktemp("export") / "run"
    fields = ("--config.train.duration=20 steps", "--config.evaluation.every=10 steps")
    with without_report():
        assert main(["launch.py", "train", *FIELDS, *fields, f"--workdir={folder}"]) == 0
    return folder


def export(workdir: Path, out: Path, *flags: str) -> int:
    return main(["launch.py", "export", f"--workdir={workdir}", f"--out={out}", *flags])


def variables_of(folder: Path, which: str = "best") -> Any:
    """What evaluation applies the network with."""
    workdir = Workdir(folder)
    config = workdir.config()
    return restore_variables(workdir, config, build_model(config, workdir.info()), which)[1]


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def assert_same(given: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert given.keys() == expected.keys()
    assert all(np.array_equal(given[name], expected[name]) for name in expected)


@pytest.mark.usefixtures("no_report")
def test_weights_are_those_that_evaluation_uses_and_another_run_begins_with_them(workdir, tmp_path, capsys):
    weights = tmp_path / "lenet.npz"
    assert export(workdir, weights, "--checkpoint=20") == 0
    assert f"{weights}: lenet5_bn at step 20, 22 arrays in our own names, " in capsys.readouterr().out
    expected = to_own_names(variables_of(workdir, "20"))
    assert_same(arrays_of(weights), expected)

    # So that what a run began with can be read from its checkpoint.
    fields = ("--config.train.duration=1 steps", "--config.optimizer.learning_rate=1e-30",
              "--config.optimizer.weight_decay=0.0", "--config.seed=1")  # fmt: skip
    begun = tmp_path / "begun"
    begin = f"--config.initialize.weights={weights}"
    assert main(["launch.py", "train", *FIELDS, *fields, begin, f"--workdir={begun}"]) == 0
    parameters = {name: array for name, array in expected.items() if name.startswith("params/")}
    found = to_own_names(variables_of(begun))
    for name, array in parameters.items():
        # The average of two equal numbers may round.
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-12)


def test_a_checkpoint_is_chosen_as_elsewhere(workdir, tmp_path):
    for which in ("10", "last"):
        assert export(workdir, tmp_path / f"{which}.npz", f"--checkpoint={which}") == 0
        assert_same(arrays_of(tmp_path / f"{which}.npz"), to_own_names(variables_of(workdir, which)))
    assert json.loads((tmp_path / "last.npz.json").read_text())["step"] == 20


ELSEWHERE = """
import sys
import jax, numpy as np
with open(sys.argv[1], "rb") as file:
    program = jax.export.deserialize(bytearray(file.read()))
answers = program.call(np.load(sys.argv[2]))
assert not {"convnets", "flax"} & sys.modules.keys()
np.savez(sys.argv[3], **answers)
"""


def test_a_program_predicts_what_launch_predicts_in_a_process_that_has_jax_alone(workdir, tmp_path, capsys):
    out, photos = tmp_path / "lenet.stablehlo", tmp_path / "photos"
    assert export(workdir, out) == 0
    assert (
        "images uint8 [N, 32, 32, 1] -> classes int32 [N, 5], probabilities float32 [N, 5]" in capsys.readouterr().out
    )
    about = json.loads((tmp_path / "lenet.stablehlo.json").read_text())
    assert (about["image_shape"], about["padding"], about["architecture"]) == ([32, 32, 1], 2, "lenet5_bn")
    assert about["classes"] == list(CLASSES)

    source = stripes("test", padding=0)
    images = np.stack([source[i]["image"] for i in range(5)])
    photos.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(photos / f"{i}.png")
    assert main(["launch.py", "predict", f"--workdir={workdir}", "--json", str(photos)]) == 0
    records = json.loads(capsys.readouterr().out)

    padding = about["padding"]
    np.save(tmp_path / "images.npy", np.pad(images, [(0, 0), (padding, padding), (padding, padding), (0, 0)]))
    command = [sys.executable, "-c", ELSEWHERE, str(out), str(tmp_path / "images.npy"), str(tmp_path / "answers.npz")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=120)
    answers = arrays_of(tmp_path / "answers.npz")
    guesses = [record["predictions"] for record in records]
    np.testing.assert_array_equal(answers["classes"], [[guess["label"] for guess in each] for each in guesses])
    expected = [[guess["probability"] for guess in each] for each in guesses]
    np.testing.assert_allclose(answers["probabilities"], expected, rtol=0, atol=1e-6)


def test_the_format_may_be_named_where_the_ending_is_another(workdir, tmp_path):
    assert export(workdir, tmp_path / "weights.bin", "--format=npz") == 0
    assert len(arrays_of(tmp_path / "weights.bin")) == 22


def refused(capsys: Any, *arguments: str) -> str:
    """Runs `launch.py export`, which must refuse in one sentence; returns it."""
    assert main(["launch.py", "export", *arguments]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1, said.err
    return said.err


def test_what_can_not_be_exported_is_refused_in_one_sentence_and_nothing_is_written(workdir, tmp_path, capsys):
    run, out = f"--workdir={workdir}", f"--out={tmp_path / 'a.npz'}"
    assert "--out is missing: name the file to write, such as network.safetensors" in refused(capsys, run)
    assert "and must end in one of .safetensors, .npz, .stablehlo, .onnx" in refused(capsys, run, "--out=network.pth")
    assert "and must end in one of" in refused(capsys, run, "--out=network")
    assert "--format is 'nppz', and there is no such format: did you mean 'npz'" in refused(
        capsys, run, out, "--format=nppz"
    )
    missing = tmp_path / "no" / "a.npz"
    assert f"there is no folder {tmp_path / 'no'}: make it" in refused(capsys, run, f"--out={missing}")
    assert "no checkpoint of step 3: there are 10, 20" in refused(capsys, run, out, "--checkpoint=3")
    assert "is not a workdir" in refused(capsys, f"--workdir={tmp_path}", out)
    assert "takes no --config fields" in refused(capsys, run, out, "--config.seed=1")
    assert "takes flags only" in refused(capsys, run, out, "resnet18")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_refused_by_the_systems_reason(workdir, capsys):
    said = refused(capsys, f"--workdir={workdir}", "--out=/proc/lenet.npz")
    assert "--out is '/proc/lenet.npz', which can't be written: " in said


@pytest.mark.parametrize("there", ["lenet.stablehlo", "lenet.stablehlo.json"])
def test_a_file_that_is_there_already_is_left_alone(workdir, tmp_path, capsys, there):
    (tmp_path / there).write_text("precious")
    out = f"--out={tmp_path / 'lenet.stablehlo'}"
    assert f"{tmp_path / there} is there already: remove it" in refused(capsys, f"--workdir={workdir}", out)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "precious")]


def test_onnx_without_its_converter_is_refused_with_what_to_install(workdir, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("convnets.cli.export_onnx.find_spec", lambda package: None)
    said = refused(capsys, f"--workdir={workdir}", f"--out={tmp_path / 'lenet.onnx'}")
    assert f"takes {' and '.join(NEEDED)}, not installed here: pip install -r requirements-onnx.txt" in said
    assert "or use --format=stablehlo" in said
