"""Readers and writers of operations that move parts of tensors: blocks, windows, slices, bits, sorted and grouped."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply
from weftwork.graph.interchange.given import Given, read_by, reads
from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.write_arrays import masked
from weftwork.graph.interchange.writing import Node, writes, written_with
from weftwork.graph.kernels import arrays, derivatives
from weftwork.graph.ops import array_ops, joining, partitioning, rearranging, scattering, sets, spaces
from weftwork.graph.ops.composite import SparseTensor

Written = tuple[list[Part], dict[str, Any]]

# Blocks and windows

read_by({"SpaceToBatchND": spaces.space_to_batch_nd, "BatchToSpaceND": spaces.batch_to_space_nd})
read_by({"SpaceToBatch": spaces.space_to_batch, "BatchToSpace": spaces.batch_to_space}, block_size="block_size")
read_by(
    {"SpaceToDepth": spaces.space_to_depth, "DepthToSpace": spaces.depth_to_space},
    block_size="block_size",
    data_format="data_format",
)
written_with("SpaceToDepth", "DepthToSpace", block_size=lambda attrs: attrs["size"])
_WINDOWS = {"ksizes": "ksizes", "strides": "strides", "padding": "padding"}
read_by({"ExtractImagePatches": spaces.extract_image_patches}, **_WINDOWS, rates="rates")
read_by({"ExtractVolumePatches": spaces.extract_volume_patches}, **_WINDOWS)


@writes("ExtractPatches")
def _write_patches(node: Node) -> Written:
    attrs, flat = node.attrs, len(node.attrs["kernel"]) == 2
    node.type = "ExtractImagePatches" if flat else "ExtractVolumePatches"
    words = {"ksizes": "kernel", "strides": "strides", **({"rates": "rates"} if flat else {})}
    return node.inputs(), {**{w: [1, *attrs[key], 1] for w, key in words.items()}, "padding": attrs["padding"]}


# Slices

read_by({"TensorScatterUpdate": scattering.tensor_scatter_update, "TensorScatterAdd": scattering.tensor_scatter_add})
read_by({"TensorScatterSub": scattering.tensor_scatter_sub, "TensorScatterMax": scattering.tensor_scatter_max})
read_by({"TensorScatterMin": scattering.tensor_scatter_min})
read_by({"Bitcast": spaces.bitcast}, type="type")
read_by({"ListDiff": partitioning.setdiff1d}, out_idx="index_dtype")
read_by({"EnsureShape": spaces.ensure_shape}, shape="shape")
written_with("TensorScatterUpdate", "TensorScatterAdd", "TensorScatterSub", "TensorScatterMax", "TensorScatterMin")
written_with("Bitcast", "ListDiff", "DynamicStitch")
written_with("EnsureShape", shape=lambda attrs: attrs["shape"])


@reads("Reverse")
def _reversed(given: Given) -> Any:
    """Along the axes for which a vector of booleans is true."""
    x, dims = given.inputs
    axes = array_ops.reshape(array_ops.where(dims), [-1])
    return rearranging.reverse(x, axes, name=given.name)


@reads("ParallelConcat")
def _parallel_concat(given: Given) -> Any:
    return joining.concat(given.inputs, 0, name=given.name)


@reads("StridedSliceGrad")
def _unsliced(given: Given) -> Any:
    """Zeros of a shape, with the gradient where a slice was taken."""
    shape, begin, end, strides, grad = given.inputs
    words = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    attrs = {"masks": tuple([given[word] for word in words])}
    inputs = [grad, shape, begin, end, strides]
    dtype = grad.dtype.base_dtype
    return apply(unsliced, inputs, attrs, type="StridedSliceGrad", name=given.name, dtype=dtype, shape=None)


def unsliced(grad: Any, shape: Any, begin: Any, end: Any, strides: Any, *, masks: tuple[int, ...]) -> Any:
    """The kernel of StridedSliceGrad."""
    spec = arrays.masked_spec(*[np.asarray(part).tolist() for part in (begin, end, strides)], *masks)
    return derivatives.unslice(grad, tuple(np.asarray(shape).tolist()), spec)


@writes("StridedSliceGrad")
def _write_unsliced(node: Node) -> Written:
    grad, *of = node.inputs()
    begin, end, steps, masks = masked(node.attrs["spec"])
    shape = node.make("Shape", of[0]) if of else node.constant("shape", list(node.attrs["shape"]))
    bounds = [node.constant(name, part) for name, part in (("begin", begin), ("end", end), ("strides", steps))]
    words = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    return [shape, *bounds, grad], dict(zip(words, masks, strict=True))


# Sorting and searching


def _last(node: Node, part: Part, axis: int, rank: int) -> Part:
    """The part with this axis in the last place, or back."""
    if axis == rank - 1:
        return part
    return node.make("Transpose", part, _exchanged(axis, rank))


def _exchanged(axis: int, rank: int) -> list[int]:
    """The axes, in which this one and the last have changed places."""
    order = list(range(rank))
    order[axis], order[-1] = rank - 1, axis
    return order


def _axis(node: Node) -> tuple[int, int]:
    """(the axis, the rank)."""
    shape = node.op.inputs[0].raw_shape
    if shape is None:
        raise Inexpressible
    return node.attrs["axis"] % len(shape), len(shape)


@writes("ArgSort")
def _write_order(node: Node) -> Written:
    """The places of the largest values, or of the largest negative ones; equal ones keep their order."""
    (x,), (axis, rank) = node.inputs(), _axis(node)
    if "down" not in node.attrs or x.dtype.numpy.kind not in "if":
        raise Inexpressible
    shape = node.make("Shape", x)
    size = node.make("StridedSlice", shape, [axis], [axis + 1], [1], shrink_axis_mask=1)
    largest = _last(node, x if node.attrs["down"] else node.make("Neg", x), axis, rank)
    node.made = [Part(f"{node.op.name}:1", dtypes.int32)]
    if axis == rank - 1:
        node.type = "TopKV2"
        return [largest, size], {}
    order = node.make("TopKV2", largest, size)
    node.type, node.made = "Transpose", None
    return [Part(f"{order.name}:1", dtypes.int32), node.constant("perm", _exchanged(axis, rank))], {}


@writes("Sort")
def _write_sorted(node: Node) -> Written:
    (x, order), (axis, rank) = node.inputs(), _axis(node)
    parts = [_last(node, part, axis, rank) for part in (x, order)]
    node.type, attrs = "GatherV2", {"batch_dims": rank - 1}
    if axis == rank - 1:
        return [*parts, node.constant("axis", rank - 1)], attrs
    picked = node.make("GatherV2", *parts, np.array(rank - 1, np.int32), **attrs)
    node.type = "Transpose"
    return [picked, node.constant("perm", _exchanged(axis, rank))], {}


@writes("SearchSorted")
def _write_found(node: Node) -> Written:
    """Row by row: TensorFlow's takes matrices only."""
    sequence, values = node.inputs()
    node.type = "LowerBound" if node.attrs["side"] == "left" else "UpperBound"
    ranks = {None if t.raw_shape is None else len(t.raw_shape) for t in node.op.inputs}
    if ranks == {2}:
        return [sequence, values], {}
    if ranks != {1}:
        raise Inexpressible
    bound = node.type
    rows = [node.make("ExpandDims", part, np.int32(0)) for part in (sequence, values)]
    found = node.make(bound, *rows, out_type=node.op.outputs[0].dtype.base_dtype)
    node.type = "Squeeze"
    return [found], {"squeeze_dims": [0]}


