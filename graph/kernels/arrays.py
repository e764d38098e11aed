"""Kernels of array operations that no single NumPy function computes.

An argument that may be known when the graph is built or only at run time has one name in the kernel: it arrives as an
attribute or as the next input.

spec: an index as hashable data, a tuple of ints, None (new axis), Ellipsis and slices. A slice is (start, stop, step);
  Input(k) stands for further input k of the node.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from weftwork.graph.errors import InvalidArgumentError, RefusedError
from weftwork.graph.shapes import bracket_text, index_of


class Input(NamedTuple):
    """A part of an index that is known only at run time: further input k of the node."""

    k: int


# Shapes


def shape_of(x, dtype):
    """The shape of x as a vector."""
    return np.array(np.shape(x), dtype)


def size_of(x, dtype):
    """The number of elements."""
    return dtype.type(np.size(x))


def product(dims, dtype):
    """The number of elements of a given shape."""
    return dtype.type(np.prod(dims))


def rank_of(x, dtype):
    """The number of axes."""
    return dtype.type(np.ndim(x))


def broadcast_shape(a, b):
    """The shape of the elementwise result of arrays of shapes a and b."""
    try:
        return np.array(np.broadcast_shapes(tuple(a), tuple(b)), a.dtype)
    except ValueError:
        raise ValueError(f"Incompatible shapes: {bracket_text(a)} vs. {bracket_text(b)}") from None


def reshape(x, shape):
    """The same elements in another shape."""
    return x.reshape(_checked(shape))


def _checked(shape: Any) -> Any:
    """A shape of a `reshape`. Raises ValueError if NumPy would take it although it is none."""
    if isinstance(shape, np.ndarray) and shape.size and shape.min() < 0:
        if shape.min() < -1:
            axis = int(np.argmax(shape < -1))
            raise ValueError(f"Size {axis} must be non-negative, not {shape[axis]}")
        unknown = np.flatnonzero(shape == -1).tolist()
        if len(unknown) > 1:
            raise ValueError(f"Only one input size may be -1, not both {unknown[0]} and {unknown[1]}")
    return shape


def reshape_text(x, shape):
    """`reshape` for strings and objects, whose scalars are not arrays."""
    return _objects(x).reshape(_checked(shape))


def expand_dims(x, axis):
    """Insert an axis of size 1 at a position known only at run time."""
    place = int(np.reshape(axis, ()))
    if not -np.ndim(x) - 1 <= place <= np.ndim(x):
        raise ValueError(f"Tried to expand dim index {place} for tensor with {np.ndim(x)} dimensions.")
    return np.expand_dims(x, place)


def squeeze(x, axis):
    """Remove the given axes, which must have the size 1."""
    rank = np.ndim(x)
    for i, place in enumerate(axis):
        if not -rank <= place < rank:
            raise ValueError(f"squeeze_dims[{i}] not in [{-rank},{rank}).")
        if x.shape[place] != 1:
            raise ValueError(f"Can not squeeze dim[{place % rank}], expected a dimension of 1, got {x.shape[place]}")
    return np.squeeze(x, tuple({place % rank for place in axis}))


def transpose(x, perm):
    """Permute the axes, in an order known only at run time."""
    order, rank = np.ravel(perm).tolist(), np.ndim(x)
    if len(order) != rank:
        raise ValueError(f"transpose expects a vector of size {rank}. But input(1) is a vector of size {len(order)}")
    outside = next((axis for axis in order if not -rank <= axis < rank), None)
    if outside is not None:
        raise ValueError(f"{outside} is out of range [0 .. {rank})")
    missing = next((axis for axis in range(rank) if axis not in order and axis - rank not in order), None)
    if missing is not None:
        raise ValueError(f"{missing} is missing from {{{','.join(map(str, order))}}}.")
    return np.transpose(x, order)


def flip(x, axis):
    """Reverse axes that are known only at run time."""
    rank, found = np.ndim(x), set()
    for i, along in enumerate(np.ravel(axis).tolist()):
        if not -rank <= along < rank:
            raise ValueError(f"'axis'[{i}] = {along} is out of valid range [0, {rank - 1}]")
        if along % rank in found:
            raise ValueError(f"axis {along % rank} specified more than once.")
        found.add(along % rank)
    return np.flip(x, tuple(found))


def roll(x, shift, axis):
    """np.roll. Raises RefusedError unless there is a shift for each axis."""
    if np.ndim(x) == 0:
        raise RefusedError(None, None, "input must be 1-D or higher")
    if np.size(shift) != np.size(axis):
        raise RefusedError(None, None, "shift and axis must have the same size")
    for along in np.ravel(axis).tolist():
        if not -np.ndim(x) <= along < np.ndim(x):
            raise RefusedError(None, None, f"axis {along} is out of range")
    return np.roll(x, tuple(np.ravel(shift).tolist()), tuple(np.ravel(axis).tolist()))


def _objects(x: Any) -> np.ndarray:
    if isinstance(x, np.ndarray):
        return x
    out = np.empty((), object)
    out[()] = x
    return out


# Joining and splitting


def concat(*values, axis):
    """np.concatenate of the inputs."""
    try:
        return np.concatenate(values, axis=axis)
    except ValueError:
        _refuse_joined(values, axis)
        raise


def _refuse_joined(values: tuple, axis: int) -> None:
    """Raise a ValueError that names the first input that does not fit the one before all others."""
    first = np.shape(values[0])
    for i, value in enumerate(values):
        shape = np.shape(value)
        where = f"shape[0] = {bracket_text(first)} vs. shape[{i}] = {bracket_text(shape)}"
        if len(shape) != len(first):
            raise ValueError(f"ConcatOp : Ranks of all input tensors should match: {where}")
        if any([a != b for k, (a, b) in enumerate(zip(shape, first, strict=True)) if k != axis % len(first)]):
            raise ValueError(f"ConcatOp : Dimensions of inputs should match: {where}")


def concat_over(axis, *values):
    """np.concatenate over an axis known only at run time."""
    axis = int(np.reshape(axis, ()))
    if not -np.ndim(values[0]) <= axis < np.ndim(values[0]):
        rank = np.ndim(values[0])
        raise ValueError(f"ConcatOp : Expected concatenating dimensions in the range [{-rank}, {rank}), but got {axis}")
    return concat(*values, axis=axis)


def stack(*values, axis):
    """np.stack of the inputs."""
    return np.stack(values, axis=axis) if axis or isinstance(values[0], np.ndarray) else np.array(values)


def stack_objects(*values, axis):
    """np.stack of strings or objects, without converting them."""
    return np.stack([_objects(v) for v in values], axis=axis)


def unstack(x, num, axis):
    """The slices of x along an axis."""
    if x.shape[axis] != num:
        raise ValueError(f"Input shape axis {axis} must equal {num}, got shape {bracket_text(x.shape)}")
    return tuple(np.moveaxis(x, axis, 0))


def split(x, num, axis):
    """num equal parts of x along an axis."""
    return tuple(np.split(x, num, axis=axis))


def split_sizes(x, sizes, axis):
    """Parts of x of the given sizes along an axis; one size may be -1, for the rest."""
    sizes = np.array(sizes)
    given = sizes[sizes >= 0].sum()
    if len(sizes) - (sizes >= 0).sum() > 1:
        raise ValueError("There can only be one -1 in the input.")
    if given > x.shape[axis] or ((sizes >= 0).all() and given != x.shape[axis]):
        raise ValueError(
            "Determined shape must either match input shape along split_dim exactly if fully specified, or be less "
            f"than the size of the input along split_dim if not fully specified.  Got: {given}"
        )
    sizes[sizes < 0] = x.shape[axis] - given
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=axis))


def split_over(axis, x, num):
    """`split` along an axis known only at run time."""
    return split(x, num, int(axis))


def meshgrid(*values, indexing):
    """np.meshgrid of the inputs."""
    return tuple(np.meshgrid(*values, indexing=indexing))


def only(*values, function, **attrs):
    """The single part that `function` returns."""
    (part,) = function(*values, **attrs)
    return part


# Filling


def fill(value, dims, dtype):
    """An array filled with `value`."""
    if type(dims) is not tuple and np.ndim(dims) != 1:
        raise ValueError(f"dims must represent a vector, got shape {bracket_text(np.shape(dims))}")
    least = min(dims, default=0)
    if least < 0:
        raise ValueError(f"Dimension {least} must be >= 0")
    out = np.empty(dims, dtype)
    out.fill(value)  # np.full would strip a string's trailing NULs
    return out


def like(x, value, dtype):
    """An array of x's shape, filled with `value`."""
    return fill(value, np.shape(x), dtype)


