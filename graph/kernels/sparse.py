"""Kernels for the indices of sparse tensors. Other nodes handle the values.

Besides the new indices, most return a `source`: the old position of each new value. The values then go through a
`gather`, whose derivatives are known.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.errors import RefusedError
from weftwork.graph.kernels.indices import refuse
from weftwork.graph.shapes import bracket_text


def _dims(shape: Any) -> tuple[int, ...]:
    return tuple(np.asarray(shape).tolist())


def linear(indices: np.ndarray, shape: Any) -> np.ndarray:
    """The row-major position of each index in the dense tensor. Raises InvalidArgumentError if one is out of range."""
    dims = _dims(shape)
    indices = np.asarray(indices, np.int64).reshape((-1, len(dims)))
    wrong = (indices < 0) | (indices >= np.array(dims, np.int64))
    if wrong.any():
        at = int(np.flatnonzero(wrong.any(-1))[0])
        refuse(
            f"indices[{at}] = {bracket_text(indices[at].tolist())} is out of bounds: need 0 <= index < "
            f"{bracket_text(dims)}"
        )
    out = np.zeros(len(indices), np.int64)
    for axis, dim in enumerate(dims):
        out = out * dim + indices[:, axis]
    return out


def unlinear(places: np.ndarray, shape: Any) -> np.ndarray:
    """The indices for positions in the dense tensor; the inverse of `linear`."""
    dims = _dims(shape)
    out = np.empty((len(places), len(dims)), np.int64)
    for axis in range(len(dims) - 1, -1, -1):
        places, out[:, axis] = np.divmod(places, dims[axis] or 1)
    return out


def _ascending(indices: Any, shape: Any) -> np.ndarray:
    """Positions of strictly ascending indices. Raises InvalidArgumentError for any others."""
    places = linear(indices, shape)
    steps = np.diff(places)
    if (steps <= 0).any():
        at = int(np.flatnonzero(steps <= 0)[0]) + 1
        index = bracket_text(np.asarray(indices)[at].tolist())
        if steps[at - 1] == 0:
            refuse(f"indices[{at}] = {index} is repeated")
        refuse(
            f"indices[{at}] = {index} is out of order. Many sparse ops require sorted indices. Use `tf.sparse.reorder` "
            "to create a correctly ordered copy."
        )
    return places


# To and from dense ones


def to_dense(indices: Any, shape: Any, values: Any, default: Any, validate: bool) -> np.ndarray:
    """The dense tensor, filled with the default where there is no value."""
    indices, values = np.asarray(indices), np.asarray(values)
    if indices.ndim > 2:
        refuse(f"sparse_indices should be a scalar, vector, or matrix, got shape {bracket_text(indices.shape)}")
    if np.ndim(shape) != 1:
        refuse(f"output_shape should be a vector, got shape {bracket_text(np.shape(shape))}")
    count, rank = (*indices.shape, 1, 1)[:2] if indices.ndim else (1, 1)
    if rank != len(shape):
        refuse(f"output_shape has incorrect number of elements: {len(shape)} should be: {rank}")
    if values.shape not in ((), (count,)):
        refuse(f"sparse_values has incorrect shape {bracket_text(values.shape)}, should be [] or [{count}]")
    if np.ndim(default):
        refuse("default_value should be a scalar.")
    indices, dims = indices.reshape((count, rank)), _dims(shape)
    places = _ascending(indices, dims) if validate else linear(indices, dims)
    out = np.full(dims, default, values.dtype if values.dtype.kind != "O" else object)
    out.reshape(-1)[places] = values
    return out


def picked(grad: Any, indices: Any, shape: Any) -> np.ndarray:
    """The elements of a dense tensor at the indices."""
    indices = np.asarray(indices)
    return grad[tuple(indices.reshape((-1, grad.ndim)).T)]


def from_dense(x: Any) -> tuple:
    """(indices, values, shape) of the nonzero elements."""
    zero = np.isin(x, [b"", ""]) if x.dtype.kind == "O" else x == 0
    indices = np.argwhere(~zero)
    return indices.astype(np.int64), x[tuple(indices.T)], np.array(x.shape, np.int64)


# Moving


def reorder(indices: Any, shape: Any) -> tuple:
    """(indices, source) in row-major order."""
    order = np.argsort(linear(indices, shape), kind="stable")
    return np.asarray(indices)[order], order


def reshape(indices: Any, shape: Any, wanted: Any) -> tuple:
    """(indices, shape) in another shape with the same number of elements; one dimension may be -1."""
    dims, new = _dims(shape), reshaped(shape, wanted)
    return unlinear(linear(indices, dims), new), np.array(new, np.int64)


def reshaped(shape: Any, wanted: Any) -> list[int]:
    """The wanted shape, without -1. Raises RefusedError unless it has as many elements as `shape`."""
    dims, new = _dims(shape), list(_dims(wanted))
    total = int(np.prod(dims, dtype=np.int64))
    if new.count(-1) > 1:
        raise RefusedError(None, None, "only one output dimension may be -1")
    ends = f"input_shape={bracket_text(dims)} output_shape={bracket_text(new)}"
    if -1 in new:
        rest = int(-np.prod(new, dtype=np.int64))
        if rest <= 0 or total % rest:
            text = f"a SparseTensor with {total} dense values, but the requested shape requires a multiple of {rest}"
            raise RefusedError(None, None, f"Input to reshape is {text}. {ends}")
        new[new.index(-1)] = total // rest
    size = int(np.prod(new, dtype=np.int64))
    if size != total:
        text = f"Input to reshape is a tensor with {total} dense values, but the requested shape has {size}. {ends}"
        raise RefusedError(None, None, text)
    return new


def transpose(indices: Any, shape: Any, perm: Any) -> tuple:
    """(indices, source, shape) with permuted axes."""
    axes = list(range(len(_dims(shape))))[::-1] if perm is None else np.asarray(perm).tolist()
    dims = np.asarray(shape)[axes]
    moved = np.asarray(indices)[:, axes]
    order = np.argsort(linear(moved, dims), kind="stable")
    return moved[order], order, dims.astype(np.int64)


def cut(indices: Any, shape: Any, start: Any, size: Any) -> tuple:
    """(indices, source, shape) of the part that starts at `start` and has at most `size` elements along each axis."""
    indices, start, size = (np.asarray(part, np.int64) for part in (indices, start, size))
    dims = np.minimum(start + size, np.asarray(shape)) - start
    dims = np.maximum(dims, 0)
    inside = ((indices >= start) & (indices < start + dims)).all(-1)
    source = np.flatnonzero(inside)
    return indices[source] - start, source, dims


def split(indices: Any, shape: Any, axis: Any, num: int) -> tuple:
    """(indices, source, shape) of each of `num` parts along an axis, in sequence; the first ones may be longer."""
    indices, dims, axis = np.asarray(indices), _dims(shape), int(axis)
    axis = axis + len(dims) if axis < 0 else axis
    if not 0 <= axis < len(dims):
        refuse(f"Input split_dim should be between 0 and rank ({len(dims)}), got {axis}")
    if dims[axis] < num:
        refuse(f"num_split should be in range [1, {dims[axis]}], got {num}")
    base, extra = divmod(dims[axis], num)
    parts: list = []
    begin = 0
    for part in range(num):
        length = base + (part < extra)
        start, size = [0] * len(dims), list(dims)
        start[axis], size[axis] = begin, length
        parts += cut(indices, dims, start, size)
        begin += length
    return tuple(parts)


def join(*parts: Any, axis: int, expand: bool) -> tuple:
    """(indices, source, shape) of tensors joined along an axis.   parts: all indices, then all shapes."""
    half = len(parts) // 2
    indices, dims = [np.asarray(part) for part in parts[:half]], [np.array(shape, np.int64) for shape in parts[half:]]
    rank = len(dims[0])
    axis = axis + rank if axis < 0 else axis
    if not 0 <= axis < rank:
        refuse(f"Concat dimension must be in range [{-rank}, {rank}), got {axis}")
    out = np.max(dims, axis=0) if expand else dims[0].copy()
    moved, begin = [], 0
    for number, (rows, shape) in enumerate(zip(indices, dims, strict=True)):
        other = np.delete(shape, axis) != np.delete(out, axis)
        if len(shape) != rank or (not expand and other.any()):
            refuse(f"Input shapes must match: expected {bracket_text(_dims(dims[0]))} but got "
                   f"{bracket_text(_dims(shape))} at position {number}")  # fmt: skip
        shifted = rows.copy()
        shifted[:, axis] += begin
        begin += int(shape[axis])
        moved.append(shifted)
    out[axis] = begin
    whole = np.concatenate(moved)
    order = np.argsort(linear(whole, out), kind="stable")
    return whole[order], order, out


def retained(indices: Any, keep: Any) -> tuple:
    """(indices, source) of the values to keep."""
    if np.shape(keep) != (len(indices),):
        refuse(f"to_retain has shape {bracket_text(np.shape(keep))}, but there are {len(indices)} values")
    source = np.flatnonzero(keep)
    return np.asarray(indices)[source], source


def filled_rows(indices: Any, shape: Any) -> tuple:
    """(indices, source, empty-row mask) with at least one value in each row; the source of an added value is -1."""
    indices, rows = np.asarray(indices), int(np.asarray(shape)[0])
    counts = np.bincount(indices[:, 0], minlength=rows) if len(indices) else np.zeros(rows, np.int64)
    if len(counts) > rows:
        at = int(np.flatnonzero(indices[:, 0] >= rows)[0])
        refuse(f"indices({at}, 0) is invalid: {indices[at, 0]} >= {rows}")
    empty = np.flatnonzero(counts == 0)
    new = np.zeros((len(empty), indices.shape[1]), np.int64)
    new[:, 0] = empty
    whole = np.concatenate([indices, new])
    source = np.concatenate([np.arange(len(indices)), np.full(len(empty), -1, np.int64)])
    order = np.argsort(whole[:, 0], kind="stable")
    return whole[order], source[order], counts == 0


def reset(indices: Any, wanted: Any, *given: Any) -> np.ndarray:
    """The smallest shape that holds all indices, or a given one, checked against the tensor's own (last of `given`)."""
    if not given:
        indices = np.asarray(indices)
        return (indices.max(axis=0) + 1 if len(indices) else np.zeros(indices.shape[1])).astype(np.int64)
    own, new = np.asarray(wanted), np.asarray(given[0])
    if len(own) != len(new) or (new < own).any():
        refuse(
            f"Requested shape {bracket_text(_dims(new))} is too small for a SparseTensor of {bracket_text(_dims(own))}"
        )
    return new.astype(np.int64)


