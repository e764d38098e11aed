"""Readers and writers of operations on sparse tensors.

Our kernels handle indices, and tell where each value comes from: they are written as TensorFlow's operations on the
numbers of the values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.interchange import sparse as packing
from weftwork.graph.interchange.given import Given, read_by, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import Node, writes, written_with
from weftwork.graph.ops import array_ops, math_ops, spaces, sparse_dense, sparse_ops, sparse_reductions
from weftwork.graph.ops.composite import SparseTensor

Written = tuple[list[Part], dict[str, Any]]
ZERO = np.array(0, np.int32)

# Reading


def _on_sparse(function: Callable[..., Any], *words: str) -> Callable[[Given], Any]:
    """A reader: the function takes a sparse tensor, the other inputs, and attributes by their names."""

    def read(given: Given) -> Any:
        sparse, rest = SparseTensor(*given.inputs[:3]), given.inputs[3:]
        return function(sparse, *rest, **{word: given[word] for word in words})

    return read


for _type, _function in {
    "SparseSlice": sparse_ops.sparse_slice,
    "SparseReduceSum": sparse_reductions.sparse_reduce_sum,
    "SparseReduceSumSparse": sparse_reductions.sparse_reduce_sum_sparse,
    "SparseReduceMax": sparse_reductions.sparse_reduce_max,
    "SparseReduceMaxSparse": sparse_reductions.sparse_reduce_max_sparse,
    "SerializeSparse": packing.serialize_sparse,
    "SerializeManySparse": packing.serialize_many_sparse,
}.items():
    reads(_type)(_on_sparse(_function, *(["keep_dims"] if "Reduce" in _type else [])))

reads("SparseTensorDenseMatMul")(_on_sparse(sparse_ops.sparse_tensor_dense_matmul, "adjoint_a", "adjoint_b"))
read_by({"DeserializeManySparse": packing.deserialize_many_sparse}, dtype="dtype")
read_by({"SparseSegmentSum": sparse_reductions.sparse_segment_sum})
read_by({"SparseSegmentMean": sparse_reductions.sparse_segment_mean})
read_by({"SparseSegmentSqrtN": sparse_reductions.sparse_segment_sqrt_n})


@reads("SparseFillEmptyRows")
def _filled(given: Given) -> Any:
    """Also the new place of each value, which our own does not tell."""
    indices, values, shape, default = given.inputs
    numbers = math_ops.range(array_ops.shape(values, out_type=dtypes.int64)[0])
    source = sparse_ops.sparse_fill_empty_rows(SparseTensor(indices, numbers, shape), -1)[0].values
    places = array_ops.where(math_ops.greater_equal(source, 0))
    total = array_ops.shape(values, out_type=dtypes.int64)
    back = array_ops.scatter_nd(array_ops.gather_nd(source[:, None], places), array_ops.reshape(places, [-1]), total)
    made, empty = sparse_ops.sparse_fill_empty_rows(SparseTensor(indices, values, shape), default)
    return [made.indices, made.values, empty, back]


@reads("SparseReorder")
def _reordered(given: Given) -> Any:
    made = sparse_ops.sparse_reorder(SparseTensor(*given.inputs))
    return [made.indices, made.values]


@reads("SparseReshape")
def _reshaped(given: Given) -> Any:
    indices, shape, wanted = given.inputs
    numbers = array_ops.zeros_like(indices[:, 0])
    made = sparse_ops.sparse_reshape(SparseTensor(indices, numbers, shape), wanted)
    return [made.indices, made.dense_shape]


@reads("SparseConcat")
def _joined(given: Given) -> Any:
    count = given["N"]
    parts = [SparseTensor(*given.inputs[at::count]) for at in range(count)]
    return sparse_ops.sparse_concat(given["concat_dim"], parts)


@reads("SparseSplit")
def _split(given: Given) -> Any:
    axis, *parts = given.inputs
    made = sparse_ops.split(SparseTensor(*parts), given["num_split"], axis)
    return [[one.indices for one in made], [one.values for one in made], [one.dense_shape for one in made]]


@reads("SparseSoftmax")
def _softmax(given: Given) -> Any:
    return sparse_ops.sparse_softmax(SparseTensor(*given.inputs)).values


@reads("SparseAdd")
def _added(given: Given) -> Any:
    a, b = SparseTensor(*given.inputs[:3]), SparseTensor(*given.inputs[3:6])
    return sparse_ops.sparse_add(a, b, given.inputs[6])


@reads("SparseSparseMaximum", "SparseSparseMinimum")
def _extreme(given: Given) -> Any:
    function = sparse_ops.sparse_maximum if given.type.endswith("Maximum") else sparse_ops.sparse_minimum
    made = function(SparseTensor(*given.inputs[:3]), SparseTensor(*given.inputs[3:]))
    return [made.indices, made.values]


@reads("SparseTensorDenseAdd")
def _dense_added(given: Given) -> Any:
    return sparse_ops.sparse_add(SparseTensor(*given.inputs[:3]), given.inputs[3])


@reads("SparseDenseCwiseAdd", "SparseDenseCwiseMul", "SparseDenseCwiseDiv")
def _elementwise(given: Given) -> Any:
    word = {"Add": "add", "Mul": "multiply", "Div": "div"}[given.type.removeprefix("SparseDenseCwise")]
    return sparse_ops.cwise(word, SparseTensor(*given.inputs[:3]), given.inputs[3]).values


@reads("SparseToDense")
def _to_dense(given: Given) -> Any:
    indices, shape, values, default = given.inputs
    return sparse_dense.sparse_to_dense(
        indices, shape, values, default, validate_indices=given["validate_indices"], name=given.name
    )


@reads("SparseMatMul")
def _matmul(given: Given) -> Any:
    words = {word: given[word] for word in ("transpose_a", "transpose_b")}
    return sparse_ops.sparse_matmul(*given.inputs, **words, name=given.name)


@reads("EditDistance")
def _edit_distance(given: Given) -> Any:
    a, b = SparseTensor(*given.inputs[:3]), SparseTensor(*given.inputs[3:])
    return spaces.edit_distance(a, b, given["normalize"], name=given.name)


# Writing

written_with("EditDistance", normalize=lambda attrs: bool(attrs["normalize"]))
written_with("SerializeSparse", "SerializeManySparse", "DeserializeManySparse")
written_with(
    "SparseTensorDenseMatMul",
    adjoint_a=lambda attrs: bool(attrs["adjoint_a"]),
    adjoint_b=lambda attrs: bool(attrs["adjoint_b"]),
)


def _numbers(node: Node, indices: Part, start: Part | None = None) -> Part:
    """0, 1, 2..., or those after `start`, for each index; int64."""
    count = _count(node, indices)
    first = node.constant("first", 0, dtypes.int64) if start is None else start
    end = count if start is None else node.make("Add", start, count)
    return node.make("Range", first, end, node.constant("step", 1, dtypes.int64))


def _count(node: Node, indices: Part) -> Part:
    """The number of indices, int64."""
    sizes = node.make("Shape", indices, out_type=dtypes.int64)
    return node.make("StridedSlice", sizes, [0], [1], [1], shrink_axis_mask=1)


@writes("SparseReorder")
def _write_reordered(node: Node) -> Written:
    indices, shape = node.inputs()
    return [indices, _numbers(node, indices), shape], {}


written_with("SparseReshape")


@writes("SparseSlice")
def _write_slice(node: Node) -> Written:
    indices, *rest = node.inputs()
    return [indices, _numbers(node, indices), *rest], {}


@writes("SparseConcat")
def _write_joined(node: Node) -> Written:
    """The numbers go on from one tensor to the next."""
    inputs, attrs = node.inputs(), node.attrs
    half = len(inputs) // 2
    indices, shapes = inputs[:half], inputs[half:]
    if attrs["axis"] is None:
        raise Inexpressible
    numbers, start = [], None
    for part in indices:
        numbers.append(_numbers(node, part, start))
        count = _count(node, part)
        start = count if start is None else node.make("Add", start, count)
    if attrs["expand"]:
        rank = node.op.inputs[half].raw_shape
        if rank is None or rank[0] is None:
            raise Inexpressible
        most = node.make("Max", node.make("Pack", *shapes), [0])
        axis = attrs["axis"] % rank[0]
        own = np.arange(rank[0]) == axis
        shapes = [node.make("Select", own, shape, most) for shape in shapes]
    return [*indices, *numbers, *shapes], {"concat_dim": attrs["axis"]}


@writes("SparseSplit")
def _write_split(node: Node) -> Written:
    indices, shape, axis = node.inputs()
    count = node.attrs["num"]
    kinds = [t.dtype.base_dtype for t in node.op.outputs[:3]]
    places = [(part, kind) for part in range(count) for kind in range(3)]
    node.made = [Part(f"{node.op.name}:{kind * count + part}", kinds[kind]) for part, kind in places]
    numbers = _numbers(node, indices)
    return [node.as_type(axis, dtypes.int64), indices, numbers, shape], {"num_split": count}


@writes("SparseFillEmptyRows")
def _write_filled(node: Node) -> Written:
    """An added value has the number -1."""
    indices, shape = node.inputs()
    return [indices, _numbers(node, indices), shape, node.constant("default", -1, dtypes.int64)], {}


@writes("SparseRetain")
def _write_retained(node: Node) -> Written:
    indices, keep = node.inputs()
    source = node.make("Reshape", node.make("Where", keep), [-1])
    node.made, node.type = [Part(node.op.name, dtypes.int64), source], "GatherV2"
    return [indices, source, node.constant("axis", 0)], {}


@writes("SparseTranspose")
def _write_transposed(node: Node) -> Written:
    """The columns of the indices are exchanged, and the rows sorted."""
    indices, shape, *given = node.inputs()
    if given:
        order = given[0]
    elif node.attrs["perm"] is not None:
        order = node.constant("perm", node.attrs["perm"])
    else:
        rank = node.make("StridedSlice", node.make("Shape", shape), [0], [1], [1], shrink_axis_mask=1)
        limits = [node.constant("limit", -1), node.constant("step", -1)]
        order = node.make("Range", node.make("Sub", rank, 1), *limits)
    moved = node.make("GatherV2", indices, order, np.array(1, np.int32))
    dims = node.make("GatherV2", shape, order, np.array(0, np.int32))
    node.type = "SparseReorder"
    node.made = [Part(node.op.name, dtypes.int64), Part(f"{node.op.name}:1", dtypes.int64), dims]
    return [moved, _numbers(node, indices), dims], {}


@writes("SparseToDense")
def _write_dense(node: Node) -> Written:
    return node.inputs(), {"validate_indices": bool(node.attrs["validate"])}


@writes("SparseDensePick")
def _write_picked(node: Node) -> Written:
    """The dense tensor, broadcast to the sparse one's shape, at its indices."""
    dense, indices, shape = node.inputs()
    node.type = "GatherNd"
    return [node.make("BroadcastTo", dense, shape), indices], {}


