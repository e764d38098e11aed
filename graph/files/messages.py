"""Examples as protocol buffers: `tf.train.Example`, `Features` and so on, with TensorFlow's field numbers.

The classes are built from this description on first use, in a separate pool, so they can coexist with TensorFlow's.
"""

from __future__ import annotations

from functools import cache
from typing import Any

PACKAGE = "tensorflow"
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "BytesList": {"value": (1, "repeated bytes")},
    "FloatList": {"value": (1, "repeated float")},
    "Int64List": {"value": (1, "repeated int64")},
    "Feature": {
        "bytes_list": (1, "oneof BytesList"),
        "float_list": (2, "oneof FloatList"),
        "int64_list": (3, "oneof Int64List"),
    },
    "Features": {"feature": (1, "map Feature")},
    "FeatureList": {"feature": (1, "repeated Feature")},
    "FeatureLists": {"feature_list": (1, "map FeatureList")},
    "Example": {"features": (1, "optional Features")},
    "SequenceExample": {"context": (1, "optional Features"), "feature_lists": (2, "optional FeatureLists")},
}
"""The fields of each message: number, label and type. Map keys are strings; the only oneof is called `kind`."""
NAMES = tuple(_MESSAGES)


@cache
def _classes() -> dict[str, Any]:
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise ImportError("Examples are protocol buffers: pip install protobuf, which Ray needs too.") from error
    file = descriptor_pb2.FileDescriptorProto(name="weftwork/example.proto", package=PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, *kind.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {}
    for name in NAMES:
        descriptor = pool.FindMessageTypeByName(f"{PACKAGE}.{name}")
        if hasattr(message_factory, "GetMessageClass"):
            found[name] = message_factory.GetMessageClass(descriptor)
        else:  # protobuf before 4.22
            found[name] = message_factory.MessageFactory(pool).GetPrototype(descriptor)  # type: ignore[attr-defined]
        found[name].__module__, found[name].__qualname__ = __name__, name  # so that it can be pickled by name
    return found


def _add_field(message: Any, name: str, number: int, label: str, kind: str) -> None:
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if label in ("repeated", "map") else field.LABEL_OPTIONAL
    if label == "map":
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "optional", "string")
        _add_field(entry, "value", 2, "optional", kind)
        kind = f"{message.name}.{entry.name}"
    if label == "oneof":
        if not message.oneof_decl:
            message.oneof_decl.add(name="kind")
        field.oneof_index = 0
    scalar = getattr(field, f"TYPE_{kind.upper()}", None)
    if scalar is None:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = scalar


def message(name: str) -> Any:
    """The class of a message. Raises ImportError if protobuf is missing, with advice on what to install."""
    return _classes()[name]


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return message(name)
