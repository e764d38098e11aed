"""Kernels that check their indices: one outside [0, n) is an error. Negative indices do not count from the end.

Indexing a tensor in Python (`x[-1]`) is different, and keeps Python's meaning.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.shapes import bracket_text

_UNSIGNED = {np.dtype(np.int32): np.dtype(np.uint32), np.dtype(np.int64): np.dtype(np.uint64)}
"""Viewed as one of these, a negative index is larger than any bound, so one comparison finds both kinds of errors."""

_MOST_POSITIVE = 1 << 31
"""The number of 32-bit integers that are not negative."""


def refuse(message: str) -> NoReturn:
    """Raise InvalidArgumentError for a value that does not fit. The caller adds the node's name."""
    raise InvalidArgumentError(None, None, message)


def inside(indices: Any, bound: int, what: str = "indices") -> np.ndarray:
    """`indices` as an array. Raises InvalidArgumentError, naming the first index that is not in [0, bound)."""
    indices = _array(indices)
    if not indices.size:
        return indices if indices.dtype.kind in "iu" else indices.astype(np.intp)
    unsigned = _UNSIGNED.get(indices.dtype)
    if unsigned is not None:
        if indices.view(unsigned).max() < bound:
            return indices
    elif indices.min() >= 0 and indices.max() < bound:
        return indices
    at = np.argwhere((indices < 0) | (indices >= bound))[0].tolist()
    refuse(f"{what}{place_text(at)} = {indices[tuple(at)]} is not in [0, {bound})")


def slices_at(x: Any, indices: Any, axis: int = 0) -> Any:
    """Slices of x along an axis, at indices in [0, n). Raises InvalidArgumentError, naming the first other one."""
    if type(x) is not np.ndarray:
        return np.take(x, inside(indices, x.shape[axis]), axis=axis)
    if type(indices) is np.ndarray and indices.dtype == np.int32 and x.shape[axis] <= _MOST_POSITIVE:
        try:  # NumPy looks for indices that are too large, as negative ones are if unsigned
            return x.take(indices.view(np.uint32), axis)
        except IndexError:  # `inside` says which one
            pass
    return x.take(inside(indices, x.shape[axis]), axis)


def _array(value: Any) -> Any:
    """A list as an array; anything with a dtype (scalars, GPU arrays) unchanged."""
    return value if hasattr(value, "dtype") else np.asarray(value)


def place_text(at: list[int]) -> str:
    """An element's position as `[1,2]`; empty for a scalar."""
    return f"[{','.join(map(str, at))}]" if at else ""


