"""A number that another living process of the workdir has, or another count than its, is refused in a sentence."""

import subprocess
import sys

import pytest
from launching import ROOT

from convnets.cli import claimed_number
from convnets.cli.claimed_number import claim_number
from convnets.errors import InvalidValue


@pytest.fixture
def another(tmp_path):
    """The second of three processes, in a workdir that was not there."""
    code = (
        "import sys; from pathlib import Path; from convnets.cli.claimed_number import claim_number; "
        f"claim_number(Path({str(tmp_path / 'run')!r}), 3, 1); print('claimed', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "claimed\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("count", "number", "sentence"),
    [
        (3, 1, "^--process_id=1 is that of another process, which trains in .*run: give all the same count"),
        (2, 0, "^--num_processes is 2, and 3 for --process_id=1, which trains in .*run: give all the same count"),
    ],
)
def test_what_does_not_fit_is_refused_while_the_other_lives(another, tmp_path, monkeypatch, count, number, sentence):
    monkeypatch.setattr(claimed_number, "ENDS_WITHIN", 0.3)
    with pytest.raises(InvalidValue, match=sentence):
        claim_number(tmp_path / "run", count, number)
    another.kill()
    another.wait()
    claim_number(tmp_path / "run", count, number)


def test_numbers_that_fit_are_not_refused(another, tmp_path, monkeypatch):
    monkeypatch.setattr(claimed_number, "ENDS_WITHIN", 0.0)
    for number in (0, 2):
        claim_number(tmp_path / "run", 3, number)


def test_a_run_that_is_about_to_end_is_waited_for(another, tmp_path):
    another.stdin.close()
    claim_number(tmp_path / "run", 3, 1)


def test_where_nothing_can_be_written_nobody_is_refused(tmp_path):
    (tmp_path / "file").touch()
    claim_number(tmp_path / "file", 3, 1)
