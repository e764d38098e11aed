"""Kernels that only derivatives need.

Every kernel keeps the dtype of its gradient, and leaves its inputs unchanged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.kernels.arrays import index_of
from weftwork.graph.kernels.indices import inside, places_of
from weftwork.graph.kernels.nn import SHARED_SIZE, softmax
from weftwork.graph.kernels.reductions import sum_of_first
from weftwork.graph.kernels.team import over_rows

# Broadcasts and reductions


def ones_for(y):
    """The initial gradient of a Python object: ones of its shape."""
    array = np.asarray(y)
    return np.ones(array.shape, array.dtype if array.dtype.kind in "fc" else np.float64)[()]


def sum_like(grad, x):
    """`grad` summed over the axes along which x was broadcast."""
    shape = np.shape(x)
    if np.shape(grad) == shape:
        return grad
    lead = grad.ndim - len(shape)
    ones = [i for i, n in enumerate(shape) if n == 1 and grad.shape[lead + i] != 1]
    return sum_axes(grad, lead, tuple(ones))


def sum_axes(grad, lead, ones):
    """`grad` summed over its first `lead` axes, and then over the axes `ones`, which are kept."""
    if lead:
        grad = sum_of_first(grad, lead)
    return np.add.reduce(grad, axis=ones, keepdims=True) if ones else grad


def broadcast_like(grad, x):
    """`grad` broadcast to x's shape."""
    return np.broadcast_to(grad, np.shape(x))[()]


def reshape_like(grad, x):
    """`grad` reshaped to x's shape."""
    return np.reshape(grad, np.shape(x))[()]


def spread_to(grad, shape, axis, keepdims, mean):
    """`grad` of a reduction, broadcast back to `shape`; for a mean, divided by the number of reduced elements."""
    if mean:
        count = 1
        for i in range(len(shape)) if axis is None else axis:
            count *= shape[i]
        grad = grad / grad.dtype.type(max(count, 1))
    if axis is None or len(axis) == len(shape):
        return np.full(shape, grad.reshape(()), grad.dtype)[()]
    if not keepdims:
        reduced = {a % len(shape) for a in axis}
        grad = grad.reshape([1 if i in reduced else n for i, n in enumerate(shape)])
    return np.broadcast_to(grad, shape)


def spread(grad, x, axis, keepdims, mean):
    """`spread_to` the shape of x."""
    axes = axis if axis is None or isinstance(axis, tuple) else (axis,)
    return spread_to(grad, np.shape(x), axes, keepdims, mean)


def spread_over(grad, x, axis, keepdims, mean):
    """`spread` over axes known only at run time."""
    return spread(grad, x, tuple([int(a) for a in np.ravel(axis)]), keepdims, mean)


