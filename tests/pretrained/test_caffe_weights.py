"""Caffe models of VGG and ResNet-50, with random numbers: read, converted, and the same responses."""

from typing import Any

import jax
import numpy as np
import pytest
from caffe_networks import VGG, ResNet50, as_caffe_sees, caffemodel, caffemodel_v1
from published import assert_close, by_jax, by_torch, learned, pictures

from convnets import models
from convnets.pretrained.conversion import Imported, convert, naming_for, to_names
from convnets.pretrained.files import read_weights
from convnets.pretrained.surgery import operate


def imported(tmp_path: Any, content: bytes, architecture: str) -> Imported:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    return convert(read_weights(str(path)), architecture)


def assert_all_taken(found: Imported, network: Any, side: int) -> None:
    shapes = jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, side, side, 3), np.float32))
    _, report = operate(shapes, found.variables, left_over=found.left_over)
    assert report.count("taken") == len(report.entries) == len(jax.tree.leaves(shapes))


@pytest.mark.parametrize(("layers", "form"), [(16, caffemodel), (19, caffemodel_v1)])
def test_vgg_gives_the_responses_that_it_gives_in_caffe_of_blue_green_red_less_the_means(tmp_path, layers, form):
    rgb = pictures(2, 64)
    theirs = learned(VGG(layers, window=2), as_caffe_sees(rgb))
    found = imported(tmp_path, form(theirs), f"vgg{layers}")
    assert_close(by_jax(found, f"vgg{layers}", rgb), by_torch(theirs, as_caffe_sees(rgb)))
    assert_all_taken(found, models.create(f"vgg{layers}", 1000, image_size=64), 64)
    assert not found.options


def test_back_in_caffes_names_vgg16_is_what_was_read(tmp_path):
    theirs = learned(VGG(16, window=2), as_caffe_sees(pictures(1, 64)))
    found = imported(tmp_path, caffemodel(theirs), "vgg16")
    given = to_names(found.variables, naming_for("vgg16", "Caffe"))
    expected = {name.replace(".", "/"): x.numpy() for name, x in theirs.state_dict().items()}
    assert given.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(given[name], array, strict=True)


@pytest.mark.parametrize(("side", "factor"), [(64, 1.0), (70, 999.98)])
def test_resnet50_gives_the_responses_that_it_gives_in_caffe_by_the_options_that_its_weights_expect(
    tmp_path, side, factor
):
    """The side of 70 has pools whose last windows lie within the map, and maps that are no power of two."""
    rgb = pictures(4, side)
    theirs = learned(ResNet50(), as_caffe_sees(rgb))
    found = imported(tmp_path, caffemodel(theirs, factor), "resnet50")
    assert found.options == {"stem_pool": "ceil"}
    given = by_jax(found, "resnet50", rgb[:2], **found.options)
    assert_close(given, by_torch(theirs, as_caffe_sees(rgb[:2])))
    assert_all_taken(found, models.create("resnet50", 1000, image_size=side, **found.options), side)


def test_the_pool_of_caffe_is_not_the_padded_one(tmp_path):
    rgb = pictures(4, 64)
    theirs = learned(ResNet50(), as_caffe_sees(rgb))
    found = imported(tmp_path, caffemodel(theirs), "resnet50")
    padded = by_jax(found, "resnet50", rgb[:2])
    expected = by_torch(theirs, as_caffe_sees(rgb[:2]))
    assert_close({"stem": padded["stem"]}, expected)
    with pytest.raises(AssertionError, match="1 of 1 differ"):
        assert_close({"stage1": padded["stage1"]}, expected)
