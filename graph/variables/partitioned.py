"""Partitioned variables: one name for several variables along an axis, and functions that choose their number.

partitioner   a function (shape=, dtype=) -> number of parts along each axis, at most one of them more than 1
offset        where a part begins, along each axis of the whole
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from weftwork.graph import shapes
from weftwork.graph.build import STANDING, convert_to_tensor
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.operation import Tensor
from weftwork.graph.operators import Operators
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.joining import concat
from weftwork.graph.scopes import name_scope
from weftwork.graph.variables.variable import Variable


class PartitionInfo(NamedTuple):
    """Information for the initializer of a part: the shape of the whole, and where the part begins in it."""

    full_shape: list[int]
    var_offset: list[int]

    def single_offset(self, shape: Any) -> int:
        """Where a part of this shape begins, along the partitioned axis."""
        return self.var_offset[self.single_slice_dim(shape) or 0]

    def single_slice_dim(self, shape: Any) -> int | None:
        """The axis along which a part of this shape is shorter than the whole; None if there is none."""
        dims = shapes.as_raw(shape) or ()
        return next((axis for axis, dim in enumerate(dims) if dim != self.full_shape[axis]), None)


class PartitionedVariable(Operators):
    """Several variables along an axis that act as one. As a tensor, they are concatenated.

    variable_list: the parts, in any order; their save_slice_infos say where they lie in the whole.
    Raises TypeError for parts that are not variables, ValueError if they do not make up the whole, or if more than one
    axis is partitioned.
    """

    __array_priority__ = 100

    def __init__(self, name: str, shape: Any, dtype: Any, variable_list: Sequence[Variable], partitions: Sequence[int]):
        _check_parts(shape, variable_list, partitions)
        divided = [axis for axis, count in enumerate(partitions) if count > 1]
        if len(divided) > 1:
            raise ValueError(f"Cannot concat along more than one dimension: {divided}")
        self._name, self._shape, self._dtype = name, shapes.TensorShape(shape), as_dtype(dtype)
        self._parts = sorted(variable_list, key=_offset)
        self._partitions = list(partitions)
        self._axis = divided[0] if divided else 0

    @property
    def name(self) -> str:
        """The common prefix of the parts' names."""
        return self._name

    @property
    def dtype(self):
        """The dtype of the values."""
        return self._dtype

    @property
    def shape(self) -> shapes.TensorShape:
        """The shape of the whole."""
        return self._shape

    def get_shape(self) -> shapes.TensorShape:
        """The same as `shape`."""
        return self._shape

    @property
    def partitions(self) -> list[int]:
        """How many parts there are along each axis."""
        return self._partitions

    @property
    def graph(self):
        """The graph of the parts."""
        return self._parts[0].graph

    def as_tensor(self) -> Tensor:
        """The parts, concatenated."""
        whole = convert_to_tensor(self._parts[0])
        if len(self._parts) > 1:
            with name_scope(f"{self._name}/ConcatPartitions/"):
                whole = concat([convert_to_tensor(part) for part in self._parts], self._axis)
        with name_scope(None):
            return identity(whole, self._name)

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> list:
        """Assign the parts of a value, or the values of a list, to the parts."""
        values = value if isinstance(value, (list, tuple)) else self._cut(convert_to_tensor(value, self._dtype))
        return [part.assign(v, name=name, read_value=read_value) for part, v in zip(self._parts, values, strict=True)]

    def assign_add(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True):
        """As `assign`, but adds."""
        values = value if isinstance(value, (list, tuple)) else self._cut(convert_to_tensor(value, self._dtype))
        return [
            part.assign_add(v, name=name, read_value=read_value) for part, v in zip(self._parts, values, strict=True)
        ]

    def assign_sub(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True):
        """As `assign`, but subtracts."""
        values = value if isinstance(value, (list, tuple)) else self._cut(convert_to_tensor(value, self._dtype))
        return [
            part.assign_sub(v, name=name, read_value=read_value) for part, v in zip(self._parts, values, strict=True)
        ]

    def _cut(self, value: Tensor) -> list[Tensor]:
        found, start = [], 0
        for part in self._parts:
            size: Any = part.shape.as_list()[self._axis]
            found.append(value[(slice(None),) * self._axis + (slice(start, start + size),)])
            start += size
        return found

    def _get_variable_list(self) -> list[Variable]:
        return self._parts

    def _get_partitions(self) -> list[int]:
        return self._partitions

    def _partition_axes(self) -> list[int]:
        """The axes along which there are several parts; the first one if there is a single part."""
        return [axis for axis, count in enumerate(self._partitions) if count > 1] or [0]

    def __iter__(self) -> Iterator[Variable]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, item):
        return self.as_tensor()[item]

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return self.as_tensor().__array_ufunc__(ufunc, method, *inputs, **kwargs)

    def __array_function__(self, func, types, args, kwargs):
        return self.as_tensor().__array_function__(func, types, args, kwargs)

    def __eq__(self, other):
        return self is other

    def __ne__(self, other):
        return self is not other

    def __hash__(self):
        return id(self)

    def __repr__(self) -> str:
        return f"<tf.PartitionedVariable '{self._name}' of {len(self._parts)} parts, shape={self._shape}>"


def _offset(part: Variable) -> Any:
    return part.save_slice_info.var_offset  # type: ignore[union-attr]


