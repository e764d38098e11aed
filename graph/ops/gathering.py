"""Gathering with separate indices for each element of the first axes, which both tensors share."""

from __future__ import annotations

from typing import Any

from weftwork.graph import shapes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.errors import RefusedError
from weftwork.graph.kernels import indices as kernels
from weftwork.graph.known import whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.shapes import RawShape


def gathered_in_batches(x: Tensor, at: Tensor, axis: Any, batch: int, name: str | None) -> Tensor:
    """The node of a gather with separate indices for each element of the first axes."""
    if batch < 0 and at.raw_shape is not None:
        batch += len(at.raw_shape)
    elif batch < 0 and axis is None:
        raise ValueError("tf.gather does not allow indices with unknown rank when batch_dims is specified.")
    number: Any = batch if axis is None else whole_numbers(axis)
    inputs, attrs, shape = [x, at], {"batch_dims": batch, "axis": number}, None
    if number is None:
        del attrs["axis"]
        inputs.append(convert_to_tensor(axis, name="axis"))
        shape = unknown_sizes(x, at, batch)
    elif x.raw_shape is not None and at.raw_shape is not None:
        shape = _shape_in_batches(x.raw_shape, at.raw_shape, number, batch)
    return apply(kernels.batch_gather, inputs, attrs, type="GatherV2", name=name, dtype=x.dtype, shape=shape)


def unknown_sizes(x: Tensor, at: Tensor, batch: int) -> RawShape:
    """The shape of a gather along an unknown axis, of which only the rank is known."""
    if x.raw_shape is None or at.raw_shape is None:
        return None
    return (None,) * (len(x.raw_shape) + len(at.raw_shape) - 1 - batch)


def _shape_in_batches(x: tuple, at: tuple, axis: int, batch: int) -> RawShape:
    if not -len(x) <= axis < len(x):
        raise ValueError(f"axis ({axis}) out of range [{-len(x)}, {len(x)})")
    axis %= len(x)
    if not 0 <= batch <= len(at):
        raise ValueError(f"batch_dims = {batch} must be less than rank(indices) = {len(at)}")
    if batch > axis:
        raise ValueError(f"batch_dims = {batch} must be less than or equal to axis = {axis}")
    for i, (a, b) in enumerate(zip(x[:batch], at, strict=False)):
        if None not in (a, b) and a != b:
            raise RefusedError(None, None, f"params.shape[{i}]: {a} should be equal to indices.shape[{i}]: {b}")
    return (*shapes.merge(x[:batch], at[:batch]), *x[batch:axis], *at[batch:], *x[axis + 1 :])  # type: ignore[misc]
