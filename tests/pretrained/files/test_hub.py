"""Weights of the hub, from a server that stands in for it; and the hub that can't be reached."""

import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from good_files import STATE, assert_same, good
from hub_of_files import Hub

from convnets.errors import InvalidValue
from convnets.pretrained.files import read_weights
from convnets.pretrained.files.hub import normalization_of

REASON = "the hub takes a package: pip install huggingface_hub"
constants = pytest.importorskip("huggingface_hub.constants", reason=REASON)
file_download = pytest.importorskip("huggingface_hub.file_download", reason=REASON)

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TIMM = json.dumps({"architecture": "resnet50", "pretrained_cfg": {"mean": MEAN, "std": DEVIATION}}).encode()


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[Hub]:
    (tmp_path / "made").mkdir()
    new, old = (good(kind, tmp_path / "made").read_bytes() for kind in ("safetensors", "pytorch"))
    server = Hub(
        {
            "timm/resnet": b"",
            "timm/resnet/model.safetensors": new,
            "timm/resnet/pytorch_model.bin": b"not to be read",
            "timm/resnet/config.json": TIMM,
            "some/old/pytorch_model.bin": old,
            "some/old/below/weights.pth": old,
            "some/empty/README.md": b"",
            "some/damaged/model.safetensors": new[:-1],
        }
    )
    connect(monkeypatch, server.endpoint, tmp_path / "cache")
    yield server
    server.close()


def connect(monkeypatch, endpoint: str, cache: Path) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, file_download):
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_a_repository_of_timm_gives_its_weights_and_their_normalization(hub, tmp_path, capfd, caplog):
    caplog.set_level(logging.INFO)
    weights = read_weights("hf://timm/resnet")
    assert (weights.origin, weights.format) == ("hf://timm/resnet/model.safetensors", "safetensors")
    assert weights.normalization == (MEAN, DEVIATION)
    assert_same(weights, STATE)
    assert list((tmp_path / "cache/models--timm--resnet").glob("snapshots/*/model.safetensors"))
    assert not any("pytorch_model" in asked for asked in hub.asked)
    assert capfd.readouterr() == ("", "") and not caplog.records


def test_without_safetensors_the_file_of_pytorch_is_taken(hub):
    weights = read_weights("hf://some/old")
    assert (weights.origin, weights.format) == ("hf://some/old/pytorch_model.bin", "pytorch")
    assert weights.normalization is None and weights.arrays.keys() == STATE.keys()


@pytest.mark.parametrize("place", ["hf://some/old/below/weights.pth", "hf://some/old@v1/below/weights.pth"])
def test_a_file_and_a_revision_can_be_named(hub, place):
    assert read_weights(place).origin == place


def test_what_is_in_the_cache_is_not_fetched_again_and_serves_where_the_hub_is_away(hub, monkeypatch):
    read_weights("hf://some/old")
    read_weights("hf://timm/resnet")
    hub.asked.clear()
    read_weights("hf://timm/resnet")
    assert hub.asked and not any(asked.startswith("GET") for asked in hub.asked)
    hub.busy = True
    for place in ("hf://some/old", "hf://timm/resnet"):
        hub.asked.clear()
        assert read_weights(place).arrays.keys() == STATE.keys()
        assert len(hub.asked) == 1
    assert read_weights("hf://timm/resnet").normalization == (MEAN, DEVIATION)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert read_weights("hf://some/old").origin == "hf://some/old/pytorch_model.bin"
    assert read_weights("hf://timm/resnet").normalization == (MEAN, DEVIATION)
    assert not hub.asked


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (
            "hf://some/empty",
            r"empty has no file model\.safetensors or pytorch_model\.bin: name one that it has",
        ),
        ("hf://timm/resnet/a.pth", r"hf://timm/resnet has no file a\.pth: name one that it has"),
        ("hf://some/missing", "hf://some/missing is no repository that the hub shows you, and the cache .* no copy"),
        ("hf://some/gated", "hf://some/gated is open only to whom its owners let in, and the cache .* no copy of"),
        ("hf://timm/resnet@v9", "hf://timm/resnet@v9 is a revision that does not exist, and the cache .* no copy of"),
        ("hf://timm/resnet@v9/x.pth", "or give the path of a file"),
        (
            "hf://some/damaged",
            r"hf://some/damaged/model\.safetensors \(kept as .*\) can't be read as a safe",
        ),
        ("hf://some/..name", r"hf://some/\.\.name can't be reached"),
    ],
)
def test_what_the_hub_has_not_is_refused_in_a_sentence(hub, place, sentence):
    with pytest.raises(InvalidValue, match=sentence) as refused:
        read_weights(place)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", ["hf://", "hf://name", "hf://a/b/", "hf://a/b@", "hf://a/b/../c", "hf://a b/c"])
