"""The same bits again and again, whatever else runs; and the same numbers on one device and on several."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.kernels import library
from convnets.layers import implementation
from convnets.layers.batch_norm import batch_norm
from convnets.layers.convolution import convolution
from convnets.layers.fully_connected import fully_connected
from convnets.layers.pooling import max_pool
from convnets.parallel import AXIS, REPLICATED, SPLIT, Devices

pytestmark = pytest.mark.usefixtures("onednn")


def network(parameters: dict[str, Any], x: Any, axis_name: str | None = None) -> Any:
    """Every kernel once or twice, on maps that are large enough for two threads."""
    x = convolution(x, parameters["first"], parameters["bias"], padding=1, relu=True)
    shortcut = x
    x = convolution(x, parameters["second"], padding=1)
    norm = parameters["scale"], parameters["bias"]
    x, mean, _ = batch_norm(x, *norm, shortcut, epsilon=1e-3, relu=True, axis_name=axis_name)
    x = max_pool(x, 3, 2, 1)
    return fully_connected(x.reshape(len(x), -1), parameters["last"], relu=True), mean


def parameters_and_maps(images: int, side: int, seed: int = 0) -> tuple[dict[str, Any], Any]:
    random = np.random.default_rng(seed)
    shapes = {
        "first": (3, 3, 3, 32),
        "second": (3, 3, 32, 32),
        "scale": (32,),
        "bias": (32,),
        "last": (32 * ((side + 1) // 2) ** 2, 20),
    }
    parameters = {name: 0.1 * random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return parameters, random.normal(size=(images, side, side, 3)).astype(np.float32)


def values_and_gradients(parameters: Any, x: Any) -> Any:
    results, back = jax.vjp(network, parameters, x)
    return results, back(jax.tree.map(jnp.cos, results))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_program_gives_the_same_bits_again_and_again(dtype):
    parameters, x = parameters_and_maps(8, 23)
    with implementation.use("onednn"):
        compiled = jax.jit(values_and_gradients).lower(parameters, x.astype(jnp.dtype(dtype))).compile()
    assert library.threads() == 2
    first = jax.tree.map(np.asarray, compiled(parameters, x.astype(jnp.dtype(dtype))))
    assert all(np.isfinite(leaf.astype(np.float32)).all() for leaf in jax.tree.leaves(first))
    for _ in range(10):
        again = compiled(parameters, x.astype(jnp.dtype(dtype)))
        jax.tree.map(lambda one, other: np.testing.assert_array_equal(one, np.asarray(other)), first, again)


def test_threads_are_those_of_the_environment_shared_by_the_devices(monkeypatch):
    devices = jax.local_device_count()
    for variable, threads in ((str(3 * devices), 3), ("1", 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
        assert library.threads() == threads
        with implementation.use("onednn"):
            program = jax.jit(lambda x: max_pool(x, 2, 2)).lower(jnp.zeros((1, 4, 4, 1))).as_text()
        assert f"threads = {threads} : i64" in program
    for nothing in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", nothing)
        assert library.threads() == max(1, len(os.sched_getaffinity(0)) // devices)


COUNT = """
import json, os
import jax, numpy as np
from convnets.layers import implementation
from convnets.layers.convolution import convolution
from convnets.layers.batch_norm import batch_norm
from convnets.layers.fully_connected import fully_connected
from convnets.layers.pooling import max_pool

x, kernel = np.ones((8, 32, 32, 16), np.float32), np.ones((3, 3, 16, 16), np.float32)
counts = []
for threads in (1, 1, 2):
    os.environ["OMP_NUM_THREADS"] = str(threads)
    with implementation.use("onednn"):
        np.asarray(jax.jit(lambda x: max_pool(convolution(x, kernel), 2, 2))(x))
    counts.append(len(os.listdir("/proc/self/task")))
print(json.dumps(counts))
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_no_more_threads_are_started_than_the_environment_says():
    environment = os.environ | {"XLA_FLAGS": ""}
    output = subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, check=True)
    first, one, two = json.loads(output.stdout)
    assert one == first and two > one


MORE_CORES = """
import os
cores = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, cores[:1])
import jax, numpy as np
from convnets.layers import implementation
from convnets.layers.convolution import convolution
from convnets.layers.batch_norm import batch_norm
from convnets.layers.fully_connected import fully_connected
from convnets.layers.pooling import max_pool
from convnets.kernels import library
library.load()
for thread in os.listdir("/proc/self/task"):
    os.sched_setaffinity(int(thread), cores[:2])
with implementation.use("onednn"):
    print(float(np.asarray(jax.jit(lambda x: max_pool(x, 2, 2))(np.ones((1, 4, 4, 1), np.float32))).sum()))
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_a_process_that_is_given_more_cores_later_does_not_wait_for_them():
    environment = os.environ | {"XLA_FLAGS": "", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", MORE_CORES]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert float(output.stdout) == 4


@pytest.mark.parametrize("wrapper", ["pmap", "shard_map"])
def test_several_devices_give_what_one_gives(wrapper):
    parameters, x = parameters_and_maps(16, 12)
    towards = np.random.default_rng(1).normal(size=(16, 20)).astype(np.float32)

    def step(parameters: Any, batch: Any) -> Any:
        def loss(parameters: Any) -> Any:
            y, _ = network(parameters, batch["x"], AXIS)
            return jnp.sum(jnp.square(y - batch["towards"])), y

        gradient, y = jax.grad(loss, has_aux=True)(parameters)
        return jax.lax.psum(gradient, AXIS), y

    results = []
    for count in (1, 2):
        devices = Devices(wrapper, jax.devices()[:count])
        with implementation.use("onednn"):
            mapped = devices.wrap(step, (REPLICATED, SPLIT))
            gradient, y = mapped(devices.replicate(parameters), devices.split({"x": x, "towards": towards}))
        results.append((jax.device_get(gradient), devices.join(y)))
    (gradient, y), (expected_gradient, expected) = results[1], results[0]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    for name, one in expected_gradient.items():
        np.testing.assert_allclose(gradient[name], one, atol=1e-4 * np.abs(one).max(), err_msg=name)


def test_threads_of_python_that_compute_at_the_same_time_get_their_own_results():
    """Other shapes in each, so that plans are made and memory is taken side by side."""
    problems = [
        parameters_and_maps(images, side, seed) for seed, (images, side) in enumerate([(3, 23), (5, 16), (2, 9)])
    ]
    with implementation.use("onednn"):
        programs = [jax.jit(values_and_gradients).lower(*problem).compile() for problem in problems]

    def repeat(number: int) -> list[Any]:
        return [jax.tree.map(np.asarray, programs[number](*problems[number])) for _ in range(15)]

    with ThreadPoolExecutor(len(problems)) as pool:
        together = list(pool.map(repeat, range(len(problems))))
    for number, results in enumerate(together):
        alone = jax.tree.map(np.asarray, programs[number](*problems[number]))
        for result in results:
            jax.tree.map(np.testing.assert_array_equal, result, alone)