# Combining


def united(a: Any, b: Any, shape: Any, other: Any) -> tuple:
    """(all indices of two tensors of one shape, positions of a's values among them, positions of b's values)."""
    if _dims(shape) != _dims(other):
        refuse(f"Operands' shapes do not match: got {bracket_text(_dims(shape))} and {bracket_text(_dims(other))}")
    places = np.concatenate([linear(a, shape), linear(b, shape)])
    whole, inverse = np.unique(places, return_inverse=True)
    inverse = inverse.ravel()
    return unlinear(whole, shape), inverse[: len(a)], inverse[len(a) :]


def merged(ids: Any, indices: Any, shape: Any, vocab: Any) -> tuple:
    """(indices, source, shape), where the last index is replaced by the id at that position."""
    ids, indices = np.asarray(ids, np.int64), np.asarray(indices)
    vocab = np.asarray(vocab, np.int64)
    dims = np.concatenate([np.asarray(shape)[:-1], [vocab]]).astype(np.int64)
    whole = np.concatenate([indices[:, :-1], ids[:, None]], 1)
    order = np.argsort(linear(whole, dims), kind="stable")
    return whole[order], order, dims


# Reducing


def groups(indices: Any, shape: Any, axes: Any, keepdims: bool) -> tuple:
    """(position of each value in the result, shape of the result, indices of the nonempty elements).

    axes: the axes to reduce; None for all.
    """
    dims, indices = _dims(shape), np.asarray(indices)
    rank = len(dims)
    reduced = set(range(rank)) if axes is None else {int(a) % rank for a in np.ravel(axes)}
    for axis in () if axes is None else np.ravel(axes):
        if not -rank <= axis < rank:
            refuse(f"Invalid reduction dimension {axis}, for input with {rank} dimensions.")
    remaining = [axis for axis in range(rank) if axis not in reduced]
    linear(indices, dims)  # checks the indices
    inner = tuple([dims[axis] for axis in remaining])
    places = linear(indices[:, remaining], inner) if remaining else np.zeros(len(indices), np.int64)
    out = tuple([1 if axis in reduced else dims[axis] for axis in range(rank)]) if keepdims else inner
    return places, np.array(out, np.int64), unlinear(np.unique(places), out)


