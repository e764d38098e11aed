"""Taking apart and putting together by computed positions: dynamic_partition, dynamic_stitch, setdiff1d."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor, convert_together
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.kernels.indices import partition, stitched
from weftwork.graph.operation import Tensor
from weftwork.graph.scopes import name_scope


class ListDiff(NamedTuple):
    """The elements that are in one vector only, and where they stand in it."""

    out: Tensor
    idx: Tensor


def dynamic_partition(data: Any, partitions: Any, num_partitions: int, name: str | None = None) -> list[Tensor]:
    """`num_partitions` tensors, of which number i has the slices of `data` whose partition is i, in order.

    partitions: integers in [0, num_partitions), of the shape of data's first axes.
    Raises ValueError for a count below 1 and for shapes that do not fit; another partition is an InvalidArgumentError
    when it runs.
    """
    if num_partitions < 1:
        raise ValueError(f"num_partitions must be at least 1, but is {num_partitions}")
    with name_scope(name, "DynamicPartition", [data, partitions]) as scope:
        x, places = convert_to_tensor(data, name="data"), convert_to_tensor(partitions, name="partitions")
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
    """A tensor whose slice number indices[m][i...] is data[m][i...]; where a number comes twice the last one counts.

    indices: a list of integer tensors.   data: as many tensors, each of its indices' shape and one that all have.
    Slices that no index names are zero. Raises ValueError where the lists differ in length or are empty.
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
        rest = next((shape for shape in known if None not in shape), None)
        shape = None if not known else (None, *known[0])
        attrs = {"shape": rest}
        return apply(
            stitched, [*places, *parts], attrs, type="DynamicStitch", name=scope, dtype=parts[0].dtype, shape=shape
        )


parallel_stitch = dynamic_stitch


def difference(x: Any, y: Any, *, dtype: np.dtype) -> tuple:
    """The kernel of ListDiff."""
    places = np.flatnonzero(~np.isin(x, y)).astype(dtype)
    return x[places], places


def setdiff1d(x: Any, y: Any, index_dtype: Any = dtypes.int32, name: str | None = None) -> ListDiff:
    """(out, idx): the elements of a vector x that are not in y, in order, as often as they occur, and their places."""
    one, other = convert_together([x, y])
    kind = as_dtype(index_dtype)
    outputs: list = [(one.dtype.base_dtype, (None,)), (kind, (None,))]
    attrs = {"dtype": kind.numpy}
    return ListDiff(*apply(difference, [one, other], attrs, type="ListDiff", name=name, outputs=outputs))
