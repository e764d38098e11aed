"""What is known about a tensor's value while the graph is built: the whole value, or some dimensions of a shape.

The value of a list such as `[tf.shape(x)[0], -1, 3]` is unknown, but two of its elements are known.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import as_tensor, convert_to_tensor, static_value
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.operation import Tensor
from weftwork.graph.shapes import index_of

Entries = tuple[int | None, ...] | None
"""The elements of an integer vector, None for an unknown one; None if not even the length is known."""


def whole_numbers(value: Any) -> tuple[int, ...] | int | None:
    """An int or (nested) list of ints as ints and tuples, e.g. for an attribute; None if it contains a tensor.

    Constants count as numbers. Raises TypeError for anything that is not a whole number.
    """
    if isinstance(value, (shapes.TensorShape, shapes.Dimension)):
        value = value.as_list() if isinstance(value, shapes.TensorShape) else value.value
    tensor = as_tensor(value)
    if tensor is not None:
        value = static_value(tensor)
    if value is None:
        return None
    if isinstance(value, (np.ndarray, np.generic)):
        return _tuples(value.tolist())
    if isinstance(value, (list, tuple, range)):
        parts = [whole_numbers(part) for part in value]
        return None if any(part is None for part in parts) else tuple(parts)  # type: ignore[arg-type]
    return operator.index(value)


def _tuples(value: Any) -> Any:
    return tuple([_tuples(item) for item in value]) if isinstance(value, list) else operator.index(value)


def entries(tensor: Tensor) -> Entries:
    """The known elements of a vector (or of a scalar, as one element). -1 stays -1."""
    value = static_value(tensor)
    if value is not None:
        return tuple([int(item) for item in np.ravel(value)])
    if tensor.raw_shape is not None and len(tensor.raw_shape) > 1:
        return None
    find = _FINDERS.get(tensor.op.type)
    found = find(tensor) if find is not None else None
    if found is not None or tensor.raw_shape is None:
        return found
    length = tensor.raw_shape[0] if tensor.raw_shape else 1
    return None if length is None else (None,) * length


def _entries_of_shape(tensor: Tensor) -> Entries:
    return tensor.op.inputs[0].raw_shape


def _entries_of_input(tensor: Tensor) -> Entries:
    return entries(tensor.op.inputs[0])


def _entries_of_packed(tensor: Tensor) -> Entries:
    if tensor.raw_shape is None:
        return None
    return tuple([(entries(part) or (None,))[0] for part in tensor.op.inputs])  # each is a scalar


def _entries_of_joined(tensor: Tensor) -> Entries:
    parts = [entries(t) for t in tensor.op.inputs]
    return None if any(p is None for p in parts) else tuple([d for p in parts for d in p])  # type: ignore[union-attr]


def _entries_of_slice(tensor: Tensor) -> Entries:
    elements, spec = entries(tensor.op.inputs[0]), tensor.op.attrs.get("spec")
    if elements is None or len(tensor.op.inputs) > 1 or spec is None or len(spec) != 1 or spec[0] is None:
        return None
    part = elements[index_of(spec)[0]] if spec[0] is not Ellipsis else elements
    return part if isinstance(part, tuple) else (part,)


def _entries_of_placeholder(tensor: Tensor) -> Entries:
    return tensor.op.attrs.get("_entries")


_FINDERS = {
    "Placeholder": _entries_of_placeholder,
    "Shape": _entries_of_shape,
    "Cast": _entries_of_input,
    "Identity": _entries_of_input,
    "Reshape": _entries_of_input,
    "Pack": _entries_of_packed,
    "ConcatV2": _entries_of_joined,
    "StridedSlice": _entries_of_slice,
}


def shape_argument(shape: Any) -> tuple[tuple[int, ...] | None, Tensor | None, shapes.RawShape]:
    """Analyze a `shape` argument: (all dimensions or None, the tensor of them if they are unknown, raw shape).

    shape: ints, a TensorShape, a list that may contain tensors, or a tensor. -1 is unknown in the raw shape.
    """
    if isinstance(shape, shapes.TensorShape) and not shape.is_fully_defined():
        raise ValueError(f"Cannot convert a partially known TensorShape to a Tensor: {shape}")
    numbers = whole_numbers(shape)
    if numbers is not None:
        dims = numbers if isinstance(numbers, tuple) else (numbers,)
        if any([isinstance(size, tuple) for size in dims]):
            raise ValueError(f"A shape must be rank 1 but is rank {np.ndim(numbers)}: {shape!r}")
        return dims, None, tuple([None if d < 0 else d for d in dims])
    if isinstance(shape, (list, tuple)):
        shape = [int(item) if isinstance(item, shapes.Dimension) else item for item in shape]
    tensor = convert_to_tensor(shape, name="shape")
    if not tensor.dtype.is_integer:
        raise TypeError(f"A shape must consist of integers, not {tensor.dtype.name}: {tensor!r}")
    known = entries(tensor)
    return None, tensor, None if known is None else tuple([None if d is None or d < 0 else d for d in known])


def known_axis(axis: Any, rank: int | None, what: str = "dim") -> int | None:
    """A known axis, made non-negative if the rank is known; None for a tensor of unknown value.

    Raises ValueError if it is no scalar, or the known rank has no such axis. what: the name of the axis in the message.
    """
    number = whole_numbers(axis)
    tensor = convert_to_tensor(axis) if number is None else None
    if tensor is not None:
        of_kind(tensor, what.rstrip(" ="), "iu")
    if isinstance(number, tuple) or (tensor is not None and tensor.raw_shape):
        raise ValueError(f"Shape must be rank 0 for the {what.rstrip(' =')}, which is {axis!r}")
    if number is None or rank is None:
        return number
    if not -rank <= number < rank:
        if what != "dim":
            raise ValueError(f"{what} {number} not in [{-rank}, {rank}): it is out of valid range")
        raise ValueError(f"{what} {number} not in the interval [{-rank}, {rank - 1}].")
    return number % rank


def rank_of(tensor: Tensor) -> int | None:
    """The number of axes, or None if unknown."""
    return None if tensor.raw_shape is None else len(tensor.raw_shape)


def promoted(tensors: Sequence[Tensor]) -> DType:
    """The dtype that NumPy promotes these dtypes to; string or object if any of them is.

    Raises TypeError for text beside numbers.
    """
    objects = [t.dtype.base_dtype for t in tensors if t.dtype.numpy.kind == "O"]
    if dtypes.string in objects and len(objects) < len(tensors):
        names = ", ".join([t.dtype.base_dtype.name for t in tensors])
        raise TypeError(f"Tensors of the types [{names}] don't all match: text meets numbers.")
    return objects[0] if objects else as_dtype(np.result_type(*[t.dtype.numpy for t in tensors]))


def renamed(new: str, value: Any, old: str, old_value: Any) -> Any:
    """An argument under its new or its old name. Raises ValueError if both are given."""
    if value is not None and old_value is not None:
        raise ValueError(f"Cannot specify both '{old}' and '{new}'")
    return old_value if value is None else value
