"""`launch.py explain`: the topics, what they print, draw and refuse."""

import json
from pathlib import Path

import pytest
from PIL import Image

from convnets.analysis.interconnects import MACHINES
from convnets.cli.command_line import main
from convnets.cli.command_table import COMMANDS
from convnets.cli.topics import topics

QUICK = ("--depth=8", "--size=6", "--seconds=0")
LENET = ("scaling", "--network=lenet5", "--machine=dgx-h100", "--devices=16", "--batch=8", "--global_batch=64")
TRANSPOSED = "transposed-convolution"


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `launch.py explain` prints."""
    assert main(["launch.py", "explain", *arguments]) == 0
    return capsys.readouterr().out


def test_alone_it_lists_the_topics_with_their_flags(capsys: pytest.CaptureFixture[str]) -> None:
    said = explained(capsys)
    for name in topics:
        assert f"  {name} " in said
        for flag in topics.options(name):
            assert f"--{flag}" in said
    assert list(topics) == ["bottleneck", "scaling", "sliding-window", "small-filters", "transposed-convolution"]


def test_small_filters_are_the_lectures_table(capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(explained(capsys, "small-filters", *QUICK, "--json"))
    counted = [option["parameters"] for comparison in record["comparisons"] for option in comparison["options"]]
    assert counted == [49 * 64, 27 * 64, 25 * 64, 18 * 64]
    assert record["comparisons"][0]["options"][0]["forward"] is None


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


def test_scaling_is_an_efficiency_for_each_number_of_devices(capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(explained(capsys, *LENET, "--json"))
    [network] = record["networks"]
    assert network["gradient_bytes"] == 4 * 61_706
    assert network["multiply_adds"] == 416_520
    assert record["machines"]["dgx-h100"]["inside"]["bandwidth"] == 450e9
    weak, strong = record["weak_scaling"], record["strong_scaling"]
    assert [point["devices"] for point in weak] == [1, 2, 4, 8, 16]
    assert [point["batch_per_device"] for point in strong] == [64, 32, 16, 8, 4]
    assert weak[0]["efficiency_without_overlap"] == 1
    for point in weak + strong:
        assert 0 < point["efficiency_without_overlap"] <= point["efficiency_with_overlap"] <= 1
    # LeNet-5 computes 8 images in a microsecond, and sums its gradient in many.
    assert weak[-1]["efficiency_with_overlap"] < 0.05


def test_the_tables_of_scaling_say_what_is_summed_and_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = explained(capsys, *LENET, "--images_per_second=1000", f"--out={tmp_path / 'scaling.png'}")
    for words in ("246,824 ", "What one step sums", "Milliseconds of a step", "8 images a device", "64 images shared"):
        assert words in said
    assert "NVLink" in said and "1,000 images/s by a device alone" in said
    assert " 8.00 " in said, "milliseconds of 8 images at 1,000 images/s"
    with Image.open(tmp_path / "scaling.png") as picture:
        assert min(picture.size) > 400


def test_batch_norms_of_each_device_stand_beside_synchronized_ones(capsys: pytest.CaptureFixture[str]) -> None:
    short = ("scaling", "--network=lenet5_bn", "--machine=tpu-v4,tpu-v5p", "--devices=4")
    record = json.loads(explained(capsys, *short, "--json"))
    assert list(record["machines"]) == ["tpu-v4", "tpu-v5p"]
    together, apart = record["networks"]
    assert (together["batch_norm_scope"], apart["batch_norm_scope"]) == ("synchronized", "device")
    assert together["statistics_sums"] == 2 * apart["statistics_sums"] == 16
    said = explained(capsys, *short, "--scope=device")
    assert "lenet5_bn, norms apart" in said and "lenet5_bn  " not in said


def test_every_machine_is_named_in_the_help() -> None:
    [flag] = [flag for flag in COMMANDS["explain"].flags if flag.name == "machine"]
    assert all(name in flag.help for name in MACHINES)


def test_by_default_a_transposed_convolution_is_the_slides_example(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = explained(capsys, TRANSPOSED, f"--out={tmp_path / 'picture.png'}")
    assert "Filter 3 × 3, stride 2, padding 1, transposed" in said
    for row, number in (("matrix M_F", "9 × 25"), ("stretched map", "7 × 7"), ("result", "5 × 5")):
        assert number in next(line for line in said.splitlines() if row in line)
    assert "22 23 ·  ·  ·  32 33" in said, "the matrix itself"
    assert "they differ by " in said and "holes" not in said
    assert f"picture: {tmp_path / 'picture.png'}" in said and (tmp_path / "picture.png").exists()


def test_flags_of_a_transposed_convolution_may_be_zero_and_holes_are_counted(capsys) -> None:
    record = json.loads(explained(capsys, TRANSPOSED, "--size=6", "--output_padding=0", "--json"))
    assert [record[name] for name in ("side", "map_side", "output_padding", "stretched_side")] == [5, 3, 0, 7]
    assert 0 <= record["largest_difference"] < 1e-5 < record["largest_entry"]
    said = explained(capsys, TRANSPOSED, "--kernel=2", "--stride=3", "--padding=0", "--size=8")
    assert "28 pixels of the result are holes" in said, "2 rows and 2 columns of 8"
    assert "·" not in said, "a matrix of 64 columns is too wide for a terminal"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["small-filter"], "unknown topic 'small-filter': did you mean 'small-filters'?"),
        (["small-filters", "bottleneck"], "one topic at a time, and was given 'small-filters bottleneck'"),
        (["sliding-window", "--depth=8"], "the topic 'sliding-window' has no option 'depth': known are network, size"),
        (["small-filters", "--out=bars.jpg"], "--out is 'bars.jpg', and pictures are PNG files: let it end in .png"),
        (["small-filters", "--depth=deep"], "--depth=deep"),
        (["small-filters", "--depht=8"], "the command explain has no flag --depht: did you mean 'depth'?"),
        (["small-filters", "--seconds=-1"], "--seconds is -1"),
        (["small-filters", "--config.network.name=vgg16"], "explain takes no --config fields"),
        (["scaling", "--machine=dgx"], "--machine has 'dgx': "),
        (["scaling", "--network=resnet51"], "unknown architecture 'resnet51'"),
        (["scaling", "--batch=0"], "--batch is 0, and must be positive"),
        (["scaling", "--global_batch=0"], "--global_batch is 0, and must be positive"),
        (["scaling", "--utilization=0"], "--utilization is 0, and is a percentage of the peak from 1 to 100"),
        (["scaling", "--images_per_second=100"], "give what one device reaches with the one --network"),
        (["scaling", "--scope=local"], "scope"),
        ([TRANSPOSED, "--output_padding=2"], "has output padding 2, and its stride of 2 allows 0 to 1"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(["launch.py", "explain", *arguments]) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.startswith("error: ") and said.count("\n") == 1
