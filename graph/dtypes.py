"""The element types of tensors: one DType object each, under TensorFlow 1's names, backed by NumPy's dtypes.

`string` holds bytes, `object` any Python object, `variant` the contents of a TensorArray. Each type has a `..._ref`
twin for references to variables, whose `base_dtype` is the plain type.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

_CPP_NAMES = {"float32": "float", "float64": "double", "float16": "half"}


class DType:
    """An element type. There is one object for each type, so you can compare with `is`; == also takes names etc.

    type_enum: its number in protocol buffers, e.g. 1 for `DT_FLOAT`. Raises TypeError for one that has no type.
    """

    __slots__ = ("_other", "base_dtype", "is_quantized", "name", "numpy")

    name: str
    numpy: np.dtype
    """The NumPy dtype."""
    base_dtype: DType
    """The plain type: for a reference the type it refers to."""
    is_quantized: builtins.bool
    """Whether the numbers stand for others, which only a range tells: no arithmetic."""

    def __new__(cls, type_enum: int) -> DType:
        found = _of_number(int(type_enum))
        if found is None:
            raise TypeError(f"type_enum is not a valid types_pb2.DataType: {type_enum}")
        return found

    @property
    def as_numpy_dtype(self) -> type[Any]:
        """The corresponding NumPy scalar type."""
        return self.numpy.type

    @property
    def _is_ref_dtype(self) -> builtins.bool:
        return self.base_dtype is not self

    @property
    def _as_ref(self) -> DType:
        return self if self._is_ref_dtype else self._other

    @property
    def is_floating(self) -> builtins.bool:
        """True for a real floating point type."""
        return self.numpy.kind == "f"

    @property
    def is_integer(self) -> builtins.bool:
        """True for a signed or unsigned integer type."""
        return self.numpy.kind in "iu" and not self.is_quantized

    @property
    def is_unsigned(self) -> builtins.bool:
        """True for an unsigned integer type."""
        return self.numpy.kind == "u" and not self.is_quantized

    @property
    def is_complex(self) -> builtins.bool:
        """True for a complex type."""
        return self.numpy.kind == "c"

    @property
    def is_bool(self) -> builtins.bool:
        """True for the boolean type."""
        return self.numpy.kind == "b"

    @property
    def is_numpy_compatible(self) -> builtins.bool:
        """True for a type of values, False for one of handles."""
        return self.base_dtype.name not in ("resource", "variant")

    @property
    def real_dtype(self) -> DType:
        """The type of the real part."""
        return {"complex64": float32, "complex128": float64}.get(self.base_dtype.name, self.base_dtype)

    @property
    def size(self) -> int:
        """The number of bytes of an element."""
        return self.numpy.itemsize

    @property
    def limits(self) -> tuple[Any, Any]:
        """The range of intensities in an image: 0 to the greatest integer, or 0 to 1.

        Raises ValueError for types that images do not have.
        """
        if self.numpy.kind not in "biuf" or self.is_quantized:
            raise ValueError(f"{self} does not have defined limits.")
        return (0, 1) if self.is_floating else (0, self.max)

    @property
    def bounds(self) -> tuple[Any, Any]:
        """The smallest and largest value. Raises TypeError for types without limits."""
        kind = "" if self.is_quantized else self.numpy.kind
        if kind == "b":
            return (False, True)
        if kind in ("i", "u"):
            info = np.iinfo(self.numpy)
            return (int(info.min), int(info.max))
        if kind == "f":
            return (np.finfo(self.numpy).min, np.finfo(self.numpy).max)
        raise TypeError(f"Cannot find minimum value of {self}, nor its maximum value.")

    @property
    def min(self) -> Any:
        """The smallest value. Raises TypeError for types without limits."""
        return self.bounds[0]

    @property
    def max(self) -> Any:
        """The largest value. Raises TypeError for types without limits."""
        return self.bounds[1]

    @property
    def cpp_name(self) -> str:
        """The name that TensorFlow's runtime uses in messages."""
        base = self.base_dtype.name
        return _CPP_NAMES.get(base, base)

    @property
    def as_datatype_enum(self) -> int:
        """The number in protocol buffers, `DT_FLOAT` etc.; 100 more for a reference. `object` is DT_VARIANT."""
        return _ENUM[self.base_dtype] + (100 if self._is_ref_dtype else 0)

    def is_compatible_with(self, other: Any) -> builtins.bool:
        """True if a value of type `other` is accepted where this type is expected: a reference only takes its own."""
        given = as_dtype(other)
        return self is given or self is given.base_dtype

    def __eq__(self, other: Any) -> builtins.bool:
        if self is other:
            return True
        if other is None or isinstance(other, DType):
            return False
        try:
            return self is as_dtype(other)
        except TypeError:
            return False

    def __ne__(self, other: Any) -> builtins.bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self):
        return as_dtype, (self.name,)

    def __str__(self) -> str:
        return f"<dtype: '{self.name}'>"

    def __repr__(self) -> str:
        return f"tf.{self.name}"


