"""NodeDefs of declared operations: match inputs, outputs and attributes against the declaration.

Part      an input in written form: the name of a node's output, and its dtype
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from weftwork.graph import dtypes
from weftwork.graph.dtypes import DType
from weftwork.graph.interchange.signatures import NO_DEFAULT, Signature
from weftwork.graph.interchange.values import attr_proto
from weftwork.graph.protos import protos


class Part(NamedTuple):
    """An input in written form."""

    name: str
    dtype: DType


class Inexpressible(Exception):
    """TensorFlow has no equivalent operation."""


def bound_attrs(
    declared: Signature, given: list[DType], made: list[DType] | None, attrs: dict[str, Any]
) -> dict[str, tuple[Any, str]]:
    """All attributes of a declaration as (value, kind), with types inferred from the inputs and outputs.

    Raises Inexpressible if inputs, outputs and attributes do not match the declaration.
    """
    found = dict(attrs)

    def bind(key: str, value: Any) -> None:
        if found.setdefault(key, value) != value:
            raise Inexpressible

    _match(declared.inputs, [d.base_dtype for d in given], bind)
    if made is not None:
        _match(declared.outputs, [d.base_dtype for d in made], bind, partly=True)
    bound = {}
    for name, attr in declared.attrs.items():
        if name not in found and not attr.has_default:
            raise Inexpressible
        value = found.pop(name, attr.default)
        if value is not NO_DEFAULT:
            bound[name] = (value, attr.kind)
    if found:
        raise Inexpressible
    return bound


def _match(args: Iterable[Any], given: list[DType], bind: Callable[[str, Any], None], partly: bool = False) -> None:
    rest, args = list(given), list(args)
    for number, arg in enumerate(args):
        if partly and not rest:
            return
        after = sum(1 for later in args[number + 1 :] if not later.count and not later.types)
        if arg.types or arg.count:
            part = rest[: len(rest) - after]
            del rest[: len(part)]
            if arg.types:
                bind(arg.types, part)
                continue
            bind(arg.count, len(part))
        else:
            part = rest[:1]
            del rest[:1]
            if not part:
                raise Inexpressible
        for dtype in part:
            if arg.type in dtypes.ALL:
                if dtype.name != arg.type and dtype is not dtypes.variant:  # the flow of a TensorArray
                    raise Inexpressible
            else:
                bind(arg.type, dtype)
    if rest:
        raise Inexpressible


def node_proto(name: str, type: str, inputs: list[Part], bound: dict[str, tuple[Any, str]], declared: Any) -> Any:
    proto = protos("node_def").NodeDef(name=name, op=type, input=[part.name for part in inputs])
    for key, (value, kind) in bound.items():
        proto.attr[key].CopyFrom(attr_proto(value, kind))
    return proto
