"""Operations that write or inspect variables.

The kernel of a write is a pure function that returns the variable's new value, from the old one (Kind.UPDATE) or
without it (Kind.ASSIGN). The scheduler threads the values through, so kernels never see a variable.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, as_tensor, convert_to_tensor
from weftwork.graph.dead import Unless
from weftwork.graph.dtypes import DType
from weftwork.graph.errors import InvalidArgumentError, OutOfRangeError
from weftwork.graph.kernels.arrays import filled_index
from weftwork.graph.kernels.indices import inside, rows_inside
from weftwork.graph.operation import UNINITIALIZED, Kind, Operation, Tensor
from weftwork.graph.scopes import name_scope
from weftwork.graph.seams import seams
from weftwork.graph.shapes import bracket_text
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.handles import (
    HANDLE,
    PASS_REFERENCES,
    type_for,
    value_dtype,
    value_shape,
    variable_of,
    written_dtype,
)
from weftwork.graph.variables.settling import settle


def _reference(ref: Any) -> Tensor:
    return ref._ref() if hasattr(ref, "_ref") else ref


def assign_value(value: Any, *, dtype: np.dtype | None, shape: shapes.RawShape) -> Any:
    """The kernel of assign."""
    if shape is not None and np.shape(value) != shape and not shapes.compatible(np.shape(value), shape):
        raise InvalidArgumentError(
            None,
            None,
            "Assign requires shapes of both tensors to match. "
            f"lhs shape= {bracket_text(shape)} rhs shape= {bracket_text(np.shape(value))}",
        )
    return settle(value, dtype)


def _same_size(old: Any, delta: Any) -> None:
    if np.shape(old) != np.shape(delta):
        raise InvalidArgumentError(
            None,
            None,
            "Parameters and update must be the same size: "
            f"lhs shape= {bracket_text(np.shape(old))} rhs shape= {bracket_text(np.shape(delta))}",
        )


def add_value(old: Any, delta: Any, *, dtype: np.dtype | None) -> Any:
    """The kernel of assign_add."""
    if dtype is not None:
        _same_size(old, delta)
    return settle(old + delta, dtype)


def subtract_value(old: Any, delta: Any, *, dtype: np.dtype | None) -> Any:
    """The kernel of assign_sub."""
    if dtype is not None:
        _same_size(old, delta)
    return settle(old - delta, dtype)


def count_value(old: Any, *, limit: int, dtype: np.dtype | None) -> Any:
    """The kernel of count_up_to."""
    if old >= limit:
        raise OutOfRangeError(None, None, f"Reached limit of {limit}")
    return settle(old + 1, dtype)


def previous(value: Any) -> Any:
    """The value of a counter before it was incremented."""
    return value - type(value)(1)


def _scatter(old: Any, indices: Any, updates: Any, ufunc: np.ufunc | None) -> Any:
    indices = inside(indices, old.shape[0])
    wanted = indices.shape + old.shape[1:]
    if np.shape(updates) not in (wanted, ()):
        raise InvalidArgumentError(
            None,
            None,
            "Must have updates.shape = indices.shape + params.shape[1:] or updates.shape = [], got "
            f"updates.shape {bracket_text(np.shape(updates))}, indices.shape {bracket_text(indices.shape)}, "
            f"params.shape {bracket_text(old.shape)}",
        )
    new = np.array(old)
    if ufunc is None:
        new[indices] = updates
    else:
        ufunc.at(new, indices, updates)
    new.flags.writeable = False
    return new


def scatter_value(old: Any, indices: Any, updates: Any, *, ufunc: np.ufunc | None) -> Any:
    """The kernel of scatter_update (ufunc None), scatter_add and so on."""
    return _scatter(old, indices, updates, ufunc)


def scatter_nd_value(old: Any, indices: Any, updates: Any, *, ufunc: np.ufunc | None) -> Any:
    """The kernel of scatter_nd_update and its variants: the last axis of `indices` indexes into `old`."""
    where = rows_inside(indices, old.shape)
    wanted = np.shape(indices)[:-1] + old.shape[len(where) :]
    if np.shape(updates) != wanted:
        text = (
            f"Must have updates.shape {bracket_text(wanted)} for these indices, got {bracket_text(np.shape(updates))}"
        )
        raise InvalidArgumentError(None, None, text)
    new = np.array(old)
    if ufunc is None:
        new[where] = updates
    else:
        ufunc.at(new, where, updates)
    new.flags.writeable = False
    return new


def initialized(value: Any) -> Any:
    """The kernel of is_variable_initialized."""
    return np.bool_(value is not UNINITIALIZED)


def value_or(value: Any, initial: Any) -> Any:
    """The kernel of initialized_value."""
    return initial if value is UNINITIALIZED else value


def names_of_uninitialized(*values: Any, names: tuple[bytes, ...]) -> Any:
    """The kernel of report_uninitialized_variables."""
    missing = [name for name, value in zip(names, values, strict=True) if value is UNINITIALIZED]
    out = np.empty(len(missing), dtype=object)
    out[:] = missing
    return out


# Building


def stored_dtype(dtype: DType) -> np.dtype | None:
    return None if dtype.numpy.kind == "O" else dtype.numpy


def _value_for(variable: Operation, value: Any, what: str, name: str | None = None) -> Tensor:
    """`value` as a tensor, called `name`, that can be stored in `variable`. TypeError for an incompatible dtype."""
    dtype = value_dtype(variable)
    tensor = as_tensor(value)
    if tensor is None:
        tensor = convert_to_tensor(value, dtype, name)
    given = tensor.dtype.base_dtype
    if (
        dtype.numpy.kind in "biufc"
        and given.numpy.kind in "biufc"
        and not np.can_cast(given.numpy, dtype.numpy, "same_kind")
    ):
        raise TypeError(
            f"{what} of variable {variable.defined_at} expects {dtype.name}, but got {given.name} from {tensor.name}."
        )
    return tensor


def write(
    kind: Kind, type: str, kernel: Any, ref: Any, values: list[Tensor], attrs: dict, shape: Any, name: str | None
) -> Tensor:
    """A node that gives a variable a new value, which is also the node's output.

    type: what TensorFlow calls it for a reference variable.
    """
    variable, source, waits = variable_of(ref), _reference(ref), ()
    if source.op.type in PASS_REFERENCES:  # it is only written if the reference gets here
        kernel, kind = Unless(kernel, 1, 1, 1, True, kind is not Kind.ASSIGN), Kind.UPDATE
        source, waits = variable.outputs[0], (source,)
    op = variable.graph.add(
        kind,
        type_for(variable, type),
        kernel=kernel,
        inputs=(source, *values, *waits),
        attrs={**attrs, "_variable": variable.name},
        outputs=[(written_dtype(variable), shape)],
        name=name,
        colocate=variable,
    )
    return op.outputs[0]


def result(written: Tensor, ref: Any, read_value: bool = True) -> Any:
    """What a write returns: its output, or the resource variable as it is then. Without read_value, the operation."""
    variable = variable_of(ref)
    if not read_value:
        return written.op
    return seams.unread(written, variable) if variable.type == HANDLE else written


def assign(
    ref: Any, value: Any, validate_shape: bool | None = None, use_locking: bool | None = None, name: str | None = None
) -> Tensor:
    """Set a variable to `value`; the output is the new value.

    Unless validate_shape=False, the shape must be the variable's: ValueError if it is known to differ while the graph
    is built, InvalidArgumentError if it differs at run time. Raises TypeError for an incompatible dtype.
    """
    return result(assigned(ref, value, validate_shape, name), ref)


def assigned(ref: Any, value: Any, validate_shape: bool | None = None, name: str | None = None) -> Tensor:
    """The write of `assign`."""
    variable = variable_of(ref)
    name = variable.graph.named(name or type_for(variable, "Assign"))
    tensor = _value_for(variable, value, "assign", f"{name}value/")
    dtype = value_dtype(variable)
    shape = value_shape(variable)
    if validate_shape is False:
        shape = None
    elif not shapes.compatible(shape, tensor.raw_shape):
        raise ValueError(
            f"Dimension mismatch: variable {variable.defined_at} has shape {shapes.text(shape)}, but the value "
            f"{tensor.name} has shape {shapes.text(tensor.raw_shape)}. {shapes.difference(shape, tensor.raw_shape)} "
            f"Shapes {shapes.text(shape)} and {shapes.text(tensor.raw_shape)} are incompatible"
        )
    attrs = {"dtype": stored_dtype(dtype), "shape": shape}
    out = tensor.raw_shape if shape is None else shapes.merge(shape, tensor.raw_shape)
    return write(Kind.ASSIGN, "Assign", assign_value, ref, [tensor], attrs, out, name)


def batch_scatter_update(
    ref: Any, indices: Any, updates: Any, use_locking: bool = True, name: str | None = None
) -> Tensor:
    """Set elements along the last axis of `indices` [batch..., n] of a variable [batch..., m, ...], batch by batch.

    Raises ValueError if the batch of the indices is unknown.
    """
    rows = convert_to_tensor(indices)
    known = rows.raw_shape
    if known is None or None in known[:-1]:
        raise ValueError(f"batch_scatter_update needs to know the batch of its indices: {rows}")
    axes = [np.arange(n) for n in known[:-1] if n is not None]
    attrs = {"grid": np.stack(np.meshgrid(*axes, indexing="ij"), -1) if axes else None}
    nd = apply(_with_grid, [rows], attrs, type="BatchIndices", dtype=dtypes.int64, shape=(*known, len(known)))
    return scatter_nd_update(ref, nd, updates, name=name)


def _with_grid(rows: Any, grid: Any) -> Any:
    if grid is None:
        return np.asarray(rows, np.int64)[..., None]
    wide = np.broadcast_to(grid[..., None, :], (*rows.shape, grid.shape[-1]))
    return np.concatenate([wide, np.asarray(rows)[..., None]], -1).astype(np.int64)


def update(type: str, kernel: Any, ref: Any, value: Any, name: str | None) -> Tensor:
    """A write of kernel(old, value), for a value of the variable's shape."""
    variable = variable_of(ref)
    name = variable.graph.named(name or type_for(variable, type))
    tensor = _value_for(variable, value, type, f"{name}value/")
    shape = value_shape(variable)
    if not shapes.compatible(shape, tensor.raw_shape):
        raise ValueError(
            f"Parameters and update must be the same size: variable {variable.defined_at} has shape "
            f"{shapes.text(shape)}, the update {tensor.name} has shape {shapes.text(tensor.raw_shape)}. "
            f"{shapes.difference(shape, tensor.raw_shape)}"
        )
    attrs = {"dtype": stored_dtype(value_dtype(variable))}
    return write(Kind.UPDATE, type, kernel, ref, [tensor], attrs, shape, name)