def product_without_each(grad, x, *rest, axis=None, keepdims=False):
    """grad times the product of all other elements along the reduced axes; correct for zeros, too."""
    if rest:
        axis = tuple([int(a) for a in np.ravel(rest[0])])
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple([a % x.ndim for a in axes]) if x.ndim else ()
    order = [i for i in range(x.ndim) if i not in axes] + list(axes)
    moved = np.transpose(x, order)
    flat = moved.reshape((*moved.shape[: x.ndim - len(axes)], -1))
    one = np.ones_like(flat[..., :1])
    left = np.cumprod(np.concatenate([one, flat[..., :-1]], axis=-1), axis=-1)
    right = np.cumprod(np.concatenate([one, flat[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    others = np.transpose((left * right).reshape(moved.shape), np.argsort(order)) if flat.size else x
    return spread(grad, x, axes, keepdims, False) * others


# Products


def product(a, b, transpose_a=False, transpose_b=False):
    """The matrix product of a and b, either of which may be transposed first."""
    return np.matmul(a.swapaxes(-1, -2) if transpose_a else a, b.swapaxes(-1, -2) if transpose_b else b)


def diagonal_like(grad, x):
    """Zeros of x's shape with `grad`, [...] or [..., n], on the main diagonals of the last two axes."""
    out = np.zeros(x.shape, grad.dtype)
    at = np.arange(min(x.shape[-2:]))
    out[..., at, at] = grad if grad.ndim == x.ndim - 1 else grad[..., None]
    return out


# Selected elements


def unpick(grad, x, *rest, function, options, unique):
    """Zeros of x's shape, with `grad` added where function(x, *rest, **options) has taken its elements.

    To find these positions, the function is called on an array of element numbers.
    """
    shape = np.shape(x)
    numbers = np.arange(np.size(x)).reshape(shape)
    places = np.ravel(function(numbers, *rest, **dict(options)))
    out = np.zeros(numbers.size, grad.dtype)
    if unique:
        out[places] = np.ravel(grad)
    else:
        np.add.at(out, places, np.ravel(grad))
    return out.reshape(shape)[()]


def unslice(grad, shape, spec):
    """Zeros of a shape, with `grad` at an index of ints and slices, which selects no element twice."""
    out = np.zeros(shape, grad.dtype)
    out[index_of(spec)] = grad
    return out


def unslice_like(grad, x, spec):
    """`unslice` with the shape of x."""
    return unslice(grad, x.shape, spec)


def take_last(x, indices):
    """The elements of the last axis at `indices`, row by row."""
    return np.take_along_axis(x, indices, axis=-1)


def gather_kept(x, ids):
    """x[ids], and zeros where an id is negative or too large."""
    ids = np.asarray(ids)
    inside = (ids >= 0) & (ids < len(x))
    if inside.all():
        return x[ids]
    out = np.zeros((*ids.shape, *x.shape[1:]), x.dtype)
    out[inside] = x[ids[inside]]
    return out


def scatter_kept(grad, ids, x):
    """`rows_kept` with x's shape."""
    return rows_kept(grad, ids, x.shape)


def rows_like(grad, ids, x):
    """`rows_in` with x's shape."""
    return rows_in(grad, ids, x.shape)


def rows_in(rows, ids, shape):
    """Zeros of a shape with rows added at ids, all of which must be in range."""
    shape = tuple(shape)
    return rows_kept(rows, inside(ids, shape[0]), shape)


def rows_kept(rows, ids, shape):
    """`rows_in`, but rows with ids out of range are dropped.

    Rows are summed by runs of equal ids: np.add.at would take ten times as long.
    """
    ids = np.ravel(ids)
    rows = rows.reshape((-1, *shape[1:]))
    out = np.zeros(shape, rows.dtype)
    if not len(ids):
        return out
    order = np.argsort(ids, kind="stable")
    ascending = ids[order]
    starts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))
    unique_ids = ascending[starts]
    inside = (unique_ids >= 0) & (unique_ids < shape[0])
    sums = np.add.reduceat(rows[order], starts, axis=0)
    out[unique_ids[inside]] = sums[inside]
    return out


def split_like(grad, *parts, axis):
    """`grad` split along an axis into pieces as large as `parts`."""
    ends = np.cumsum([part.shape[axis] for part in parts])[:-1]
    return tuple(np.split(grad, ends, axis=axis))


def split_like_over(grad, axis, *parts):
    """`split_like` along an axis known only at run time."""
    return split_like(grad, *parts, axis=int(axis))


def untile(grad, reps):
    """The sum of the copies made by np.tile(x, reps)."""
    reps = tuple([int(n) for n in np.ravel(reps)])
    shape = [n for size, rep in zip(grad.shape, reps, strict=True) for n in (rep, size // max(rep, 1))]
    return np.add.reduce(grad.reshape(shape), axis=tuple(range(0, 2 * len(reps), 2)))[()]


def crop(grad, pad_width):
    """The inverse of np.pad with `pad_width`."""
    return grad[tuple([slice(int(a), n - int(b)) for (a, b), n in zip(pad_width, grad.shape, strict=True)])]


def rows_of_part(ids, grad, *params, part, by_mod):
    """(rows of `grad`, indices into params[part]) for the ids that lie in one part of a partitioned table."""
    parts, places = places_of(np.ravel(ids), [len(p) for p in params], by_mod)
    in_part = parts == part
    rows = grad.reshape((-1, *params[part].shape[1:]))
    return rows[in_part], places[in_part]


def unrows_of_part(grad, ids, rows, *params, part, by_mod):
    """The inverse of `rows_of_part`: zeros like `rows`, with `grad` at the rows that lie in one part."""
    numbers = np.arange(np.size(ids))
    out = np.zeros((numbers.size, *params[part].shape[1:]), grad.dtype)
    picked: Any = rows_of_part(ids, np.broadcast_to(numbers.reshape(-1, *[1] * (out.ndim - 1)), out.shape), *params,
                               part=part, by_mod=by_mod)[0]  # fmt: skip
    out[picked.reshape(len(picked), -1)[:, 0] if out.ndim > 1 else picked] = grad
    return out.reshape(rows.shape)


# Elements


def over_root(grad, y):
    """grad / 2 y, conjugated; 0 where grad is 0."""
    zero = np.equal(grad, 0)
    return np.where(zero, grad, grad * grad.dtype.type(0.5) / np.conj(np.where(zero, y.dtype.type(1), y)))[()]


# Activations


def relu_grad(grad, y):
    """`grad` where the activation is positive."""
    if np.size(y) < SHARED_SIZE or not type(grad) is type(y) is np.ndarray or grad.shape != y.shape:
        return grad * (y > 0)
    return over_rows(lambda grad, y, out: np.multiply(grad, y > 0, out=out), grad, y, steps=3)


def relu6_grad(grad, y):
    """`grad` where the activation is neither 0 nor 6."""
    return grad * ((y > 0) & (y < 6))


def leaky_relu_grad(grad, x, slope):
    """`grad`, multiplied by the slope where x is not positive."""
    return np.where(x > 0, grad, grad * slope)[()]


# Losses


def zeros_like_loss(logits, labels, axis):
    """Zeros of the shape of a cross entropy along `axis`; None means that the labels are class numbers."""
    if axis is None:
        return np.zeros(np.broadcast_shapes(logits.shape[:-1], np.shape(labels)), logits.dtype)[()]
    shape = list(np.broadcast_shapes(logits.shape, labels.shape))
    del shape[axis]
    return np.zeros(shape, logits.dtype)[()]


def sparse_softmax_grad(grad, logits, labels):
    """grad (softmax(logits) - 1 at the label) for each example.  grad, labels: [...].  logits: [..., classes]."""
    out = softmax(logits, -1)
    rows = out.reshape(-1, out.shape[-1])
    rows[np.arange(len(rows)), np.ravel(labels)] -= 1
    out *= grad[..., None]
    return out
