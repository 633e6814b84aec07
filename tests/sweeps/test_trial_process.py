"""A trial's process: what it is given, what it is asked, and that no two are in one workdir."""

import json
import os
import signal
import sys
import threading
import time

import pytest
from ml_collections import ConfigDict

from convnets.errors import InvalidValue
from convnets.sweeps import trial_process
from convnets.sweeps.trial_process import StillTrains, TrialProcess
from convnets.training import this_machine
from convnets.training.config import complete, default_config, from_json, to_json
from convnets.training.this_machine import Share

CONFIG = complete(default_config())
FACTS = """
arguments = dict(word[2:].split("=", 1) for word in sys.argv[2:])
facts = {"command": sys.argv[1], "cores": sorted(os.sched_getaffinity(0)), "device": os.environ.get("DEVICE")}
facts |= {"processes": arguments["num_processes"], "parent": os.environ["CONVNETS_PARENT"] == str(os.getppid())}
open(arguments["workdir"] + "/facts.json", "w").write(json.dumps(facts))
"""
UNTIL_STOPPED = """
def save(*_):
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
print("training", flush=True)
time.sleep(60)
"""


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begins a trial, in the folder of that name, whose program does what is given."""

    def process(body, name="0003", config=CONFIG, share=None) -> TrialProcess:
        program = tmp_path / "program.py"
        program.write_text(f"import json, os, signal, sys, time\n{body}")
        monkeypatch.setattr(this_machine, "PROGRAM", (sys.executable, str(program)))
        begun = TrialProcess(tmp_path / name, config, share or Share())
        deadline = time.monotonic() + 20
        while body == UNTIL_STOPPED and "training" not in (begun.folder / "output.log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return begun

    return process


def test_it_trains_with_its_config_its_devices_and_its_cores_and_knows_who_started_it(begin):
    config = ConfigDict(CONFIG.to_dict())
    config.checkpoint.folder = "gs://bucket/sweep"
    here = os.sched_getaffinity(0)
    process = begin(FACTS, config=config, share=Share({"DEVICE": "3", "CONVNETS_PARENT": "1"}, (max(here),)))
    assert process.wait(20) == 0
    facts = json.loads((process.folder / "facts.json").read_text())
    assert facts == {"command": "train", "cores": [max(here)], "device": "3", "processes": "1", "parent": True}
    assert os.sched_getaffinity(0) == here
    started_with = from_json(process.folder / "trial.json")
    assert started_with.checkpoint.folder == "gs://bucket/sweep/0003", "a place of its own for copies"
    assert config.checkpoint.folder == "gs://bucket/sweep"
    started_with.checkpoint.folder = ""
    assert to_json(started_with) == to_json(CONFIG)


def test_evaluations_are_told_once_also_those_that_were_there_before(begin, tmp_path):
    line = json.dumps({"kind": "evaluation", "split": "validation", "step": 1, "top1": 0.5}) + "\n"
    metrics = tmp_path / "0003" / "metrics.jsonl"
    metrics.parent.mkdir()
    metrics.write_text(line + line.replace("validation", "test"))
    process = begin("")
    assert [record["step"] for record in process.new_evaluations()] == [1]
    assert process.new_evaluations() == []
    with metrics.open("a") as file:
        file.write(line.replace('"step": 1', '"step": 2') + '{"kind": "evalu')
    assert [record["step"] for record in process.new_evaluations()] == [2]
    process.wait(20)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('print("error: the data are gone", file=sys.stderr); print("bye"); sys.exit(1)', "the data are gone"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("sys.exit(3)", "it printed nothing"),
        ('print("at step 7", flush=True); os.kill(os.getpid(), 9)', "ended by SIGKILL; its last words: at step 7"),
    ],
)
def test_the_error_is_what_it_printed_last(begin, tmp_path, body, error):
    output = tmp_path / "0003" / "output.log"
    output.parent.mkdir()
    output.write_text("error: of an earlier start\n")
    process = begin(body)
    assert process.wait(20) not in (0, None)
    assert process.error() == error
    assert output.read_text().startswith("error: of an earlier start\n")


def test_it_is_asked_to_save_and_to_end(begin):
    process = begin(UNTIL_STOPPED)
    assert process.wait(0) is None
    process.stop()
    assert process.wait(20) == 143
    process.stop()


def test_one_that_still_trains_in_the_workdir_saves_and_ends_before_another_begins(begin):
    orphan = begin(UNTIL_STOPPED)
    following = begin("")
    assert orphan.wait(0) == 143
    assert following.wait(20) == 0


def test_one_of_another_machine_is_waited_for_and_left_alone(begin, monkeypatch):
    process = begin(UNTIL_STOPPED)
    monkeypatch.setattr(trial_process.socket, "gethostname", lambda: "another")
    with monkeypatch.context() as hurried:
        hurried.setattr(trial_process, "GIVE_UP_ELSEWHERE", 0.2)
        with pytest.raises(StillTrains, match="still trains in"):
            begin("")
    assert process.wait(0) is None
    ending = threading.Timer(0.3, process.stop)
    ending.start()
    assert begin("").wait(20) == 0
    assert process.wait(0) == 128 + signal.SIGTERM


def test_a_place_that_can_not_be_written_is_refused(begin, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValue, match="can't be written"):
        begin("", "file/trial")