@writes("DenseToSparse")
def _write_sparse(node: Node) -> Written:
    (x,) = node.inputs()
    filled = node.make("NotEqual", x, node.constant("zero", b"" if x.dtype is dtypes.string else 0, x.dtype))
    places = node.make("Where", filled)
    node.made = [places, node.make("GatherNd", x, places), Part(node.op.name, dtypes.int64)]
    node.type = "Shape"
    return [x], {"out_type": dtypes.int64}


@writes("SparseUnion")
def _write_united(node: Node) -> Written:
    """Where a mask of both is true; each value's place is the number of true ones before it."""
    a, b, shape, _ = node.inputs()
    ones = node.make("Fill", shape, node.constant("one", 0, dtypes.int64))
    mask = ones
    for part in (a, b):
        count = node.make("ExpandDims", _count(node, part), np.array(0, np.int32))
        ones = node.make("Fill", count, node.constant("one", 1, dtypes.int64))
        mask = node.make("Add", mask, node.make("ScatterNd", part, ones, shape))
    filled = node.make("Greater", mask, 0)
    numbered = node.make("Cumsum", node.make("Cast", node.make("Reshape", filled, [-1]), DstT=dtypes.int64), ZERO)
    table = node.make("Reshape", node.make("Sub", numbered, 1), shape)
    places = [node.make("GatherNd", table, part) for part in (a, b)]
    node.type, node.made = "Where", [Part(node.op.name, dtypes.int64), *places]
    return [filled], {}