@writes("RepeatIndex")
def _write_repeated(node: Node) -> Written:
    """Each number as often as it is to be repeated: the numbers of a mask of rows, cut from range."""
    size, times = node.inputs()
    raw = node.op.inputs[1].raw_shape
    if raw is None or times.dtype is not dtypes.int32:
        raise Inexpressible
    shape = node.make("Pack", size)
    if raw in ((), (1,)):
        times = node.make("BroadcastTo", times, shape)
    most = node.make("Max", times, [0])
    columns = node.make("ExpandDims", node.make("Range", node.constant("start", 0), most, node.constant("delta", 1)), 0)
    inside = node.make("Less", columns, node.make("ExpandDims", times, 1))
    places = node.make("Cast", node.make("Where", inside), DstT=dtypes.int32)
    node.type = "StridedSlice"
    bounds = [node.constant(name, part) for name, part in (("begin", [0, 0]), ("end", [0, 1]), ("strides", [1, 1]))]
    return [places, *bounds], {"begin_mask": 1, "end_mask": 1, "shrink_axis_mask": 2}


@writes("Meshgrid")
def _write_grid(node: Node) -> Written:
    """Each vector along its axis, broadcast to the sizes of all."""
    parts = node.inputs()
    count = len(parts)
    order = [1, 0, *range(2, count)] if node.attrs["indexing"] == "xy" and count > 1 else list(range(count))
    sizes = [node.make("Size", part) for part in parts]
    shape = node.make("Pack", *[sizes[at] for at in order])
    made = []
    for number, part in enumerate(parts):
        wide = [1] * count
        wide[order.index(number)] = -1
        made.append((node.make("Reshape", part, wide), shape))
    rest = [node.make("BroadcastTo", *pair) for pair in made[1:]]
    node.made = [Part(node.op.name, parts[0].dtype), *rest]
    node.type = "BroadcastTo"
    return list(made[0]), {}


# Sets

_WORDS = {"union": "union", "intersection": "intersection", "difference": "a-b"}


def _in_sets(given: Given) -> list[Any]:
    """The arguments of a set operation, in which a sparse one is three inputs."""
    rest, kinds = list(given.inputs), given.type.removesuffix("SetOperation").split("To")
    return [SparseTensor(*[rest.pop(0) for _ in range(3)]) if kind == "Sparse" else rest.pop(0) for kind in kinds]


@reads("DenseToDenseSetOperation", "DenseToSparseSetOperation", "SparseToSparseSetOperation")
def _set_operation(given: Given) -> Any:
    a, b = _in_sets(given)
    word = given["set_operation"]
    if word in ("a-b", "b-a"):
        return sets.set_difference(a, b, word == "a-b")
    return (sets.set_union if word == "union" else sets.set_intersection)(a, b)


@reads("SetSize")
def _set_size(given: Given) -> Any:
    return sets.set_size(SparseTensor(*given.inputs))


written_with("SetSize")


@writes("SetOperation")
def _write_set_operation(node: Node) -> Written:
    inputs, split = node.inputs(), node.attrs["split"]
    kinds = ["Dense" if size == 1 else "Sparse" for size in (split, len(inputs) - split)]
    word = _WORDS[node.attrs["word"]]
    if kinds == ["Sparse", "Dense"]:
        inputs, kinds = inputs[3:] + inputs[:3], ["Dense", "Sparse"]
        word = "b-a" if word == "a-b" else word
    node.type = f"{'To'.join(kinds)}SetOperation"
    return inputs, {"set_operation": word}
