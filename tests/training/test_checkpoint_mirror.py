"""Copies of checkpoints elsewhere: what is there when, whose it is, and what comes back."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

from convnets.cli.local_processes import free_port
from convnets.errors import InvalidValue
from convnets.training.checkpoint_mirror import CheckpointMirror
from convnets.training.config import complete, default_config

KEY = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The address of a server that speaks S3, with a bucket named runs."""
    if "CONVNETS_MOTO" not in os.environ:
        pytest.skip('CONVNETS_MOTO names no folder; pip install --target=FOLDER "moto[s3]" flask flask-cors makes one')
    port = free_port()
    log = tmp_path_factory.mktemp("s3") / "log"
    with (
        open(log, "w") as stream,
        subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env=os.environ | {"PYTHONPATH": os.environ["CONVNETS_MOTO"]},
            stdout=stream,
            stderr=stream,
        ) as server,
    ):
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{address}/runs", method="PUT")).close()
                break
            except OSError:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        yield address
        server.kill()


@pytest.fixture(params=["a folder", "file", "s3"])
def where(request, tmp_path, monkeypatch):
    """A place for checkpoints: a folder, its URL, or a bucket."""
    if request.param == "s3":
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3"))
        for name, value in KEY.items():
            monkeypatch.setenv(name, value)
        return f"s3://runs/{tmp_path.name}"
    folder = tmp_path / "elsewhere"
    return f"file://{folder}" if request.param == "file" else str(folder)


class Run:
    """What a run has on its disk."""

    def __init__(self, folder, where, **fields):
        self.checkpoints, self.metrics = folder / "checkpoints", folder / "metrics.jsonl"
        self.mirror = CheckpointMirror(str(where), self.checkpoints, self.metrics)
        self.mirror.claim(config_of(**fields))

    def save(self, step, *, copy=True):
        for name in ("state/arrays", "metadata"):
            file = self.checkpoints / str(step) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(f"{name} of {step}".encode() * 1000)
        self.metrics.write_text(f"until {step}\n")
        if copy:
            self.mirror.update(step)

    def contents(self):
        files = [path for path in self.checkpoints.rglob("*") if path.is_file()]
        return {str(file.relative_to(self.checkpoints)): file.read_bytes() for file in files}

    def steps(self):
        return sorted(int(path.name) for path in self.checkpoints.iterdir())


def config_of(**fields):
    config = default_config()
    config.update(fields)
    return complete(config)


def test_a_run_whose_disk_is_lost_gets_its_checkpoints_and_metrics_back(where, tmp_path):
    run = Run(tmp_path / "run", where)
    for step in (5, 10):
        run.save(step)
    # As if the place could not be reached for a while.
    run.save(15, copy=False)
    run.mirror.claim(config_of())
    again = Run(tmp_path / "again", where)
    assert again.contents() == run.contents()
    assert len(again.contents()) == 6
    assert again.metrics.read_text() == "until 15\n"


def test_checkpoints_that_the_run_no_longer_keeps_are_removed_there_too(where, tmp_path):
    run = Run(tmp_path / "run", where)
    run.save(1)
    run.save(10)
    shutil.rmtree(run.checkpoints / "1")
    run.save(11)
    assert Run(tmp_path / "again", where).steps() == [10, 11]


def test_a_run_goes_on_from_what_was_done_elsewhere_and_keeps_what_it_has_itself(tmp_path):
    where = tmp_path / "elsewhere"
    run = Run(tmp_path / "run", where)
    run.save(5)
    run.metrics.write_text("more\n")
    before = run.contents()
    (where / "5/metadata").write_text("other")
    run.mirror.claim(config_of())
    assert run.contents() == before and run.metrics.read_text() == "more\n"
    Run(tmp_path / "there", where).save(10)
    run.mirror.claim(config_of())
    assert run.steps() == [5, 10] and run.metrics.read_text() == "until 10\n"


def test_a_copy_that_is_not_whole_does_not_count(tmp_path):
    run = Run(tmp_path / "run", tmp_path / "elsewhere")
    run.save(5)
    run.save(10)
    (tmp_path / "elsewhere/10/whole").unlink()
    assert Run(tmp_path / "again", tmp_path / "elsewhere").steps() == [5]


def test_the_folder_of_another_run_is_refused_with_the_fields_that_differ(where, tmp_path):
    Run(tmp_path / "run", where, seed=1)
    # Where data are read does not make another run.
    Run(tmp_path / "run", where, seed=1, loader={"threads": 1, "buffer": 1, "workers": 1})
    with pytest.raises(InvalidValue, match=r"of another config .seed is 1 there and 2 here.: name another folder"):
        Run(tmp_path / "run", where, seed=2)


def test_copies_from_before_a_field_was_added_are_the_run_s_still(tmp_path):
    older = config_of().to_dict()
    del older["train"]["wrapper"]
    (tmp_path / "config.json").write_text(json.dumps(older))
    Run(tmp_path / "run", tmp_path)


def test_checkpoints_of_nobody_known_are_refused(tmp_path):
    Run(tmp_path / "run", tmp_path / "elsewhere").save(5)
    (tmp_path / "elsewhere/config.json").unlink()
    with pytest.raises(InvalidValue, match=r"holds checkpoints but no config\.json"):
        Run(tmp_path / "run", tmp_path / "elsewhere")


def test_a_place_that_cannot_be_used_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    for where, sentence in ((f"{tmp_path}/file/folder", "can't be"), ("ftp://host/folder", "can't be opened")):
        with pytest.raises(InvalidValue, match=rf"checkpoint\.folder {where} {sentence}") as refused:
            Run(tmp_path / "run", where)
        assert "\n" not in str(refused.value)


def test_a_bucket_that_is_not_there_is_refused_in_a_sentence(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidValue, match=r"checkpoint\.folder s3://nowhere/folder can't be") as refused:
        Run(tmp_path / "run", "s3://nowhere/folder")
    assert "\n" not in str(refused.value)