def last_groups(indices: Any, shape: Any) -> tuple:
    """(group of each value, number of groups); the values of a group differ only in the last index."""
    dims = _dims(shape)
    if len(dims) < 2:
        refuse("Input should have rank >= 2 for a softmax along the last axis")
    places = linear(np.asarray(indices)[:, :-1], dims[:-1])
    _, inverse = np.unique(places, return_inverse=True)
    inverse = inverse.ravel()
    return inverse, np.int64(inverse.max(initial=-1) + 1)


def matmul(indices: Any, values: Any, shape: Any, b: Any, adjoint_a: bool, adjoint_b: bool) -> np.ndarray:
    """A sparse matrix times a dense one."""
    import scipy.sparse  # imported here because it is slow, and few programs need it

    dims = _dims(shape)
    if len(dims) != 2:
        refuse(f"Tensor 'a_shape' must have 2 elements, but has {len(dims)}")
    linear(indices, dims)
    indices, values = np.asarray(indices), np.asarray(values)
    a: Any = scipy.sparse.csr_matrix((values, (indices[:, 0], indices[:, 1])), shape=dims)
    a = a.conj().T if adjoint_a else a
    b = b.conj().T if adjoint_b else b
    if a.shape[1] != b.shape[0]:
        refuse(f"Cannot multiply A and B because inner dimension does not match: {a.shape[1]} vs. {b.shape[0]}.  Did "
               "you forget a transpose?  Dimensions of A: "
               f"{bracket_text(dims)}.  Dimensions of B: {bracket_text(b.shape)}")  # fmt: skip
    return np.asarray(a @ b).astype(np.result_type(values, b), copy=False)


def broadcast_picked(dense: Any, indices: Any, shape: Any) -> np.ndarray:
    """The elements, at the sparse indices, of a dense tensor broadcast to the sparse tensor's shape."""
    dims = _dims(shape)
    if dense.ndim > len(dims) or any(d not in (1, s) for d, s in zip(dense.shape[::-1], dims[::-1], strict=False)):
        refuse(f"SparseDenseBinaryOpShared broadcasts dense to sparse only; got incompatible shapes: "
               f"{bracket_text(dims)} vs. {bracket_text(dense.shape)}")  # fmt: skip
    return np.broadcast_to(dense, dims)[tuple(np.asarray(indices).T)]
