"""Caffe models, written by hand from the description of the wire format and Caffe's numbers of fields."""

import numpy as np
import pytest
from caffe_wire import blob, field, layer, net, old_layer
from good_files import assert_same, refused

from convnets.pretrained.files import read_weights

RANDOM = np.random.default_rng(0)
KERNEL = RANDOM.normal(size=(4, 3, 5, 2)).astype(np.float32)
BIAS = RANDOM.normal(size=4).astype(np.float32)
MATRIX = RANDOM.normal(size=(6, 7)).astype(np.float32)


def read(tmp_path, *layers):
    (tmp_path / "net.caffemodel").write_bytes(net(*layers))
    return read_weights(str(tmp_path / "net.caffemodel"))


def with_blob(content: bytes) -> bytes:
    """A layer whose one blob has that content."""
    return field(100, field(1, "a") + field(2, "Scale") + field(7, content))


def test_convolutions_and_inner_products_of_today(tmp_path):
    layers = [layer("data", "Data"), layer("conv1/7x7_s2", "Convolution", KERNEL, BIAS)]
    weights = read(tmp_path, *layers, layer("fc", "InnerProduct", MATRIX), layer("relu", "ReLU"))
    assert (weights.format, weights.notes) == ("caffe", ())
    assert_same(weights, {"conv1/7x7_s2/weight": KERNEL, "conv1/7x7_s2/bias": BIAS, "fc/weight": MATRIX})


def test_layers_of_2014_lose_the_axes_that_pad_vectors_and_matrices_to_four(tmp_path):
    point = RANDOM.normal(size=(1, 1, 1, 3)).astype(np.float32)
    layers = [old_layer("conv", 4, KERNEL, BIAS), old_layer("fc", 14, MATRIX, BIAS), old_layer("relu", 18)]
    weights = read(tmp_path, *layers, old_layer("point", 4, point))
    assert_same(
        weights,
        {"conv/weight": KERNEL, "conv/bias": BIAS, "fc/weight": MATRIX, "fc/bias": BIAS, "point/weight": point},
    )


@pytest.mark.parametrize("factor", [999.98, 1.0])
def test_sums_of_a_batch_norm_are_divided_by_the_factor_beside_them(tmp_path, factor):
    mean, variance = BIAS, np.abs(BIAS)
    norm = layer("bn", "BatchNorm", mean, variance, np.array([factor], np.float32))
    weights = read(tmp_path, norm, layer("scale", "Scale", BIAS, 2 * BIAS))
    assert list(weights.arrays) == ["bn/mean", "bn/variance", "scale/scale", "scale/bias"]
    np.testing.assert_allclose(weights.arrays["bn/mean"], mean / np.float32(factor), rtol=1e-6)
    np.testing.assert_allclose(weights.arrays["bn/variance"], variance / np.float32(factor), rtol=1e-6)
    np.testing.assert_array_equal(weights.arrays["scale/bias"], 2 * BIAS, strict=True)
    assert weights.arrays["bn/mean"].dtype == np.float32


def test_a_batch_norm_before_the_first_step_has_zeros(tmp_path):
    zeros = np.zeros(4, np.float32)
    assert_same(
        read(tmp_path, layer("bn", "BatchNorm", zeros, zeros, zeros[:1])), {"bn/mean": zeros, "bn/variance": zeros}
    )


def test_doubles_become_float32_with_a_note_and_other_layers_have_numbered_blobs(tmp_path):
    weights = read(tmp_path, layer("slope", "PReLU", BIAS), layer("fc", "InnerProduct", MATRIX.astype(np.float64)))
    assert_same(weights, {"slope/blob0": BIAS, "fc/weight": MATRIX})
    assert weights.notes == ("1 array of float64, as float32",)


def test_the_differences_of_a_snapshot_are_passed_over(tmp_path):
    assert_same(read(tmp_path, with_blob(blob(BIAS) + field(6, BIAS.tobytes()))), {"a/scale": BIAS})


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ([], "holds no layers with weights"),
        ([layer("relu", "ReLU")], "holds no layers with weights"),
        ([layer("a", "Scale", BIAS)] * 2, "two layers 'a' with weights"),
        ([layer("bn", "BatchNorm", BIAS, BIAS)], "a batch norm 'bn' with other blobs"),
        ([layer("bn", "BatchNorm", BIAS, BIAS, BIAS)], "a batch norm 'bn' with other blobs"),
        ([layer("bn", "BatchNorm", *[BIAS] * 4)], "a batch norm 'bn' with other blobs"),
        ([field(2, field(1, field(1, "conv")))], "Caffe's format of 2013"),
        (
            [with_blob(field(5, BIAS.tobytes()) + field(7, field(1, b"\5")))],
            "'a/scale' has 4 numbers for the shape [5]",
        ),
        (
            # The float32 numbers one by one, as no Caffe writes them.
            [with_blob(b"\x2d" + BIAS[:1].tobytes() + field(7, field(1, b"\1")))],
            "'a/scale' has 0 numbers for the shape [1]",
        ),
    ],
)
def test_what_is_no_model_of_caffe_is_refused(tmp_path, layers, sentence):
    (tmp_path / "net.caffemodel").write_bytes(net(*layers))
    assert sentence in refused(tmp_path / "net.caffemodel")


@pytest.mark.parametrize("lost", [1, 5, 20])
def test_a_file_cut_short_is_refused(tmp_path, lost):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net(layer("conv", "Convolution", KERNEL, BIAS))[:-lost])
    assert refused(path).startswith("can't be read as a Caffe model (Error parsing message")
