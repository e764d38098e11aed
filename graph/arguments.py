"""Checks that node-making functions apply to their arguments, with TensorFlow 1's messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import convert_to_tensor
from weftwork.graph.dtypes import DType, as_dtype
from weftwork.graph.errors import RefusedError
from weftwork.graph.operation import Tensor

FLOATS = ("float16", "float32", "float64")
LAPACK = ("float64", "float32", "complex64", "complex128")


def of_dtype(value: Any, parameter: str, allowed: tuple[str, ...] = FLOATS, default: str | None = None) -> Tensor:
    """`value` as a tensor. Raises TypeError if its dtype is not among the allowed ones.

    default: the dtype that numbers take that are not of an allowed dtype, and are no tensor.
    """
    given = getattr(getattr(value, "dtype", None), "name", None)
    x = convert_to_tensor(value, preferred_dtype=None if given in allowed else default)
    if x.dtype.base_dtype.name not in allowed:
        raise _refused(x, parameter, allowed)
    return x


def of_kind(x: Tensor, parameter: str, kinds: str) -> Tensor:
    """Return x. Raises TypeError unless its dtype is of these kinds, NumPy's letters.

    `object` may be any of them. An empty tensor passes: an empty list is float32, whatever it is meant for.
    """
    dtype = x.dtype.base_dtype
    if dtype is dtypes.object or 0 in (x.raw_shape or ()):
        return x
    if dtype.numpy.kind not in kinds or dtype.is_quantized:
        allowed = [known for known in dtypes.ALL.values() if known.numpy.kind in kinds and not known.is_quantized]
        raise _refused(x, parameter, [known.name for known in allowed])
    return x


def _refused(x: Tensor, parameter: str, allowed: Iterable[str]) -> TypeError:
    return TypeError(
        f"Value passed to parameter '{parameter}' has DataType {x.dtype.name} not in list of allowed values: "
        + ", ".join(allowed)
    )


def axis_or_dim(axis: Any, dim: Any, default: Any = -1) -> Any:
    """The argument under its new name `axis` or its old name `dim`. Raises ValueError if both are given."""
    if axis is not None and dim is not None:
        raise ValueError("Cannot specify both 'axis' and 'dim'")
    if axis is None:
        axis = dim
    return default if axis is None else axis


def check_axis(axis: int, shape: shapes.RawShape) -> None:
    """Raise RefusedError if a known shape has no such axis."""
    if shape is not None and not -len(shape) <= axis < len(shape):
        raise RefusedError(
            None,
            None,
            f"Dimension ({axis}) must be in the range [{-len(shape)}, {len(shape)}) where {len(shape)} is the number "
            "of dimensions in the input.",
        )


def common_dtype(*tensors: Tensor) -> DType:
    """The dtype that NumPy promotes these tensors to."""
    return as_dtype(np.result_type(*[tensor.dtype.numpy for tensor in tensors]))


def check_equal(a: int | None, b: int | None, name: str) -> None:
    """Raise ValueError if two dimensions are known and differ. name: the operation's name."""
    if None not in (a, b) and a != b:
        raise ValueError(f"Dimensions must be equal, but are {a} and {b} for {name!r}.")


def same_shape(logits: Tensor, labels: Tensor, other: str) -> shapes.RawShape:
    """The common shape of two tensors. Raises ValueError if they differ. other: the name of `labels` in the message."""
    a, b = logits.raw_shape, labels.raw_shape
    if not shapes.compatible(a, b):
        raise ValueError(f"logits and {other} must have the same shape ({shapes.text(a)} vs {shapes.text(b)})")
    return shapes.merge(a, b)
