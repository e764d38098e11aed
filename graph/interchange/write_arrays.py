"""Writers of array operations and of the sources of a graph: constants, placeholders, variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.values import tensor_proto
from weftwork.graph.interchange.writing import Node, writes
from weftwork.graph.kernels import arrays as kernels
from weftwork.graph.kernels import indices as kernels_indices
from weftwork.graph.kernels.arrays import Input
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.handles import RESOURCE_SCATTERS, is_handle, type_for, value_dtype, value_shape

Written = tuple[list[Part], dict[str, Any]]
ZERO = np.array(0, np.int32)


# Sources


@writes("Const")
def _const(node: Node) -> Written:
    dtype = node.op.outputs[0].dtype
    if dtype is dtypes.object:
        raise Inexpressible
    return [], {"value": tensor_proto(node.attrs["value"], dtype), "dtype": dtype}


@writes("Placeholder")
def _placeholder(node: Node) -> Written:
    output = node.op.outputs[0]
    return [], {"dtype": output.dtype, "shape": output.raw_shape}


@writes("PlaceholderWithDefault")
def _with_default(node: Node) -> Written:
    return node.inputs(), {"shape": node.op.outputs[0].raw_shape}


@writes("VariableV2")
def _variable(node: Node) -> Written:
    output = node.op.outputs[0]
    return [], {"dtype": output.dtype.base_dtype, "shape": output.raw_shape, "container": node.op.container}


@writes("VarHandleOp")
def _handle(node: Node) -> Written:
    op = node.op
    attrs = {"dtype": value_dtype(op), "shape": value_shape(op), "shared_name": op.attrs["shared_name"]}
    return [], {**attrs, "container": op.container}


@writes("ReadVariableOp", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")
@writes("VarIsInitializedOp", *RESOURCE_SCATTERS)
def _of_handle(node: Node) -> Written:
    handle = node.op.inputs[0]
    if not is_handle(handle):
        raise Inexpressible
    return node.inputs(), {} if node.type == "VarIsInitializedOp" else {"dtype": value_dtype(handle.op)}


@writes("Assign")
def _assign(node: Node) -> Written:
    checked = node.attrs.get("shape") is not None or node.op.inputs[1].op.type == "RestoreV2"
    return node.inputs(), {"validate_shape": checked, "use_locking": True}


@writes("AssignAdd", "AssignSub")
def _update(node: Node) -> Written:
    return node.inputs(), {"use_locking": False}


@writes("ScatterUpdate", "ScatterAdd", "ScatterSub", "ScatterMul", "ScatterDiv", "ScatterMin", "ScatterMax")
@writes("ScatterNdUpdate", "ScatterNdAdd", "ScatterNdSub")
@writes("IsVariableInitialized", "MatrixDiagPart", "DynamicStitch")
def _as_it_is(node: Node) -> Written:
    return node.inputs(), {}


@writes("InitializedValue")
def _initialized_value(node: Node) -> Written:
    """The variable if it has a value, else its initial value, which is computed in any case."""
    ref, initial = node.inputs()
    if node.op.kernel is not state_ops.value_or:
        raise Inexpressible
    kind = type_for(node.op.inputs[0].op, "IsVariableInitialized")
    by_handle = kind != "IsVariableInitialized"
    has = node.helper(kind, kind, [ref], {} if by_handle else {"dtype": ref.dtype}, dtypes.bool)
    new = node.helper("Switch", "Switch", [initial, has], {}, initial.dtype)
    old = node.helper("Switch_1", "Switch" if by_handle else "RefSwitch", [ref, has], {}, ref.dtype)
    value = Part(f"{old.name}:1", ref.dtype)
    if by_handle:
        value = node.helper("ReadVariableOp", "ReadVariableOp", [value], {"dtype": initial.dtype}, initial.dtype)
    node.type = "Merge"
    return [new, value], {}


# Shapes


@writes("Shape", "Size")
def _shape(node: Node) -> Written:
    return node.inputs(), {"out_type": node.op.outputs[0].dtype}


def _with_known(attr: str, name: str) -> Any:
    """A writer for operations whose second input, if known, is an attribute."""

    def write(node: Node) -> Written:
        inputs = node.inputs()
        if len(inputs) == 1:
            inputs.append(node.axes(name, node.attrs[attr]))
        return inputs, {}

    return write


writes("Reshape")(_with_known("shape", "shape"))
writes("BroadcastTo")(_with_known("shape", "shape"))
writes("ExpandDims")(_with_known("axis", "dim"))
writes("Tile")(_with_known("reps", "multiples"))


@writes("ReverseV2")
def _reversed(node: Node) -> Written:
    inputs = node.inputs()
    if len(inputs) == 1:
        inputs.append(node.constant("axis", np.atleast_1d(node.attrs["axis"])))
    return inputs, {}


@writes("Roll")
def _rolled(node: Node) -> Written:
    inputs = node.inputs()
    if len(inputs) == 1:
        inputs += [node.axes("shift", node.attrs["shift"]), node.axes("axis", node.attrs["axis"])]
    return inputs, {}


@writes("Squeeze")
def _squeezed(node: Node) -> Written:
    return node.inputs(), {"squeeze_dims": list(node.attrs.get("axis") or ())}


@writes("Transpose")
def _transposed(node: Node) -> Written:
    inputs, order = node.inputs(), node.attrs.get("axes")
    if len(inputs) == 1:
        shape = node.op.inputs[0].raw_shape
        if order is None and shape is None:
            ends = [node.make("Sub", node.make("Rank", inputs[0]), 1), node.constant("limit", -1)]
            return [*inputs, node.make("Range", *ends, node.constant("delta", -1))], {}
        inputs.append(node.constant("perm", range(len(shape))[::-1] if order is None else order))  # type: ignore[arg-type]
    return inputs, {}


@writes("Fill")
def _filled(node: Node) -> Written:
    dtype = node.op.outputs[0].dtype.base_dtype
    value: Part
    if node.op.kernel in (np.ones, np.zeros):
        shape = node.inputs()
        value = node.constant("value", 1 if node.op.kernel is np.ones else 0, dtype)
    elif node.op.kernel is kernels.fill:
        value, *shape = node.inputs()
    else:
        raise Inexpressible
    return [shape[0] if shape else node.axes("dims", node.attrs.get("shape", node.attrs.get("dims"))), value], {}


@writes("ZerosLike", "OnesLike")
def _like(node: Node) -> Written:
    (x,), dtype = node.inputs(), node.op.outputs[0].dtype.base_dtype
    if x.dtype is dtype:
        return [x], {}
    node.type, one = "Fill", node.type == "OnesLike"
    zero = b"" if dtype is dtypes.string else 0
    return [node.make("Shape", x), node.constant("value", 1 if one else zero, dtype)], {}


@writes("Range")
def _range(node: Node) -> Written:
    dtype = node.op.outputs[0].dtype.base_dtype
    if node.op.inputs:
        return node.inputs(), {}
    words = (("start", "start"), ("limit", "stop"), ("delta", "step"))
    return [node.constant(name, node.attrs[key], dtype) for name, key in words], {}


@writes("LinSpace")
def _linspace(node: Node) -> Written:
    inputs = node.inputs()
    return (inputs if len(inputs) == 3 else [*inputs, node.constant("num", node.attrs["num"])]), {}


# Joining and selecting


@writes("ConcatV2")
def _concat(node: Node) -> Written:
    inputs = node.inputs()
    if "axis" in node.attrs:
        return [*inputs, node.constant("axis", node.attrs["axis"])], {}
    return [*inputs[1:], inputs[0]], {}


@writes("Pack")
def _pack(node: Node) -> Written:
    return node.inputs(), {"axis": node.attrs["axis"]}


@writes("Unpack")
def _unpack(node: Node) -> Written:
    return node.inputs(), {"axis": node.attrs["axis"], "num": len(node.op.outputs)}


@writes("Split")
def _split(node: Node) -> Written:
    inputs = node.inputs()
    if len(inputs) == 1:
        inputs.insert(0, node.constant("split_dim", node.attrs["axis"]))
    return inputs, {"num_split": len(node.op.outputs)}


@writes("SplitV")
def _split_sizes(node: Node) -> Written:
    inputs = node.inputs()
    if len(inputs) == 1:
        inputs.append(node.axes("size_splits", node.attrs["sizes"]))
    return [*inputs, node.constant("split_dim", node.attrs["axis"])], {"num_split": len(node.op.outputs)}


@writes("Slice")
def _slice(node: Node) -> Written:
    inputs, attrs = node.inputs(), node.attrs
    if len(inputs) == 3:
        return inputs, {}
    if "spec" in attrs:
        begin = [first for first, _, _ in attrs["spec"]]
        size = [-1 if last is None else last - first for first, last, _ in attrs["spec"]]
    else:
        begin, size = attrs["begin"], attrs["size"]
    return [*inputs, node.axes("begin", list(begin)), node.axes("size", list(size))], {}


@writes("StridedSlice")
def _strided(node: Node) -> Written:
    inputs, attrs = node.inputs(), node.attrs
    words = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    if "masks" in attrs:
        return inputs, dict(zip(words, attrs["masks"], strict=True))
    begin, end, steps, masks = masked(attrs["spec"])
    bounds = [_vector(node, name, items, inputs[1:]) for name, items in (("stack", begin), ("stack_1", end))]
    return [inputs[0], *bounds, _vector(node, "stack_2", steps, inputs[1:])], dict(zip(words, masks, strict=True))


def masked(spec: tuple) -> tuple[list, list, list, list[int]]:
    """begin, end, strides and the five masks for an index."""
    begin: list = []
    end: list = []
    steps: list = []
    masks = [0, 0, 0, 0, 0]
    for number, part in enumerate(spec):
        first, last, step = 0, 0, 1
        if part is Ellipsis or part is None:
            masks[2 if part is Ellipsis else 3] |= 1 << number
        elif isinstance(part, tuple) and not isinstance(part, Input):
            masks[0] |= (part[0] is None) << number
            masks[1] |= (part[1] is None) << number
            first, last, step = part[0] or 0, 0 if part[1] is None else part[1], 1 if part[2] is None else part[2]
            first = 0 if part[0] is None else part[0]
        else:
            masks[4] |= 1 << number
            first = part
            last = Input(-1 - part.k) if isinstance(part, Input) else part + 1
        begin, end, steps = [*begin, first], [*end, last], [*steps, step]
    return begin, end, steps, masks


def _vector(node: Node, name: str, items: list, given: list[Part]) -> Part:
    """Bounds as a constant, or packed if some are run-time inputs; Input(-1 - k) means input k plus one."""
    found = [given[k if k >= 0 else -1 - k] for k in [item.k for item in items if isinstance(item, Input)]]
    if not found:
        return node.constant(name, items)
    if len({part.dtype for part in found}) > 1:
        raise Inexpressible
    dtype, parts = found[0].dtype, []
    for number, item in enumerate(items):
        if not isinstance(item, Input):
            parts.append(node.constant(f"{name}_{number}", item, dtype))
        elif item.k >= 0:
            parts.append(given[item.k])
        else:
            one = node.constant("one", 1, dtype)
            parts.append(node.helper("add", "Add", [given[-1 - item.k], one], {}, dtype))
    return node.helper(name, "Pack", parts, {}, dtype)


@writes("GatherV2")
def _gather(node: Node) -> Written:
    inputs, kernel = node.inputs(), node.op.kernel
    if kernel is kernels_indices.batch_gather:
        batch = node.attrs["batch_dims"]
        axis = inputs[2:] or [node.constant("axis", node.attrs["axis"])]
        return [*inputs[:2], *axis], {"batch_dims": batch}
    if kernel is not kernels_indices.gather:
        raise Inexpressible
    return (inputs if len(inputs) == 3 else [*inputs, node.constant("axis", node.attrs.get("axis", 0))]), {}


@writes("ScatterNd")
def _scatter_nd(node: Node) -> Written:
    inputs = node.inputs()
    if len(inputs) == 2:
        inputs.append(node.constant("shape", list(node.attrs["shape"]), inputs[0].dtype))
    return inputs, {}


@writes("OneHot")
def _one_hot(node: Node) -> Written:
    at, on, off, *depth = node.inputs()
    return [at, depth[0] if depth else node.constant("depth", node.attrs["depth"]), on, off], {
        "axis": node.attrs["axis"]
    }


@writes("Select", "SelectV2")
def _select(node: Node) -> Written:
    return node.inputs(), {}


@writes("Pad", "PadV2", "MirrorPad")
def _pad(node: Node) -> Written:
    attrs, inputs = node.attrs, node.inputs()
    if "pad_width" in attrs:
        inputs.append(node.constant("paddings", attrs["pad_width"]))
        if attrs["value"] is not None:
            inputs.append(node.constant("constant_values", attrs["value"], inputs[0].dtype))
    if attrs["mode"] != "constant":
        return inputs, {"mode": attrs["mode"].upper()}
    if node.type == "Pad":
        if "pad_width" in attrs:
            node.helpers.pop()
        del inputs[2:]
    return inputs, {}


@writes("Unique", "UniqueWithCounts")
def _unique(node: Node) -> Written:
    return node.inputs(), {"out_idx": node.op.outputs[1].dtype}


@writes("ReverseSequence")
def _reverse_sequence(node: Node) -> Written:
    return node.inputs(), {"seq_dim": node.attrs["seq_axis"], "batch_dim": node.attrs["batch_axis"]}


@writes("DynamicPartition")
def _partition(node: Node) -> Written:
    return node.inputs(), {"num_partitions": len(node.op.outputs)}


@writes("CheckNumerics")
def _checked(node: Node) -> Written:
    return node.inputs(), {"message": str(node.attrs.get("message", ""))}


@writes("PreventGradient")
def _prevented(node: Node) -> Written:
    return node.inputs(), {"message": node.attrs["message"]}


@writes("BooleanMask")
def _masked_rows(node: Node) -> Written:
    """Gather the positions where the mask is true along one axis."""
    x, picks = node.inputs()
    axis, shape = node.attrs["axis"], node.op.inputs[1].raw_shape
    assert shape is not None  # boolean_mask requires it
    if len(shape) > 1:  # collapse the axes of the mask
        whole = node.op.inputs[0].raw_shape
        if whole is None or None in whole[axis + len(shape) :] + whole[:axis]:
            raise Inexpressible
        flat = [*whole[:axis], -1, *whole[axis + len(shape) :]]
        x = node.helper("Reshape", "Reshape", [x, node.axes("Reshape/shape", flat)], {}, x.dtype)
        picks = node.helper("Reshape_1", "Reshape", [picks, node.axes("Reshape_1/shape", [-1])], {}, dtypes.bool)
    found = node.helper("Where", "Where", [picks], {}, dtypes.int64)
    rows = node.helper("Squeeze", "Squeeze", [found], {"squeeze_dims": [1]}, dtypes.int64)
    node.type = "GatherV2"
    return [x, rows, node.constant("axis", axis)], {}


@writes("Eye")
def _identity_matrix(node: Node) -> Written:
    dtype = node.op.outputs[0].dtype.base_dtype
    batch = node.attrs.get("batch")
    if node.op.inputs:
        rows, columns = [node.as_type(part, dtypes.int32) for part in node.inputs()[:2]]
        if batch or len(node.op.inputs) > 2:
            raise Inexpressible
        size = node.make("Minimum", rows, columns)
        ones = node.make("Fill", node.make("Pack", size), node.constant("one", 1, dtype))
        node.type = "MatrixDiagV3"
        return [ones, node.constant("k", 0), rows, columns, node.constant("zero", 0, dtype)], {}
    node.type = "Const"
    value = np.eye(node.attrs["rows"], node.attrs["columns"], dtype=dtype.numpy)
    value = np.broadcast_to(value, (*batch, *value.shape))
    return [], {"value": tensor_proto(value, dtype), "dtype": dtype}


@writes("BatchIndices")
def _with_batch(node: Node) -> Written:
    """Indices preceded by the number of their element of the batch: the coordinates of each, joined."""
    indices, batch = node.inputs()[1], node.attrs["batch_dims"]
    shape = node.op.inputs[1].raw_shape
    if shape is None:
        raise Inexpressible
    rank = len(shape)
    sizes = node.make("Shape", indices)
    one_each = node.make("ConcatV2", node.make("StridedSlice", sizes, [0], [rank - 1], [1]), [1], ZERO)
    columns = []
    for axis in range(batch):
        size = node.make("StridedSlice", sizes, [axis], [axis + 1], [1], shrink_axis_mask=1)
        line = node.make("Range", node.constant("start", 0), size, node.constant("delta", 1))
        wide = node.make("Reshape", line, [-1 if at == axis else 1 for at in range(rank)])
        columns.append(node.as_type(node.make("BroadcastTo", wide, one_each), indices.dtype))
    node.type = "ConcatV2"
    return [*columns, indices, node.constant("axis", rank - 1)], {}


@writes("SequenceMask")
def _sequence_mask(node: Node) -> Written:
    lengths = node.inputs()[0]
    dtype = node.op.outputs[0].dtype.base_dtype
    if "maxlen" not in node.attrs:
        raise Inexpressible
    places = node.constant("Range", range(node.attrs["maxlen"]), lengths.dtype)
    rows = node.helper("ExpandDims", "ExpandDims", [lengths, node.constant("dim", -1)], {}, lengths.dtype)
    if dtype is dtypes.bool:
        node.type = "Less"
        return [places, rows], {}
    node.type = "Cast"
    return [node.helper("Less", "Less", [places, rows], {}, dtypes.bool)], {"DstT": dtype}
