"""Checkpoints that are copied elsewhere: what is there when, whose it is, and what comes back."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest
from ml_collections import ConfigDict

from convnets.cli.local_processes import free_port
from convnets.errors import InvalidValue
from convnets.training.config import complete, default_config
from convnets.training.distant_checkpoints import DistantCheckpoints

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

    def __init__(self, folder, where):
        self.checkpoints, self.metrics = folder / "checkpoints", folder / "metrics.jsonl"
        self.distant = DistantCheckpoints(where, self.checkpoints, self.metrics)

    def save(self, step):
        for name in ("state/arrays", "metadata"):
            file = self.checkpoints / str(step) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(f"{name} of {step}".encode() * 1000)
        self.metrics.write_text(f"until {step}\n")
        self.distant.update(step)

    def contents(self):
        files = [path for path in self.checkpoints.rglob("*") if path.is_file()]
        return {str(file.relative_to(self.checkpoints)): file.read_bytes() for file in files}


def claimed(folder, where):
    run = Run(folder, where)
    run.distant.check(config_of())
    run.distant.claim(config_of())


def config_of(**fields):
    config = default_config()
    config.update(fields)
    return complete(config)


def test_a_run_whose_disk_is_lost_gets_its_checkpoints_and_metrics_back(where, tmp_path):
    run = Run(tmp_path / "run", where)
    for step in (5, 10, 15):
        run.save(step)
    again = Run(tmp_path / "again", where)
    again.distant.fetch()
    assert again.contents() == run.contents()
    assert len(again.contents()) == 6
    assert again.metrics.read_text() == "until 15\n"


def test_checkpoints_that_the_run_no_longer_keeps_are_removed_there_too(where, tmp_path):
    run = Run(tmp_path / "run", where)
    run.save(1)
    run.save(10)
    shutil.rmtree(run.checkpoints / "1")
    run.save(11)
    again = Run(tmp_path / "again", where)
    again.distant.fetch()
    assert sorted(path.name for path in again.checkpoints.iterdir()) == ["10", "11"]


def test_checkpoints_that_were_never_copied_are_made_up_for(where, tmp_path):
    run = Run(tmp_path / "run", where)
    run.save(5)
    before = run.distant
    # As if the place could not be reached for a while.
    run.distant = DistantCheckpoints(str(tmp_path / "nobody looks here"), run.checkpoints, run.metrics)
    run.save(10)
    run.distant = before
    run.distant.catch_up()
    again = Run(tmp_path / "again", where)
    again.distant.fetch()
    assert again.contents() == run.contents()
    assert again.metrics.read_text() == "until 10\n"


def test_the_curves_of_a_run_that_went_on_elsewhere_come_with_its_checkpoints(tmp_path):
    run = Run(tmp_path / "run", str(tmp_path / "elsewhere"))
    run.save(5)
    there = Run(tmp_path / "there", str(tmp_path / "elsewhere"))
    there.distant.fetch()
    there.save(10)
    run.distant.fetch()
    assert run.metrics.read_text() == "until 10\n"


def test_a_copy_that_is_not_whole_does_not_count(tmp_path):
    run = Run(tmp_path / "run", str(tmp_path / "elsewhere"))
    run.save(5)
    run.save(10)
    (tmp_path / "elsewhere/10/whole").unlink()
    again = Run(tmp_path / "again", str(tmp_path / "elsewhere"))
    again.distant.fetch()
    assert [path.name for path in again.checkpoints.iterdir()] == ["5"]


def test_what_the_run_has_itself_is_left_alone(tmp_path):
    run = Run(tmp_path / "run", str(tmp_path / "elsewhere"))
    run.save(5)
    run.metrics.write_text("more\n")
    before = run.contents()
    (tmp_path / "elsewhere/5/metadata").write_text("other")
    run.distant.fetch()
    assert run.contents() == before
    assert run.metrics.read_text() == "more\n"


def test_the_folder_of_another_run_is_refused_with_the_fields_that_differ(where, tmp_path):
    run = Run(tmp_path / "run", where)
    run.distant.check(config_of(seed=1))
    run.distant.claim(config_of(seed=1))
    run.distant.check(config_of(seed=1))
    # Where data are read does not make another run.
    run.distant.check(config_of(seed=1, loader={"threads": 1, "buffer": 1, "workers": 1}))
    with pytest.raises(InvalidValue, match=r"of another config .seed is 1 there and 2 here.: name another folder"):
        run.distant.check(config_of(seed=2))


def test_copies_from_before_a_field_was_added_are_the_run_s_still(tmp_path):
    older = config_of().to_dict()
    del older["train"]["wrapper"]
    run = Run(tmp_path / "run", str(tmp_path / "elsewhere"))
    run.distant.claim(ConfigDict(older))
    run.distant.check(config_of())


def test_checkpoints_of_nobody_known_are_refused(tmp_path):
    run = Run(tmp_path / "run", str(tmp_path / "elsewhere"))
    run.save(5)
    with pytest.raises(InvalidValue, match=r"holds checkpoints but no config\.json"):
        run.distant.check(config_of())


def test_a_place_that_cannot_be_written_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    for where, sentence in ((f"{tmp_path}/file/folder", "can't be"), ("ftp://host/folder", "can't be opened")):
        with pytest.raises(InvalidValue, match=rf"checkpoint\.folder {where} {sentence}") as refused:
            claimed(tmp_path / "run", where)
        assert "\n" not in str(refused.value)


def test_a_bucket_that_is_not_there_is_refused_in_a_sentence(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    run = Run(tmp_path / "run", "s3://nowhere/folder")
    with pytest.raises(InvalidValue, match=r"checkpoint\.folder s3://nowhere/folder can't be") as refused:
        run.distant.check(config_of())
    assert "\n" not in str(refused.value)
