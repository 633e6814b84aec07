"""The choice of what computes the layers, and that JAX alone does where nothing is compiled."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import convnets
from convnets import kernels
from convnets.errors import InvalidValue
from convnets.layers import implementation


@pytest.fixture
def compiled() -> None:
    """Skips where the compiled kernels can't be had."""
    try:
        kernels.load()
    except kernels.Unavailable as reason:
        pytest.skip(str(reason))


def test_a_choice_that_there_is_not_is_refused(monkeypatch):
    with pytest.raises(InvalidValue, match=r"'mkl', and must be one of auto, xla, onednn"), implementation.use("mkl"):
        pass
    monkeypatch.setenv("CONVNETS_KERNELS", "mkl")
    with pytest.raises(InvalidValue, match=r"CONVNETS_KERNELS is 'mkl', and must be one of auto, xla, onednn"):
        implementation.implementation()


def test_the_environment_variable_chooses_where_nothing_else_does(monkeypatch, compiled):
    for choice, chosen in (("xla", "xla"), ("onednn", "onednn"), ("auto", "onednn"), ("", "onednn")):
        monkeypatch.setenv("CONVNETS_KERNELS", choice)
        assert implementation.implementation() == chosen
        with implementation.use("auto"):
            assert implementation.implementation() == chosen
        with implementation.use("xla"):
            assert implementation.implementation() == "xla"


def test_the_compiler_options_are_those_of_xla_on_cpus_alone():
    for choice, expected in (("xla", implementation.COMPILER_OPTIONS), ("plain", {})):
        with implementation.use(choice):
            assert implementation.compiler_options() == expected
    compiled = jax.jit(lambda x: x.sum(0), compiler_options=implementation.COMPILER_OPTIONS).lower(
        jax.ShapeDtypeStruct((512, 512), "float32")
    )
    assert "ynn_fusion" in compiled.compile().as_text()


def test_options_that_the_compiler_does_not_take_are_left_out(monkeypatch):
    monkeypatch.setattr(implementation, "COMPILER_OPTIONS", {"xla_cpu_of_another_jaxlib": "1"})
    assert implementation.known_options.__wrapped__() == {}


WITHOUT = """
import json, os
import jax, jax.numpy as jnp
from convnets import models
from convnets.errors import InvalidValue
from convnets.layers import implementation

def chosen():
    with implementation.use("onednn"):
        pass

def traced():
    os.environ["CONVNETS_KERNELS"] = "onednn"
    implementation.implementation()

refusals = []
for function in (chosen, traced):
    try:
        function()
    except InvalidValue as error:
        refusals.append(str(error))
del os.environ["CONVNETS_KERNELS"]

network = models.create("lenet5_bn", 3, pooling="max")
x = jnp.ones((2, 32, 32, 1)) * jnp.arange(32)
variables = network.init(jax.random.key(0), x)

def loss(params):
    (logits, _), _ = network.apply(variables | {"params": params}, x, train=True, mutable=["batch_stats"])
    return jnp.sum(logits**2)

gradient = jax.jit(jax.grad(loss))(variables["params"])
finite = all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradient))
print(json.dumps({"refusals": refusals, "finite": finite, "implementation": implementation.implementation()}))
"""


@pytest.mark.parametrize("missing", ["the compiler", "the folder"])
def test_without_compiled_kernels_networks_train_by_jax_and_auto_says_once_why(tmp_path, missing):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    environment.pop("CONVNETS_KERNELS", None)
    package = Path(convnets.__file__).parent
    if missing == "the compiler":
        environment["CXX"], reason = "/nonexistent", "there is no C++ compiler (apt-get install g++)"
    else:
        reason = "this installation is without convnets/kernels"
        package = tmp_path / "copy" / "convnets"
        shutil.copytree(convnets.__path__[0], package, ignore=shutil.ignore_patterns("kernels", "__pycache__"))
    environment["PYTHONPATH"] = str(package.parent)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["finite"] and said["implementation"] == "xla"
    assert len(said["refusals"]) == 2
    assert all(f"can't be had: {reason}" in refusal and "\n" not in refusal for refusal in said["refusals"])
    lines = [line for line in done.stderr.splitlines() if "CPU kernels" in line]
    assert lines == [f"CPU kernels: {reason}; XLA's own are used, which are slower"]
    assert not list(tmp_path.rglob("*.so"))
