"""Switch and Merge as operations of their own, and what else programs make control flow from by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor, pass_through
from weftwork.graph.dead import entered, merged, switched
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.scopes import name_scope


def switch(data: Any, pred: Any, name: str | None = None) -> tuple[Any, Any]:
    """`data` as the second output if `pred`, a boolean, is true, else as the first. The other one is not computed.

    data: a tensor or IndexedSlices.
    """
    if isinstance(data, IndexedSlices):
        values, indices = switch(data.values, pred, name), switch(data.indices, pred, name)
        return IndexedSlices(values[0], indices[0]), IndexedSlices(values[1], indices[1])
    type = "RefSwitch" if _is_reference(data) else "Switch"
    with name_scope(name, type, [data]) as scope:
        data = data if type == "RefSwitch" else convert_to_tensor(data, name="data")
        pred = convert_to_tensor(pred, dtypes.bool, name="pred")
        outputs = apply(switched, [data, pred], type=type, name=scope, outputs=[(data.dtype, data.raw_shape)] * 2)
    data.graph.may_be_dead(outputs[0].op)
    return outputs[0], outputs[1]


def merge(inputs: Sequence[Any], name: str | None = None) -> tuple[Any, Tensor]:
    """The first input that is computed, and its number, an int32.

    inputs: tensors of one dtype, or IndexedSlices, for which the number is that of the values.
    Raises ValueError for None or dtypes that differ.
    """
    if any([item is None for item in inputs]):
        raise ValueError(f"At least one of the merge inputs is None: {inputs}")
    if any([isinstance(item, IndexedSlices) for item in inputs]):
        values, chosen = merge([item.values for item in inputs], name)
        return IndexedSlices(values, merge([item.indices for item in inputs], name)[0]), chosen
    with name_scope(name, "Merge", list(inputs)) as scope:
        refs = all(map(_is_reference, inputs))
        given = list(inputs) if refs else [convert_to_tensor(item) for item in inputs]
        kinds = {t.dtype.base_dtype for t in given}
        if len(kinds) > 1:
            raise ValueError(f"merge needs inputs of the same dtype, but got {[t.dtype.name for t in given]}.")
        shape = given[0].raw_shape
        for each in given[1:]:
            shape = shapes.common(shape, each.raw_shape)
        outputs = [(given[0].dtype if refs else given[0].dtype.base_dtype, shape), (dtypes.int32, ())]
        value, chosen = apply(merged, given, type="RefMerge" if refs else "Merge", name=scope, outputs=outputs)
    value.graph.may_be_dead(value.op)
    return value, chosen


def ref_select(index: Tensor, refs: Sequence[Tensor], name: str | None = None) -> Tensor:
    """The value of the reference to a variable with number `index`, an int32. No variable is written through it.

    An index out of range raises InvalidArgumentError at run time.
    """
    shape = refs[0].raw_shape if all(shapes.is_full(t.raw_shape) for t in refs) else None
    shape = shape if all(t.raw_shape == shape for t in refs) else None
    return apply(selected, [index, *refs], type="RefSelect", name=name, dtype=refs[0].dtype, shape=shape)


def selected(index: Any, *values: Any) -> Any:
    """The kernel of RefSelect."""
    if not 0 <= index < len(values):
        raise InvalidArgumentError(None, None, f"Index {index} is out of range [0, {len(values)})")
    return values[index]


def passed(type: str, data: Tensor, name: str | None = None) -> Tensor:
    """An operation that passes on its input, such as an Exit outside of loops."""
    return apply(pass_through, [data], type=type, name=name, dtype=_passed_dtype(type, data), shape=data.raw_shape)


def enter(type: str, data: Tensor, attrs: Mapping[str, Any], name: str | None = None) -> Tensor:
    """An operation that passes on its input to the frame of a loop.

    attrs: frame_name, is_constant, parallel_iterations.
    """
    return apply(entered, [data], attrs, type=type, name=name, dtype=_passed_dtype(type, data), shape=data.raw_shape)


def _passed_dtype(type: str, data: Tensor) -> dtypes.DType:
    return data.dtype if type.startswith("Ref") else data.dtype.base_dtype


def _is_reference(data: Any) -> bool:
    return isinstance(data, Tensor) and data.dtype._is_ref_dtype
