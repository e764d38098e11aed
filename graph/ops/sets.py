"""tf.sets: sets along the last axis of tensors, dense or sparse. Results are sparse, their rows in ascending order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.errors import InvalidArgumentError, RefusedError
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import SparseTensor, SparseTensorValue


def _inputs(value: Any) -> tuple[list[Tensor], shapes.RawShape]:
    """(the single tensor of a dense set, or the three of a sparse one; the shape)."""
    if isinstance(value, (SparseTensor, SparseTensorValue)):
        sp = SparseTensor.from_value(value)
        return [sp.indices, sp.values, sp.dense_shape], shapes.as_raw(sp.shape)
    x = convert_to_tensor(value)
    if x.raw_shape is not None and len(x.raw_shape) < 2:
        raise ValueError(f"Shape must be at least rank 2 but is rank {len(x.raw_shape)} for a set: {x}")
    return [x], x.raw_shape


def _rows(parts: tuple) -> tuple[tuple[int, ...], dict[tuple, set], int]:
    """(the shape of the rows, the set of each row, the maximum row length)."""
    if len(parts) == 1:
        x = np.asarray(parts[0])
        found = {place: set(x[place].tolist()) for place in np.ndindex(*x.shape[:-1])}
        return x.shape[:-1], found, x.shape[-1]
    indices, values, shape = parts
    dims = tuple(np.asarray(shape).tolist())
    rows: dict[tuple, set] = {}
    for index, value in zip(np.asarray(indices).tolist(), np.asarray(values).tolist(), strict=True):
        rows.setdefault(tuple(index[:-1]), set()).add(value)
    return dims[:-1], rows, dims[-1]


def operated(*parts: Any, split: int, word: str, dtype: np.dtype) -> tuple:
    """The kernel of a set operation: (indices, values, shape)."""
    lead, first_sets, _ = _rows(parts[:split])
    other, second_sets, _ = _rows(parts[split:])
    if lead != other:
        raise InvalidArgumentError(None, None, f"Mismatched group shapes {list(lead)} vs {list(other)}")
    indices, values, longest = [], [], 0
    for place in np.ndindex(*lead):
        row = sorted(getattr(first_sets.get(place, set()), word)(second_sets.get(place, set())))
        longest = max(longest, len(row))
        indices += [(*place, at) for at in range(len(row))]
        values += row
    shape = np.array([*lead, longest], np.int64)
    return np.array(indices, np.int64).reshape((-1, len(lead) + 1)), np.array(values, dtype), shape


def _operation(public: str, word: str, doc: str) -> Callable[..., SparseTensor]:
    def operation(a, b, validate_indices=True):
        return _operated(a, b, word)

    operation.__name__ = operation.__qualname__ = public
    operation.__doc__ = (
        f"The {doc} of each pair of sets of values along the last axis, a SparseTensor.\n\n"
        "a, b: tensors or SparseTensors of one dtype, of rank 2 or more, with equal leading axes; else ValueError.\n"
        "validate_indices: accepted as in TensorFlow, without effect."
    )
    return operation


def _operated(a: Any, b: Any, word: str) -> SparseTensor:
    first, shape = _inputs(a)
    second, other = _inputs(b)
    groups = [known and known[:-1] for known in (shape, other)]
    if not shapes.compatible(*groups):
        text = f"Mismatched group shapes {' vs '.join(map(shapes.bracket_text, groups))}"
        raise RefusedError(None, None, text)
    lead = shapes.merge(*groups)
    rank = None if lead is None else len(lead) + 1
    values = first[0] if len(first) == 1 else first[1]
    other_values = second[0] if len(second) == 1 else second[1]
    if values.dtype.base_dtype is not other_values.dtype.base_dtype:
        raise TypeError(f"Types don't match, {values.dtype.name} vs {other_values.dtype.name}.")
    attrs = {"split": len(first), "word": word, "dtype": values.dtype.numpy}
    outputs = [(dtypes.int64, (None, rank)), (values.dtype.base_dtype, (None,)), (dtypes.int64, (rank,))]
    return SparseTensor(*apply(operated, [*first, *second], attrs, type="SetOperation", outputs=outputs))


set_intersection = _operation("set_intersection", "intersection", "intersection")
set_union = _operation("set_union", "union", "union")


def set_difference(a: Any, b: Any, aminusb: bool = True, validate_indices: bool = True) -> SparseTensor:
    """The elements of each set of a that are not in that of b (or vice versa), along the last axis; a SparseTensor.

    aminusb: False gives b without a.   validate_indices: accepted as in TensorFlow, without effect.
    """
    return _operated(a, b, "difference") if aminusb else _operated(b, a, "difference")


def set_size(a: Any, validate_indices: bool = True) -> Tensor:
    """The number of distinct values in each set of a SparseTensor, along its last axis, int32.

    validate_indices: accepted as in TensorFlow, without effect.
    Raises TypeError for what is not a SparseTensor.
    """
    if not isinstance(a, (SparseTensor, SparseTensorValue)):
        raise TypeError("Expected `SparseTensor`, got %s." % type(a).__name__)  # noqa: UP031
    parts, known = _inputs(a)
    shape = None if known is None else (None,) * (len(known) - 1)
    return apply(_sizes, parts, type="SetSize", dtype=dtypes.int32, shape=shape)


def _sizes(indices, values, shape):
    lead, rows, _ = _rows((indices, values, shape))
    out = np.zeros(lead, np.int32)
    for place, row in rows.items():
        out[place] = len(row)
    return out[()]


difference, intersection, size, union = set_difference, set_intersection, set_size, set_union
