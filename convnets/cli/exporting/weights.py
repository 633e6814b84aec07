"""The arrays of a network in files that other libraries load."""

import json

from convnets.cli.exporting.trained import Exported, Trained
from convnets.pretrained.conversion import to_own_names
from convnets.pretrained.files.writing import as_npz, as_safetensors
from convnets.pretrained.torchvision_twin import difference_from_torchvision, torchvision_state


def safetensors(trained: Trained) -> Exported:
    """torchvision's names and layouts where it has the network, so that it loads it strictly; else our own."""
    different = difference_from_torchvision(trained.architecture, trained.model.network, trained.variables)
    if different:
        arrays, names, layout = to_own_names(trained.variables), f"our own names ({different})", "np"
    else:
        arrays, names, layout = torchvision_state(trained.architecture, trained.variables), "torchvision's names", "pt"
    about = {name: said if isinstance(said, str) else json.dumps(said) for name, said in trained.about().items()}
    return Exported(as_safetensors(arrays, {"format": layout} | about), f"{len(arrays)} arrays in {names}")


def npz(trained: Trained) -> Exported:
    """Our own names, such as `params/conv1/convolution/kernel`."""
    arrays = to_own_names(trained.variables)
    return Exported(as_npz(arrays), f"{len(arrays)} arrays in our own names")
