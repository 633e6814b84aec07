"""`launch.py summarize`, which needs no data."""

import csv
import io
import json

import pytest

from convnets.cli.command_line import main

EXPERIMENT = "--config=experiments/lenet_fashion_mnist.py"


def summarized(capsys, *arguments):
    assert main(["launch.py", "summarize", *arguments]) == 0
    return capsys.readouterr().out


def test_a_network_by_its_name_is_counted_on_its_native_images(capsys):
    read = json.loads(summarized(capsys, "alexnet", "--json"))
    expected = {"network": "alexnet", "image_shape": [227, 227, 3], "batch": 1, "dtype": "float32"}
    assert {name: read[name] for name in expected} == expected
    assert read["totals"]["parameters"] == 62_378_344


def test_options_flags_and_names_may_stand_in_any_order(capsys):
    flags = ("--image=64x48x4", "--classes=7", "--batch=3", "--json")
    read = json.loads(summarized(capsys, "vgg11", flags[0], "stem=small", flags[1], "dtype=bfloat16", *flags[2:]))
    assert (read["image_shape"], read["batch"], read["dtype"]) == ([64, 48, 4], 3, "bfloat16")
    first, last = read["layers"][0], read["layers"][-1]
    assert (first["output_shape"], first["activation_bytes"]) == ([3, 64, 48, 64], 3 * 64 * 48 * 64 * 2)
    assert last["output_shape"][-1] == 7


def test_small_native_images_have_ten_classes_unless_more_are_asked_for(capsys):
    assert json.loads(summarized(capsys, "resnet20", "--json"))["layers"][-1]["output_shape"][-1] == 10
    more = summarized(capsys, "resnet20", "--classes=100", "--json")
    assert json.loads(more)["layers"][-1]["output_shape"][-1] == 100


def test_depth_one_is_the_lectures_table_of_googlenet(capsys):
    lines = list(csv.DictReader(io.StringIO(summarized(capsys, "googlenet", "--depth=1", "--csv"))))
    paths = [line["path"] for line in lines]
    assert paths[6:10] == ["pool2", "inception_3a", "inception_3b", "pool3"]
    assert lines[7]["output_shape"] == "1x28x28x256"


def test_the_table_names_the_network_and_the_images(capsys):
    assert summarized(capsys, "resnet20", "shortcut=B").startswith("resnet20 shortcut=B on 32 × 32 × 3 images, float32")
    assert summarized(capsys, "resnet20", "--batch=8").startswith("resnet20 on 8 images of 32 × 32 × 3, float32")


def test_an_experiments_network_is_counted_on_its_data(capsys):
    text = summarized(capsys, EXPERIMENT, "--config.network.name=lenet5_bn")
    assert text.startswith("lenet5_bn on 32 × 32 × 1 images of fashion_mnist, float32")
    # 226 biases make way for as many scales and shifts.
    assert f"{61_706 - 226 + 2 * 226:,}" in text


def test_an_experiments_network_tells_the_classes_of_its_subset_apart(capsys):
    read = json.loads(summarized(capsys, EXPERIMENT, "--config.subset.classes=('Shirt','Coat','Bag')", "--json"))
    assert read["layers"][-1]["output_shape"][-1] == 3
    # The last layer has 84 weights and a bias for each of the seven others.
    assert read["totals"]["parameters"] == 61_706 - 7 * 85


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "takes one of three"),
        (["lenet5", EXPERIMENT], "takes one of three"),
        (["resnt50"], "did you mean 'resnet50'"),
        (["resnet50", "stm=small"], "has no option 'stm': did you mean 'stem'"),
        (["resnet50", "norm=None"], "'norm' of resnet50 is what batch_norm.* says in the config of an experiment"),
        (["resnet50", "stem"], "written as option=value, and 'stem' is none"),
        (["stem=small", "resnet50"], "the network's name comes first"),
        (["resnet50", "--image=224x224"], "such as 224x224x3, and was given '224x224'"),
        (["resnet50", "--classes=-1"], "--classes is -1"),
        (["resnet50", "--batch=0"], "a batch of positive sizes"),
        (["resnet50", "--depth=-1"], "--depth is -1"),
        (["resnet50", "--json", "--csv"], "either --json or --csv"),
        (["resnet50", "--config.network.stem=small"], "give its options as option=value"),
        ([EXPERIMENT, "--image=32x32x1"], "--image is for a network by its name"),
        ([EXPERIMENT, "--classes=3"], "--classes is for a network by its name"),
        (["--workdir=no/such/run"], "no/such/run"),
    ],
)
def test_what_can_not_be_summarized_is_refused_in_a_sentence(capsys, arguments, sentence):
    assert main(["launch.py", "summarize", *arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ") and sentence in said.err and said.err.count("\n") == 1
