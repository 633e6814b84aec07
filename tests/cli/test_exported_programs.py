"""Programs made of networks, held against what `launch.py predict` computes of the same images."""

import re
from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pytest
from trained_networks import pixels, trained

from convnets.cli.export_formats import PLATFORMS, Trained, as_stablehlo
from convnets.cli.export_onnx import NEEDED, as_onnx
from convnets.evaluation.inference import predict
from convnets.layers import implementation

BRANCHES = "googlenet_bn, stem"
"""To ONNX each kind of layer is converted; StableHLO is what JAX makes of any network."""
CROPPED = "resnet8, shortcut A, rematerialized, cropped"
NETWORKS: dict[str, dict[str, Any]] = {
    "lenet5": {"name": "lenet5", "side": 32, "channels": 1, "pooling": "average"},
    "lenet5_bn": {"name": "lenet5_bn", "side": 32, "channels": 1, "pooling": "max"},
    "alexnet, pools and LRN": {"name": "alexnet", "side": 32, "stem": "small", "groups": 2, "width": 1 / 16},
    BRANCHES: {"name": "googlenet_bn", "side": 64, "image_size": 64, "width": 1 / 16},
    "resnet18, padded pool": {"name": "resnet18", "side": 32, "image_size": 32, "width": 1 / 16},
    CROPPED: {"name": "resnet8", "side": 32, "served": 37, "width": 1 / 4, "remat": True},
}
QUICKLY = {"xla_backend_optimization_level": 0}
"""To compile programs that run once."""


@cache
def network_of(name: str) -> Trained:
    return trained(**NETWORKS[name])


@cache
def program_of(name: str) -> Any:
    return jax.export.deserialize(as_stablehlo(network_of(name)).content)


@cache
def onnx_of(name: str) -> bytes:
    return as_onnx(network_of(name)).content


def predicted(network: Trained, images: np.ndarray) -> dict[str, np.ndarray]:
    """By XLA's own operations: the compiled kernels round otherwise, by up to some 1e-6."""
    with implementation.use("plain"):
        function = jax.jit(partial(predict, network.model, network.variables), compiler_options=QUICKLY)
        return jax.device_get(function(images))


@cache
def three_images(name: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """And what the network says of them."""
    images = pixels(network_of(name), 3)
    return images, predicted(network_of(name), images)


def assert_equal_predictions(given: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float) -> None:
    assert given.keys() == expected.keys()
    np.testing.assert_array_equal(given["classes"], expected["classes"])
    np.testing.assert_allclose(given["probabilities"], expected["probabilities"], rtol=0, atol=tolerance)
    # Otherwise all would be equal by being flat.
    assert np.ptp(expected["probabilities"]) > 0.1


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != BRANCHES])
def test_a_stablehlo_program_predicts_as_the_network_does(name):
    exported, (images, expected) = program_of(name), three_images(name)
    assert exported.platforms == PLATFORMS
    call = jax.jit(exported.call, compiler_options=QUICKLY)
    assert_equal_predictions(call(images), expected, 1e-6)


def test_a_stablehlo_program_takes_any_number_of_images():
    program, (images, expected) = program_of("lenet5"), three_images("lenet5")
    for count in (1, 2):
        some = {name: value[:count] for name, value in expected.items()}
        assert_equal_predictions(program.call(images[:count]), some, 1e-6)


def test_a_stablehlo_program_has_no_operation_of_kernels_compiled_for_this_machine():
    module = program_of("lenet5_bn").mlir_module()
    assert "stablehlo.convolution" in module
    assert set(re.findall(r"custom_call @(\w+)", module)) <= {"shape_assertion"}


def test_what_is_said_of_a_program_is_its_signature():
    said = as_stablehlo(network_of(CROPPED)).inside
    assert said == "StableHLO, images uint8 [N, 37, 37, 3] -> classes int32 [N, 5], probabilities float32 [N, 5]"


@pytest.fixture(scope="module")
def runtime() -> Any:
    """ONNX Runtime, and beside it what converts."""
    for package in NEEDED:
        pytest.importorskip(package, reason=f"{package} is not installed: see requirements-onnx.txt")
    return pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: see requirements-onnx.txt")


def run_onnx(runtime: Any, content: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()
    assert (given.name, given.type, given.shape[1:]) == ("images", "tensor(uint8)", list(images.shape[1:]))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_predicts_as_the_network_does_for_any_number_of_images(runtime, name):
    content, (images, expected) = onnx_of(name), three_images(name)
    assert_equal_predictions(run_onnx(runtime, content, images), expected, 1e-4)
    one = {name: value[:1] for name, value in expected.items()}
    assert_equal_predictions(run_onnx(runtime, content, images[:1]), one, 1e-4)


def test_an_onnx_model_of_a_network_in_bfloat16_computes_in_float32(runtime):
    half, single = (trained("vgg11", 32, image_size=32, width=1 / 16, dtype=dtype) for dtype in ("bfloat16", "float32"))
    images = pixels(half, 2)
    assert_equal_predictions(run_onnx(runtime, as_onnx(half).content, images), predicted(single, images), 1e-4)


def test_an_onnx_model_says_what_it_is_of(runtime):
    session = runtime.InferenceSession(onnx_of("lenet5"), providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert said["architecture"] == '"lenet5"' and said["image_shape"] == "[32, 32, 1]"
    assert said["normalization"] == '{"mean": [0.4], "std": [0.2]}'
