"""What bad input gets: one sentence, a non-zero exit, and nothing saved before is lost."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launching import ROOT, needs_data
from small_runs import CLASSIFICATION

from convnets.cli.command_line import main
from convnets.data import fashion_mnist


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def finished(classifier, tmp_path) -> Path:
    """A finished run, to be written to."""
    return Path(shutil.copytree(classifier, tmp_path / "finished"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--config.optimizer.learning_rat=0.1", "did you mean 'optimizer.learning_rate'"),
        ("--config.optimiser.learning_rate=0.1", "did you mean 'optimizer.learning_rate'"),
        ("--config.network.width=2", "unknown field --config.network.width: did you mean 'network.dtype'"),
        ("--config.log.zzz=2", "unknown field --config.log.zzz: log has every"),
        ("--config.bogus=2", "the sections are augmentation, "),
        ("--config.network.name=lenet6", "unknown architecture 'lenet6': did you mean 'lenet5'"),
        ("--config.optimizer.name=sdg", "unknown optimizer 'sdg': did you mean 'sgd'"),
        ("--config.data.name=mnist", "unknown data set 'mnist': known are fashion_mnist"),
        ("--config.schedule.name=cosinus", "unknown schedule 'cosinus': did you mean 'cosine'"),
        ("--config.task.name=classify", "unknown task 'classify': did you mean 'classification'"),
        ("--config.evaluation.metric=top2", "unknown evaluation.metric 'top2': did you mean 'top5' or 'top1'"),
        ("--config.augmentation=(('flop',{}),)", "unknown augmentation 'flop': did you mean 'flip'"),
        ("--config.augmentation=(('flip',{'p':1}),)", "the augmentation 'flip' has no option 'p'"),
        ("--config.optimizer.learning_rate=fast", "takes a value of type float, such as 0.05, and was given 'fast'"),
        ("--config.train.batch_size=12.5", "--config.train.batch_size takes a value of type int"),
        ("--config.optimizer.nesterov=perhaps", "--config.optimizer.nesterov takes a value of type bool"),
        ("--config.train.batch_size=101", "train.batch_size is 101, which"),
        ("--config.train.batch_size=0", "train.batch_size is 0, and must be positive"),
        ("--config.train.duration=ten epochs", "'ten epochs' is not a duration"),
        ("--config.train.duration=10 minutes", "'10 minutes' is not a duration"),
        ("--config.schedule.warmup=9 epochs", "the warm-up of 9 epochs is longer than the training"),
        ("--config.validation.examples=200", "validation.examples is 200, and must lie in [0, 200)"),
        ("--config.optimizer.weight_decay=-1", "optimizer.weight_decay is -1.0, and must not be negative"),
        (
            "--config.network.pooling=mean",
            "'pooling' of the architecture 'lenet5' is 'average' or 'max', and was given",
        ),
        ("--config.network.name=resnet18", "the residual network needs images of at least 193 x 193 pixels"),
        ("--config.batch_norm.epsilon=-1", "batch_norm.epsilon is -1.0, and must not be negative"),
        ("--config.network.dtype=int8", "the compute dtype 'int8' is not one of"),
        (
            "--config.normalization.mean=(0.1,0.2)",
            "normalization needs a mean and a positive std for each channel",
        ),
        ("--config.batch_norm.scope=all", "batch_norm.scope is 'all', and must be one of synchronized, device"),
        ("--config.train.wrapper=xmap", "train.wrapper is 'xmap', and must be one of pmap, shard_map"),
        ("--config.data.padding=0", "LeNet-5 needs images of at least 32 x 32 pixels, and was given 28 x 28"),
        ("--config.data.padding=4", "so that it gives a 2 x 2 map of logits instead of one label"),
        ("--config.seed=-1", "seed is -1, and must lie in [0, 2147483648)"),
        ("--config.augmentation=('flip',)", "an augmentation is a pair such as ('flip', {})"),
        ("--config.augmentation=(('flip',{'probability':2}),)", "the probability of a flip must lie in [0, 1]"),
        ("--config.augmentation=(('flip',{'probability':'x'}),)", "takes a number, such as 0.5, and was given 'x'"),
        (
            "--config.augmentation=(('pad_and_crop',{'padding':1.5}),)",
            "takes a whole number, such as 4, and was given 1.5",
        ),
        ("--config.optimizer.reference_batch_size=-128", "optimizer.reference_batch_size is -128, and must not be"),
        ("--config.optimizer.learning_rate=nan", "optimizer.learning_rate is nan, and must be positive"),
        ("--config.batch_norm.momentum=2", "batch_norm.momentum is 2.0, and must lie in [0, 1)"),
        ("--config.normalization.std=(0.0,)", "normalization needs a mean and a positive std"),
        ("--config.normalization.mean=('a',)", "normalization.mean is ('a',), and takes finite numbers"),
        ("--noconfig.optimizer.learning_rate", "Did you mean: config.optimizer.learning_rate"),
        ("--workdir=/dev/null/run", "the workdir /dev/null/run can't be written: Not a directory"),
        ("--config.data.name=fashion_mnist --data_dir=/nowhere", "Fashion-MNIST's four idx files are not in /nowhere"),
        ("--workdirr=x", "the command train has no flag --workdirr: did you mean 'workdir'"),
        ("--num_processes=0", "--process_id must lie in [0, --num_processes)"),
        ("stray", "takes flags only, written as --flag=value, and was given 'stray'"),
    ],
)
def test_a_mistake_on_the_command_line_is_refused_before_anything_is_written(refused, tmp_path, argument, sentence):
    run = tmp_path / "run"
    arguments = re.split(" (?=--)", argument)
    assert sentence in refused("train", *CLASSIFICATION, f"--workdir={run}", *arguments)
    assert not run.exists()


def test_unknown_commands_and_missing_flags_are_refused(refused, tmp_path):
    assert "did you mean 'train'" in refused("trian")
    assert "--workdir is missing" in refused("train", CLASSIFICATION[0])
    assert "--config is missing" in refused("train", "--workdir=x")
    assert "did you mean 'experiments/lenet_fashion_mnist.py'" in refused(
        "train", "--config=experiments/lenet_fashion_mnis.py", "--workdir=x"
    )
    assert "is not a workdir" in refused("evaluate", f"--workdir={tmp_path}")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("x = 1", "has no get_config()"),
        ("def get_config():\n    return 3", "returns no ConfigDict but int"),
        (
            "from convnets.training.config import default_config\n"
            "def get_config():\n    c = default_config()\n    c.train.batch_sise = 3\n    return c",
            "unknown field train.batch_sise: did you mean 'batch_size'",
        ),
        (
            "from convnets.training.config import default_config\n"
            "def get_config():\n    c = default_config()\n    c.network.poling = 'max'\n    return c",
            "architecture 'lenet5' has no field network.poling: did you mean 'pooling'",
        ),
        (
            "from convnets.training.config import default_config\n"
            "def get_config():\n    c = default_config()\n    c.train.batch_size = 'big'\n    return c",
            "sets a field wrongly",
        ),
        (
            "from convnets.training.config import default_config\n"
            "def get_config():\n    c = default_config()\n    c.network.pooling = 3\n    return c",
            "network.pooling can't be 3",
        ),
    ],
)
def test_a_mistake_in_an_experiment_file_is_refused(refused, tmp_path, body, sentence):
    path = tmp_path / "experiment.py"
    path.write_text(body)
    assert sentence in refused("train", f"--config={path}", f"--workdir={tmp_path / 'run'}")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("evaluate --split=tests", "unknown split 'tests': did you mean 'test'"),
        ("evaluate --checkpoint=3", "has no checkpoint of step 3: there are 15, 30"),
        ("evaluate --checkpoint=first", "'first' is not 'best', 'last' or a step"),
        ("evaluate --config.train.batch_size=1", "was trained with, and stays"),
        ("evaluate --config.evaluation.protocol=ten_crops", "evaluation.protocol is 'ten_crops'"),
        ("evaluate --config.evaluation.average=votes", "one of probabilities, logits"),
        (
            "evaluate --config.evaluation.protocol=dense --config.evaluation.scales=(0.5,)",
            "evaluation.scales must lie in [1, 16]",
        ),
        ("predict", "name image files or folders"),
        ("predict BROKEN", "broken.png"),
        ("ensemble", "name the runs"),
        ("ensemble RUN@zzz", "'zzz' is not 'best', 'last' or a step"),
        ("ensemble RUN@²", "'²' is not 'best', 'last' or a step"),
        ("ensemble RUN@7", "has no checkpoint of step 7: there are 15, 30"),
        ("ensemble RUN --out=both.txt", "let it end in .json"),
        ("ensemble RUN --out=nowhere/both.json", "no file can be made in nowhere"),
        ("ensemble RUN --split=dev", "unknown split 'dev'"),
        ("compare", "name workdirs"),
        ("compare nowhere", "the folder of runs is 'nowhere', and there is no such folder"),
        ("compare RUN --out=plot.jpg", "let it end in .png"),
    ],
)
def test_what_can_t_be_done_with_a_run_is_refused(classifier, refused, tmp_path, arguments, sentence):
    (tmp_path / "broken.png").write_bytes(b"")
    arguments = arguments.replace("RUN", str(classifier)).replace("BROKEN", str(tmp_path / "broken.png"))
    command, *rest = arguments.split()
    workdir = [f"--workdir={classifier}"] if command in ("evaluate", "predict") else []
    assert sentence in refused(command, *workdir, *rest)


def test_another_config_in_the_workdir_is_refused_with_the_fields_that_differ(refused, classifier):
    before = contents(classifier)
    said = refused("train", *CLASSIFICATION, f"--workdir={classifier}", "--config.optimizer.learning_rate=0.3")
    assert "optimizer.learning_rate is 0.05 there and 0.3 here" in said
    assert "batch_size" not in said
    assert contents(classifier) == before


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoints(refused, tmp_path):
    workdir = tmp_path / "run"
    fields = (*CLASSIFICATION, f"--workdir={workdir}", "--config.train.duration=400 steps",
              "--config.checkpoint.every=1 steps", "--config.evaluation.every=400 steps",
              "--config.optimizer.momentum=0.0", "--config.optimizer.weight_decay=1e6",
              "--config.optimizer.learning_rate=10.0", "--config.schedule.name=constant",
              "--config.schedule.warmup=0 steps")  # fmt: skip
    said = refused("train", *fields)
    assert "error: the loss of step " in said
    bad = int(said.split("the loss of step ")[1].split(" ")[0])
    assert sorted(int(path.name) for path in (workdir / "checkpoints").iterdir()) == [bad - 2, bad - 1]
    before = contents(workdir / "checkpoints")
    # Started again it stops at the same step, and what was saved is still there.
    assert f"the loss of step {bad} " in refused("train", *fields)
    assert contents(workdir / "checkpoints") == before


def test_a_result_that_is_not_finite_is_no_success(refused, tmp_path):
    fields = ("--config.optimizer.learning_rate=1e38", "--config.train.duration=1 steps",
              "--config.schedule.warmup=0 steps")  # fmt: skip
    assert "the loss of step 1 is" in refused("train", *CLASSIFICATION, *fields, f"--workdir={tmp_path / 'run'}")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


@needs_data()
def test_a_corrupt_data_file_is_refused_by_name(refused, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(fashion_mnist.find(), folder)
    victim = next(folder.glob("train-images*"))
    victim.write_bytes(victim.read_bytes()[:100_000])
    fields = (*CLASSIFICATION, "--config.data.name=fashion_mnist", f"--data_dir={folder}")
    assert victim.name in refused("train", *fields, f"--workdir={tmp_path / 'run'}")


def test_a_checkpoint_that_does_not_fit_is_refused_and_left_alone(refused, finished):
    config = json.loads((finished / "config.json").read_text())
    config["network"] = {"name": "lenet5_bn", "pooling": "max", "dtype": "float32"}
    (finished / "config.json").write_text(json.dumps(config))
    before = contents(finished / "checkpoints")
    said = refused("train", *CLASSIFICATION, f"--workdir={finished}", "--config.network.name=lenet5_bn")
    assert "does not fit this network" in said
    assert "batch_stats/norm1/mean is missing" in said
    assert contents(finished / "checkpoints") == before


MAIN = """
import sys
from small_runs import stripes
from convnets.cli.command_line import main
from convnets.data import sources
sources._choices["stripes"] = stripes
sys.exit(main(sys.argv))
"""


def test_a_damaged_checkpoint_is_refused_by_name(finished):
    checkpoint = finished / "checkpoints" / "30"
    largest = max((path for path in checkpoint.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:100])
    # In a process of its own: the library beneath complains of its unfinished work in threads.
    ended = subprocess.run(
        [sys.executable, "-c", MAIN, "evaluate", f"--workdir={finished}"],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/cli'}"},
        text=True,
        capture_output=True,
    )
    assert ended.returncode == 1
    assert f"error: the checkpoint {checkpoint} is damaged: remove its folder" in ended.stderr
    assert largest.exists()


@pytest.mark.parametrize("name", ["config.json", "data.json", "metrics.jsonl"])
def test_a_damaged_file_of_the_workdir_is_refused_by_name(refused, finished, name):
    (finished / name).write_text('{"name": 3}\n' if name != "config.json" else "null")
    assert name in refused("report", f"--workdir={finished}")


@needs_data()
def test_a_finished_run_is_resumed_with_the_data_in_another_place(capsys, finished, tmp_path):
    assert main(["", "train", *CLASSIFICATION, f"--workdir={finished}", f"--data_dir={tmp_path}"]) == 0
    assert "resuming at step 30 of 30" in capsys.readouterr().out
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["split"] for line in lines if line["kind"] == "evaluation"] == ["validation", "validation", "test"]
    assert (finished / "report.html").exists() and (finished / "summary.json").exists()


def test_an_evaluation_that_can_t_be_is_refused_before_a_workdir_is_claimed(refused, tmp_path):
    for scales in ("(0.5,)", "('a',)"):
        fields = ("--config.evaluation.protocol=ten_crop", f"--config.evaluation.scales={scales}")
        assert "evaluation.scales must lie in [1, 16]" in refused(
            "train", *CLASSIFICATION, *fields, f"--workdir={tmp_path / 'new'}"
        )
    assert not (tmp_path / "new").exists()