def assign_add(ref: Any, value: Any, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    """Add `value`, of the variable's shape, to a variable; the output is the sum. No update is ever lost."""
    return result(update("AssignAdd", add_value, ref, value, name), ref)


def assign_sub(ref: Any, value: Any, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    """Subtract `value`, of the variable's shape, from a variable; the output is the difference."""
    return result(update("AssignSub", subtract_value, ref, value, name), ref)


def count_up_to(ref: Any, limit: int, name: str | None = None) -> Tensor:
    """Add 1 to an integer variable and output its previous value. Raises OutOfRangeError once it reaches `limit`."""
    variable = variable_of(ref)
    dtype = value_dtype(variable)
    if not dtype.is_integer:
        raise TypeError(f"count_up_to needs an integer variable, but {variable.defined_at} is {dtype.name}.")
    shape = value_shape(variable)
    if not shapes.compatible(shape, ()):
        raise ValueError(f"Shape must be rank 0: count_up_to got {variable.defined_at} of shape {shapes.text(shape)}.")
    if not isinstance(limit, (int, np.integer)):
        raise TypeError(f"Expected int for argument 'limit' not {limit!r}.")
    attrs = {"limit": int(limit), "dtype": dtype.numpy}
    with variable.graph.as_default(), name_scope(name, "CountUpTo") as scope:
        new = write(Kind.UPDATE, "CountUpTo", count_value, ref, [], attrs, shape, "update")
        return apply(previous, [new], type="CountUpTo", name=scope, dtype=dtype, shape=new.raw_shape)


def scatter(type: str, kernel: Any, ufunc: np.ufunc | None, ref: Any, indices: Any, updates: Any, name: Any) -> Tensor:
    """A write of some rows (`scatter_value`) or slices (`scatter_nd_value`), combined with the old ones by `ufunc`."""
    variable = variable_of(ref)
    name = variable.graph.named(name or type_for(variable, type))
    where = convert_to_tensor(indices, name=f"{name}indices/")
    if not where.dtype.base_dtype.is_integer:
        raise TypeError(f"{type} of {variable.defined_at} needs integer indices, but got {where.dtype.name}.")
    value = _value_for(variable, updates, type, f"{name}updates/")
    if kernel is not scatter_value or value.raw_shape != ():
        _check_updates(type, variable, where, value, kernel is scatter_value)
    attrs = {"ufunc": ufunc}
    return write(Kind.UPDATE, type, kernel, ref, [where, value], attrs, value_shape(variable), name)


def _check_updates(type: str, variable: Operation, indices: Tensor, updates: Tensor, by_row: bool) -> None:
    """Raise ValueError if it is known that there is not one row (or for scatter_nd one slice) for each index."""
    whole, where = value_shape(variable), indices.raw_shape
    if whole is None or where is None:
        return
    if by_row:
        wanted, rule = where + whole[1:], "indices.shape + ref.shape[1:], or a scalar"
    elif where and where[-1] is not None:
        wanted, rule = where[:-1] + whole[where[-1] :], "indices.shape[:-1] + ref.shape[indices.shape[-1]:]"
    else:
        return
    if not shapes.compatible(updates.raw_shape, wanted):
        raise ValueError(
            f"Shapes must be equal rank and size: {type} of {variable.defined_at} needs updates of shape "
            f"{shapes.text(wanted)}, {rule}, but got {shapes.text(updates.raw_shape)}. "
            f"{shapes.difference(updates.raw_shape, wanted)}"
        )


def _scatter_family(suffix: str, ufunc: np.ufunc | None, words: str):
    def function(ref: Any, indices: Any, updates: Any, use_locking: bool | None = None, name: str | None = None):
        type = f"Scatter{suffix.title()}"
        return result(scatter(type, scatter_value, ufunc, ref, indices, updates, name), ref)

    function.__name__ = f"scatter_{suffix}"
    function.__doc__ = (
        f"{words} the rows `indices` of a variable (duplicates count each time); the output is the new value.\n\n"
        "    updates: of shape indices.shape + ref.shape[1:], or a scalar. Raises InvalidArgumentError for an index\n"
        "    outside of the variable."
    )
    return function


scatter_update = _scatter_family("update", None, "Set")
scatter_add = _scatter_family("add", np.add, "Add to")
scatter_sub = _scatter_family("sub", np.subtract, "Subtract from")
scatter_mul = _scatter_family("mul", np.multiply, "Multiply")
scatter_div = _scatter_family("div", np.divide, "Divide")
scatter_min = _scatter_family("min", np.minimum, "Take the minimum with")
scatter_max = _scatter_family("max", np.maximum, "Take the maximum with")


def scatter_nd_update(ref: Any, indices: Any, updates: Any, use_locking: bool | None = None, name: str | None = None):
    """Replace slices of a variable; the last axis of `indices` indexes into it."""
    return result(scatter("ScatterNdUpdate", scatter_nd_value, None, ref, indices, updates, name), ref)


def scatter_nd_add(ref: Any, indices: Any, updates: Any, use_locking: bool | None = None, name: str | None = None):
    """Add to slices of a variable; the last axis of `indices` indexes into it."""
    return result(scatter("ScatterNdAdd", scatter_nd_value, np.add, ref, indices, updates, name), ref)


def scatter_nd_sub(ref: Any, indices: Any, updates: Any, use_locking: bool | None = None, name: str | None = None):
    """Subtract from slices of a variable; the last axis of `indices` indexes into it."""
    return result(scatter("ScatterNdSub", scatter_nd_value, np.subtract, ref, indices, updates, name), ref)


def slice_value(old: Any, value: Any, *parts: Any, spec: tuple, dtype: np.dtype | None) -> Any:
    """The kernel of a slice's assign: a copy of the value with the slice replaced."""
    new, index = np.array(old, dtype), filled_index(spec, parts)
    shape, given = new[index].shape, np.shape(value)
    if given not in (shape, ()):
        text = f"Must have the shape of the slice, {bracket_text(shape)}, but got {bracket_text(given)}"
        raise InvalidArgumentError(None, None, text)
    new[index] = value
    new.flags.writeable = False
    return new


def assign_slice(part: Tensor, value: Any, name: str | None = None) -> Tensor:
    """Assign to `part`, a slice of a variable; the output is the variable's whole value.

    value: of the slice's shape, or a scalar. Raises ValueError for another known shape.
    """
    op = part.op
    whole = op.inputs[0].op
    if whole.type == "ReadVariableOp":
        whole = whole.inputs[0].op
    variable = op.graph.get_operation_by_name(whole.attrs.get("_variable", whole.name))
    tensor = _value_for(variable, value, "assign")
    if tensor.raw_shape != () and not shapes.compatible(part.raw_shape, tensor.raw_shape):
        raise ValueError(
            f"The slice {part.name} has shape {shapes.text(part.raw_shape)}, but the value {tensor.name} has shape "
            f"{shapes.text(tensor.raw_shape)}."
        )
    attrs = {"spec": op.attrs["spec"], "dtype": stored_dtype(value_dtype(variable))}
    shape = value_shape(variable)
    values = [tensor, *op.inputs[1:]]
    with op.graph.as_default():
        ref, name = variable.outputs[0], name or f"{op.name.rpartition('/')[2]}/_assign"
        return result(write(Kind.UPDATE, "StridedSliceAssign", slice_value, ref, values, attrs, shape, name), ref)


seams.assign_slice = assign_slice


def peek(type: str, kernel: Any, refs: list[Any], rest: list[Tensor], attrs: dict, output: Any, name: Any) -> Tensor:
    """A node that reads variables which may have no value. Their values, or UNINITIALIZED, are its first inputs."""
    variables = [variable_of(ref) for ref in refs]
    graph = variables[0].graph if variables else get_default_graph()
    inputs = (*[_reference(ref) for ref in refs], *rest)
    beside = variables[0] if len(variables) == 1 else None
    return graph.add(
        Kind.PEEK, type, kernel=kernel, inputs=inputs, attrs=attrs, outputs=[output], name=name, colocate=beside
    ).outputs[0]


def is_variable_initialized(ref: Any, name: str | None = None) -> Tensor:
    """A boolean: whether the variable has a value."""
    return peek(
        type_for(variable_of(ref), "IsVariableInitialized"), initialized, [ref], [], {}, (dtypes.bool, ()), name
    )


def initialized_value(ref: Any, initial: Tensor) -> Tensor:
    """The variable's value, or `initial` if it has none; read after the variable's initializer if that runs as well."""
    variable = variable_of(ref)
    output = value_dtype(variable), value_shape(variable)
    with variable.graph.as_default(), variable.graph.name_scope("cond"):
        return peek("InitializedValue", value_or, [ref], [initial], {"_after_initializer": True}, output, "Merge")
