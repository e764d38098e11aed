"""`Graph.create_op`: one operation of a type that TensorFlow declares, from its inputs and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weftwork.graph.dtypes import DType
from weftwork.graph.graph import Graph
from weftwork.graph.interchange.given import Given, lacking, named, reader_of, types
from weftwork.graph.interchange.nodes import Inexpressible, bound_attrs
from weftwork.graph.interchange.signatures import Signature, signature
from weftwork.graph.interchange.values import attr_value
from weftwork.graph.marks import is_attr_value
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.seams import seams


def create_op(
    graph: Graph, type: str, inputs: Sequence[Tensor], made: list[DType], name: str, attrs: Mapping[str, Any]
) -> Operation | None:
    """The operation, called `name`; None if TensorFlow does not declare its type.

    attrs: Python values or AttrValues; those that follow from the dtypes may be left out.
    Raises ValueError if inputs, outputs and attributes do not match the declaration.
    """
    declared = signature(type)
    if declared is None:
        return None
    given_attrs = {key: _value(declared, key, value) for key, value in attrs.items() if key in declared.attrs}
    tensors, _ = make(declared, inputs, made, graph.named(name), given_attrs)
    op = tensors if isinstance(tensors, Operation) else tensors[0].op
    for key in attrs.keys() - declared.attrs.keys():
        graph.marks.setdefault(op, {})[key] = attrs[key]
    return op


def make(
    declared: Signature, inputs: Sequence[Tensor], made: list[DType] | None, full: str, attrs: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The outputs of a new operation, or the operation if it has none, and the values of all its attributes.

    made: the dtypes of the outputs; None if they follow from the inputs and attributes.   full: its name with a slash.
    attrs: in the form for building nodes. Raises ValueError if anything does not match the declaration.
    """
    try:
        bound = bound_attrs(declared, [t.dtype.base_dtype for t in inputs], made, dict(attrs))
    except Inexpressible:
        words = ", ".join([f"{arg.name}: {arg.type or arg.types or arg.count}" for arg in declared.inputs])
        raise ValueError(
            f"An operation of type {declared.name} takes ({words}); {len(inputs)} inputs, the dtypes "
            f"{[dtype.name for dtype in made or [t.dtype for t in inputs]]} and the attributes {sorted(attrs)} do not "
            "fit."
        ) from None
    values = dict.fromkeys(declared.attrs) | {key: value for key, (value, _) in bound.items()}
    if made is None:
        made = [dtype for dtype, _ in types(declared.outputs, values)]
    given = Given(full[:-1], declared.name, list(inputs), values, made)
    return named((reader_of(declared.name) or lacking)(given), given), values


def _value(declared: Signature, key: str, value: Any) -> Any:
    return attr_value(value, declared.attrs[key].kind) if is_attr_value(value) else value


seams.create_op = create_op
