"""`launch.py explain transposed-convolution`: what it prints, draws and refuses."""

import json
from pathlib import Path

import pytest
from PIL import Image
from test_explain import explained, refused

TOPIC = "transposed-convolution"


def test_by_default_it_is_the_slides_example(capsys: pytest.CaptureFixture[str]) -> None:
    said = explained(capsys, TOPIC)
    assert said == explained(capsys, TOPIC, "--kernel=3", "--stride=2", "--padding=1", "--size=5")
    assert "Filter 3 × 3, stride 2, padding 1, transposed" in said
    for row, number in (("matrix M_F", "9 × 25"), ("stretched map", "7 × 7"), ("result", "5 × 5")):
        assert number in next(line for line in said.splitlines() if row in line)
    assert "22 23 ·  ·  ·  32 33" in said, "the matrix itself"
    assert "they differ by " in said and "holes" not in said


def test_no_padding_is_not_the_default_padding(capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(explained(capsys, TOPIC, "--padding=0", "--stride=1", "--size=4", "--json"))
    assert (record["padding"], record["map_side"], record["zeros_around"], record["zeros_between"]) == (0, 2, 2, 0)
    assert record["matrix"][0] == [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0]
    assert 0 <= record["largest_difference"] < 1e-5 < record["largest_entry"]


def test_output_padding_is_found_or_given(capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(explained(capsys, TOPIC, "--size=6", "--json"))
    assert (record["side"], record["map_side"], record["output_padding"]) == (6, 3, 1)
    record = json.loads(explained(capsys, TOPIC, "--size=6", "--output_padding=0", "--json"))
    assert (record["side"], record["map_side"], record["output_padding"], record["stretched_side"]) == (5, 3, 0, 7)


def test_holes_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    said = explained(capsys, TOPIC, "--kernel=2", "--stride=3", "--padding=0", "--size=8")
    assert "28 pixels of the result are holes" in said, "2 rows and 2 columns of 8"
    assert "·" not in said, "a matrix of 64 columns is too wide for a terminal"


def test_a_picture_is_drawn_where_it_is_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = explained(capsys, TOPIC, f"--out={tmp_path / 'picture.png'}")
    assert f"picture: {tmp_path / 'picture.png'}" in said
    with Image.open(tmp_path / "picture.png") as picture:
        assert min(picture.size) > 1000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--size=40"], "the size is 40, and a matrix is shown of 1 to 16 pixels a side"),
        (["--size=0"], "the size is 0, and a matrix is shown of 1 to 16 pixels a side"),
        (["--kernel=0"], "the kernel is 0, and a filter has at least 1 pixel a side"),
        (["--stride=0"], "has stride 0, and must have at least 1"),
        (["--padding=3"], "has padding 3, and its filters of 3 pixels allow 0 to 2"),
        (["--output_padding=2"], "has output padding 2, and its stride of 2 allows 0 to 1"),
        (["--kernel=9"], "a filter of 9 x 9 does not fit into 5 x 5 pixels with padding 1"),
        (["--depth=9"], "the topic 'transposed-convolution' has no option 'depth'"),
        (["--out=picture.gif"], "let it end in .png"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert sentence in refused(capsys, TOPIC, *arguments)
