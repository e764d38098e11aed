"""Helpers for image functions: ranks, and sizes that are ints if known, else tensors."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.build import as_tensor, convert_to_tensor
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import expand_dims, shape, squeeze
from weftwork.graph.ops.conversion import cast

Size = Any
"""An int, or a tensor of one."""


def image_of(value: Any, what: str = "image") -> Tensor:
    """A tensor whose rank is 3 or more, or unknown. Raises ValueError for less."""
    x = convert_to_tensor(value, name=what)
    if x.raw_shape is not None and len(x.raw_shape) < 3:
        raise ValueError(f"'{what}' (shape {x.shape}) must be at least three-dimensional.")
    return x


def batched(value: Any, what: str = "image", ranked: bool = False) -> tuple[bool, Tensor]:
    """(whether it is a single image, a batch of images). An unknown rank counts as that of a single image.

    ranked: refuse an unknown rank. Raises ValueError for another one.
    """
    x = convert_to_tensor(value, name=what)
    if x.raw_shape is None:
        if ranked:
            raise ValueError(f"'{what}' contains no shape.")
        x = expand_dims(x, 0)
        x.set_shape([None] * 4)
        return True, x
    if len(x.raw_shape) not in (3, 4):
        raise ValueError(f"'{what}' must have either 3 or 4 dimensions.")
    return len(x.raw_shape) == 3, expand_dims(x, 0) if len(x.raw_shape) == 3 else x


def unbatched(one: bool, x: Tensor) -> Tensor:
    """Undo `batched`: if there was a single image, the first of the batch."""
    return squeeze(x, [0]) if one else x


def size_of(x: Tensor) -> tuple[Size, Size]:
    """(height, width) of a batch of images."""
    height, width = (x.raw_shape or (None,) * 4)[1:3]
    if height is not None and width is not None:
        return height, width
    given = shape(x)
    return given[1] if height is None else height, given[2] if width is None else width


def known(*sizes: Size) -> bool:
    """True if all are ints."""
    return all(as_tensor(size) is None for size in sizes)


def number_or_none(size: Size) -> int | None:
    """The size for a static shape."""
    return int(size) if known(size) else None


def as_floats(x: Tensor) -> Tensor:
    """Convert to float32, unless the dtype is floating already."""
    return x if x.dtype.is_floating else cast(x, dtypes.float32)