def rows_inside(indices: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The NumPy index for `indices` [..., depth] into the first axes of a shape.

    Raises InvalidArgumentError, naming the first row that is out of range.
    """
    indices = _array(indices)
    depth = indices.shape[-1] if indices.ndim else 1
    if depth > len(shape):
        refuse(f"index innermost dimension length must be <= params rank; saw: {depth} vs. {len(shape)}")
    if indices.dtype.kind not in "iu":  # an empty list, which NumPy makes floats
        indices = indices.astype(np.intp)
    bounds = np.array(shape[:depth], np.int64)
    wrong = (indices < 0) | (indices >= bounds)
    if wrong.any():
        at = np.argwhere(wrong)[0].tolist()
        row = f"indices{place_text(at[:-1])} = {np.ravel(indices[tuple(at[:-1])]).tolist()}"
        refuse(
            f"{row} does not index into shape {bracket_text(shape)}: "
            f"indices{place_text(at)} = {indices[tuple(at)]} is not in [0, {bounds[at[-1]]})"
        )
    return tuple(np.moveaxis(indices, -1, 0))


# Gathering and scattering


def gather(x, indices, axis):
    """Slices of x along an axis, at indices in [0, n)."""
    return slices_at(x, indices, int(axis))


def batch_gather(x, indices, axis=None, *, batch_dims):
    """`gather` with separate indices for each element of the first axes. axis: None for the one after these."""
    batch = batch_dims if batch_dims >= 0 else batch_dims + indices.ndim
    along = batch if axis is None else int(axis) if axis >= 0 else int(axis) + x.ndim
    if not 0 <= batch <= along < x.ndim or batch > indices.ndim:
        given = f"indices of shape {bracket_text(indices.shape)}, axis {along} of shape {bracket_text(x.shape)}"
        refuse(f"batch_dims must be at most the rank of indices and the axis, but is {batch} for {given}")
    for place, (size, wanted) in enumerate(zip(indices.shape[:batch], x.shape[:batch], strict=True)):
        if size != wanted:
            refuse(f"params.shape[{place}]: {wanted} should be equal to indices.shape[{place}]: {size}")
    between = along - batch
    if between:
        x = np.moveaxis(x, along, batch)
    index = []
    for place in range(batch):
        index.append(np.arange(x.shape[place]).reshape([-1 if i == place else 1 for i in range(indices.ndim)]))
    found = x[(*index, inside(indices, x.shape[batch]))]
    if between:
        found = np.moveaxis(found, range(indices.ndim, indices.ndim + between), range(batch, along))
    return found


def gather_nd(x, indices):
    """x[i, j...] for each row (i, j...) of indices."""
    index = rows_inside(indices, np.shape(x))
    if not index:
        return np.broadcast_to(x, indices.shape[:-1] + np.shape(x))
    return x[index]


def scatter_nd(indices, updates, shape, *, zero=0):
    """Zeros of a shape, with the updates added at the index rows. Text is joined."""
    index, updates, shape = rows_inside(indices, tuple(shape)), np.asarray(updates), tuple(shape)
    wanted = np.shape(indices)[:-1] + shape[len(index) :]
    if updates.shape != wanted:
        refuse(
            "Must have updates.shape = indices.shape[:-1] + shape[indices.shape[-1]:], got updates.shape "
            f"{bracket_text(updates.shape)}, indices.shape {bracket_text(np.shape(indices))}, "
            f"shape {bracket_text(shape)}"
        )
    out = np.full(shape, zero, updates.dtype)
    where: Any = index or ...
    np.add.at(out, where, updates if index else updates.reshape((-1, *shape)).sum(axis=0, dtype=updates.dtype))
    return out


def embedded(ids, *params, by_mod):
    """Rows of a partitioned table: id i is in part i % n (by_mod), or the parts hold consecutive ranges."""
    part, row = places_of(ids, [len(part) for part in params], by_mod)
    starts = np.cumsum([0, *[len(part) for part in params[:-1]]])
    return np.concatenate(params)[starts[part] + row]


def places_of(ids, sizes, by_mod):
    """(part, row within it) of each id in a table with parts of these sizes."""
    ids, total, sizes = np.asarray(ids), sum(sizes), np.array(sizes)
    if not by_mod:
        ends = np.cumsum(sizes)
        part = np.searchsorted(ends, inside(ids, total), "right")
        return part, (ids - (ends - sizes)[part]).astype(ids.dtype)
    part, row = ids % len(sizes), ids // len(sizes)
    wrong = (ids < 0) | (row >= sizes[part])
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0].tolist())
        name = f"indices{place_text(list(at))} = {ids[at]}"
        if not 0 <= ids[at] < total:
            refuse(f"{name} is not in [0, {total})")
        refuse(f"{name} is row {row[at]} of part {part[at]}: {row[at]} is not in [0, {sizes[part[at]]})")
    return part, row


# Sequences and permutations


def invert_permutation(x):
    """y with y[x[i]] = i."""
    outside = np.flatnonzero((x < 0) | (x >= len(x)))
    if len(outside):
        i, number = outside[0], x[outside[0]]
        refuse(f"{number} is not between 0 and {len(x)}: x[{i}] = {number} is not in [0, {len(x)})")
    count = np.bincount(x, minlength=len(x))
    if len(x) and count.max() > 1:
        refuse(f"{int(count.argmax())} is duplicated in the input.")
    out = np.empty_like(x)
    out[x] = np.arange(len(x), dtype=x.dtype)
    return out


def reverse_sequence(x, lengths, seq_axis, batch_axis):
    """Reverse the first `length` elements along seq_axis, for each element of batch_axis."""
    lengths = np.asarray(lengths)
    if lengths.shape != (x.shape[batch_axis],):
        refuse(f"Length of seq_lengths != input.dims({batch_axis}), ({len(lengths)} vs. {x.shape[batch_axis]})")
    if seq_axis == batch_axis:
        refuse(f"batch_dim == seq_dim == {seq_axis}")
    size = x.shape[seq_axis]
    wrong = np.flatnonzero((lengths < 0) | (lengths > size))
    if len(wrong):
        i, length = wrong[0], lengths[wrong[0]]
        bound = "< 0" if length < 0 else f"> input.dims({seq_axis})"
        refuse(f"seq_lens({i}) {bound}: seq_lengths[{i}] = {length} is not in [0, {size}]")
    place = np.arange(size)
    rows = lengths[:, None]
    index = np.where(place < rows, rows - 1 - place, place)  # [batch, seq]
    if seq_axis < batch_axis:
        index = index.T
    kept = [x.shape[axis] if axis in (seq_axis, batch_axis) else 1 for axis in range(x.ndim)]
    return np.take_along_axis(x, index.reshape(kept), axis=seq_axis)


# Partitions


def partition(x, parts, num):
    """`num` arrays: array i has the slices of x whose part is i, in order."""
    parts = np.asarray(parts)
    x = np.asarray(x)
    if x.shape[: parts.ndim] != parts.shape:
        refuse(
            "data.shape must start with partitions.shape, got data.shape = "
            f"{bracket_text(x.shape)}, partitions.shape = {bracket_text(parts.shape)}"
        )
    inside(parts, num, "partitions")
    return tuple([x[parts == number] for number in range(num)])


def stitched(*values, shape):
    """Interleave data by indices. values: first the indices, then the data. The last data for an index wins."""
    half = len(values) // 2
    indices, data = values[:half], [np.asarray(part) for part in values[half:]]
    for number, (at, part) in enumerate(zip(indices, data, strict=True)):
        if part.shape[: np.ndim(at)] != np.shape(at):
            refuse(
                f"data[{number}].shape = {bracket_text(part.shape)} does not start with indices[{number}].shape = "
                f"{bracket_text(np.shape(at))}"
            )
    rest = data[0].shape[np.ndim(indices[0]) :] if shape is None else shape
    rows = np.concatenate([np.ravel(part) for part in indices])
    if len(rows) and rows.min() < 0:
        refuse(f"indices[{int(rows.argmin())}] = {int(rows.min())} is negative: it is out of range")
    result = np.zeros((int(rows.max(initial=-1)) + 1, *rest), data[0].dtype)
    result[rows] = np.concatenate([np.reshape(part, (-1, *rest)) for part in data])
    return result


# Segments


def segment(data, ids, ufunc, unit, empty):
    """Reduce runs of rows with equal ids. unit: initial value of the reduction; empty: result for no rows."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or len(ids) != len(data):
        refuse("segment_ids should be the same size as dimension 0 of input.")
    count = int(ids[-1]) + 1 if len(ids) else 0
    if count < 0:
        refuse("segment ids must be >= 0")
    if np.any(ids[1:] < ids[:-1]) or (len(ids) and ids[0] < 0):
        _refuse_segments(ids.tolist(), count)
    out = unsorted_segment(data, ids, count, ufunc, unit)
    if unit != empty and count:
        out[np.bincount(ids, minlength=count) == 0] = empty
    return out


def _refuse_segments(ids: list[int], count: int) -> NoReturn:
    """Raise for the first segment that is out of range, or before a lesser one."""
    for i, number in enumerate(ids):
        if i + 1 < len(ids) and ids[i + 1] < number:
            break
        if not 0 <= number < count and ids[i + 1] != number:
            why = "possibly because 'segment_ids' input is not sorted."
            text = f"Segment id {number} out of range [0, {count}), {why}"
            refuse(f"{text} segment_ids[{i}] = {number} is not in [0, {count})")
    refuse("segment ids are not increasing")


def unsorted_segment(data, ids, count, ufunc, unit):
    """Reduce rows with the same id into row `id` of the result; rows with negative ids are dropped."""
    ids, data, count = np.asarray(ids), np.asarray(data), int(count)
    if data.shape[: ids.ndim] != ids.shape:
        refuse(f"data.shape = {bracket_text(data.shape)} does not start with segment_ids.shape = "
               f"{bracket_text(ids.shape)}")  # fmt: skip
    if count < 0:
        refuse(f"Input num_segments == {count} must not be negative.")
    flat_ids, flat = ids.ravel(), data.reshape((-1, *data.shape[ids.ndim :]))
    kept = flat_ids >= 0
    if not kept.all():
        flat_ids, flat = flat_ids[kept], flat[kept]
    if len(flat_ids) and flat_ids.max() >= count:
        at = np.argwhere(ids >= count)[0].tolist()
        refuse(f"segment_ids{place_text(at)} = {ids[tuple(at)]} is out of range [0, {count})")
    out = np.full((count, *flat.shape[1:]), unit, data.dtype)
    ufunc.at(out, flat_ids.astype(np.intp, copy=False), flat)
    return out


def in_batch(x, at, batch_dims):
    """Indices of all of x from those within the elements of a batch. Raises InvalidArgumentError for unequal ones."""
    batch = at.shape[:batch_dims]
    if x.shape[:batch_dims] != batch:
        text = f"batch_dims={batch_dims}, but params and indices have the batches {x.shape[:batch_dims]} and {batch}"
        raise InvalidArgumentError(None, None, text)
    places = np.indices(batch, at.dtype).reshape(batch_dims, *batch, *[1] * (at.ndim - 1 - batch_dims))
    wide = [np.broadcast_to(place, at.shape[:-1]) for place in places]
    return np.concatenate([np.stack(wide, -1), at], -1)


def select(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition is true, else y, of the same shape. A vector of conditions selects whole rows."""
    if np.shape(x) != np.shape(y):
        _refuse_shapes(2, x, y)
    if np.ndim(condition) == 1:
        if not np.ndim(x):
            refuse("'then' must be at least a vector, but saw shape: []")
        if len(condition) != len(x):
            refuse(f"Number of batches of 'then' must match size of 'cond', but saw: {len(x)} vs. {len(condition)}")
        condition = condition.reshape((-1,) + (1,) * (np.ndim(x) - 1))
    elif np.ndim(condition) and np.shape(condition) != np.shape(x):
        _refuse_shapes(1, condition, x)
    return np.where(condition, x, y)


def _refuse_shapes(number: int, first: Any, other: Any) -> NoReturn:
    refuse(
        "Inputs to operation Select of type Select must have the same size and shape.  "
        f"Input 0: {bracket_text(np.shape(first))} != input {number}: {bracket_text(np.shape(other))}"
    )