def eye(rows, columns, batch, *, dtype):
    """A batch of identity matrices."""
    return np.broadcast_to(np.eye(int(rows), int(columns), dtype=dtype), (*batch, int(rows), int(columns)))


def diag(x):
    """A tensor of twice the rank with x on its diagonal."""
    return np.diag(np.ravel(x)).reshape(x.shape * 2)


def diag_part(x):
    """The diagonal of a tensor of shape s + s: the inverse of `diag`."""
    shape = x.shape[: x.ndim // 2]
    size = int(np.prod(shape))
    return np.diagonal(x.reshape(size, size)).reshape(shape)


def matrix_diag(x):
    """Square matrices with the rows of x as diagonals."""
    n = x.shape[-1]
    out = np.zeros((*x.shape, n), x.dtype)
    out[..., np.arange(n), np.arange(n)] = x
    return out


def pad(x, pad_width, value=None, *, mode):
    """np.pad in one of its modes.   value: the constant of mode "constant".

    Raises ValueError for paddings that are negative, or that mirror more than there is.
    """
    widths = np.asarray(pad_width, np.int64)
    if np.ndim(x) == 0 and not widths.size:
        return x
    if widths.shape != (np.ndim(x), 2):
        given = f"{bracket_text(widths.shape)} {bracket_text(np.shape(x))}"
        raise ValueError(f"The first dimension of paddings must be the rank of inputs{given}")
    for (before, after), size in zip(widths.tolist(), np.shape(x), strict=True):
        if before < 0 or after < 0:
            raise ValueError(f"Paddings must be non-negative: {before} {after}")
        if mode == "reflect" and max(before, after) >= size:
            raise ValueError(f"paddings must be less than the dimension size: {before}, {after} not less than {size}")
        if mode == "symmetric" and max(before, after) > size:
            raise ValueError(
                f"paddings must be no greater than the dimension size: {before}, {after} greater than {size}"
            )
    if mode == "constant" and x.dtype.kind == "O":  # NumPy would fill in a string of its own
        out = np.empty(tuple([before + n + after for (before, after), n in zip(widths, x.shape, strict=True)]), object)
        out.fill(value)
        out[tuple([slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True)])] = x
        return out
    return np.pad(x, pad_width, mode) if value is None else np.pad(x, pad_width, mode, constant_values=value)


