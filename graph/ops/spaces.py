"""Blocks moved between axes, windows of images, bands and diagonals of matrices, and more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, convert_to_tensor, convert_together, pass_through, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import InvalidArgumentError, RefusedError
from weftwork.graph.kernels import spaces as kernels
from weftwork.graph.known import whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import array_ops, diagonals, math_ops
from weftwork.graph.ops.composite import SparseTensor, SparseTensorValue
from weftwork.graph.ops.scattering import tensor_scattered as tensor_scattered  # pickled graphs refer to it here
from weftwork.graph.ops.sorting import _order as _order  # pickled graphs refer to this
from weftwork.graph.ops.sorting import axis_of
from weftwork.graph.scopes import name_scope

# Blocks


def _vector(value: Any, name: str) -> Tensor:
    return convert_to_tensor(value, None if isinstance(value, Tensor) else dtypes.int32, name=name)


def space_to_batch_nd(input: Any, block_shape: Any, paddings: Any, name: str | None = None) -> Tensor:
    """Pad the axes after the first, divide them into blocks, and move the positions within a block into the first axis.

    [batch, s..., ...] -> [batch * prod(block_shape), (s + paddings) / block_shape..., ...].
    block_shape [m], paddings [m, 2]: for the m axes after the first one. Raises ValueError unless blocks are positive.
    """
    x, block, pads = convert_to_tensor(input), _vector(block_shape, "block_shape"), _vector(paddings, "paddings")
    _check_blocks(block)
    shape = None
    if x.raw_shape is not None:
        shape = _blocked(x.raw_shape, static_value(block), static_value(pads))
    return apply(kernels.space_to_batch, [x, block, pads], type="SpaceToBatchND", name=name, dtype=x.dtype, shape=shape)


def _check_blocks(block: Tensor) -> None:
    sizes = static_value(block)
    if sizes is not None and np.any(sizes < 1):
        raise RefusedError(None, None, f"block_shape must be positive, got {np.ravel(sizes).tolist()}")


def _blocked(shape: tuple, block: Any, pads: Any) -> tuple:
    if block is None or pads is None:
        return (None,) * len(shape)
    sizes, pads = np.ravel(block).tolist(), np.asarray(pads).reshape((-1, 2)).sum(-1).tolist()
    out = [None if shape[0] is None else shape[0] * int(np.prod(sizes))]
    for dim, size, more in zip(shape[1:], sizes, pads, strict=False):
        if dim is not None and (dim + more) % size:
            raise ValueError(f"Dimension size must be evenly divisible by {size} but is {dim + more}")
        out.append(None if dim is None else (dim + more) // size)
    return (*out, *shape[len(sizes) + 1 :])


def batch_to_space_nd(input: Any, block_shape: Any, crops: Any, name: str | None = None) -> Tensor:
    """The inverse of `space_to_batch_nd`: move blocks of the first axis into the axes after it, and crop these.

    Raises ValueError if the blocks do not divide the batch.
    """
    x, block, cut = convert_to_tensor(input), _vector(block_shape, "block_shape"), _vector(crops, "crops")
    _check_blocks(block)
    shape: Any = x.raw_shape
    sizes, less = static_value(block), static_value(cut)
    if shape is not None and (sizes is None or less is None):
        shape = (None,) * len(shape)
    elif shape is not None:
        sizes, less = np.ravel(sizes).tolist(), np.asarray(less).reshape((-1, 2)).sum(-1).tolist()
        count = int(np.prod(sizes))
        if shape[0] is not None and shape[0] % count:
            raise ValueError(f"Dimension size must be evenly divisible by {count} but is {shape[0]}")
        among = zip(shape[1:], sizes, less, strict=False)  # the axes behind them stay as they are
        grown = [None if dim is None else dim * size - cut_off for dim, size, cut_off in among]
        shape = (None if shape[0] is None else shape[0] // count, *grown, *shape[len(sizes) + 1 :])
    return apply(kernels.batch_to_space, [x, block, cut], type="BatchToSpaceND", name=name, dtype=x.dtype, shape=shape)


def space_to_batch(
    input: Any, paddings: Any, block_size: Any = None, name: str | None = None, block_shape: Any = None
) -> Tensor:
    """`space_to_batch_nd` for [batch, height, width, depth], with square blocks."""
    size = block_size if block_shape is None else block_shape
    block = [size, size] if isinstance(size, int) else size
    return space_to_batch_nd(input, block, paddings, name)


def batch_to_space(
    input: Any, crops: Any, block_size: Any = None, name: str | None = None, block_shape: Any = None
) -> Tensor:
    """`batch_to_space_nd` for [batch, height, width, depth], with square blocks."""
    size = block_size if block_shape is None else block_shape
    block = [size, size] if isinstance(size, int) else size
    return batch_to_space_nd(input, block, crops, name)


def required_space_to_batch_paddings(
    input_shape: Any, block_shape: Any, base_paddings: Any = None, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """(paddings, crops) that make `space_to_batch_nd` possible, and invert it: [m, 2] each.

    base_paddings: [m, 2], padding that is wanted in any case.
    """
    with name_scope(name, "required_space_to_batch_paddings"):
        dims, block = _vector(input_shape, "input_shape"), _vector(block_shape, "block_shape")
        base = _vector(np.zeros((block.raw_shape[0], 2), np.int32) if base_paddings is None else base_paddings, "base")  # type: ignore[index]
        start, end = base[:, 0], base[:, 1]
        extra = math_ops.mod(block - math_ops.mod(dims + start + end, block), block)
        zeros = array_ops.zeros_like(extra)
        return array_ops.stack([start, end + extra], 1), array_ops.stack([zeros, extra], 1)


def _depth_op(public: str, kernel: Callable, kind: str, doc: str, into: bool) -> Callable[..., Tensor]:
    def move(input, block_size, name=None, data_format="NHWC"):
        x, size = convert_to_tensor(input), int(block_size)
        if size < 2:
            raise ValueError(f"Block size should be > 1: {size}")
        if data_format not in ("NHWC", "NCHW"):
            raise ValueError(f"data_format must be NHWC or NCHW, not {data_format}")
        with name_scope(name, kind, [x]) as scope:
            channels_last = array_ops.transpose(x, [0, 2, 3, 1]) if data_format == "NCHW" else x
            shape: Any = (None,) * 4
            if channels_last.raw_shape is not None:
                if len(channels_last.raw_shape) != 4:
                    raise ValueError(f"Shape must be rank 4 but is rank {len(channels_last.raw_shape)} for {kind}")
                n, h, w, c = channels_last.raw_shape
                space, depth = (_part, _times) if into else (_times, _part)
                shape = (n, space(h, size), space(w, size), depth(c, size * size))
            result = apply(kernel, [channels_last], {"size": size}, type=kind, name=scope, dtype=x.dtype, shape=shape)
            return array_ops.transpose(result, [0, 3, 1, 2]) if data_format == "NCHW" else result

    move.__name__ = move.__qualname__ = public
    move.__doc__ = f"{doc}\n\ndata_format: NHWC or NCHW."
    return move


def _part(dim: int | None, size: int) -> int | None:
    if dim is not None and dim % size:
        raise ValueError(f"Dimension size must be evenly divisible by {size} but is {dim}")
    return None if dim is None else dim // size


def _times(dim: int | None, size: int) -> int | None:
    return None if dim is None else dim * size


space_to_depth = _depth_op(
    "space_to_depth", kernels.space_to_depth, "SpaceToDepth",
    "Move square blocks of height and width into the depth: [n, h, w, c] -> [n, h / b, w / b, c * b * b].", True,
)  # fmt: skip
depth_to_space = _depth_op(
    "depth_to_space", kernels.depth_to_space, "DepthToSpace",
    "Move blocks of the depth into height and width: [n, h, w, c] -> [n, h * b, w * b, c / (b * b)].", False,
)  # fmt: skip


# Windows


def extract_image_patches(
    images: Any,
    ksizes: Any = None,
    strides: Any = None,
    rates: Any = None,
    padding: str | None = None,
    name: str | None = None,
    sizes: Any = None,
) -> Tensor:
    """The windows of images, each as a vector: [n, h, w, c] -> [n, rows, columns, k * k * c].

    ksizes, strides, rates: four numbers, the first and last 1.   padding: SAME or VALID.
    sizes: a newer name of ksizes.
    """
    kernel = ksizes if sizes is None else sizes
    return _patches(images, kernel, strides, [1, 1, 1, 1] if rates is None else rates, padding, 4, name)


def extract_volume_patches(input: Any, ksizes: Any, strides: Any, padding: str, name: str | None = None) -> Tensor:
    """The windows of volumes, each as a vector: [n, d, h, w, c] -> [n, planes, rows, columns, k * k * k * c].

    ksizes, strides: five numbers, the first and last 1.   padding: SAME or VALID.
    """
    return _patches(input, ksizes, strides, [1] * 5, padding, 5, name)


def _patches(images: Any, ksizes: Any, strides: Any, rates: Any, padding: Any, rank: int, name: str | None) -> Tensor:
    x = convert_to_tensor(images)
    given = [tuple(whole_numbers(list(part))) for part in (ksizes, strides, rates)]  # type: ignore[arg-type]
    for part in given:
        if len(part) != rank or part[0] != 1 or part[-1] != 1:
            raise ValueError(f"ksizes, strides and rates must be {rank} numbers of which the first and last are 1.")
    word = str(padding).upper()
    if word not in ("SAME", "VALID"):
        raise ValueError(f"padding must be SAME or VALID, not {padding!r}")
    attrs: dict[str, Any] = dict(zip(("kernel", "strides", "rates"), [part[1:-1] for part in given], strict=True))
    attrs["padding"] = word
    shape: Any = (None,) * rank
    if x.raw_shape is not None:
        if len(x.raw_shape) != rank:
            raise ValueError(f"Shape must be rank {rank} but is rank {len(x.raw_shape)} for patches of {x}")
        depth = x.raw_shape[-1]
        count = [
            None if d is None else _count(d, k, s, r, word)
            for d, k, s, r in zip(x.raw_shape[1:-1], *[part[1:-1] for part in given], strict=True)
        ]
        shape = (x.raw_shape[0], *count, None if depth is None else depth * int(np.prod(given[0])))
    name = name or ("ExtractImagePatches" if rank == 4 else "ExtractVolumePatches")
    return apply(kernels.patches, [x], attrs, type="ExtractPatches", name=name, dtype=x.dtype, shape=shape)


def _count(dim: int, size: int, stride: int, rate: int, padding: str) -> int:
    reach = (size - 1) * rate + 1
    return -(-dim // stride) if padding == "SAME" else max(0, (dim - reach) // stride + 1)


# Matrices


def matrix_band_part(input: Any, num_lower: Any, num_upper: Any, name: str | None = None) -> Tensor:
    """Keep a band of diagonals, num_lower below the main one and num_upper above it, and set the rest to 0.

    -1 keeps the whole triangle; more diagonals than exist raise InvalidArgumentError at run time.
    """
    x = convert_to_tensor(input)
    if x.raw_shape is not None and len(x.raw_shape) < 2:
        shape = shapes.bracket_text(x.raw_shape)
        raise RefusedError(None, None, f"input must be at least 2-dim, received shape: {shape}")
    inputs = [x, _vector(num_lower, "num_lower"), _vector(num_upper, "num_upper")]
    return apply(
        kernels.band, inputs, type="MatrixBandPart", name=name or "MatrixBandPart", dtype=x.dtype, shape=x.raw_shape
    )


def matrix_set_diag(
    input: Any, diagonal: Any, name: str | None = "set_diag", k: Any = 0, align: str = "LEFT_LEFT"
) -> Tensor:
    """Replace the main diagonals of matrices [..., m, n] by diagonal [..., min(m, n)], or others.

    k, align: as in `matrix_diag`; two numbers require a diagonal [..., count, longest], the highest first.
    """
    x, diagonal = convert_together([input, diagonal])
    if x.raw_shape is not None and len(x.raw_shape) < 2:
        raise ValueError(f"Shape must be at least rank 2 but is rank {len(x.raw_shape)} for 'MatrixSetDiag'.")
    band = diagonals.band_of(k, align)
    if band != (0, 0):
        return diagonals.put(x, diagonal, band, align, name)
    return apply(kernels.set_diagonal, [x, diagonal], type="MatrixSetDiag", name=name, dtype=x.dtype, shape=x.raw_shape)


def matrix_transpose(a: Any, name: str = "matrix_transpose", conjugate: bool = False) -> Tensor:
    """Transpose the last two axes.

    conjugate: also take the complex conjugate.
    Raises ValueError for a rank that is known to be below 2.
    """
    with name_scope(name, "matrix_transpose", [a]):
        x = convert_to_tensor(a)
        if x.raw_shape is None:
            rank = array_ops.rank(x)
            order: Any = array_ops.concat([math_ops.range(rank - 2), [rank - 1, rank - 2]], 0)
        elif len(x.raw_shape) < 2:
            raise ValueError(f"Argument `a` should be a (batch) matrix with rank >= 2.  Received: {x}")
        else:
            *order, row, column = range(len(x.raw_shape))
            order += [column, row]
        return array_ops.transpose(x, order, conjugate=conjugate)


def repeat(input: Any, repeats: Any, axis: Any = None, name: str | None = None) -> Tensor:
    """Repeat each slice along an axis; axis None: each element of the flattened tensor.

    repeats: a number, or a vector with one for each slice. Raises ValueError for another number of them.
    """
    with name_scope(name, "Repeat", [input, repeats]):
        x = convert_to_tensor(input)
        if axis is None:
            x, axis = array_ops.reshape(x, [-1]), 0
        along = axis_of(axis, x)
        times = of_kind(_vector(repeats, "repeats"), "repeats", "iu")
        size = array_ops.shape(x)[along]
        known = None if x.raw_shape is None else x.raw_shape[along]
        number = static_value(times)
        if times.raw_shape and (len(times.raw_shape) > 1 or not shapes.compatible(times.raw_shape, (known,))):
            if times.raw_shape != (1,):
                raise ValueError(f"repeats has the shape {shapes.text(times.raw_shape)}, but there are {known} slices")
        if number is not None and np.any(number < 0):
            raise RefusedError(None, None, f"repeats must not be negative: {repeats!r}")
        total = None
        if number is not None and (np.ndim(number) == 0 or np.size(number) == 1):
            total = None if known is None else known * int(np.ravel(number)[0])
        elif number is not None:
            total = int(np.sum(number))
        index = apply(_repeated, [size, times], type="RepeatIndex", dtype=dtypes.int32, shape=(total,))
        return array_ops.gather(x, index, axis=along)


def _repeated(size, times):
    if np.ndim(times) and np.size(times) not in (1, int(size)):
        raise InvalidArgumentError(None, None, f"repeats has {np.size(times)} elements, but there are {int(size)}")
    return np.repeat(np.arange(int(size), dtype=np.int32), times)


def unravel_index(indices: Any, dims: Any, name: str | None = None) -> Tensor:
    """Coordinates for flat indices into an array of the shape `dims`: [rank] for one, [rank, n] for n of them."""
    places, shape = of_kind(convert_to_tensor(indices), "indices", "iu"), of_kind(convert_to_tensor(dims), "dims", "iu")
    rank = shape.raw_shape[0] if shape.raw_shape else None
    raw = None if places.raw_shape is None else (rank, *places.raw_shape)
    return apply(_unravelled, [places, shape], type="UnravelIndex", name=name, dtype=places.dtype, shape=raw)


def _unravelled(places, dims):
    wrong = np.argwhere((np.asarray(places) < 0) | (np.asarray(places) >= np.prod(dims)))
    if len(wrong):
        raise InvalidArgumentError(None, None, f"index is out of bound as with dims: {np.asarray(dims).tolist()}")
    return np.array(np.unravel_index(places, tuple(np.asarray(dims).tolist())), places.dtype)


def edit_distance(hypothesis: Any, truth: Any, normalize: bool = True, name: str = "edit_distance") -> Tensor:
    """Levenshtein distance between the sequences along the last axis of two SparseTensors, float32.

    normalize: divide by the length of the truth; inf if that is empty and the hypothesis is not.
    Raises TypeError for anything that is not sparse.
    """
    inputs, rank = [], None
    for word, given in (("Hypothesis", hypothesis), ("Truth", truth)):
        if not isinstance(given, (SparseTensor, SparseTensorValue)):
            raise TypeError(f"{word} must be a SparseTensor.")
        sp = SparseTensor.from_value(given)
        inputs += [sp.indices, sp.values, sp.dense_shape]
        rank = sp.shape.ndims if sp.shape.ndims is not None else rank
    shape = None if rank is None else (None,) * (rank - 1)
    attrs = {"normalize": normalize}
    return apply(kernels.distance, inputs, attrs, type="EditDistance", name=name, dtype=dtypes.float32, shape=shape)


# Views and checks


def ensure_shape(x: Any, shape: Any, name: str | None = None) -> Tensor:
    """Return x, with this shape. Raises ValueError if they are incompatible, or at run time InvalidArgumentError."""
    x, raw = convert_to_tensor(x), shapes.as_raw(shape)
    if not shapes.compatible(x.raw_shape, raw):
        raise ValueError(f"{shapes.difference(raw, x.raw_shape)} The tensor is {x}.")
    merged = shapes.merge(x.raw_shape, raw)
    return apply(_of_shape, [x], {"shape": raw}, type="EnsureShape", name=name, dtype=x.dtype, shape=merged)


def _of_shape(x, shape):
    if not shapes.compatible(np.shape(x), shape):
        raise InvalidArgumentError(
            None, None, f"Shape of tensor {shapes.bracket_text(np.shape(x))} is not compatible with expected shape "
            f"{shapes.bracket_text(shape)}.",
        )  # fmt: skip
    return x


def bitcast(input: Any, type: Any, name: str | None = None) -> Tensor:
    """The same bytes as another dtype. A smaller one adds a last axis, a larger one consumes it.

    type: the new dtype.
    Raises ValueError for a last axis of the wrong length.
    """
    x, kind = convert_to_tensor(input), as_dtype(type)
    old, new = x.dtype.size, kind.size
    shape = x.raw_shape
    if shape is not None and old > new:
        shape = (*shape, old // new)
    elif shape is not None and old < new:
        if not shape or shape[-1] not in (None, new // old):
            raise ValueError(f"Cannot bitcast due to shape: the last dimension must be {new // old}, not {shape}")
        shape = shape[:-1]
    return apply(_as_bytes, [x], {"dtype": kind.numpy}, type="Bitcast", name=name, dtype=kind, shape=shape)


def _as_bytes(x, dtype):
    x = np.ascontiguousarray(x)
    if x.dtype.itemsize == dtype.itemsize:
        return x.view(dtype)
    if x.dtype.itemsize > dtype.itemsize:
        return x[..., None].view(dtype)
    return x.view(dtype)[..., 0]


def guarantee_const(input: Any, name: str | None = None) -> Tensor:
    """Return the input. The promise that it never changes is not needed here."""
    x = convert_to_tensor(input)
    return apply(pass_through, [x], type="GuaranteeConst", name=name, dtype=x.dtype.base_dtype, shape=x.raw_shape)
