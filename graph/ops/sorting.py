"""Sorting along an axis, and searching what is sorted."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, convert_to_tensor, convert_together
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.kernels import spaces as kernels
from weftwork.graph.known import known_axis, rank_of
from weftwork.graph.operation import Tensor
from weftwork.graph.scopes import name_scope


def axis_of(axis: Any, x: Tensor) -> int:
    """A known axis of a tensor, made non-negative if its rank is known. Raises ValueError if it is not known."""
    number = known_axis(axis, rank_of(x), "axis")
    if number is None:
        raise ValueError("axis must be a constant scalar")
    return number


def argsort(
    values: Any, axis: Any = -1, direction: str = "ASCENDING", stable: bool = False, name: str | None = None
) -> Tensor:
    """The indices, int32, that sort `values` along an axis; equal values keep their order.

    direction: ASCENDING or DESCENDING.
    stable: accepted as in TensorFlow; the order of equal values is kept in any case.
    Raises ValueError for another direction, and if there is no such axis.
    """
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(f"Unknown sort direction: {direction}")
    x = convert_to_tensor(values)
    attrs = {"axis": axis_of(axis, x), "down": direction == "DESCENDING"}
    return apply(_order, [x], attrs, type="ArgSort", name=name or "argsort", dtype=dtypes.int32, shape=x.raw_shape)


def _order(x, axis, down):
    if not down:
        return np.argsort(x, axis=axis, kind="stable").astype(np.int32)
    reversed_order = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.flip(x.shape[axis] - 1 - reversed_order, axis).astype(np.int32)


def sort(values: Any, axis: Any = -1, direction: str = "ASCENDING", name: str | None = None) -> Tensor:
    """`values` sorted along an axis. direction: ASCENDING or DESCENDING.

    Raises ValueError for another direction, and if there is no such axis.
    """
    with name_scope(name, "sort", [values]):
        x = convert_to_tensor(values)
        order = argsort(x, axis, direction)
        attrs = {"axis": axis_of(axis, x)}
        return apply(np.take_along_axis, [x, order], attrs, type="Sort", dtype=x.dtype, shape=x.raw_shape)


def searchsorted(
    sorted_sequence: Any, values: Any, side: str = "left", out_type: Any = dtypes.int32, name: str | None = None
) -> Tensor:
    """The index at which to insert each value into an ascending sequence, along the last axis of both.

    side: insert before equal elements ("left"), or after them ("right").
    sorted_sequence: [..., n], ascending along the last axis.
    Raises ValueError for another side.
    """
    if side not in ("left", "right"):
        raise ValueError(f"side must be either 'right' or 'left'.  Saw: {side}.")
    sequence, wanted = convert_together([sorted_sequence, values])
    kind = as_dtype(out_type)
    attrs = {"side": side, "dtype": kind.numpy}
    return apply(
        kernels.search, [sequence, wanted], attrs,
        type="SearchSorted", name=name or "searchsorted", dtype=kind, shape=wanted.raw_shape,
    )  # fmt: skip
