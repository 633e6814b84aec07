"""Every row of the lecture's tables of AlexNet, VGG and GoogLeNet, against what is counted from the networks."""

import pytest
from counting import abstract, entries, weights

from convnets import models
from convnets.analysis.summary import group, summarize, total

K, M = 1024, 1e6

ALEXNET = [
    ("convolution 11×11/4", (55, 55, 96), 11 * 11 * 3 * 96),
    ("max pool 3×3/2", (27, 27, 96), 0),
    ("local response norm", (27, 27, 96), 0),
    ("convolution 5×5/1", (27, 27, 256), 5 * 5 * 96 * 256),
    ("max pool 3×3/2", (13, 13, 256), 0),
    ("local response norm", (13, 13, 256), 0),
    ("convolution 3×3/1", (13, 13, 384), 3 * 3 * 256 * 384),
    ("convolution 3×3/1", (13, 13, 384), 3 * 3 * 384 * 384),
    ("convolution 3×3/1", (13, 13, 256), 3 * 3 * 384 * 256),
    ("max pool 3×3/2", (6, 6, 256), 0),
    ("fully connected", (1, 1, 4096), 6 * 6 * 256 * 4096),
    ("fully connected", (1, 1, 4096), 4096 * 4096),
    ("fully connected", (1, 1, 1000), 4096 * 1000),
]

CONV, POOL, FC = "convolution 3×3/1", "max pool 2×2/2", "fully connected"
VGG = [
    (CONV, (224, 224, 64), 1_728),
    (CONV, (224, 224, 64), 36_864),
    (POOL, (112, 112, 64), 0),
    (CONV, (112, 112, 128), 73_728),
    (CONV, (112, 112, 128), 147_456),
    (POOL, (56, 56, 128), 0),
    (CONV, (56, 56, 256), 294_912),
    (CONV, (56, 56, 256), 589_824),
    (CONV, (56, 56, 256), 589_824),
    (POOL, (28, 28, 256), 0),
    (CONV, (28, 28, 512), 1_179_648),
    (CONV, (28, 28, 512), 2_359_296),
    (CONV, (28, 28, 512), 2_359_296),
    (POOL, (14, 14, 512), 0),
    (CONV, (14, 14, 512), 2_359_296),
    (CONV, (14, 14, 512), 2_359_296),
    (CONV, (14, 14, 512), 2_359_296),
    (POOL, (7, 7, 512), 0),
    (FC, (1, 1, 4096), 102_760_448),
    (FC, (1, 1, 4096), 16_777_216),
    (FC, (1, 1, 1000), 4_096_000),
]
"""The lecture's own numbers, digit by digit."""

VGG_CONVOLUTIONS = {
    "vgg_a": "3 | 3 | 3 3 | 3 3 | 3 3",
    "vgg_a_lrn": "3 | 3 | 3 3 | 3 3 | 3 3",
    "vgg_b": "3 3 | 3 3 | 3 3 | 3 3 | 3 3",
    "vgg_c": "3 3 | 3 3 | 3 3 1 | 3 3 1 | 3 3 1",
    "vgg_d": "3 3 | 3 3 | 3 3 3 | 3 3 3 | 3 3 3",
    "vgg_e": "3 3 | 3 3 | 3 3 3 3 | 3 3 3 3 | 3 3 3 3",
}
"""The lecture's table of configurations; a line stands for a max pool."""

