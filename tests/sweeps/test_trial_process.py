"""A trial's process: what it is given, what it is asked, and that no two are in one workdir."""

import json
import os
import signal
import threading
import time

import pytest
from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.sweeps import trial_process
from convnets.sweeps.trial_process import StillTrains, TrialProcess
from convnets.training.config import complete, default_config
from convnets.training.config_file import from_json, to_json

PROGRAM = """
import json, os, signal, sys, time
arguments = dict(word[2:].split("=", 1) for word in sys.argv[2:])
facts = {"command": sys.argv[1], "cores": sorted(os.sched_getaffinity(0)), "device": os.environ.get("DEVICE")}
facts["processes"] = arguments["num_processes"]
open(arguments["workdir"] + "/facts.json", "w").write(json.dumps(facts))
BODY
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program in the place of launch.py; called with what it does."""

    def put(body: str) -> None:
        (tmp_path / "launch.py").write_text(PROGRAM.replace("BODY", body))
        monkeypatch.setattr(trial_process, "LAUNCH", tmp_path / "launch.py")

    return put


@pytest.fixture(scope="module")
def config():
    return complete(default_config())


UNTIL_STOPPED = """
def save(*_):
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
print("training", flush=True)
time.sleep(60)
"""


def until_it_trains(folder) -> None:
    deadline = time.monotonic() + 20
    while "training" not in (folder / "output.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_trains_with_its_config_its_devices_and_its_cores(program, config, tmp_path):
    program("pass")
    core = max(os.sched_getaffinity(0))
    here = os.sched_getaffinity(0)
    process = TrialProcess(tmp_path / "trial", config, {"DEVICE": "3"}, (core,))
    assert process.wait(20) == 0
    facts = json.loads((tmp_path / "trial" / "facts.json").read_text())
    assert facts == {"command": "train", "cores": [core], "device": "3", "processes": "1"}
    assert to_json(from_json(tmp_path / "trial" / "trial.json")) == to_json(config)
    assert os.sched_getaffinity(0) == here


def test_evaluations_are_told_once_also_those_that_were_there_before(program, config, tmp_path):
    program("pass")
    line = json.dumps({"kind": "evaluation", "split": "validation", "step": 1, "top1": 0.5}) + "\n"
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(line + line.replace("validation", "test"))
    process = TrialProcess(folder, config)
    assert [record["step"] for record in process.new_evaluations()] == [1]
    assert process.new_evaluations() == []
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(line.replace('"step": 1', '"step": 2') + '{"kind": "evalu')
    assert [record["step"] for record in process.new_evaluations()] == [2]
    process.wait(20)


def test_it_is_asked_to_save_and_to_end(program, config, tmp_path):
    program(UNTIL_STOPPED)
    process = TrialProcess(tmp_path / "trial", config)
    until_it_trains(tmp_path / "trial")
    assert process.wait(0) is None
    process.stop()
    assert process.wait(20) == 143
    process.stop()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('print("error: the data are gone", file=sys.stderr); print("bye"); sys.exit(1)', "the data are gone"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("sys.exit(3)", "it said nothing"),
        ('print("at step 7", flush=True); os.kill(os.getpid(), 9)', "ended by SIGKILL; its last words: at step 7"),
    ],
)
def test_the_error_is_what_it_said_last(program, config, tmp_path, body, error):
    program(body)
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "output.log").write_text("error: of an earlier start\n")
    process = TrialProcess(folder, config)
    assert process.wait(20) not in (0, None)
    assert process.error() == error
    assert (folder / "output.log").read_text().startswith("error: of an earlier start\n")


def test_it_knows_who_started_it_and_has_a_place_of_its_own_for_copies(program, config, tmp_path):
    program('print(os.environ["CONVNETS_PARENT"] == str(os.getppid()), flush=True)')
    here = ConfigDict(config.to_dict())
    here.checkpoint.folder = "gs://bucket/sweep"
    process = TrialProcess(tmp_path / "0003", here, {"CONVNETS_PARENT": "1"})
    assert process.wait(20) == 0
    assert (tmp_path / "0003" / "output.log").read_text() == "True\n"
    assert from_json(tmp_path / "0003" / "trial.json").checkpoint.folder == "gs://bucket/sweep/0003"
    assert here.checkpoint.folder == "gs://bucket/sweep"


def test_one_that_still_trains_in_the_workdir_saves_and_ends_before_another_begins(program, config, tmp_path):
    program(UNTIL_STOPPED)
    orphan = TrialProcess(tmp_path / "trial", config)
    until_it_trains(tmp_path / "trial")
    program("pass")
    following = TrialProcess(tmp_path / "trial", config)
    assert orphan.wait(0) == 143
    assert following.wait(20) == 0


def test_one_of_another_machine_is_waited_for_and_left_alone(program, config, tmp_path, monkeypatch):
    program(UNTIL_STOPPED)
    process = TrialProcess(tmp_path / "trial", config)
    until_it_trains(tmp_path / "trial")
    monkeypatch.setattr(trial_process.socket, "gethostname", lambda: "another")
    with monkeypatch.context() as hurried:
        hurried.setattr(trial_process, "GIVE_UP_ELSEWHERE", 0.2)
        with pytest.raises(StillTrains, match="still trains in"):
            TrialProcess(tmp_path / "trial", config)
    assert process.wait(0) is None
    program("pass")
    ending = threading.Timer(0.3, process.stop)
    ending.start()
    assert TrialProcess(tmp_path / "trial", config).wait(20) == 0
    assert process.wait(0) == 128 + signal.SIGTERM


def test_a_place_that_can_not_be_written_is_refused(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValue, match="can't be written"):
        TrialProcess(tmp_path / "file" / "trial", config)


def test_what_is_started_is_the_launch_py_of_this_project():
    assert trial_process.LAUNCH.is_file()
