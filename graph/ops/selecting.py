"""Choices between the elements of two tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, convert_to_tensor, convert_together
from weftwork.graph.errors import RefusedError
from weftwork.graph.kernels import indices as kernels
from weftwork.graph.known import promoted
from weftwork.graph.operation import Tensor


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """x where the condition is true, else y. Without x and y: the indices of true elements, int64 [count, rank].

    x and y have one shape. The condition has this shape too, or is a scalar, or a vector that selects whole rows.
    Raises ValueError for other shapes, and if only one of x and y is given; TypeError for a condition of text.
    """
    picks = convert_to_tensor(condition, name="condition")
    of_kind(picks, "condition", "biufc")
    if x is None and y is None:
        return _true_indices(picks, name)
    if x is None or y is None:
        raise ValueError("x and y must both be non-None or both be None.")
    a, b = convert_together([x, y])
    if not shapes.compatible(a.raw_shape, b.raw_shape):
        raise ValueError(f"{shapes.difference(a.raw_shape, b.raw_shape)} These are x and y of `where`: {a}, {b}")
    shape = shapes.merge(a.raw_shape, b.raw_shape)
    if picks.raw_shape is not None and len(picks.raw_shape) == 1:
        if shape == ():
            raise RefusedError(None, None, "'then' must be at least a vector, but saw shape: []")
        _check_condition(picks, shape and shape[:1])
    elif picks.raw_shape:
        _check_condition(picks, shape)
        shape = shapes.merge(picks.raw_shape, shape)
    return apply(kernels.select, [picks, a, b], type="Select", name=name, dtype=promoted([a, b]), shape=shape)


def where_v2(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """`where` with broadcasting of the condition, x and y, as in NumPy."""
    if x is None or y is None:
        return where(condition, x, y, name=name)
    picks = convert_to_tensor(condition, name="condition")
    of_kind(picks, "condition", "biufc")
    a, b = convert_together([x, y])
    shape = shapes.broadcast(picks.raw_shape, shapes.broadcast(a.raw_shape, b.raw_shape))
    return apply(np.where, [picks, a, b], type="SelectV2", name=name, dtype=promoted([a, b]), shape=shape)


def _true_indices(picks: Tensor, name: str | None) -> Tensor:
    if picks.raw_shape == ():
        raise RefusedError(None, None, "WhereOp : Unhandled input dimensions: 0")
    shape = (None, None if picks.raw_shape is None else len(picks.raw_shape))
    return apply(np.argwhere, [picks], type="Where", name=name, dtype=dtypes.int64, shape=shape)


def _check_condition(picks: Tensor, wanted: shapes.RawShape) -> None:
    if not shapes.compatible(picks.raw_shape, wanted):
        raise ValueError(f"{shapes.difference(picks.raw_shape, wanted)} The condition of `where` is {picks}.")
