"""What bad input gets: one sentence, a non-zero exit, and nothing saved before is lost."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from launching import EXPERIMENT, ROOT, launch, needs_data

from convnets.cli.command_line import main
from convnets.data import fashion_mnist

TINY = (
    EXPERIMENT,
    "--config.train.batch_size=64",
    "--config.train.duration=4 steps",
    "--config.validation.examples=59000",
    "--config.evaluation.batch_size=2000",
    "--config.schedule.warmup=0 steps",
)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The workdir of a run of four steps."""
    os.chdir(ROOT)
    workdir = tmp_path_factory.mktemp("finished") / "run"
    assert main(["launch.py", "train", *TINY, f"--workdir={workdir}"]) == 0
    return workdir


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(capsys, *arguments: str) -> str:
    """Runs launch.py, which must refuse in one sentence; returns it."""
    assert main(["launch.py", *arguments]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1, said.err
    return said.err


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
        ("--config.train.batch_size=100", "train.batch_size is 100, which 8 devices"),
        ("--config.train.batch_size=0", "train.batch_size is 0, and must be positive"),
        ("--config.train.duration=ten epochs", "'ten epochs' is not a duration"),
        ("--config.train.duration=10 minutes", "'10 minutes' is not a duration"),
        ("--config.schedule.warmup=9 epochs", "the warm-up of 9 epochs is longer than the training"),
        ("--config.validation.examples=60000", "validation.examples is 60000, and must lie in [0, 60000)"),
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
        ("--data_dir=/nowhere", "Fashion-MNIST's four idx files are not in /nowhere"),
        ("--workdirr=x", "the command train has no flag --workdirr: did you mean 'workdir'"),
        ("--num_processes=0", "--process_id must lie in [0, --num_processes)"),
        ("stray", "takes flags only, written as --flag=value, and was given 'stray'"),
    ],
)
@needs_data()
def test_a_mistake_on_the_command_line_is_refused_before_anything_is_written(capsys, tmp_path, argument, sentence):
    assert sentence in refused(capsys, "train", *TINY, f"--workdir={tmp_path / 'run'}", argument)
    assert not (tmp_path / "run").exists()


def test_unknown_commands_and_missing_flags_are_refused(capsys, tmp_path):
    assert "did you mean 'train'" in refused(capsys, "trian")
    assert "--workdir is missing" in refused(capsys, "train", EXPERIMENT)
    assert "--config is missing" in refused(capsys, "train", "--workdir=x")
    assert "did you mean 'experiments/lenet_fashion_mnist.py'" in refused(
        capsys, "train", "--config=experiments/lenet_fashion_mnis.py", "--workdir=x"
    )
    assert "is not a workdir" in refused(capsys, "evaluate", f"--workdir={tmp_path}")


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
def test_a_mistake_in_an_experiment_file_is_refused(capsys, tmp_path, body, sentence):
    path = tmp_path / "experiment.py"
    path.write_text(body)
    assert sentence in refused(capsys, "train", f"--config={path}", f"--workdir={tmp_path / 'run'}")


@needs_data()
def test_another_config_in_the_workdir_is_refused_with_the_fields_that_differ(capsys, finished):
    before = contents(finished)
    said = refused(capsys, "train", *TINY, f"--workdir={finished}", "--config.optimizer.learning_rate=0.3")
    assert "optimizer.learning_rate is 0.05 there and 0.3 here" in said
    assert "batch_size" not in said
    assert contents(finished) == before


@needs_data()
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoints(capsys, tmp_path):
    workdir = tmp_path / "run"
    fields = (*TINY, f"--workdir={workdir}", "--config.train.duration=400 steps", "--config.checkpoint.every=1 steps",
              "--config.optimizer.momentum=0.0", "--config.optimizer.weight_decay=1e6",
              "--config.optimizer.learning_rate=10.0", "--config.schedule.name=constant",
              "--config.schedule.warmup=0 steps")  # fmt: skip
    assert main(["launch.py", "train", *fields]) == 1
    said = capsys.readouterr().err
    assert "error: the loss of step " in said
    bad = int(said.split("the loss of step ")[1].split(" ")[0])
    saved = sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())
    assert saved == [bad - 2, bad - 1]
    before = contents(workdir / "checkpoints")
    # Started again it stops at the same step, and what was saved is still there.
    assert main(["launch.py", "train", *fields]) == 1
    assert f"the loss of step {bad} " in capsys.readouterr().err
    assert contents(workdir / "checkpoints") == before