def test_a_place_that_is_not_written_as_one_is_refused(place):
    with pytest.raises(InvalidValue, match="is no place on the hub: write hf://owner/name, hf://owner/name/model"):
        read_weights(place)


def test_a_hub_that_is_away_or_may_not_be_asked_is_said_in_a_sentence(hub, monkeypatch):
    hub.busy = True
    with pytest.raises(InvalidValue, match=r"hf://timm/resnet can't be reached \(.*503.*\), and .* try again"):
        read_weights("hf://timm/resnet")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    with pytest.raises(InvalidValue, match=r"may not be asked, as HF_HUB_OFFLINE is set, and the cache .*: unset it"):
        read_weights("hf://timm/resnet")
    assert not hub.asked


def test_a_download_that_breaks_off_is_refused_and_nothing_of_it_is_taken_for_the_file(hub, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    hub.cut.add("model.safetensors")
    with pytest.raises(InvalidValue, match=r"resnet/model\.safetensors could not be fetched \(.*\): try again"):
        read_weights("hf://timm/resnet")
    hub.cut.clear()
    assert read_weights("hf://timm/resnet").arrays.keys() == STATE.keys()


def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("convnets.pretrained.files.hub.SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connect(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
        begun = time.monotonic()
        with pytest.raises(InvalidValue, match=r"hf://timm/resnet can't be reached \(.*\), and the cache"):
            read_weights("hf://timm/resnet")
        assert time.monotonic() - begun < 5


def test_a_hub_whose_name_is_not_known_is_given_up(tmp_path, monkeypatch):
    connect(monkeypatch, "http://hub.invalid", tmp_path)
    with pytest.raises(InvalidValue, match=r"can't be reached \(.*\), and the cache .* or give the path of a file"):
        read_weights("hf://timm/resnet")


def test_the_library_is_not_imported_before_it_is_needed():
    """Nor those of ONNX and Caffe; and where it is missing the error says how to install it."""
    code = (
        "import sys; from convnets.pretrained.files import read_weights\n"
        "print({'huggingface_hub', 'onnx', 'google.protobuf', 'torch'} & set(sys.modules))\n"
        "sys.modules['huggingface_hub'] = None\n"
        "try: read_weights('hf://timm/resnet')\n"
        "except ValueError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    sentence = "hf://timm/resnet takes a package to fetch: pip install huggingface_hub, or give the path of a file"
    assert said == ["set()", sentence]


HALF = ((0.5,) * 3, (0.5,) * 3)
TRANSFORMERS = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True}
# The pixels to 255, less the means; and pixels scaled to [0, 2].
UNSCALED = {"do_rescale": False, "image_mean": [255 * m for m in MEAN], "image_std": [255 * d for d in DEVIATION]}
TWICE = {"rescale_factor": 2 / 255, "image_mean": [1] * 3, "image_std": [1] * 3}


@pytest.mark.parametrize(
    ("config", "preprocessor", "expected"),
    [
        (TIMM.decode(), None, (MEAN, DEVIATION)),
        (TIMM.decode(), TRANSFORMERS, (MEAN, DEVIATION)),
        (None, TRANSFORMERS, HALF),
        ({"architectures": ["ResNet"]}, TRANSFORMERS, HALF),
        (None, TRANSFORMERS | {"rescale_factor": 1 / 255}, HALF),
        (None, TRANSFORMERS | UNSCALED, (MEAN, DEVIATION)),
        (None, TRANSFORMERS | TWICE, HALF),
        (None, TRANSFORMERS | {"do_normalize": False}, None),
        ({"pretrained_cfg": {"mean": [0.5], "std": [0.25]}}, None, ((0.5,), (0.25,))),
        (None, None, None),
        ("{", None, None),
        ("[]", "\xff", None),
        ({"pretrained_cfg": 3}, {}, None),
        ({"pretrained_cfg": {"mean": MEAN, "std": [1, 1]}}, None, None),
        ({"pretrained_cfg": {"mean": MEAN, "std": [1, 1, 0]}}, None, None),
        ({"pretrained_cfg": {"mean": [], "std": []}}, None, None),
        ({"pretrained_cfg": {"mean": ["a"], "std": [1]}}, None, None),
        ('{"pretrained_cfg": {"mean": [NaN], "std": [1]}}', None, None),
    ],
)
def test_the_normalization_is_that_of_timm_or_else_of_transformers_or_none(tmp_path, config, preprocessor, expected):
    for name, content in (("config.json", config), ("preprocessor_config.json", preprocessor)):
        if content is not None:
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    found = normalization_of(lambda name: tmp_path / name if (tmp_path / name).exists() else None)
    assert (found and [pytest.approx(each) for each in found]) == (expected and list(expected))
