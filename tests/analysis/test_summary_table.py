"""What is printed of a network and written for other programs."""

import csv
import io
import json

import flax.linen as nn
import pytest
from rich.console import Console
from small_networks import Functional, Output, convolution

from convnets import models
from convnets.analysis.summary import LayerRow, Summary, group, summarize
from convnets.analysis.summary_table import as_csv, as_dict, print_summary, share_lines, short_bytes, short_count


@pytest.fixture(scope="module")
def googlenet() -> Summary:
    return summarize(models.create("googlenet_bn", 1000), (224, 224, 3))


def printed(summary, width, depth=0, title="title"):
    console = Console(file=io.StringIO(), width=width)
    print_summary(summary, console, title, depth)
    return console.file.getvalue()


def line(text, start):
    return next(line for line in text.splitlines() if line.strip().startswith(start))


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_has_every_layer_in_a_line_and_the_totals(width):
    text = printed(summarize(models.create("lenet5", 10), (32, 32, 1)), width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines()[:-2])
    layers = [line.split()[0] for line in text.splitlines()[4:11]]
    assert layers == ["conv1", "pool1", "conv2", "pool2", "fc3", "fc4", "logits"]
    assert line(text, "conv2").split()[:6] == ["conv2", "convolution", "5×5/1", "10×10×16", "2,416", "240"]
    assert "61,706" in line(text, "total") and "417 K" in line(text, "total")


def test_a_wide_terminal_shows_statistics_strides_and_offsets_and_a_narrow_one_the_essential(googlenet):
    conv2 = {width: line(printed(googlenet, width, 1), "conv2 ").split() for width in (140, 100, 80)}
    start = ["conv2", "convolution", "3×3/1", "56×56×192", "110,976"]
    assert conv2[140] == [*start, "384", "347", "M", "4.82", "MB", "19×19", "4", "-7"]
    assert conv2[100] == [*start, "347", "M", "4.82", "MB", "19×19/4"]
    # The kind is broken into two lines.
    assert conv2[80] == ["conv2", "convolution", "56×56×192", "110,976", "347", "M", "19×19"]


def test_layers_of_training_alone_stand_apart_and_not_in_the_total(googlenet):
    text = printed(googlenet, 140, 1)
    assert text.index("logits") < text.index("in training only") < text.index("auxiliary1") < text.index("total at")
    assert "6,379,984" in line(text, "in training only") and "6,624,904" in line(text, "total at inference")
    # The pool over regions of uneven size has no one receptive field.
    assert line(text, "auxiliary1").split()[-3:] == ["?", "?", "?"]


def test_layers_of_a_module_of_several_levels_are_set_in_under_its_line(googlenet):
    lines = printed(googlenet, 140).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(" inception_3a"))
    assert lines[first].split() == ["inception_3a", "inception", "28×28×256", "43×43", "8", "-15"]
    assert [line[:16].rstrip() for line in lines[first + 1 : first + 4]] == ["   1x1", "   1x1/norm", "   3x3_reduce"]


def test_a_network_that_owns_parameters_and_fields_of_different_sides_are_shown():
    def network(module, x):
        x = Output(name="scale", parent=module)(convolution(module, x, (3, 5), (1, 2), name="conv"))
        return x * module.param("gain", nn.initializers.ones, ())

    text = printed(summarize(Functional(network), (16, 12, 3)), 140, title="[bold]sides[/bold]")
    assert "[bold]sides[/bold]" in text
    assert line(text, "(network)").split()[-3:] == ["3×5", "1×2", "0"]


def test_the_lectures_remarks_are_sentences(googlenet):
    assert share_lines(summarize(models.create("vgg16", 1000), (224, 224, 3))) == [
        "79.8% of the activations' memory is in the first 7 of 13 convolutions.",
        "74.3% of the parameters are in fc6, the first fully connected layer, and 89.4% in all of them.",
    ]
    assert share_lines(googlenet)[1] == "15.5% of the parameters are in logits, the fully connected layer."
    assert share_lines(summarize(Functional(lambda m, x: nn.max_pool(x, (2, 2))), (8, 8, 3))) == []
    [one] = share_lines(summarize(Functional(lambda m, x: convolution(m, x, 3)), (8, 8, 3)))
    assert one == "100.0% of the activations' memory is in the convolution."


@pytest.mark.parametrize(
    ("number", "count", "memory"),
    [(0, "0", "0 B"), (999_499, "999 K", "999 kB"), (999_500, "1.00 M", "1.00 MB"), (3 * 10**18, "3000 P", "3000 PB")],
)
def test_numbers_have_three_digits_and_a_unit(number, count, memory):
    assert (short_count(number), short_bytes(number)) == (count, memory)


@pytest.mark.parametrize("depth", [0, 1])
def test_json_holds_the_rows_the_totals_and_the_shares(googlenet, depth):
    read = json.loads(json.dumps(as_dict(googlenet, depth)))
    rows = [
        LayerRow(**{field: tuple(value) if isinstance(value, list) else value for field, value in row.items()})
        for row in read["layers"]
    ]
    assert rows == (group(googlenet, 1) if depth else list(googlenet))
    assert read["totals"]["parameters"] == 6_624_904
    assert read["totals"]["training_only"]["parameters"] == 6_379_984
    assert read["shares"]["convolutions"] == 57


def test_csv_has_a_line_for_each_layer_and_numbers_that_sum_to_the_totals(googlenet):
    lines = list(csv.DictReader(io.StringIO(as_csv(googlenet))))
    assert [line["path"] for line in lines] == [row.path for row in googlenet]
    in_inference = [line for line in lines if line["training_only"] == "false"]
    assert sum(int(line["parameters"]) for line in in_inference) == 6_624_904
    first, last = lines[0], lines[-1]
    assert first["output_shape"] == "1x112x112x64" and first["offset_horizontal"] == "-3"
    assert last["path"] == "auxiliary2/logits" and last["receptive_field_vertical"] == ""