def one_hot(indices, on, off, depth, axis):
    """`on` where the index along the new axis equals the number in `indices`, else `off`."""
    if depth < 0:
        raise ValueError(f"depth must be non-negative, got: {int(depth)}")
    axis = axis % (np.ndim(indices) + 1)
    classes = np.arange(int(depth)).reshape((-1,) + (1,) * (np.ndim(indices) - axis))
    hot = np.expand_dims(indices, axis) == classes
    if isinstance(on, (bytes, str)):
        return np.where(hot, np.array(on, object), np.array(off, object))
    return np.where(hot, on, off)


def tile(x, multiples):
    """The input repeated along each axis, as often as a vector known only at run time says."""
    times = tuple(np.ravel(multiples).tolist())
    if len(times) != np.ndim(x):
        text = f"Expected multiples argument to be a vector of length {np.ndim(x)} but got length {len(times)}"
        raise ValueError(text)
    for i, number in enumerate(times):
        if number < 0:
            raise ValueError(f"Expected multiples[{i}] >= 0, but got {number}")
    return np.tile(x, times)


def sequence_mask(lengths, maxlen=None, *, dtype):
    """True at the first `length` positions of each row."""
    lengths = np.asarray(lengths)
    maxlen = int(np.ceil(lengths.max(initial=0)) if maxlen is None else maxlen)
    return (np.arange(maxlen) < lengths[..., None]).astype(dtype)


# Picking


def getitem(x, spec):
    """x[spec], for an index known when the graph is built."""
    return _picked(x, index_of(spec))


def _picked(x: Any, index: tuple) -> Any:
    try:
        return x[index]
    except IndexError:
        raise InvalidArgumentError(None, None, _out_of_bounds(np.shape(x), index)) from None


