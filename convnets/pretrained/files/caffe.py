"""Caffe's `.caffemodel` files, old and new, read without Caffe.

The numbers of the messages' fields are those of `src/caffe/proto/caffe.proto` in the repository BVLC/caffe.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from convnets.pretrained.files.weights import Contents, UnreadableFile

OPTIONAL, REPEATED = 1, 3
DOUBLE, INT64, INT32, STRING, MESSAGE, BYTES = 1, 3, 5, 9, 11, 12
"""Labels and types, as `google.protobuf.descriptor.FieldDescriptor` numbers them."""

FIELDS: dict[str, tuple[tuple[str, int, int, int | str], ...]] = {
    "BlobShape": (("dim", 1, REPEATED, INT64),),
    "BlobProto": (
        ("num", 1, OPTIONAL, INT32),
        ("channels", 2, OPTIONAL, INT32),
        ("height", 3, OPTIONAL, INT32),
        ("width", 4, OPTIONAL, INT32),
        # Packed floats and doubles. Their bytes are those of a field of bytes, which comes as one piece of memory,
        # where floats would come as a list.
        ("data", 5, OPTIONAL, BYTES),
        ("shape", 7, OPTIONAL, "BlobShape"),
        ("double_data", 8, OPTIONAL, BYTES),
    ),
    "LayerParameter": (
        ("name", 1, OPTIONAL, STRING),
        ("type", 2, OPTIONAL, STRING),
        ("blobs", 7, REPEATED, "BlobProto"),
    ),
    "V1LayerParameter": (
        ("layer", 1, OPTIONAL, BYTES),  # a V0LayerParameter, of which it is enough to know that it is there
        ("name", 4, OPTIONAL, STRING),
        ("type", 5, OPTIONAL, INT32),  # an enumeration
        ("blobs", 6, REPEATED, "BlobProto"),
    ),
    "NetParameter": (
        ("name", 1, OPTIONAL, STRING),
        ("layers", 2, REPEATED, "V1LayerParameter"),
        ("layer", 100, REPEATED, "LayerParameter"),
    ),
}
"""Each message's fields: name, number, label, and the type or the name of a message."""

PARTS = {
    "Convolution": ("weight", "bias"),
    "Deconvolution": ("weight", "bias"),
    "InnerProduct": ("weight", "bias"),
    "BatchNorm": ("mean", "variance", "factor"),
    "Scale": ("scale", "bias"),
}
"""What the blobs of a layer are, in their order."""

OLD_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}
"""Of `V1LayerParameter.LayerType`."""


def read_caffe(path: Path) -> Contents:
    """The blobs by layer and part: `conv1/weight` [out, in, h, w], `fc/weight` [out, in], `fc/bias`, `bn/mean`,
    `bn/variance`, `scale/scale`, `scale/bias`; those of layers of other types `NAME/blob0` and on.

    Caffe keeps running sums in a batch norm, and the factor that they are to be divided by; they come divided.

    Raises:
      UnreadableFile: it holds no blobs, or some whose size is not their shape's; it is of the format before 2014.
    """
    net = _net_parameter().FromString(path.read_bytes())
    if any(layer.HasField("layer") for layer in net.layers):
        raise UnreadableFile("is in Caffe's format of 2013: convert it with Caffe's upgrade_net_proto_binary")
    layers = [(layer.name, OLD_TYPES.get(layer.type, ""), layer.blobs) for layer in net.layers]
    layers += [(layer.name, layer.type, layer.blobs) for layer in net.layer]
    arrays: dict[str, np.ndarray] = {}
    for name, kind, blobs in layers:
        known = PARTS.get(kind, ())[: len(blobs)]
        known += tuple(f"blob{index}" for index in range(len(known), len(blobs)))
        parts = {part: _array(blob, f"{name}/{part}") for part, blob in zip(known, blobs, strict=True)}
        if kind == "BatchNorm" and parts:
            if tuple(parts) != PARTS[kind] or parts["factor"].size != 1:
                raise UnreadableFile(
                    f"has a batch norm {name!r} with other blobs than a mean, a variance and one factor"
                )
            # Before the first step all three are 0.
            factor = parts.pop("factor").item() or 1
            parts = {part: array / factor for part, array in parts.items()}
        if kind == "InnerProduct" and parts and parts["weight"].shape[:-2] == (1, 1):
            # As Caffe had it at first.
            parts["weight"] = parts["weight"][0, 0]
        for part, array in parts.items():
            if f"{name}/{part}" in arrays:
                raise UnreadableFile(f"has two layers {name!r} with weights: give each a name of its own")
            arrays[f"{name}/{part}"] = array
    if not arrays:
        raise UnreadableFile("holds no layers with weights: give the .caffemodel, not the .prototxt or a .solverstate")
    return arrays, {}


def _array(blob: Any, name: str) -> np.ndarray:
    double = blob.HasField("double_data")
    numbers = np.frombuffer(blob.double_data if double else blob.data, "<f8" if double else "<f4")
    if blob.HasField("shape"):
        shape = tuple(blob.shape.dim)
    else:
        shape = (blob.num, blob.channels, blob.height, blob.width)
        # Before there were other shapes a vector was [1, 1, 1, N].
        if shape[:3] == (1, 1, 1) and not name.endswith("/weight"):
            shape = shape[3:]
    if math.prod(shape) != numbers.size or min(shape, default=0) < 0:
        raise UnreadableFile(f"is damaged: {name!r} has {numbers.size} numbers for the shape {list(shape)}")
    return numbers.reshape(shape)


@cache
def _net_parameter() -> Any:
    """The class of Caffe's `NetParameter`."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="weights_of_caffe.proto", package="caffe", syntax="proto2")
    for message, fields in FIELDS.items():
        described = file.message_type.add(name=message)
        for name, number, label, kind in fields:
            field = described.field.add(name=name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = MESSAGE, f".caffe.{kind}"
            else:
                field.type = kind
    # A pool of its own, as Caffe's messages may be in the common one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))