def _check_parts(shape: Any, parts: Any, partitions: Any) -> None:
    """Raise TypeError or ValueError unless `parts` make up a variable of this shape."""
    if not isinstance(parts, (list, tuple)) or not all(isinstance(v, Variable) for v in parts):
        raise TypeError(f"variable_list is not a list or tuple of variables: {parts!r}")
    if not isinstance(partitions, (list, tuple)):
        raise TypeError(f"partitions is not a list or tuple: {partitions!r}")
    if not all(count >= 1 for count in partitions):
        raise ValueError(f"partition values must be positive: {partitions}")
    if not parts:
        raise ValueError("variable_list may not be empty")
    infos = [part.save_slice_info for part in parts]
    if None in infos:
        raise ValueError(f"All variables must have a save_slice_info available: {[part.name for part in parts]}")
    whole = shapes.TensorShape(shape).as_list()
    if len(whole) != len(partitions):
        raise ValueError(f"len(shape) != len(partitions): {whole} vs. {list(partitions)}")
    full = [list(info.full_shape) for info in infos]
    if any(one != whole for one in full):
        raise ValueError(f"All variables full shapes must match shape: {whole}; but full shapes were: {full}")


STANDING.append((PartitionedVariable, PartitionedVariable.as_tensor))


def parts_of(name: str, shape: Sequence[int], partitions: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """(offset, shape) of each part. If an axis does not divide evenly, the first parts are one longer.

    Raises ValueError for partitions that do not match the shape.
    """
    if len(partitions) != len(shape):
        text = "Partitioner returned a partition list that does not match the Variable's rank"
        raise ValueError(f"{text}: {partitions} vs. {list(shape)} of {name}")
    if any(count < 1 for count in partitions):
        raise ValueError(f"Partitioner returned zero partitions for some axes: {partitions} of {name}")
    divided = [axis for axis, count in enumerate(partitions) if count > 1]
    if len(divided) > 1:
        raise ValueError(
            f"Can only slice a variable along one dimension: shape: {list(shape)}, partitioning: {partitions}"
        )
    if not divided:
        return [([0] * len(shape), list(shape))]
    axis, count = divided[0], partitions[divided[0]]
    if count > shape[axis]:
        raise ValueError(f"{name} cannot be divided into {count} parts along axis {axis}, which has {shape[axis]}")
    base, extra = divmod(shape[axis], count)
    found, start = [], 0
    for number in range(count):
        size = base + (number < extra)
        offset, dims = [0] * len(shape), list(shape)
        offset[axis], dims[axis] = start, size
        found.append((offset, dims))
        start += size
    return found


# Partitioners


def fixed_size_partitioner(num_shards: int, axis: int = 0) -> Callable[..., Any]:
    """A partitioner with num_shards parts along an axis, or fewer if the axis is shorter."""

    def partitioner(shape: Any, **_: Any) -> list[int]:
        dims = _known(shape)
        parts = [1] * len(dims)
        parts[axis] = min(num_shards, dims[axis])
        return parts

    return partitioner


def variable_axis_size_partitioner(
    max_shard_bytes: int, axis: int = 0, bytes_per_string_element: int = 16, max_shards: int | None = None
) -> Callable[..., Any]:
    """A partitioner with parts of at most max_shard_bytes, and at most max_shards parts. Raises ValueError below 1.

    bytes_per_string_element: the assumed size of a string.
    """
    if max_shard_bytes < 1 or bytes_per_string_element < 1:
        raise ValueError("Both max_shard_bytes and bytes_per_string_element must be positive.")
    if max_shards is not None and max_shards < 1:
        raise ValueError("max_shards must be positive.")

    def partitioner(shape: Any, dtype: Any) -> list[int]:
        dims = _known(shape)
        size = _element(dtype, bytes_per_string_element)
        a_slice = math.prod(dims) // max(1, dims[axis]) * size
        at_once = max(1, int(math.floor(max_shard_bytes / max(1, a_slice))))
        count = int(math.ceil(dims[axis] / at_once))
        parts = [1] * len(dims)
        parts[axis] = count if max_shards is None else min(max_shards, count)
        return parts

    return partitioner


def min_max_variable_partitioner(
    max_partitions: int = 1, axis: int = 0, min_slice_size: int = 256 << 10, bytes_per_string_element: int = 16
) -> Callable[..., Any]:
    """A partitioner with at most max_partitions parts along an axis, each of at least min_slice_size bytes.

    bytes_per_string_element: the assumed size of a string.
    """

    def partitioner(shape: Any, dtype: Any) -> list[int]:
        dims = _known(shape)
        axis_of = axis % len(dims)
        total = math.prod(dims) * _element(dtype, bytes_per_string_element)
        parts = [1] * len(dims)
        parts[axis_of] = max(1, min(dims[axis_of], max_partitions, int(math.ceil(total / min_slice_size))))
        return parts

    return partitioner


def _known(shape: Any) -> list[int]:
    raw = shapes.as_raw(shape)
    if not shapes.is_full(raw):
        raise ValueError(f"shape is not fully defined: {shapes.text(raw)}")
    return list(raw)  # type: ignore[arg-type]


def _element(dtype: Any, text: int) -> int:
    kind = as_dtype(dtype)
    return text if kind.numpy.kind == "O" else kind.size
