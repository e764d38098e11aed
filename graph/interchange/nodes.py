"""NodeDefs of declared operations: match inputs, outputs and attributes against the declaration.

Part      an input in written form: the name of a node's output, and its dtype
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

    _match(declared.inputs, [d.base_dtype for d in given], found, bind, False)
    if made is not None:
        _match(declared.outputs, [d.base_dtype for d in made], found, bind, True)
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


def aligned(args: Sequence[Any], given: list[Any], known: Mapping[str, Any], partly: bool = False) -> list[Any]:
    """(argument, what it is given) for each argument. One that takes several has as many as is known, else its share.

    partly: nothing may be given for the last arguments. Raises Inexpressible if there are too few or too many.
    """
    found, rest = [], list(given)
    for number, arg in enumerate(args):
        if partly and not rest:
            break
        later = args[number + 1 :]
        room = len(rest) - sum(1 for other in later if not other.count and not other.types)
        sharers = 1 + sum(1 for other in later if arg.count and other.count == arg.count)
        size = 1
        if arg.types:
            size = len(known[arg.types]) if arg.types in known else room
        elif arg.count:
            size = known.get(arg.count, room // sharers)
        part, rest = rest[:size], rest[size:]
        if len(part) < size:
            raise Inexpressible
        found.append((arg, part))
    if rest:
        raise Inexpressible
    return found


def _match(
    args: Sequence[Any], given: list[DType], known: Mapping[str, Any], bind: Callable[[str, Any], None], partly: bool
) -> None:
    for arg, part in aligned(args, given, known, partly):
        if arg.types:
            bind(arg.types, part)
            continue
        if arg.count:
            bind(arg.count, len(part))
        for dtype in part:
            if arg.type in dtypes.ALL:
                if dtype.name != arg.type and dtype is not dtypes.variant:  # the flow of a TensorArray
                    raise Inexpressible
            else:
                bind(arg.type, dtype)


def node_proto(name: str, type: str, inputs: list[Part], bound: dict[str, tuple[Any, str]], declared: Any) -> Any:
    proto = protos("node_def").NodeDef(name=name, op=type, input=[part.name for part in inputs])
    for key, (value, kind) in bound.items():
        proto.attr[key].CopyFrom(attr_proto(value, kind))
    return proto