GOOGLENET = [
    # Output, parameters and operations as the lecture prints them; None where the row is not what it says.
    ("conv1", (112, 112, 64), None, None),
    ("pool1", (56, 56, 64), 0, 0),
    ("conv2", (56, 56, 192), 112 * K, 360 * M),
    ("pool2", (28, 28, 192), 0, 0),
    ("inception_3a", (28, 28, 256), 159 * K, 128 * M),
    ("inception_3b", (28, 28, 480), 380 * K, 304 * M),
    ("pool3", (14, 14, 480), 0, 0),
    ("inception_4a", (14, 14, 512), None, 73 * M),
    ("inception_4b", (14, 14, 512), 437 * K, 88 * M),
    ("inception_4c", (14, 14, 512), None, 100 * M),
    ("inception_4d", (14, 14, 528), None, 119 * M),
    ("inception_4e", (14, 14, 832), None, 170 * M),
    ("pool4", (7, 7, 832), 0, 0),
    ("inception_5a", (7, 7, 832), None, None),
    ("inception_5b", (7, 7, 1024), None, 71 * M),
    ("pool5", (1, 1, 1024), 0, 0),
    ("logits", (1, 1, 1000), 1000 * K, 1 * M),
]

COLUMNS = {
    # in, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
    "inception_3a": (192, 64, 96, 128, 16, 32, 32),
    "inception_3b": (256, 128, 128, 192, 32, 96, 64),
    "inception_4a": (480, 192, 96, 208, 16, 48, 64),
    "inception_4b": (512, 160, 112, 224, 24, 64, 64),
    "inception_4c": (512, 128, 128, 256, 24, 64, 64),
    "inception_4d": (512, 112, 144, 288, 32, 64, 64),
    "inception_4e": (528, 256, 160, 320, 32, 128, 128),
    "inception_5a": (832, 256, 160, 320, 32, 128, 128),
    "inception_5b": (832, 384, 192, 384, 48, 128, 128),
}


def rows_of(name, side, **options):
    """(kind, output, weights) of each row for 1,000 classes; the lecture counts no biases."""
    network = models.create(name, 1000, **options)
    params = abstract(network, side)["params"]
    rows = []
    for row in summarize(network, (side, side, 3)):
        biases = row.output_shape[-1] if row.parameters else 0
        rows.append((row.kind, row.output_shape[1:], row.parameters - biases))
    assert sum(row[2] for row in rows) == weights(params)
    return rows


def test_alexnet_row_by_row():
    assert rows_of("alexnet", 227) == ALEXNET


