"""Readers of array operations, sources of a graph, variables, and nodes that only define an order."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.build import apply, constant, pass_through, placeholder_with_default, static_value
from weftwork.graph.dtypes import resource
from weftwork.graph.interchange.given import READERS, Given, read_by, reads
from weftwork.graph.kernels import arrays as kernels
from weftwork.graph.operation import Kind, Tensor
from weftwork.graph.ops import (
    array_ops,
    assertions,
    filling,
    flow,
    indexing,
    joining,
    math_ops,
    partitioning,
    rearranging,
    selecting,
)
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.handles import is_handle, value_dtype, value_shape
from weftwork.graph.variables.resource import read_handle, value_now

# Sources


@reads("Const")
def _const(given: Given) -> Any:
    return constant(given["value"], given["dtype"], name=given.name)


@reads("Placeholder", "PlaceholderV2")
def _placeholder(given: Given) -> Any:
    spec = (given["dtype"].base_dtype, _shape_of(given["shape"], given))
    return get_default_graph().add(Kind.PLACEHOLDER, "Placeholder", outputs=[spec], name=given.name).outputs[0]


def _shape_of(shape: Any, given: Given) -> Any:
    return tuple(shape) if isinstance(shape, list) else shape


@reads("PlaceholderWithDefault")
def _with_default(given: Given) -> Any:
    return placeholder_with_default(given.inputs[0], given["shape"], name=given.name)


@reads("NoOp", "ControlTrigger")
def _no_op(given: Given) -> Any:
    return flow.no_op(name=given.name)


@reads("Identity", "Snapshot", "StopGradient", "DeepCopy", "EnsureShape")
def _identity(given: Given) -> Any:
    (x,) = given.inputs
    if x.op.kind is Kind.VARIABLE and given.name == f"{x.op.name}/read/":
        return _cached_read(x, given)
    kind = "StopGradient" if given.type == "StopGradient" else "Identity"
    return apply(pass_through, [x], type=kind, name=given.name, dtype=x.dtype.base_dtype, shape=x.raw_shape)


def _cached_read(ref: Tensor, given: Given) -> Tensor:
    """The cached read of a variable."""
    return (
        get_default_graph()
        .add(
            Kind.READ,
            "Identity",
            inputs=(ref,),
            attrs={"_variable": ref.op.name},
            outputs=[(ref.dtype.base_dtype, ref.raw_shape)],
            name=given.name,
            colocate=ref.op,
            pinned=True,
        )
        .outputs[0]
    )


@reads("PreventGradient")
def _prevented(given: Given) -> Any:
    return flow.prevent_gradient(given.inputs[0], given["message"], name=given.name)


@reads("IdentityN")
def _identity_n(given: Given) -> Any:
    return flow.identity_n(given.inputs, name=given.name)


@reads("CheckNumerics")
def _checked(given: Given) -> Any:
    return assertions.check_numerics(given.inputs[0], given["message"], name=given.name)


@reads("Assert")
def _assert(given: Given) -> Any:
    return assertions.asserted(given.inputs[0], given.inputs[1:], given["summarize"], given.name)


# Variables


@reads("VarHandleOp")
def _handle(given: Given) -> Any:
    attrs = {"dtype": given["dtype"].base_dtype, "shape": _shape_of(given["shape"], given)}
    attrs["shared_name"] = given["shared_name"] or given.name.rstrip("/")
    spec: list = [(resource, ())]
    op = get_default_graph().add(Kind.VARIABLE, "VarHandleOp", attrs=attrs, outputs=spec, name=given.name, pinned=True)
    op.container = given["container"]
    return op.outputs[0]


@reads("VariableV2", "Variable")
def _variable(given: Given) -> Any:
    kind = given["dtype"].base_dtype
    shape = _shape_of(given["shape"], given)
    if given.type == "Variable" and shape == ():
        shape = None
    op = get_default_graph().add(
        Kind.VARIABLE, "VariableV2", outputs=[(kind._as_ref, shape)], name=given.name, pinned=True
    )
    op.container = given["container"]
    return op.outputs[0]


@reads("ReadVariableOp")
def _read(given: Given) -> Any:
    """A read of a handle; of a value, where a loop or a branch has read the variable already."""
    (x,) = given.inputs
    if is_handle(x):
        held, wanted = value_dtype(x.op), given.outputs[0]
        if held is not wanted:
            raise ValueError(
                f"Trying to read variable with wrong dtype. Expected {held.cpp_name} got {wanted.cpp_name}: {x.op!r}"
            )
        return read_handle(x, given.name)
    return apply(pass_through, [x], type="Identity", name=given.name, dtype=x.dtype.base_dtype, shape=x.raw_shape)


@reads("Assign", "AssignVariableOp")
def _assign(given: Given) -> Any:
    ref, value = given.inputs
    variable = state_ops.variable_of(ref)
    checked = given.attrs.get("validate_shape", True)
    kind, shape = value_dtype(variable), value_shape(variable) if checked else None
    attrs: dict[str, Any] = {"dtype": state_ops.stored_dtype(kind), "shape": shape}
    if given.name == f"{variable.name}/Assign/":
        attrs["_initializer"] = True
    out = value.raw_shape if shape is None else shape
    result = state_ops.write(Kind.ASSIGN, "Assign", state_ops.assign_value, ref, [value], attrs, out, given.name)
    return result if given.type == "Assign" else result.op


@reads("AssignAdd", "AssignSub", "AssignAddVariableOp", "AssignSubVariableOp")
def _update(given: Given) -> Any:
    type, kernel = (
        ("AssignAdd", state_ops.add_value) if "Add" in given.type else ("AssignSub", state_ops.subtract_value)
    )
    result = state_ops.update(type, kernel, *given.inputs, name=given.name)
    return result.op if given.type.endswith("VariableOp") else result


@reads("IsVariableInitialized", "VarIsInitializedOp")
def _initialized(given: Given) -> Any:
    return state_ops.is_variable_initialized(given.inputs[0], name=given.name)


@reads("CountUpTo", "ResourceCountUpTo")
def _count(given: Given) -> Any:
    return state_ops.count_up_to(given.inputs[0], given["limit"], name=given.name)


_UFUNCS: dict[str, Any] = {
    "update": None, "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "min": np.minimum,
    "max": np.maximum,
}  # fmt: skip


def _scatter(type: str, word: str, kernel: Any) -> None:
    """Read ScatterX and ResourceScatterX."""

    def read(given: Given) -> Any:
        result = state_ops.scatter(type, kernel, _UFUNCS[word], *given.inputs, name=given.name)
        return result.op if given.type.startswith("Resource") else result

    READERS[type] = READERS[f"Resource{type}"] = read


for _word in _UFUNCS:
    _scatter(f"Scatter{_word.title()}", _word, state_ops.scatter_value)
for _word in ("update", "add", "sub"):
    _scatter(f"ScatterNd{_word.title()}", _word, state_ops.scatter_nd_value)


@reads("ResourceGather", "ResourceGatherNd")
def _resource_gather(given: Given) -> Any:
    function = indexing.gather if given.type == "ResourceGather" else indexing.gather_nd
    return function(value_now(given.inputs[0]), given.inputs[1], name=given.name)


@reads("VariableShape")
def _variable_shape(given: Given) -> Any:
    return array_ops.shape(value_now(given.inputs[0]), name=given.name, out_type=given["out_type"])


# Shapes


@reads("Shape", "Size")
def _shape(given: Given) -> Any:
    function = array_ops.shape if given.type == "Shape" else array_ops.size
    return function(given.inputs[0], name=given.name, out_type=given["out_type"])


@reads("ShapeN")
def _shapes(given: Given) -> Any:
    return [array_ops.shape(x, out_type=given["out_type"]) for x in given.inputs]


@reads("Rank")
def _rank(given: Given) -> Any:
    return array_ops.rank(given.inputs[0], name=given.name)


read_by(
    {
        "Reshape": array_ops.reshape,
        "BroadcastTo": array_ops.broadcast_to,
        "ExpandDims": array_ops.expand_dims,
        "Tile": rearranging.tile,
        "Transpose": rearranging.transpose,
        "ReverseV2": rearranging.reverse,
        "Pad": rearranging.pad,
        "Fill": filling.fill,
        "GatherNd": indexing.gather_nd,
        "Diag": rearranging.diag,
        "DiagPart": rearranging.diag_part,
        "MatrixDiag": rearranging.matrix_diag,
        "MatrixDiagPart": rearranging.matrix_diag_part,
        "InvertPermutation": rearranging.invert_permutation,
        "Slice": indexing.slice,
        "Roll": rearranging.roll,
        "ScatterNd": indexing.scatter_nd,
        "LinSpace": math_ops.linspace,
        "Where": selecting.where,
    }
)


@reads("BroadcastArgs")
def _broadcast_args(given: Given) -> Any:
    return array_ops.broadcast_dynamic_shape(*given.inputs)


@reads("Squeeze")
def _squeeze(given: Given) -> Any:
    return array_ops.squeeze(given.inputs[0], given["squeeze_dims"] or None, name=given.name)


@reads("Range")
def _range(given: Given) -> Any:
    return math_ops.range(*given.inputs, dtype=given["Tidx"], name=given.name)


# Joining and selecting


@reads("ConcatV2", "Concat")
def _concat(given: Given) -> Any:
    axis, *values = given.inputs if given.type == "Concat" else [given.inputs[-1], *given.inputs[:-1]]
    return joining.concat(values, axis, name=given.name)


@reads("Pack")
def _pack(given: Given) -> Any:
    return joining.stack(given.inputs, given["axis"], name=given.name)


@reads("Unpack")
def _unpack(given: Given) -> Any:
    return joining.unstack(given.inputs[0], given["num"], given["axis"], name=given.name)


@reads("Split")
def _split(given: Given) -> Any:
    axis, value = given.inputs
    return joining.split(value, given["num_split"], axis, name=given.name)


@reads("SplitV")
def _split_sizes(given: Given) -> Any:
    value, sizes, axis = given.inputs
    known = static_value(sizes)
    parts = sizes if known is None else [int(size) for size in known]
    return joining.split(value, parts, axis, given["num_split"], name=given.name)


@reads("StridedSlice")
def _strided(given: Given) -> Any:
    words = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    masks = [given[word] for word in words]
    x, *bounds = given.inputs
    parts = [_elements(bound) for bound in bounds]
    if all(static_value(bound) is not None for bound in bounds) or None in parts:
        return indexing.strided_slice(x, *bounds, *masks, name=given.name)
    # The known ones among packed bounds determine the shape.
    values: list[Any] = []
    begin, end, steps = [[_known_or_input(item, values) for item in part] for part in parts if part is not None]
    spec = kernels.masked_spec(begin, end, steps, *masks)
    shape = indexing.indexed_shape(x.raw_shape, spec)
    attrs = {"spec": spec}
    kind = x.dtype.base_dtype
    return apply(kernels.getitem_at, [x, *values], attrs, type="StridedSlice", name=given.name, dtype=kind, shape=shape)


def _elements(vector: Tensor) -> list[Any] | None:
    """The elements of a vector as numbers or tensors, if it is a constant or packed."""
    known = static_value(vector)
    if known is not None:
        return [int(item) for item in np.ravel(known)]
    scalars = vector.op.type == "Pack" and all(t.raw_shape == () for t in vector.op.inputs)
    return list(vector.op.inputs) if scalars else None


def _known_or_input(item: Any, values: list[Any]) -> Any:
    """A number, or an index of a further input for a tensor."""
    known = item if isinstance(item, int) else static_value(item)
    if known is not None:
        return int(known)
    values.append(item)
    return kernels.Input(len(values) - 1)


@reads("GatherV2")
def _gather(given: Given) -> Any:
    params, indices, axis = given.inputs
    return indexing.gather(params, indices, axis=axis, batch_dims=given["batch_dims"], name=given.name)


@reads("Gather")
def _old_gather(given: Given) -> Any:
    return indexing.gather(*given.inputs, name=given.name)


@reads("OneHot")
def _one_hot(given: Given) -> Any:
    indices, depth, on, off = given.inputs
    return indexing.one_hot(indices, depth, on, off, given["axis"], name=given.name)


@reads("Select", "SelectV2")
def _select(given: Given) -> Any:
    make = selecting.where if given.type == "Select" else selecting.where_v2
    return make(*given.inputs, name=given.name)


@reads("PadV2")
def _pad_value(given: Given) -> Any:
    x, paddings, value = given.inputs
    return rearranging.pad(x, paddings, constant_values=value, name=given.name)


@reads("MirrorPad")
def _mirror(given: Given) -> Any:
    return rearranging.pad(*given.inputs, mode=given["mode"], name=given.name)


@reads("Unique")
def _unique(given: Given) -> Any:
    return list(rearranging.unique(given.inputs[0], given["out_idx"], name=given.name))


@reads("UniqueWithCounts")
def _unique_counts(given: Given) -> Any:
    return list(rearranging.unique_with_counts(given.inputs[0], given["out_idx"], name=given.name))


@reads("ReverseSequence")
def _reverse_sequence(given: Given) -> Any:
    x, lengths = given.inputs
    return rearranging.reverse_sequence(x, lengths, given["seq_dim"], given["batch_dim"], name=given.name)


@reads("DynamicPartition")
def _partition(given: Given) -> Any:
    x, parts = given.inputs
    return partitioning.dynamic_partition(x, parts, given["num_partitions"], name=given.name)


@reads("DynamicStitch", "ParallelDynamicStitch")
def _stitch(given: Given) -> Any:
    count = given["N"]
    return partitioning.dynamic_stitch(given.inputs[:count], given.inputs[count:], name=given.name)