def _out_of_bounds(shape: tuple[int, ...], index: tuple) -> str:
    """Describe what is wrong with an index of ints, slices, Ellipsis and None."""
    consumed = [part for part in index if part is not None and part is not Ellipsis]
    if len(consumed) > len(shape):
        return f"Index out of range using input dim {len(shape)}; input has only {len(shape)} dims"
    before = index[: index.index(Ellipsis)] if Ellipsis in index else index
    front = len([part for part in before if part is not None])
    axes = [*range(front), *range(len(shape) - len(consumed) + front, len(shape))]
    for axis, part in zip(axes, consumed, strict=True):
        if not isinstance(part, slice) and not -shape[axis] <= part < shape[axis]:
            return f"slice index {part} of dimension {axis} out of bounds: it has {shape[axis]} elements"
    return f"the index {index} does not fit the shape {shape}"


def getitem_at(x, *values, spec):
    """x[spec], for an index some of whose parts are further inputs."""
    return _picked(x, filled_index(spec, values))


def filled_index(spec: tuple, values: tuple) -> tuple:
    """The index for a spec, with further inputs filled in."""
    return tuple([_filled(part, values) for part in spec]) if values else index_of(spec)


def _filled(part: Any, values: tuple) -> Any:
    if isinstance(part, Input):
        return int(values[part.k])
    if isinstance(part, tuple):
        return slice(*[int(values[p.k]) if isinstance(p, Input) else p for p in part])
    return part


def slice_at(x, begin, size):
    """`size` elements along each axis, starting at `begin`; a size of -1 takes the rest."""
    begin, size = np.asarray(begin).tolist(), np.asarray(size).tolist()
    if not len(begin) == len(size) == np.ndim(x):
        raise ValueError(f"slice from {begin} of size {size} needs an entry for each of the {np.ndim(x)} axes")
    check_slice(begin, size, x.shape)
    ends = [n if count < 0 else at + count for at, count, n in zip(begin, size, x.shape, strict=True)]
    return x[tuple(map(slice, begin, ends))]


def check_slice(begin, size, shape):
    """Raise RefusedError unless a slice lies within a shape, as far as this is known."""
    for axis, (at, count, n) in enumerate(zip(begin, size, shape, strict=True)):
        if at < 0 or (n is not None and at > n):
            raise RefusedError(None, None, f"Expected begin[{axis}] in [0, {n}], but got {at}")
        if count < -1 or (n is not None and count > n - at):
            room = None if n is None else n - at
            raise RefusedError(None, None, f"Expected size[{axis}] in [0, {room}], but got {count}")


def strided_slice(x, begin, end, strides, masks):
    """TensorFlow's strided slice, with bounds known only at run time."""
    return _picked(x, index_of(masked_spec(begin.tolist(), end.tolist(), strides.tolist(), *masks)))


def masked_spec(begin, end, strides, begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask):
    """The index described by TensorFlow's five bit masks, bit i for entry i."""
    spec: list[Any] = []
    for i, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << i
        if ellipsis_mask & bit:
            spec.append(Ellipsis)
        elif new_axis_mask & bit:
            spec.append(None)
        elif shrink_axis_mask & bit:
            if step <= 0:
                raise ValueError("only stride 1 allowed on non-range indexing.")
            spec.append(first)
        else:
            spec.append((None if begin_mask & bit else first, None if end_mask & bit else last, step))
    return tuple(spec)


def boolean_mask(x, mask, axis):
    """The elements of x where mask is true. The mask's axes collapse into one."""
    return x[(slice(None),) * axis + (mask,)]


def select(condition, x, y):  # pickled graphs refer to this
    """np.where, except that a vector of conditions selects whole rows of x and y."""
    rank = max(np.ndim(x), np.ndim(y))
    if np.ndim(condition) == 1 and rank > 1:
        condition = condition.reshape((-1,) + (1,) * (rank - 1))
    return np.where(condition, x, y)


# Sets and permutations


def unique(x, dtype):
    """The distinct elements in order of first appearance, the index of each element among them, and their counts."""
    values, first, inverse, counts = np.unique(x, True, True, True, equal_nan=False)
    order = np.argsort(first)
    place = np.argsort(order).astype(dtype)
    return values[order], place[inverse.reshape(-1)], counts[order].astype(dtype)


def unique_pair(x, dtype):
    """`unique` without the counts."""
    return unique(x, dtype)[:2]
