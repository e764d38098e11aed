"""Descriptions of values before there are any: `TensorSpec` and its kin say the dtype and the shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import as_tensor, convert_to_tensor
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import IndexedSlices, SparseTensor, SparseTensorValue
from weftwork.graph.shapes import TensorShape


class TypeSpec(ABC):
    """The description of a value. A subclass says in `_serialize` what it is made of: the arguments of its class."""

    @property
    @abstractmethod
    def value_type(self) -> type:
        """The class of the values."""

    @abstractmethod
    def _serialize(self) -> tuple[Any, ...]: ...

    @classmethod
    def _deserialize(cls, serialization: tuple[Any, ...]) -> TypeSpec:
        return cls(*serialization)  # type: ignore[call-arg]

    def is_compatible_with(self, spec_or_value: Any) -> bool:
        """True if some value could fit both this description and another, or if a value fits.

        spec_or_value: a TypeSpec or a value.
        """
        other = spec_or_value if isinstance(spec_or_value, TypeSpec) else type_spec_from_value(spec_or_value)
        return type(self) is type(other) and _compatible(self._serialize(), other._serialize())

    def most_specific_compatible_type(self, other: TypeSpec) -> TypeSpec:
        """The closest description that fits what either one fits. Raises ValueError if there is none."""
        if type(self) is not type(other):
            raise ValueError(f"No TypeSpec is compatible with both {self} and {other}")
        return self._deserialize(_in_common(self._serialize(), other._serialize()))

    def __eq__(self, other: Any) -> bool:
        return type(self) is type(other) and self._serialize() == other._serialize()

    def __ne__(self, other: Any) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((type(self), repr(self._serialize())))

    def __reduce__(self):
        return self._deserialize, (self._serialize(),)

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._serialize()!r}"


def _compatible(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_compatible, a, b))
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all([_compatible(a[key], b[key]) for key in a])
    if isinstance(a, (TypeSpec, TensorShape, dtypes.DType)):
        return a.is_compatible_with(b)
    return a == b


def _in_common(a: Any, b: Any) -> Any:
    if type(a) is not type(b):
        raise ValueError(f"Types are not compatible: {a!r} vs {b!r}")
    if isinstance(a, (list, tuple)):
        if len(a) != len(b):
            raise ValueError(f"Types are not compatible: {a!r} vs {b!r}")
        return type(a)(map(_in_common, a, b))
    if isinstance(a, Mapping):
        if a.keys() != b.keys():
            raise ValueError(f"Types are not compatible: {a!r} vs {b!r}")
        return type(a)([(key, _in_common(a[key], b[key])) for key in a])  # type: ignore[call-arg]
    if isinstance(a, TensorShape):
        return a.most_specific_compatible_shape(b)
    if isinstance(a, TypeSpec):
        return a.most_specific_compatible_type(b)
    if a != b:
        raise ValueError(f"Values are not compatible: {a!r} vs {b!r}")
    return a


class _OfShapeAndDtype(TypeSpec):
    """The description of something that has one shape and one dtype."""

    _shape: TensorShape
    _dtype: dtypes.DType

    @property
    def shape(self) -> TensorShape:
        """The shape of the whole, as far as it is known."""
        return self._shape

    @property
    def dtype(self) -> dtypes.DType:
        """The dtype of the elements."""
        return self._dtype


class TensorSpec(_OfShapeAndDtype):
    """The description of a tensor.

    shape: as for a TensorShape.   dtype: of the elements.   name: of the tensor, or None.
    """

    def __init__(self, shape: Any, dtype: Any = dtypes.float32, name: str | None = None):
        self._shape, self._dtype, self._name = TensorShape(shape), dtypes.as_dtype(dtype), name

    @classmethod
    def from_spec(cls, spec: Any, name: str | None = None) -> TensorSpec:
        """The description of what another one describes. name: by default the other's."""
        return cls(spec.shape, spec.dtype, name or spec.name)

    @classmethod
    def from_tensor(cls, tensor: Tensor, name: str | None = None) -> TensorSpec:
        """The description of a tensor. name: by default that of its operation. Raises ValueError for anything else."""
        if as_tensor(tensor) is None:
            raise ValueError("`tensor` should be a tf.Tensor")
        return cls(tensor.shape, tensor.dtype, name or tensor.op.name)

    @property
    def value_type(self) -> type:
        """Tensor."""
        return Tensor

    @property
    def name(self) -> str | None:
        """The name, or None."""
        return self._name

    def is_compatible_with(self, spec_or_tensor: Any) -> bool:
        """True if a tensor, or what another description fits, could have this dtype and this shape.

        spec_or_tensor: a TensorSpec or a Tensor.
        """
        other = spec_or_tensor
        return self._dtype.is_compatible_with(other.dtype) and self._shape.is_compatible_with(other.shape)

    def _serialize(self) -> tuple[Any, ...]:
        return (self._shape, self._dtype, self._name)

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype!r}, name={self.name!r})"


