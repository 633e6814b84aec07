"""The commands and options that the experiments' docstrings give are ones that are taken."""

import re
import shlex

import pytest
from experiments_folder import FILES, ROOT, module_of, words_of

from convnets.cli.experiments import OVERRIDABLE, load_experiment, override
from convnets.cli.summarize import named_network
from convnets.data.source import SourceInfo
from convnets.evaluation.inference import check_views
from convnets.training.setup import build_model

ON_PICTURES = [file for file in FILES if not any(word in file for word in ("fashion", "segmentation", "localization"))]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def commands_of(file: str) -> list[list[str]]:
    """The words of each `python launch.py ...`; a shell's variable stands for the file's default word, or for 0."""
    text = re.sub(r"\.py:\$\w+", f".py:{words_of(file)[0]}", module_of(file).__doc__)
    lines = [line.strip() for line in re.sub(r"\$\w+", "0", text).splitlines()]
    return [shlex.split(line.partition("python launch.py")[2]) for line in lines if line.startswith("python launch.py")]


def overrides(words: list[str]) -> list[str]:
    return [word for word in words if word.startswith("--config.")]


def named(file: str, what: str) -> list[list[str]]:
    """The words of what stands between backticks and begins so."""
    text = " ".join(module_of(file).__doc__.split())
    return [shlex.split(found) for found in re.findall("`([^`]+)`", text) if found.startswith(what)]


def experiment_of(words: list[str]) -> str:
    return next(word for word in words if word.startswith("--config=")).removeprefix("--config=")


@pytest.mark.parametrize("file", FILES)
def test_every_command_that_trains_is_of_this_file_and_taken(file):
    commands = [words for words in commands_of(file) if words[0] == "train"]
    assert commands
    for words in commands:
        assert experiment_of(words).partition(":")[0] == file
        override(load_experiment(experiment_of(words)), overrides(words))
        assert any(word.startswith("--workdir=") for word in words)


@pytest.mark.parametrize("file", ON_PICTURES)
def test_what_is_prepared_is_what_the_experiment_reads(file):
    config = override(load_experiment(file), [])
    assert [words[1:] for words in commands_of(file) if words[0] == "prepare"] == [[config.data.dataset]]


@pytest.mark.parametrize("file", ON_PICTURES)
def test_a_command_that_evaluates_changes_the_evaluation_alone_and_has_several_views(file):
    for words in commands_of(file):
        if words[0] != "evaluate":
            continue
        assert all(word.removeprefix("--config.").startswith(OVERRIDABLE) for word in overrides(words))
        config = override(load_experiment(file), overrides(words))
        served, trained = (config.data.evaluation_size,) * 2, (config.data.size,) * 2
        info = SourceInfo("noise", ("a", "b"), (*served, 3), {}, training_shape=(*trained, 3))
        assert len(check_views(build_model(config, info), config.evaluation)) > 1


@pytest.mark.parametrize("file", ON_PICTURES)
def test_folders_of_pictures_keep_the_recipe_of_the_input(file):
    command = next(words for words in commands_of(file) if "--config.data.name=image_folder" in words)
    config = override(load_experiment(file), overrides(command))
    own = override(load_experiment(file), [])
    shared = (set(own.data) & set(config.data)) - {"name"}
    assert {field: own.data[field] for field in shared} == {field: config.data[field] for field in shared}


@pytest.mark.parametrize("file", FILES)
def test_every_option_that_a_docstring_names_is_taken(file):
    for words in named(file, "--config"):
        override(load_experiment(file), words)
    checked = [word for words in (*commands_of(file), *named(file, "--config")) for word in overrides(words)]
    mentioned = set(re.findall(r"--config\.([\w.]+)", module_of(file).__doc__))
    assert mentioned == {word.removeprefix("--config.").partition("=")[0] for word in checked}


@pytest.mark.parametrize("file", ON_PICTURES)
def test_the_memory_is_that_of_a_network_that_can_be_summarized(file):
    (words,) = named(file, "launch.py summarize")
    network = named_network(words[2:])
    names = {override(load_experiment(f"{file}:{word}" if word else file), []).network.name for word in words_of(file)}
    assert words[2] in names and network is not None


def test_the_table_of_the_docs_has_every_file_and_word():
    rows = (ROOT / "docs" / "experiments.md").read_text().splitlines()
    for file in FILES:
        (row,) = [row for row in rows if row.startswith(f"| `{file.removeprefix('experiments/')}")]
        cell = row.split("|")[1]
        names = re.findall("`([^`]+)`", cell)
        assert [names[0].partition(":")[2], *names[1:]] == words_of(file)
