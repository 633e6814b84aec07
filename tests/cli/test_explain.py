"""`launch.py explain`: the topics and what they print."""

import json
from pathlib import Path

import pytest
from PIL import Image

from convnets.cli.command_line import main
from convnets.cli.topics import topics

QUICK = ("--depth=8", "--size=6", "--seconds=0")


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `launch.py explain` prints."""
    assert main(["launch.py", "explain", *arguments]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence with which it refuses."""
    assert main(["launch.py", "explain", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said


def test_alone_it_lists_the_topics_with_their_flags(capsys: pytest.CaptureFixture[str]) -> None:
    said = explained(capsys)
    for name in topics:
        assert f"  {name} " in said
        for flag in topics.options(name):
            assert f"--{flag}" in said
    assert list(topics) == ["bottleneck", "scaling", "sliding-window", "small-filters", "transposed-convolution"]


def test_small_filters_are_the_lectures_table(capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(explained(capsys, "small-filters", *QUICK, "--json"))
    first, second = record["comparisons"]
    large, small = first["options"]
    assert (large["parameters"], small["parameters"]) == (49 * 64, 27 * 64)
    assert (large["multiply_adds"], small["multiply_adds"]) == (49 * 64 * 36, 27 * 64 * 36)
    assert large["receptive_field"] == small["receptive_field"] == 7
    assert [option["parameters"] for option in second["options"]] == [25 * 64, 18 * 64]
    assert large["forward"] is None


def test_a_table_has_counts_the_formulas_and_the_times(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flags = ("--depth=4", "--size=3", "--batch=1", "--seconds=1", f"--out={tmp_path / 'bars.png'}")
    said = explained(capsys, "bottleneck", *flags)
    assert "18 D² = 288" in said and "3.25 D² = 52" in said and "1.0625 D² = 17" in said
    for row in ("layers", "sees", "non-linearities", "activations", "forward", "training", "medians", "minima"):
        assert row in said
    assert "× 1.00" in said and " ms" in said
    with Image.open(tmp_path / "bars.png") as picture:
        assert min(picture.size) > 500


def test_a_window_slides_over_one_network_and_one_size_or_over_several(capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(explained(capsys, "sliding_window", "--network=lenet5", "--size=64", "--json"))
    [image] = record["images"]
    assert (image["window"], image["stride"], image["map_side"], image["formula_map_side"]) == (32, 4, 9, 9)
    assert image["windows_multiply_adds"] == 81 * image["crop_multiply_adds"]
    assert image["saved"] == image["windows_multiply_adds"] / image["pass_multiply_adds"] > 2
    said = explained(capsys, "sliding-window", "--size=384")
    assert [name in said for name in ("alexnet", "vgg16", "resnet50")] == [True] * 3
    assert "× 11.2" in said, "of VGG-16"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["small-filter"], "unknown topic 'small-filter': did you mean 'small-filters'?"),
        (
            ["small-filters", "bottleneck"],
            "explain takes one topic at a time, and was given 'small-filters bottleneck'",
        ),
        (["sliding-window", "--depth=8"], "the topic 'sliding-window' has no option 'depth': known are network, size"),
        (["bottleneck", "--depth=6"], "the depth is 6, and a bottleneck of D/4 needs a multiple of 4"),
        (["small-filters", "--out=bars.jpg"], "--out is 'bars.jpg', and pictures are PNG files: let it end in .png"),
        (["small-filters", "--depth=deep"], "--depth=deep"),
        (["small-filters", "--depht=8"], "the command explain has no flag --depht: did you mean 'depth'?"),
        (["small-filters", "--seconds=-1"], "--seconds is -1"),
        (["sliding-window", "--size=100"], "the image is 100 pixels wide, and the window of alexnet is 227"),
        (["sliding-window", "--size=0"], "the image is 0 pixels wide"),
        (["small-filters", "--batch=0"], "the batch is 0, and must be positive"),
        (["small-filters", "--config.network.name=vgg16"], "explain takes no --config fields"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert sentence in refused(capsys, *arguments)
