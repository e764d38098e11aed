"""Protocol buffers: TensorFlow's public messages as TensorBoard ships them; missing ones are built from descriptors.

protos     a module of TensorBoard: `graph`, `node_def`, `summary` ... The package is an extra
messages   classes for small public definitions that TensorBoard lacks, made with Ray's own dependency `protobuf`

On the wire everything is the same as TensorFlow's; only the package names differ.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from typing import Any

TENSORFLOW_VERSION = "1.15.0"
"""The version of TensorFlow whose graphs these are."""
MESSAGES = {
    "AttrValue": "attr_value",
    "GraphDef": "graph",
    "MetaGraphDef": "meta_graph",
    "NameAttrList": "attr_value",
    "NodeDef": "node_def",
    "OpDef": "op_def",
    "TensorInfo": "meta_graph",
}
"""The graph messages that programs name, and the module of each."""
SUMMARY_MESSAGES = {
    "Event": "event",
    "SessionLog": "event",
    "TaggedRunMetadata": "event",
    "HistogramProto": "summary",
    "Summary": "summary",
    "SummaryDescription": "summary",
    "SummaryMetadata": "summary",
}
"""The messages of `tf.summary`, which programs also name on their own."""


@cache
def protos(module: str) -> Any:
    """TensorBoard's protocol buffers: its module `summary`, `event`, `graph` ...

    Raises ImportError if TensorBoard is not installed.
    """
    try:
        return importlib.import_module(f"tensorboard.compat.proto.{module}_pb2")
    except ImportError as error:
        raise ImportError(
            "Summaries and graphs are written with TensorBoard's protocol buffers: "
            "pip install 'weftwork[tensorboard]', or pip install tensorboard."
        ) from error


@cache
def available() -> bool:
    """True if everything that `protos` needs is installed."""
    return importlib.util.find_spec("tensorboard") is not None


def messages(package: str, definitions: Mapping[str, Mapping[str, Any]], uses: Any = None) -> dict[str, Any]:
    """Message classes by name, from `{message: {field: "NUMBER KIND"}}`, where `{enum: {NAME: number}}` is an enum.

    KIND: int32, int64, uint32, fixed32, bool, string, bytes, float, double, or another of the messages or enums;
    `repeated KIND` for a list.
    uses: a module of `protos` whose messages may also be used, `.tensorboard.MetaGraphDef`.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    enums = {name: values for name, values in definitions.items() if int in map(type, values.values())}
    for name, values in enums.items():
        entries = file.enum_type.add(name=name).value
        for word, number in values.items():
            entries.add(name=word, number=number)
    for name, fields in definitions.items():
        if name in enums:
            continue
        message = file.message_type.add(name=name)
        for field, text in fields.items():
            number, *repeated, kind = text.split()
            entry = message.field.add(name=field, number=int(number), label=kinds.LABEL_OPTIONAL)
            if repeated:
                entry.label = kinds.LABEL_REPEATED
            if kind in enums:
                entry.type, entry.type_name = kinds.TYPE_ENUM, f".{package}.{kind}"
            elif kind in definitions or kind.startswith("."):
                entry.type = kinds.TYPE_MESSAGE
                entry.type_name = kind if kind.startswith(".") else f".{package}.{kind}"
            else:
                entry.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool() if uses is None else descriptor_pool.Default()
    if uses is not None:
        file.dependency.append(uses.DESCRIPTOR.name)
    pool.AddSerializedFile(file.SerializeToString())
    found = {name: pool.FindMessageTypeByName(f"{package}.{name}") for name in definitions if name not in enums}
    return {name: message_factory.GetMessageClass(kind) for name, kind in found.items()}
