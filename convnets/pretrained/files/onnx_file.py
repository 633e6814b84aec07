"""ONNX models: their initializers, which are the weights; the graph isn't looked at."""

from pathlib import Path

from convnets.errors import InvalidValue
from convnets.pretrained.files.unreadable import Unreadable
from convnets.pretrained.files.weights import Contents


def read(path: Path) -> Contents:
    """The initializers by their names. Data in other files is read from where the model says, next to it.

    Raises:
      InvalidValue: the package `onnx` is not installed.
      Unreadable: there are no initializers, or two of one name.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise InvalidValue(f"{path} is an ONNX file, which takes a package to read: pip install onnx") from error
    model = onnx.load_model(path, load_external_data=False)
    arrays = {}
    for tensor in model.graph.initializer:
        if tensor.name in arrays:
            raise Unreadable(f"has two initializers {tensor.name!r}: give a model that is whole")
        arrays[tensor.name] = numpy_helper.to_array(tensor, base_dir=str(path.parent))
    if not arrays:
        raise Unreadable("holds no initializers: export the model with its weights as initializers")
    return arrays, ()