def test_alexnet_in_two_groups_halves_what_each_filter_of_three_layers_sees():
    halved = {3, 7, 8}
    expected = [row[2] // 2 if number in halved else row[2] for number, row in enumerate(ALEXNET)]
    rows = rows_of("alexnet", 227, groups=2)
    assert [row[2] for row in rows] == expected
    assert [row[1] for row in rows] == [row[1] for row in ALEXNET]
    assert rows[3][0] == "convolution 5×5/1, 2 groups"


def test_alexnet_normalizes_before_it_pools_as_in_the_paper_if_asked():
    kinds = [row[0] for row in rows_of("alexnet", 227, lrn="before_pool")]
    order = ["convolution 11×11/4", "local response norm", "max pool 3×3/2", "convolution 5×5/1", "local response norm"]
    assert kinds[:5] == order


def test_vgg_d_row_by_row():
    assert rows_of("vgg_d", 224) == VGG


@pytest.mark.parametrize("name", VGG_CONVOLUTIONS)
@pytest.mark.parametrize("suffix", ["", "_bn"])
def test_vgg_configurations(name, suffix):
    rows = [row for row in rows_of(name, 224) if row[0] != "local response norm"]
    shown = {"convolution 3×3/1": "3", "convolution 1×1/1": "1", "max pool 2×2/2": "|"}
    words = [shown[row[0]] for row in rows[:-3]]
    assert " ".join(words) == VGG_CONVOLUTIONS[name] + " |"
    filters = [row[1][-1] for row in rows if row[0].startswith("max pool")]
    assert filters == [64, 128, 256, 512, 512]
    assert [row[1] for row in rows[-3:]] == [row[1] for row in VGG[-3:]]


def test_vgg_a_lrn_alone_normalizes_and_that_once_after_the_first_convolution():
    kinds = [row[0] for row in rows_of("vgg_a_lrn", 224)]
    assert kinds[:3] == ["convolution 3×3/1", "local response norm", "max pool 2×2/2"]
    assert kinds.count("local response norm") == 1
    assert "local response norm" not in [row[0] for row in rows_of("vgg_a", 224)]


def test_vgg_with_batch_norm_has_one_after_every_convolution():
    kinds = [row.kind for row in summarize(models.create("vgg_c_bn", 10, image_size=64), (64, 64, 3))]
    for number, kind in enumerate(kinds):
        assert (kind == "batch norm") == (number > 0 and kinds[number - 1].startswith("convolution"))
    assert kinds.count("batch norm") == 13


def test_googlenet_row_by_row():
    """The parameters printed for 4a and 4c to 5b do not follow from their columns, which are what is built."""
    network = models.create("googlenet", 1000)
    params = abstract(network)["params"]
    grouped = {row.path: row for row in group(summarize(network, (224, 224, 3)), 1)}
    for name, output, printed, operations in GOOGLENET:
        row = grouped[name]
        assert row.output_shape[1:] == output, name
        found = weights(params.get(name, {}))
        adds = row.multiply_adds
        if name == "conv2":  # The lecture's row has the 1x1 reduction in it.
            found += weights(params["conv2_reduce"])
            adds += grouped["conv2_reduce"].multiply_adds
        if printed is not None:
            assert found == pytest.approx(printed, abs=K), name
        if operations is not None:
            assert adds == pytest.approx(operations, rel=0.01, abs=M / 2), name
        if name in COLUMNS:
            seen, one, reduce_3, three, reduce_5, five, projection = COLUMNS[name]
            by_columns = seen * (one + reduce_3 + reduce_5 + projection) + 9 * reduce_3 * three + 25 * reduce_5 * five
            assert found == by_columns, name
            assert adds == by_columns * output[0] * output[1], name


def test_googlenets_first_convolution_is_7x7_and_not_what_the_lecture_counts():
    params = abstract(models.create("googlenet", 1000))["params"]
    assert weights(params["conv1"]) == 7 * 7 * 3 * 64 == 9_408
    # 2.7K is a 7x1 convolution of 3 channels followed by a 1x7 of 64 thin ones; nobody builds it.


def test_googlenets_row_4c_is_509440_weights_by_its_columns():
    assert weights(abstract(models.create("googlenet", 1000))["params"]["inception_4c"]) == 509_440


def test_googlenets_auxiliary_classifiers_are_the_papers():
    """Section 5: a 5x5/3 pool to 4x4, 128 filters of 1x1, 1,024 neurons, the classes; after 4a and 4d."""
    network = models.create("googlenet", 1000)
    params = abstract(network)["params"]
    for name, seen in {"auxiliary1": 512, "auxiliary2": 528}.items():
        assert weights(params[name]) == seen * 128 + 4 * 4 * 128 * 1024 + 1024 * 1000
    summary = summarize(network, (224, 224, 3))
    pools = [row for row in summary if row.training_only and "average pool" in row.kind]
    assert [(row.kind, row.output_shape) for row in pools] == [
        ("average pool 5×5/3", (1, 4, 4, 512)),
        ("average pool 5×5/3", (1, 4, 4, 528)),
    ]


def test_the_lectures_comparison_of_googlenet_with_alexnet():
    """ "12x less params, 2x more compute": 8.9 and 1.4 by exact counts of the table's networks (without groups)."""
    found = {
        name: total(summarize(models.create(name, 1000), (side, side, 3)))
        for name, side in {"alexnet": 227, "googlenet": 224}.items()
    }
    assert found["alexnet"].parameters / found["googlenet"].parameters == pytest.approx(8.91, abs=0.01)
    assert found["googlenet"].multiply_adds / found["alexnet"].multiply_adds == pytest.approx(1.39, abs=0.01)


def test_totals_are_those_of_the_parameters():
    network = models.create("googlenet", 1000, auxiliary=False)
    assert total(summarize(network, (224, 224, 3))).parameters == entries(abstract(network)["params"]) == 6_998_552
