"""Conversions between dtypes: cast and its variants, and the parts of complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, convert_to_tensor, convert_together, elementwise
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.kernels import elementwise as kernels
from weftwork.graph.known import promoted
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.composite import IndexedSlices, over_values
from weftwork.graph.seams import seams


@over_values
def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """x as another dtype, with C's rules: floats lose their fraction, complex numbers their imaginary part.

    SparseTensors and IndexedSlices keep their kind. Raises TypeError for a cast between strings and numbers.
    """
    if isinstance(x, IndexedSlices):
        return IndexedSlices(cast(x.values, dtype, name), x.indices, x.dense_shape)
    x, dtype = convert_to_tensor(x, name="x"), as_dtype(dtype).base_dtype
    given = x.dtype.base_dtype
    if given is dtype:
        return x
    if dtypes.string in (given, dtype):
        raise TypeError(f"Cast {given.name} to {dtype.name} is not supported")
    kernel = kernels.cast_object if given.numpy.kind == "O" else kernels.cast
    if given.is_complex and not dtype.is_complex:
        kernel = kernels.cast_complex
    attrs = {"dtype": dtype.numpy}
    return apply(kernel, [x], attrs, type="Cast", name=name, dtype=dtype, shape=x.raw_shape)


def to_float(x: Any, name: str | None = "ToFloat") -> Tensor:
    """x as float32."""
    return cast(x, dtypes.float32, name)


def to_double(x: Any, name: str | None = "ToDouble") -> Tensor:
    """x as float64."""
    return cast(x, dtypes.float64, name)


def to_int32(x: Any, name: str | None = "ToInt32") -> Tensor:
    """x as int32."""
    return cast(x, dtypes.int32, name)


def to_int64(x: Any, name: str | None = "ToInt64") -> Tensor:
    """x as int64."""
    return cast(x, dtypes.int64, name)


def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Tensor:
    """value as another real dtype, clipped to its range."""
    x, dtype = convert_to_tensor(value, name="value"), as_dtype(dtype).base_dtype
    given = x.dtype.base_dtype
    if float(given.min) >= float(dtype.min) and float(given.max) <= float(dtype.max):
        return cast(x, dtype, name)
    attrs = {"low": _within(given, dtype, dtype.min), "high": _within(given, dtype, dtype.max), "dtype": dtype.numpy}
    name = name or "saturate_cast"
    return apply(kernels.saturate_cast, [x], attrs, type="SaturateCast", name=name, dtype=dtype, shape=x.raw_shape)


def _within(given: DType, wanted: DType, limit: Any) -> Any:
    """The number nearest to a limit of the wanted dtype that both dtypes can represent."""
    if given.is_integer:
        return min(max(int(limit), given.min), given.max)
    with np.errstate(over="ignore"):
        number = given.numpy.type(limit)
    if np.isinf(number):
        return given.max if number > 0 else given.min
    exact = int(number) if wanted.is_integer else float(number)
    beyond = exact > wanted.max or exact < wanted.min
    return np.nextafter(number, given.numpy.type(0)) if beyond else number


def complex(real: Any, imag: Any, name: str | None = None) -> Tensor:
    """real + i imag: complex64 from float32, complex128 from float64. Raises TypeError for other dtypes."""
    real, imag = convert_together([real, imag])
    dtype = promoted([real, imag])
    if dtype not in (dtypes.float32, dtypes.float64):
        raise TypeError(f"real and imag have incorrect types: {real.dtype.name} {imag.dtype.name}")
    dtype = dtypes.complex64 if dtype is dtypes.float32 else dtypes.complex128
    shape = shapes.broadcast(real.raw_shape, imag.raw_shape)
    attrs = {"dtype": dtype.numpy}
    return apply(kernels.complex_of, [real, imag], attrs, type="Complex", name=name, dtype=dtype, shape=shape)


def real(input: Any, name: str | None = None) -> Tensor:
    """The real part; a real input is returned as it is."""
    x = convert_to_tensor(input, name="input")
    of_kind(x, "input", "biufc")
    if not x.dtype.is_complex:
        return x
    return apply(np.real, [x], type="Real", name=name, dtype=x.dtype.real_dtype, shape=x.raw_shape)


def imag(input: Any, name: str | None = None) -> Tensor:
    """The imaginary part; zeros for a real input."""
    x = convert_to_tensor(input, name="input")
    of_kind(x, "input", "biufc")
    return apply(np.imag, [x], type="Imag", name=name, dtype=x.dtype.real_dtype, shape=x.raw_shape)


def conj(x: Any, name: str | None = None) -> Tensor:
    """The complex conjugate; a real input is returned as it is."""
    x = convert_to_tensor(x, name="x")
    return elementwise(np.conjugate, x, type="Conj", name=name) if x.dtype.is_complex else x


def angle(input: Any, name: str | None = None) -> Tensor:
    """The argument of complex numbers, in radians; 0 or pi for floats."""
    x = convert_to_tensor(input, name="input")
    of_kind(x, "input", "biufc")
    if x.dtype.numpy.kind in "biu":
        x = cast(x, dtypes.float64)
    return apply(kernels.angle, [x], type="Angle", name=name, dtype=x.dtype.real_dtype, shape=x.raw_shape)


seams.cast = cast