@needs_data()
def test_a_corrupt_data_file_is_refused_by_name(capsys, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(fashion_mnist.find(), folder)
    victim = next(folder.glob("train-images*"))
    victim.write_bytes(victim.read_bytes()[:100_000])
    assert victim.name in refused(capsys, "train", *TINY, f"--workdir={tmp_path / 'run'}", f"--data_dir={folder}")


@needs_data()
def test_a_checkpoint_that_does_not_fit_is_refused_and_left_alone(capsys, finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    config = json.loads((workdir / "config.json").read_text())
    config["network"] = {"name": "lenet5_bn", "pooling": "max", "dtype": "float32"}
    (workdir / "config.json").write_text(json.dumps(config))
    before = contents(workdir / "checkpoints")
    said = refused(capsys, "train", *TINY, f"--workdir={workdir}", "--config.network.name=lenet5_bn")
    assert "does not fit this network" in said
    assert "batch_stats/norm1/mean is missing" in said
    assert contents(workdir / "checkpoints") == before


@needs_data()
def test_a_damaged_checkpoint_is_refused_by_name(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    largest = max(
        (p for p in (workdir / "checkpoints" / "4").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    largest.write_bytes(largest.read_bytes()[:100])
    # In a process of its own: the library beneath complains of its unfinished work in threads.
    status, said = launch(["train", *TINY, f"--workdir={workdir}"])
    assert status == 1
    assert f"error: the checkpoint {workdir / 'checkpoints' / '4'} is damaged: remove its folder" in said
    assert largest.exists()


@needs_data()
@pytest.mark.parametrize("name", ["config.json", "data.json", "metrics.jsonl"])
def test_a_damaged_file_of_the_workdir_is_refused_by_name(capsys, finished, tmp_path, name):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    (workdir / name).write_text('{"name": 3}\n' if name != "config.json" else "null")
    assert name in refused(capsys, "report", f"--workdir={workdir}")


@needs_data()
def test_a_result_that_is_not_finite_is_no_success(capsys, tmp_path):
    fields = ("--config.optimizer.learning_rate=1e38", "--config.train.duration=1 steps")
    assert "the loss of step 1 is" in refused(capsys, "train", *TINY, *fields, f"--workdir={tmp_path / 'run'}")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


@needs_data()
def test_evaluate_predict_and_report_refuse_in_one_sentence(capsys, finished, tmp_path):
    workdir = f"--workdir={finished}"
    assert "unknown split 'tests': did you mean 'test'" in refused(capsys, "evaluate", workdir, "--split=tests")
    assert "no checkpoint of step 3: there are 4" in refused(capsys, "evaluate", workdir, "--checkpoint=3")
    assert "is not 'best', 'last' or a step" in refused(capsys, "evaluate", workdir, "--checkpoint=first")
    assert "was trained with, and stays" in refused(capsys, "evaluate", workdir, "--config.train.batch_size=1")
    assert "name image files or folders" in refused(capsys, "predict", workdir)
    (tmp_path / "broken.png").write_bytes(b"")
    assert "broken.png" in refused(capsys, "predict", workdir, str(tmp_path / "broken.png"))
    assert "is not a workdir" in refused(capsys, "report", f"--workdir={tmp_path}")


@needs_data()
def test_the_workdir_may_be_resumed_with_the_data_in_another_place(capsys, finished):
    assert main(["launch.py", "train", *TINY, f"--workdir={finished}", f"--data_dir={fashion_mnist.find()}"]) == 0
    assert "resuming at step 4 of 4" in capsys.readouterr().out
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["split"] for line in lines if line["kind"] == "evaluation"] == ["validation", "test"]
    assert np.all([(finished / name).exists() for name in ("report.html", "summary.json")])
