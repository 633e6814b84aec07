"""`launch.py explain scaling`."""

import json

import pytest
from PIL import Image

from convnets.analysis.interconnects import MACHINES
from convnets.cli.command_line import main
from convnets.cli.command_table import COMMANDS
from convnets.cli.topics import scaling as topic

LENET = ("scaling", "--network=lenet5", "--machine=dgx-h100", "--devices=16", "--batch=8", "--global_batch=64")


def explained(capsys, *arguments):
    """What `launch.py explain` prints."""
    assert main(["launch.py", "explain", *arguments]) == 0
    return capsys.readouterr().out


def test_the_record_has_bytes_times_and_efficiencies(capsys, tmp_path):
    record = json.loads(explained(capsys, *LENET, f"--out={tmp_path / 'scaling.png'}", "--json"))
    [network] = record["networks"]
    assert network["gradient_bytes"] == 4 * 61_706
    assert record["machines"]["dgx-h100"]["inside"]["bandwidth"] == 450e9
    weak, strong = record["weak_scaling"], record["strong_scaling"]
    assert [point["devices"] for point in weak] == [1, 2, 4, 8, 16]
    assert [point["batch_per_device"] for point in strong] == [64, 32, 16, 8, 4]
    assert weak[0]["efficiency_without_overlap"] == 1
    for point in weak + strong:
        assert 0 < point["efficiency_without_overlap"] <= point["efficiency_with_overlap"] <= 1
    # LeNet-5 computes 8 images in a microsecond, and sums its gradient in many.
    assert weak[-1]["efficiency_with_overlap"] < 0.05
    with Image.open(tmp_path / "scaling.png") as picture:
        assert min(picture.size) > 400


def test_the_tables_say_what_is_summed_and_how_long_it_takes(capsys):
    said = explained(capsys, *LENET, "--images_per_second=1000")
    assert "246,824 " in said
    for words in ("What one step sums", "Milliseconds of a step", "8 images a device", "64 images shared", "NVLink"):
        assert words in said
    assert "1,000 images/s by a device alone" in said
    # 8 images at 1,000 images/s.
    assert " 8.00 " in said


def test_a_measured_rate_makes_the_time_of_computing(capsys):
    record = json.loads(explained(capsys, *LENET, "--images_per_second=1000", "--json"))
    assert record["weak_scaling"][0]["computing"] == pytest.approx(8 / 1000)
    assert record["utilization"] is None


def test_batch_norms_of_each_device_stand_beside_synchronized_ones_where_there_are_any(capsys):
    short = ("scaling", "--network=lenet5_bn", "--machine=tpu-v4,tpu-v5p", "--devices=4")
    record = json.loads(explained(capsys, *short, "--json"))
    assert list(record["machines"]) == ["tpu-v4", "tpu-v5p"]
    together, apart = record["networks"]
    assert (together["batch_norm_scope"], apart["batch_norm_scope"]) == ("synchronized", "device")
    assert together["statistics_sums"] == 2 * apart["statistics_sums"] == 16
    [chosen] = json.loads(explained(capsys, *short, "--scope=device", "--json"))["networks"]
    assert chosen == apart
    assert "lenet5_bn, norms apart" in explained(capsys, *short)


def test_every_machine_is_named_in_the_help():
    [flag] = [flag for flag in COMMANDS["explain"].flags if flag.name == "machine"]
    assert all(name in flag.help for name in MACHINES)


def test_by_default_networks_of_many_and_of_few_parameters_stand_side_by_side():
    assert topic.NETWORKS == ("alexnet", "vgg16", "googlenet", "resnet50")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--machine=dgx"], "--machine has 'dgx': "),
        (["--network=resnet51"], "unknown architecture 'resnet51'"),
        (["--devices=12"], "the number of devices is 12, and must be a power of two: use 8 or 16"),
        (["--batch=0"], "--batch is 0, and must be positive"),
        (["--global_batch=0"], "--global_batch is 0, and must be positive"),
        (["--utilization=0"], "--utilization is 0, and is a percentage of the peak from 1 to 100"),
        (["--images_per_second=100"], "give what one device reaches with the one --network"),
        (["--scope=local"], "scope"),
        (["--network=lenet5", "--global_batch=100"], "a global batch of 100 can't be shared by 8 devices"),
        (["--out=scaling.pdf"], "pictures are PNG files"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(capsys, arguments, sentence):
    assert main(["launch.py", "explain", "scaling", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and sentence in said
