"""Limiting values or norms: clip_by_value, clip_by_norm, clip_by_global_norm.

For IndexedSlices, such as the gradients of tables, the rows are clipped, and the result is IndexedSlices.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph import dtypes, shapes
from weftwork.graph.arguments import of_kind
from weftwork.graph.build import apply, convert_to_tensor, convert_together, elementwise
from weftwork.graph.kernels import elementwise as kernels
from weftwork.graph.known import promoted, whole_numbers
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import size
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.conversion import cast
from weftwork.graph.scopes import name_scope


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Any:
    """max(min(t, clip_value_max), clip_value_min). Raises ValueError if the limits do not broadcast to t's shape."""
    if isinstance(t, IndexedSlices):
        return _with_rows(t, clip_by_value(t.values, clip_value_min, clip_value_max, name))
    tensors = convert_together([t, clip_value_min, clip_value_max])
    of_kind(tensors[0], "t", "biuf")
    shape = functools.reduce(shapes.broadcast, [tensor.raw_shape for tensor in tensors])
    shape = shapes.merge(tensors[0].raw_shape, shape)
    dtype = promoted(tensors)
    return apply(kernels.clip, tensors, type="ClipByValue", name=name or "clip_by_value", dtype=dtype, shape=shape)


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Any:
    """t, scaled down if its Euclidean norm (over `axes`, by default all) exceeds clip_norm: t * c / max(|t|, c).

    Raises TypeError for what is no float.
    """
    if isinstance(t, IndexedSlices):
        return _with_rows(t, clip_by_norm(t.values, clip_norm, axes, name))
    x, limit = convert_together([t, clip_norm])
    of_kind(x, "t", "f")
    attrs = {"axes": whole_numbers(axes)}
    dtype = promoted([x, limit])
    return apply(
        kernels.clip_by_norm, [x, limit], attrs, type="ClipByNorm", name=name or "clip_by_norm", dtype=dtype,
        shape=x.raw_shape,
    )  # fmt: skip


def clip_by_average_norm(t: Any, clip_norm: Any, name: str | None = None) -> Tensor:
    """t, scaled down if its Euclidean norm, divided by the number of its elements, exceeds clip_norm."""
    with name_scope(name, "clip_by_average_norm", [t, clip_norm]) as scope:
        x = convert_to_tensor(t)
        count = cast(size(x), x.dtype.base_dtype)
        return clip_by_norm(x, count * clip_norm, name=scope)


def global_norm(t_list: Any, name: str | None = None) -> Tensor | None:
    """The Euclidean norm over all elements of all tensors. None entries are skipped; None if nothing is left.

    Raises TypeError if t_list is not a list.
    """
    tensors = [_values(t) for t in _sequence(t_list) if t is not None]
    if not tensors:
        return None
    dtype = promoted(tensors).real_dtype
    dtype = dtype if dtype.is_floating else dtypes.float64
    return apply(kernels.global_norm, tensors, type="GlobalNorm", name=name or "global_norm", dtype=dtype, shape=())


def clip_by_global_norm(
    t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Any], Tensor | None]:
    """(tensors scaled by clip_norm / max(global norm, clip_norm), global norm); None entries stay.

    use_norm: the norm, if already known. An infinite norm gives NaN everywhere, so that you notice.
    Reference: Pascanu et al. 2013, arXiv:1211.5063.   Raises TypeError if t_list is not a list.
    """
    items = list(_sequence(t_list))
    with name_scope(name, "clip_by_global_norm", [t for t in items if t is not None]):
        norm = global_norm(items) if use_norm is None else convert_to_tensor(use_norm)
        if norm is None:
            return items, None
        norm, limit = convert_together([norm, clip_norm])
        scale = apply(kernels.clip_scale, [norm, limit], type="ClipScale", name="scale", dtype=norm.dtype, shape=())
        return [None if item is None else _scaled(item, scale, f"clipped_{i}") for i, item in enumerate(items)], norm


def _scaled(item: Any, scale: Tensor, name: str) -> Any:
    tensor = _values(item)
    factor = scale if tensor.dtype.base_dtype is scale.dtype else cast(scale, tensor.dtype)
    product = elementwise(np.multiply, tensor, factor, type="Mul", name=name)
    return _with_rows(item, product) if isinstance(item, IndexedSlices) else product


def _values(item: Any) -> Tensor:
    return item.values if isinstance(item, IndexedSlices) else convert_to_tensor(item)


def _with_rows(slices: IndexedSlices, values: Tensor) -> IndexedSlices:
    return IndexedSlices(values, slices.indices, slices.dense_shape)


def _sequence(t_list: Any) -> Sequence:
    if not isinstance(t_list, Sequence) or isinstance(t_list, (str, bytes)):
        raise TypeError("t_list should be a sequence")
    return t_list