@writes("SparseGroups")
def _write_groups(node: Node) -> Written:
    """Each value's place in the tensor that is left, this one's shape, and where it is filled."""
    indices, shape, *given = node.inputs()
    rank = (node.op.inputs[1].raw_shape or (None,))[0]
    if len(node.op.outputs) == 2:
        return _write_rows(node, indices, shape)
    if given or rank is None or "keepdims" not in node.attrs:
        raise Inexpressible
    axes = node.attrs["axes"]
    reduced = set(range(rank)) if axes is None else {int(axis) % rank for axis in axes}
    left = [axis for axis in range(rank) if axis not in reduced]
    inner = node.make("GatherV2", shape, left, ZERO)
    strides = node.make("Cumprod", inner, ZERO, exclusive=True, reverse=True)
    columns = node.make("GatherV2", indices, left, np.array(1, np.int32))
    places = node.make("Sum", node.make("Mul", columns, strides), [1])
    dims = inner
    if node.attrs["keepdims"]:
        kept = np.isin(np.arange(rank), left)
        dims = node.make("Select", kept, shape, node.make("OnesLike", shape))
    total = node.make("Prod", dims, [0])
    if not left and not node.attrs["keepdims"]:
        return _write_whole(node, indices, places, dims)
    counts = node.make("UnsortedSegmentSum", node.make("OnesLike", places), places, total)
    filled = node.make("Greater", node.make("Reshape", counts, dims), 0)
    node.type, node.made = "Where", [places, dims, Part(node.op.name, dtypes.int64)]
    return [filled], {}


