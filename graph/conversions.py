"""Conversions: the types that programs have registered as convertible to tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.dtypes import DType
from weftwork.graph.operation import Tensor

CONVERSIONS: list[tuple[int, type | tuple[type, ...], Callable]] = []
"""By priority: types, and the function that converts their objects."""


def register_tensor_conversion_function(
    base_type: Any, conversion_func: Callable[..., Any], priority: int = 100
) -> None:
    """Let conversion_func(value, dtype, name, as_ref) convert a `base_type` (or several); lower `priority` first."""
    listed = base_type if isinstance(base_type, tuple) else (base_type,)
    if not all([isinstance(kind, type) for kind in listed]):
        raise TypeError("base_type must be a type or a tuple of types.")
    if any([issubclass(kind, (int, float, np.generic, np.ndarray)) for kind in listed]):
        raise TypeError("Cannot register conversions for Python numeric types and NumPy scalars and arrays.")
    if not callable(conversion_func):
        raise TypeError("conversion_func must be callable.")
    CONVERSIONS.append((priority, base_type, conversion_func))
    CONVERSIONS.sort(key=lambda entry: entry[0])


def registered(value: Any, dtype: DType | None, name: str | None) -> Tensor | None:
    """A value of a registered type as a tensor; None for any other. Raises RuntimeError for a wrong conversion."""
    for _, base_type, convert in CONVERSIONS:
        if isinstance(value, base_type):
            tensor = convert(value, dtype=dtype, name=name, as_ref=False)
            if tensor is not NotImplemented:
                return _checked_conversion(tensor, convert, base_type, dtype)
    return None


def _checked_conversion(tensor: Any, convert: Callable, base_type: Any, dtype: DType | None) -> Tensor:
    """Check the result of a registered conversion: RuntimeError unless it is a tensor of the requested dtype."""
    subject = f"Conversion function {convert!r} for type {base_type} returned"
    if not isinstance(tensor, Tensor):
        raise RuntimeError(f"{subject} non-Tensor: {tensor!r}")
    if dtype is not None and tensor.dtype.base_dtype is not dtype:
        text = f"requested = {dtype.name}, actual = {tensor.dtype.name}"
        raise RuntimeError(f"{subject} incompatible dtype: {text}")
    return tensor
