"""VGG and ResNet-50 of Caffe, VGG of Keras in ONNX, with random numbers: read, converted, and the same responses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from caffe_networks import VGG, ResNet50, as_caffe_sees, caffemodel, caffemodel_v1
from published import all_taken, assert_close, by_jax, by_torch, learned, pictures

from convnets import models
from convnets.pretrained.conversion import Imported, convert, naming_for, to_names
from convnets.pretrained.files import read_weights


def imported(path: Path, content: bytes, architecture: str) -> Imported:
    path.write_bytes(content)
    return convert(read_weights(str(path)), architecture)


@pytest.mark.parametrize(("layers", "form"), [(16, caffemodel), (19, caffemodel_v1)])
def test_vgg_gives_the_responses_that_it_gives_in_caffe_of_blue_green_red_less_the_means(tmp_path, layers, form):
    name, rgb = f"vgg{layers}", pictures(2, 64)
    theirs = learned(VGG(layers, window=2), as_caffe_sees(rgb))
    found = imported(tmp_path / "net.caffemodel", form(theirs), name)
    assert_close(by_jax(found, name, rgb), by_torch(theirs, as_caffe_sees(rgb)))
    assert all_taken(models.create(name, 1000, image_size=64), found) == 2 * layers
    assert not found.options
    given = to_names(found.variables, naming_for(name, "Caffe"))
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
    found = imported(tmp_path / "net.caffemodel", caffemodel(theirs, factor), "resnet50")
    assert found.options == {"stem_pool": "ceil"}
    expected = by_torch(theirs, as_caffe_sees(rgb[:2]))
    assert_close(by_jax(found, "resnet50", rgb[:2], **found.options), expected)
    assert all_taken(models.create("resnet50", 1000, image_size=side, **found.options), found)
    if side == 64:
        padded = by_jax(found, "resnet50", rgb[:2])
        assert_close({"stem": padded["stem"]}, expected)
        with pytest.raises(AssertionError, match="1 of 1 differ"):
            assert_close({"stage1": padded["stage1"]}, expected)


DENSE = {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}

# What tf2onnx names the arrays of a convolution and of a dense layer, from models of Keras 2 and of Keras 3.
ENDINGS = {
    "vgg16": ("Conv2D/ReadVariableOp:0", "BiasAdd/ReadVariableOp:0", "MatMul/ReadVariableOp:0"),
    "functional_1": ("convolution/ReadVariableOp:0", "Squeeze:0", "Cast/ReadVariableOp:0"),
}


def keras_arrays(network: Any, window: int) -> dict[str, dict[str, np.ndarray]]:
    """Kernels and biases by layer: a dense one's is [neurons below, neurons], and those below it lie by row, column and
    channel."""
    layers = {}
    for name, layer in network.named_children():
        kernel = layer.weight.detach().numpy()
        if name == "fc6":
            kernel = kernel.reshape(4096, 512, window, window).transpose(2, 3, 1, 0).reshape(-1, 4096)
        elif name in DENSE:
            kernel = kernel.T
        keras = DENSE.get(name) or name.replace("conv", "block").replace("_", "_conv")
        layers[keras] = {"kernel": kernel, "bias": layer.bias.detach().numpy()}
    return layers


def keras_model(onnx: Any, layers: dict[str, dict[str, np.ndarray]], model: str) -> bytes:
    convolution, bias, dense = ENDINGS[model]
    tensors = []
    for layer, arrays in layers.items():
        scope = f"{model}/{layer}" + ("_1" if model == "functional_1" else "")
        kind = dense if layer in DENSE.values() else convolution
        of_bias = "BiasAdd/ReadVariableOp:0" if layer in DENSE.values() else bias
        tensors.append(onnx.numpy_helper.from_array(np.ascontiguousarray(arrays["kernel"]), f"{scope}/{kind}"))
        tensors.append(onnx.numpy_helper.from_array(arrays["bias"], f"{scope}/{of_bias}"))
    return onnx.helper.make_model(onnx.helper.make_graph([], "keras", [], [], tensors)).SerializeToString()


@pytest.mark.parametrize(("depth", "model"), [(16, "functional_1"), (19, "vgg16")])
def test_vgg_gives_the_responses_that_it_gives_in_keras_of_blue_green_red_less_the_means(tmp_path, depth, model):
    onnx = pytest.importorskip("onnx", reason="the files are in ONNX: pip install onnx")
    name, rgb = f"vgg{depth}", pictures(2, 64)
    theirs = learned(VGG(depth, window=2), as_caffe_sees(rgb))
    layers = keras_arrays(theirs, 2)
    found = imported(tmp_path / "vgg.onnx", keras_model(onnx, layers, model), name)
    assert found.whose == f"Keras's {name}"
    assert_close(by_jax(found, name, rgb), by_torch(theirs, as_caffe_sees(rgb)))
    assert all_taken(models.create(name, 1000, image_size=64), found) == 2 * depth
    back = to_names(found.variables, naming_for(name, "Keras"))
    for layer, arrays in layers.items():
        np.testing.assert_array_equal(back[f"{layer}/weight"], arrays["kernel"])
        np.testing.assert_array_equal(back[f"{layer}/bias"], arrays["bias"])