def _write_whole(node: Node, indices: Part, places: Part, dims: Part) -> Written:
    """All values are of one element, which has no index: [1, 0] if there is one."""
    rows = node.make("Minimum", _count(node, indices), 1)
    node.type, node.made = "Fill", [places, dims, Part(node.op.name, dtypes.int64)]
    empty = node.constant("columns", 0, dtypes.int64)
    return [node.make("Pack", rows, empty), node.constant("value", 0, dtypes.int64)], {}


def _write_rows(node: Node, indices: Part, shape: Part) -> Written:
    """The group of each value, those of the same row along the last axis, and their number."""
    inner = node.make("StridedSlice", shape, [0], [-1], [1], begin_mask=1)
    strides = node.make("Cumprod", inner, ZERO, exclusive=True, reverse=True)
    columns = node.make("StridedSlice", indices, [0, 0], [0, -1], [1, 1], begin_mask=3, end_mask=1)
    found = node.make("Unique", node.make("Sum", node.make("Mul", columns, strides), [1]), out_idx=dtypes.int64)
    node.made = [Part(f"{found.name}:1", dtypes.int64), Part(node.op.name, dtypes.int64)]
    node.type = "Size"
    return [found], {"out_type": dtypes.int64}


@writes("SparseMask")
def _write_mask(node: Node) -> Written:
    node.type, node.made = "ListDiff", [Part(f"{node.op.name}:1", dtypes.int64)]
    return node.inputs(), {"out_idx": dtypes.int64}


@writes("SparseResetShape")
def _write_reset(node: Node) -> Written:
    """One more than the largest index along each axis; a given shape is taken as it is."""
    indices, shape, *given = node.inputs()
    if given:
        node.type = "Identity"
        return given, {}
    least = node.make("ExpandDims", node.make("Sub", node.make("ZerosLike", shape), 1), ZERO)
    most = node.make("Max", node.make("ConcatV2", indices, least, ZERO), [0])
    node.type = "Add"
    return [most, node.constant("one", 1, dtypes.int64)], {}
