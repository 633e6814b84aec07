"""VGG by Keras, converted to ONNX, with random numbers: read, converted, and the same responses."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from caffe_networks import VGG, as_caffe_sees
from published import assert_close, by_jax, by_torch, learned, pictures

from convnets import models
from convnets.pretrained.conversion import convert, naming_for, to_names
from convnets.pretrained.files import read_weights
from convnets.pretrained.surgery import operate

onnx = pytest.importorskip("onnx", reason="the files are in ONNX: pip install onnx")

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


def write(path: Path, layers: dict[str, dict[str, np.ndarray]], model: str) -> None:
    convolution, bias, dense = ENDINGS[model]
    tensors = []
    for layer, arrays in layers.items():
        scope = f"{model}/{layer}" + ("_1" if model == "functional_1" else "")
        kind = dense if layer in DENSE.values() else convolution
        of_bias = "BiasAdd/ReadVariableOp:0" if layer in DENSE.values() else bias
        tensors.append(onnx.numpy_helper.from_array(np.ascontiguousarray(arrays["kernel"]), f"{scope}/{kind}"))
        tensors.append(onnx.numpy_helper.from_array(arrays["bias"], f"{scope}/{of_bias}"))
    graph = onnx.helper.make_graph([], "keras", [], [], initializer=tensors)
    onnx.save(onnx.helper.make_model(graph), path)


@pytest.mark.parametrize(("depth", "model"), [(16, "functional_1"), (19, "vgg16")])
def test_vgg_gives_the_responses_that_it_gives_of_blue_green_red_less_the_means(tmp_path, depth, model):
    name, rgb = f"vgg{depth}", pictures(2, 64)
    theirs = learned(VGG(depth, window=2), as_caffe_sees(rgb))
    layers = keras_arrays(theirs, 2)
    write(tmp_path / "vgg.onnx", layers, model)
    imported = convert(read_weights(str(tmp_path / "vgg.onnx")), name)
    assert imported.whose == f"Keras's {name}"
    assert_close(by_jax(imported, name, rgb), by_torch(theirs, as_caffe_sees(rgb)))

    network = models.create(name, 1000, image_size=64)
    shapes = jax.eval_shape(network.init, jax.random.key(0), rgb[:1])
    _, report = operate({"batch_stats": {}} | shapes, imported.variables, left_over=imported.left_over)
    assert report.count("taken") == len(report.entries) == 2 * depth

    back = to_names(imported.variables, naming_for(name, "Keras"))
    for layer, arrays in layers.items():
        np.testing.assert_array_equal(back[f"{layer}/weight"], arrays["kernel"])
        np.testing.assert_array_equal(back[f"{layer}/bias"], arrays["bias"])
