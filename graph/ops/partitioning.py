"""Splitting and merging by computed positions: dynamic_partition, dynamic_stitch, setdiff1d."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, convert_to_tensor, convert_together, static_value
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.kernels.indices import partition, stitched
from weftwork.graph.operation import Tensor
from weftwork.graph.scopes import name_scope


class ListDiff(NamedTuple):
    """The elements of one vector that are not in another, and their positions."""

    out: Tensor
    idx: Tensor


def dynamic_partition(data: Any, partitions: Any, num_partitions: int, name: str | None = None) -> list[Tensor]:
    """Split into `num_partitions` tensors: tensor i has the slices of `data` whose partition is i, in order.

    partitions: integers in [0, num_partitions), of the shape of data's first axes.
    Raises TypeError for partitions that are no integers, ValueError for fewer than 1 partition and for shapes that do
    not match; a partition out of range raises InvalidArgumentError at run time.
    """
    if num_partitions < 1:
        raise ValueError(f"num_partitions must be at least 1, but is {num_partitions}")
    with name_scope(name, "DynamicPartition", [data, partitions]) as scope:
        x, places = convert_to_tensor(data, name="data"), convert_to_tensor(partitions, name="partitions")
        of_kind(places, "partitions", "iu")
        shape = None
        if x.raw_shape is not None and places.raw_shape is not None:
            rank = len(places.raw_shape)
            if not shapes.compatible(x.raw_shape[:rank], places.raw_shape):
                raise ValueError(
                    f"data.shape = {shapes.text(x.raw_shape)} does not start with partitions.shape = "
                    f"{shapes.text(places.raw_shape)}"
                )
            shape = (None, *x.raw_shape[rank:])
        outputs: list = [(x.dtype.base_dtype, shape)] * num_partitions
        attrs = {"num": num_partitions}
        return apply(partition, [x, places], attrs, type="DynamicPartition", name=scope, outputs=outputs)


def dynamic_stitch(indices: Sequence[Any], data: Sequence[Any], name: str | None = None) -> Tensor:
    """Merge slices: slice number indices[m][i...] of the result is data[m][i...]; the last data for an index wins.

    indices: a list of integer tensors.   data: for each of them a tensor, of its shape plus a common trailing shape.
    Slices without an index are zero. Raises ValueError if the lists are empty or differ in length.
    """
    if len(indices) != len(data) or not indices:
        raise ValueError(
            f"List argument 'data' to 'DynamicStitch' Op with length {len(data)} must match length {len(indices)} of "
            "argument 'indices'."
        )
    with name_scope(name, "DynamicStitch", [*indices, *data]) as scope:
        places = [convert_to_tensor(part, dtype=dtypes.int32) for part in indices]
        parts = convert_together(list(data))
        known = [
            part.raw_shape[len(place.raw_shape) :]
            for part, place in zip(parts, places, strict=True)
            if part.raw_shape is not None and place.raw_shape is not None
        ]
        for part, place in zip(parts, places, strict=True):
            if part.raw_shape is None or place.raw_shape is None:
                continue
            if not shapes.compatible(place.raw_shape, part.raw_shape[: len(place.raw_shape)]):
                raise ValueError(
                    f"data.shape = {shapes.text(part.raw_shape)} does not start with indices.shape = "
                    f"{shapes.text(place.raw_shape)}. {shapes.difference(place.raw_shape, part.raw_shape)}"
                )
        rest: Any = functools.reduce(shapes.merge, known) if known else None
        shape = None if rest is None else (_count([static_value(place) for place in places]), *rest)
        attrs = {"shape": rest if shapes.is_full(rest) else None}
        return apply(
            stitched, [*places, *parts], attrs, type="DynamicStitch", name=scope, dtype=parts[0].dtype, shape=shape
        )


def _count(places: Sequence[Any]) -> int | None:
    """The number of slices of a stitched tensor, one more than the greatest index; None if some are unknown."""
    if any([place is None for place in places]):
        return None
    return max([int(np.max(place, initial=-1)) for place in places]) + 1


parallel_stitch = dynamic_stitch


def difference(x: Any, y: Any, *, dtype: np.dtype) -> tuple:
    """The kernel of ListDiff."""
    for word, value in (("x", x), ("y", y)):
        if np.ndim(value) != 1:
            raise InvalidArgumentError(None, None, f"{word} should be a 1D vector.")
    places = np.flatnonzero(~np.isin(x, y)).astype(dtype)
    return x[places], places


def setdiff1d(x: Any, y: Any, index_dtype: Any = dtypes.int32, name: str | None = None) -> ListDiff:
    """(out, idx): the elements of a vector x that are not in y, in order, duplicates included, and their indices.

    Raises ValueError unless both are vectors; at run time InvalidArgumentError.
    """
    one, other = convert_together([x, y])
    for tensor in (one, other):
        if tensor.raw_shape is not None and len(tensor.raw_shape) != 1:
            raise ValueError(f"Shape must be rank 1 but is rank {len(tensor.raw_shape)} for 'ListDiff': {tensor}")
    kind = as_dtype(index_dtype)
    outputs: list = [(one.dtype.base_dtype, (None,)), (kind, (None,))]
    attrs = {"dtype": kind.numpy}
    return ListDiff(*apply(difference, [one, other], attrs, type="ListDiff", name=name, outputs=outputs))
