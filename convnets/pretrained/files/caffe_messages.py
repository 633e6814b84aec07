"""The part of Caffe's file format that weights are in, for protocol buffers.

The numbers of the fields are those of `src/caffe/proto/caffe.proto` in the repository BVLC/caffe.
"""

from functools import cache
from typing import Any

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


@cache
def net_parameter() -> Any:
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