class BoundedTensorSpec(TensorSpec):
    """The description of a tensor whose elements lie between bounds, both included.

    shape: as for a TensorShape.   dtype: of the elements.   name: of the tensor, or None.
    minimum, maximum: numbers, or arrays that broadcast to the shape. Raises ValueError for others.
    """

    def __init__(self, shape: Any, dtype: Any, minimum: Any, maximum: Any, name: str | None = None):
        super().__init__(shape, dtype, name)
        if minimum is None or maximum is None:
            raise ValueError(f"minimum and maximum must be provided; but saw '{minimum}' and '{maximum}'")
        self._minimum, self._maximum = self._bound("minimum", minimum), self._bound("maximum", maximum)

    def _bound(self, which: str, value: Any) -> np.ndarray:
        try:
            shapes.broadcast(np.shape(value), shapes.as_raw(self._shape))
        except ValueError as error:
            raise ValueError(f"{which} is not compatible with shape. Message: {error!r}.") from None
        bound = np.array(value, self._dtype.numpy)
        bound.setflags(write=False)
        return bound

    @classmethod
    def from_spec(cls, spec: Any, name: str | None = None) -> TensorSpec:
        """The description of what another one describes, within its bounds or else those of its dtype."""
        low, high = getattr(spec, "minimum", spec.dtype.min), getattr(spec, "maximum", spec.dtype.max)
        return cls(spec.shape, spec.dtype, low, high, name or spec.name)

    @property
    def minimum(self) -> np.ndarray:
        """The least values."""
        return self._minimum

    @property
    def maximum(self) -> np.ndarray:
        """The greatest values."""
        return self._maximum

    def __eq__(self, other: Any) -> bool:
        if type(self) is not type(other) or self._serialize()[:2] != other._serialize()[:2]:
            return False
        return bool(np.allclose(self.minimum, other.minimum) and np.allclose(self.maximum, other.maximum))

    __hash__ = TensorSpec.__hash__

    def _serialize(self) -> tuple[Any, ...]:
        return (self._shape, self._dtype, self._minimum, self._maximum, self._name)

    def __repr__(self) -> str:
        ends = f"minimum={np.array(self.minimum)!r}, maximum={np.array(self.maximum)!r}"
        return f"BoundedTensorSpec(shape={self.shape}, dtype={self.dtype!r}, name={self.name!r}, {ends})"


class SparseTensorSpec(_OfShapeAndDtype):
    """The description of a SparseTensor.

    shape: of the whole, as for a TensorShape.   dtype: of the values.
    """

    def __init__(self, shape: Any = None, dtype: Any = dtypes.float32):
        self._shape, self._dtype = TensorShape(shape), dtypes.as_dtype(dtype)

    @property
    def value_type(self) -> type:
        """SparseTensor."""
        return SparseTensor

    @property
    def _component_specs(self) -> list[TensorSpec]:
        rank = self._shape.ndims
        shapes_of = [([None, rank], dtypes.int64), ([None], self._dtype), ([rank], dtypes.int64)]
        return [TensorSpec(shape, dtype) for shape, dtype in shapes_of]

    def _serialize(self) -> tuple[Any, ...]:
        return (self._shape, self._dtype)


class IndexedSlicesSpec(TypeSpec):
    """The description of IndexedSlices.

    shape: of the whole, as for a TensorShape.   dtype: of the values.   indices_dtype: of the indices.
    dense_shape_dtype: of the dense shape, None if there is none.   indices_shape: as for a TensorShape.
    """

    def __init__(
        self, shape: Any = None, dtype: Any = dtypes.float32, indices_dtype: Any = dtypes.int64,
        dense_shape_dtype: Any = None, indices_shape: Any = None,
    ):  # fmt: skip
        self._shape, self._values_dtype = TensorShape(shape), dtypes.as_dtype(dtype)
        self._indices_dtype = dtypes.as_dtype(indices_dtype)
        self._dense_shape_dtype = None if dense_shape_dtype is None else dtypes.as_dtype(dense_shape_dtype)
        self._indices_shape = TensorShape(indices_shape).with_rank(1)

    @property
    def value_type(self) -> type:
        """IndexedSlices."""
        return IndexedSlices

    def _serialize(self) -> tuple[Any, ...]:
        dtypes_of = (self._values_dtype, self._indices_dtype, self._dense_shape_dtype)
        return (self._shape, *dtypes_of, self._indices_shape)


def type_spec_from_value(value: Any) -> TypeSpec:
    """The description of a value: of a tensor, or what can become one, a SparseTensor or IndexedSlices.

    Raises TypeError for anything else.
    """
    if isinstance(value, (SparseTensor, SparseTensorValue)):
        whole = SparseTensor.from_value(value)
        return SparseTensorSpec(whole.shape, whole.dtype)
    if isinstance(value, IndexedSlices):
        dense = None if value.dense_shape is None else value.dense_shape.dtype
        return IndexedSlicesSpec(value.shape, value.values.dtype, value.indices.dtype, dense, value.indices.shape)
    tensor = convert_to_tensor(value)
    return TensorSpec(tensor.shape, tensor.dtype)
