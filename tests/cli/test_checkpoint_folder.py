"""A run that keeps its checkpoints elsewhere too outlives its disk, and shares the place with no other run."""

import shutil

from launching import evaluations, losses
from small_runs import CLASSIFICATION

from convnets.cli.command_line import main

TINY = (
    *CLASSIFICATION,
    "--config.train.duration=4 steps",
    "--config.evaluation.every=2 steps",
    "--config.log.every=1 steps",
)


def test_a_run_whose_workdir_is_lost_goes_on_from_the_copy_and_another_run_is_refused(capsys, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    command = ["", "train", *TINY, f"--config.checkpoint.folder={elsewhere}"]
    assert main([*command, f"--workdir={tmp_path / 'run'}"]) == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == ["2", "4", "config.json", "metrics.jsonl"]
    # With the test, which comes after the last checkpoint.
    assert (elsewhere / "metrics.jsonl").read_bytes() == (tmp_path / "run/metrics.jsonl").read_bytes()
    # A finished run that never had copies gets them.
    shutil.rmtree(elsewhere)
    assert main([*command, f"--workdir={tmp_path / 'run'}"]) == 0
    assert (elsewhere / "4/whole").exists()
    shutil.move(tmp_path / "run", tmp_path / "before")
    # As if the last copy had not been finished.
    (elsewhere / "4/whole").unlink()

    capsys.readouterr()
    assert main([*command, f"--workdir={tmp_path / 'run'}"]) == 0
    assert "resuming at step 2 of 4" in capsys.readouterr().out
    assert evaluations(tmp_path / "run") == evaluations(tmp_path / "before")
    assert losses(tmp_path / "run") == losses(tmp_path / "before")

    assert main([*command, f"--workdir={tmp_path / 'other'}", "--config.seed=1"]) == 1
    said = capsys.readouterr().err
    assert f"checkpoint.folder {elsewhere} holds checkpoints of a run of another config (seed is 0 there and 1" in said
    assert not (tmp_path / "other").exists()
