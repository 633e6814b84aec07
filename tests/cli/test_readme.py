"""What the README shows works as it stands there: the experiment, the Python, and the commands of README and docs."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import convnets
from convnets.cli.command_line import parse
from convnets.cli.command_table import COMMANDS
from convnets.cli.experiments import load_experiment, override
from convnets.models import create
from convnets.pretrained.patterns import flat
from convnets.training.setup import build_model, load_splits

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXPERIMENT, PRETRAINED, RUN = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def photographs(tmp_path, monkeypatch) -> Path:
    """A folder with photo.jpg and more/, in which the code runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").mkdir()
    for name in ("photo.jpg", "more/another.jpg"):
        pixels = np.random.default_rng(0).integers(0, 256, (40, 52, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def test_the_experiment_of_the_readme_is_one_for_folders_of_images(photographs):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (photographs / "photos" / split / name).mkdir(parents=True)
            for number in range(60):
                (photographs / "photos" / split / name / f"{number}.jpg").write_bytes(Path("photo.jpg").read_bytes())
    Path("photos.py").write_text(EXPERIMENT)
    config = override(load_experiment("photos.py"), ["--config.data.data_dir=photos", "--config.network.width=0.125"])
    splits = load_splits(config)
    assert (len(splits.train), len(splits.test), splits.train.info.classes) == (20, 120, ("cat", "dog"))
    assert build_model(config, splits.train.info).image_shape == (128, 128, 3)


def test_five_lines_of_python_give_the_top_5_of_a_photograph(photographs, capsys):
    import jax

    network = create("lenet5", 10)
    variables = network.init(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32), train=False)
    classes = [f"class {number}" for number in range(10)]
    about = {
        "architecture": "lenet5",
        "options": {},
        "classes": classes,
        "normalization": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]},
    }
    facts = {name: said if isinstance(said, str) else json.dumps(said) for name, said in about.items()}
    arrays = {"/".join(path): np.asarray(array) for path, array in flat(variables).items()}
    save_file(arrays, "weights.safetensors", metadata=facts)
    assert len([line for line in PRETRAINED.splitlines() if line]) <= 5
    exec(re.sub(r'"hf://[^"]*"', '"weights.safetensors"', PRETRAINED), {})
    lines = capsys.readouterr().out.splitlines()
    # The centre, brought to 32 x 32 by hand.
    picture = Image.open("photo.jpg")
    pixels = np.asarray(picture.resize((round(52 * 32 / 40), 32), Image.Resampling.BILINEAR))[:, 5:37]
    normalized = (pixels / np.float32(255) - np.float32([0.4, 0.5, 0.6])) / np.float32([0.2, 0.25, 0.3])
    logits, _ = network.apply(variables, normalized[None], train=False)
    expected = np.asarray(jax.nn.softmax(logits))[0]
    assert [line.split("%")[1].strip() for line in lines] == [classes[i] for i in np.argsort(-expected)[:5]]
    assert [float(line.split("%")[0]) for line in lines] == pytest.approx(100 * np.sort(expected)[:-6:-1], abs=0.5)


def test_a_trained_run_predicts_from_python(photographs, classifier, said):
    names: dict = {}
    exec(RUN.replace("runs/photos", str(classifier)), names)
    assert names["records"] == said("predict", f"--workdir={classifier}", "more")
    assert names["names"] == convnets.list_models("resnet*") and "resnet50" in names["names"]


def commands(text: str) -> list[list[str]]:
    """The words of each line that is a command; N stands for a number, and three spaces end it."""
    lines = [line.strip() for line in re.sub(r"\\\n\s*", " ", text).splitlines()]
    found = [
        re.split(" {3,}", line)[0].partition("launch.py ")[2] for line in lines if line.startswith("python launch.py")
    ]
    return [shlex.split(re.sub(r"=[A-Z]\b", "=1", line), comments=True) for line in found]


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_commands_of_the_docs_have_flags_that_there_are(page):
    for command, *arguments in commands((ROOT / page).read_text()):
        parse(command, [word for word in arguments if word != "--help"])


def test_the_page_of_commands_has_all_of_them():
    page = (ROOT / "docs" / "commands.md").read_text()
    assert set(re.findall(r"^\| `(\w+) ", page, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / link).exists(), link
