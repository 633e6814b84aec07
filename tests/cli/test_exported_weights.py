"""Weight files of networks: whose names they have, and what they say of themselves."""

import json

import numpy as np
from safetensors import safe_open
from trained_networks import trained

from convnets.cli.export_formats import as_npz, as_safetensors
from convnets.pretrained.conversion import convert, to_own_names
from convnets.pretrained.files import read_weights


def test_a_network_that_torchvision_has_is_written_in_its_names(tmp_path):
    network = trained("resnet18", 64, image_size=64)
    exported = as_safetensors(network)
    assert exported.inside == "122 arrays in torchvision's names"
    (tmp_path / "resnet18.safetensors").write_bytes(exported.content)
    with safe_open(tmp_path / "resnet18.safetensors", framework="np") as file:
        said, names = file.metadata(), list(file.keys())
    assert said["format"] == "pt" and said["architecture"] == "resnet18"
    assert json.loads(said["classes"]) == [f"class {i}" for i in range(7)]
    assert json.loads(said["normalization"]) == {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}
    assert json.loads(said["image_size"]) == [64, 64]
    assert {"conv1.weight", "layer4.1.bn2.num_batches_tracked", "fc.bias"} <= set(names)
    imported = convert(read_weights(str(tmp_path / "resnet18.safetensors")), "resnet18")
    # Not ImageNet's, which torchvision's names stand for.
    assert imported.normalization == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    assert imported.classes == network.model.info.classes


def test_another_network_is_written_in_our_own_names_and_read_again_to_the_bit(tmp_path):
    network = trained("resnet20", 32, width=1 / 4)
    given = to_own_names(network.variables)
    for export, said in (
        (as_safetensors, f"{len(given)} arrays in our own names (torchvision has no resnet20)"),
        (as_npz, f"{len(given)} arrays in our own names"),
    ):
        exported = export(network)
        assert exported.inside == said
        (tmp_path / "weights").write_bytes(exported.content)
        # What `launch.py export` writes beside a file that can't say it itself.
        if export is as_npz:
            (tmp_path / "weights.json").write_text(json.dumps(network.about()))
        imported = convert(read_weights(str(tmp_path / "weights")), "resnet20")
        assert imported.normalization == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
        assert imported.classes == network.model.info.classes
        back = to_own_names(imported.variables)
        assert back.keys() == given.keys()
        assert all(back[name].tobytes() == given[name].tobytes() for name in given)
        assert all(back[name].dtype == np.float32 for name in given)


def test_a_file_in_our_own_names_is_not_said_to_be_pytorchs(tmp_path):
    (tmp_path / "weights").write_bytes(as_safetensors(trained("resnet18", 32, stem="small", width=1 / 16)).content)
    with safe_open(tmp_path / "weights", framework="np") as file:
        assert file.metadata()["format"] == "np"
        assert json.loads(file.metadata()["options"])["stem"] == "small"