def _define(name: str, numpy: Any, base: DType | None = None, is_quantized: builtins.bool = False) -> DType:
    """The one object for a type. base: the dtype without "ref", None for itself."""
    made = builtins.object.__new__(DType)
    made.name, made.numpy, made.is_quantized = name, np.dtype(numpy), is_quantized
    made.base_dtype = made if base is None else base
    made._other = _define(name + "_ref", numpy, made, is_quantized) if base is None else base
    return made


float16 = half = _define("float16", np.float16)
float32 = _define("float32", np.float32)
float64 = double = _define("float64", np.float64)
int8 = _define("int8", np.int8)
int16 = _define("int16", np.int16)
int32 = _define("int32", np.int32)
int64 = _define("int64", np.int64)
uint8 = _define("uint8", np.uint8)
uint16 = _define("uint16", np.uint16)
uint32 = _define("uint32", np.uint32)
uint64 = _define("uint64", np.uint64)
bool = _define("bool", np.bool_)
complex64 = _define("complex64", np.complex64)
complex128 = _define("complex128", np.complex128)
string = _define("string", np.object_)
object = _define("object", np.object_)
resource = _define("resource", np.object_)
variant = _define("variant", np.object_)

qint8 = _define("qint8", np.int8, is_quantized=True)
qint16 = _define("qint16", np.int16, is_quantized=True)
qint32 = _define("qint32", np.int32, is_quantized=True)
quint8 = _define("quint8", np.uint8, is_quantized=True)
quint16 = _define("quint16", np.uint16, is_quantized=True)

ALL: dict[str, DType] = {
    d.name: d
    for d in (
        *(float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64),
        *(bool, complex64, complex128, string, object, resource, variant),
        *(qint8, qint16, qint32, quint8, quint16),
    )
}
QUANTIZED_DTYPES = frozenset([kind for d in ALL.values() if d.is_quantized for kind in (d, d._as_ref)])
"""The types of quantized numbers, and their references."""
_ALIASES = {"half": float16, "float": float32, "double": float64}
_ENUM: dict[DType, int] = {
    float32: 1,
    float64: 2,
    int32: 3,
    uint8: 4,
    int16: 5,
    int8: 6,
    string: 7,
    complex64: 8,
    int64: 9,
    bool: 10,
    qint8: 11,
    quint8: 12,
    qint32: 13,
    qint16: 15,
    quint16: 16,
    uint16: 17,
    complex128: 18,
    float16: 19,
    resource: 20,
    object: 21,
    uint32: 22,
    uint64: 23,
}
_OF_ENUM = {number: dtype for dtype, number in _ENUM.items()}
_ENUM[variant] = _ENUM[object]
_OF_NUMPY = {known.numpy: known for known in ALL.values() if known.numpy.kind != "O" and not known.is_quantized}
_SCALARS = frozenset(np.sctypeDict.values())
"""NumPy's concrete scalar types. An abstract one, such as np.number, is no dtype."""
_PYTHON: dict[Any, DType] = {
    builtins.float: float32,
    int: int32,
    builtins.bool: bool,
    complex: complex128,
    str: string,
    bytes: string,
    builtins.object: object,
}


def _of_number(number: int) -> DType | None:
    known = _OF_ENUM.get(number % 100) if 0 <= number < 200 else None
    return known if known is None or number < 100 else known._as_ref


def is_numeric(dtype: np.dtype) -> builtins.bool:
    """Whether tensors can have a NumPy dtype of numbers. There is none for np.longdouble, for example."""
    return dtype.kind in "biufc" and dtype.newbyteorder("=") in _OF_NUMPY


def as_dtype(type_value: Any) -> DType:
    """The DType for a DType, a name, a NumPy dtype or scalar type, or a Python type (float is float32, int is int32).

    An int is a protocol buffer's type number, e.g. 1 is `DT_FLOAT`. Raises TypeError for anything else.
    type_value: what is to become a DType.
    """
    if isinstance(type_value, DType):
        return type_value
    if isinstance(type_value, np.dtype) and (known := _OF_NUMPY.get(type_value)) is not None:
        return known
    if isinstance(type_value, str):
        known = ALL.get(type_value) or _ALIASES.get(type_value)
        if known is not None:
            return known
        if type_value.endswith("_ref") and type_value[:-4] in ALL:
            return ALL[type_value[:-4]]._as_ref
    elif isinstance(type_value, type) and type_value in _PYTHON:
        return _PYTHON[type_value]
    elif type(type_value) is int and (known := _of_number(type_value)) is not None:
        return known
    try:
        # NumPy takes None as float64, any class as object, and a scalar as its own dtype. None of that is intended
        # here.
        if type_value is None or isinstance(type_value, np.generic):
            raise TypeError
        if isinstance(type_value, type) and type_value not in _SCALARS:
            raise TypeError
        dtype: np.dtype[Any] = np.dtype(type_value)  # pyright: ignore
    except (TypeError, ValueError, SyntaxError):
        raise TypeError(f"Cannot convert value {type_value!r} to a TensorFlow DType.") from None
    if dtype.kind in "SU":
        return string
    known = object if dtype.kind == "O" else ALL.get(dtype.name)
    if known is None:
        raise TypeError(f"Cannot convert value {type_value!r} to a TensorFlow DType.")
    return known
