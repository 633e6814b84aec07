"""What is installed by pip, as pyproject.toml says it: the commands, the files beside the modules, the extras."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import convnets
from convnets.cli.command_line import main

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_console_command_is_the_main_of_launch_py():
    module, name = PROJECT["project"]["scripts"]["convnets"].split(":")
    assert getattr(import_module(module), name) is main
    assert f"from {module} import {name}" in (ROOT / "launch.py").read_text()


def test_every_file_of_the_package_that_is_no_module_is_in_the_wheel():
    package = ROOT / "convnets"
    there = {path for path in package.rglob("*.*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    patterns = PROJECT["tool"]["setuptools"]["package-data"].items()
    taken = {
        path for owner, globs in patterns for glob in globs for path in (ROOT / owner.replace(".", "/")).glob(glob)
    }
    assert there == taken and package / "py.typed" in there


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in (ROOT / "convnets").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_requirements_are_such_as_setuptools_reads():
    dynamic = PROJECT["tool"]["setuptools"]["dynamic"]
    extras = {name: entry["file"] for name, entry in dynamic["optional-dependencies"].items()}
    assert extras == {path.stem.split("-")[1]: [path.name] for path in ROOT.glob("requirements-*.txt")}
    for file in ("requirements.txt", *(name for names in extras.values() for name in names)):
        for line in (ROOT / file).read_text().splitlines():
            assert not line.startswith("-"), f"{file}: {line}"


@pytest.mark.parametrize("program", [["launch.py"], ["-m", "convnets"]])
def test_the_version_is_said_without_loading_jax(program):
    command = [sys.executable, "-X", "importtime", *program, "--version"]
    said = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True)
    assert said.stdout == f"convnets {convnets.__version__}\n"
    assert not re.search(r"\| +(jax|flax|numpy)\b", said.stderr)
