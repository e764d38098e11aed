"""Rotating and flipping images."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import convert_to_tensor, static_value
from weftwork.graph.images.tools import image_of
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.array_ops import reshape, shape
from weftwork.graph.ops.cases import case
from weftwork.graph.ops.math_ops import equal, floormod, less
from weftwork.graph.ops.random_ops import random_uniform
from weftwork.graph.ops.rearranging import reverse
from weftwork.graph.ops.rearranging import transpose as permuted
from weftwork.graph.ops.selecting import where_v2
from weftwork.graph.scopes import name_scope


def _rank(x: Tensor) -> int:
    """3 or 4; 3 if unknown. Raises ValueError for another rank."""
    rank = 3 if x.raw_shape is None else len(x.raw_shape)
    if rank not in (3, 4):
        raise ValueError("'image' must have either 3 or 4 dimensions.")
    return rank


def _flipped(x: Tensor, axis: int) -> Tensor:
    """axis: 0 for the height, 1 for the width."""
    return reverse(x, [axis + _rank(x) - 3])


def flip_left_right(image: Any) -> Tensor:
    """Flip an image, or each of a batch, left to right."""
    with name_scope(None, "flip_left_right", [image]):
        return _flipped(image_of(image), 1)


def flip_up_down(image: Any) -> Tensor:
    """Flip an image, or each of a batch, upside down."""
    with name_scope(None, "flip_up_down", [image]):
        return _flipped(image_of(image), 0)


def _randomly_flipped(image: Any, axis: int, seed: int | None, scope: str) -> Tensor:
    with name_scope(None, scope, [image]):
        x = image_of(image)
        if _rank(x) == 3:
            flip = less(random_uniform([], seed=seed), 0.5)
        else:
            flip = less(random_uniform([shape(x)[0]], seed=seed), 0.5)
            flip = reshape(flip, [-1, 1, 1, 1])
        result = where_v2(flip, _flipped(x, axis), x)
        result.set_shape(x.raw_shape)
        return result


def random_flip_left_right(image: Any, seed: int | None = None) -> Tensor:
    """Flip an image, or each of a batch, left to right with a probability of one half."""
    return _randomly_flipped(image, 1, seed, "random_flip_left_right")


def random_flip_up_down(image: Any, seed: int | None = None) -> Tensor:
    """Flip an image, or each of a batch, upside down with a probability of one half."""
    return _randomly_flipped(image, 0, seed, "random_flip_up_down")


def transpose(image: Any, name: str | None = None) -> Tensor:
    """Transpose height and width of an image, or of each of a batch."""
    x = image_of(image)
    return permuted(x, [1, 0, 2] if _rank(x) == 3 else [0, 2, 1, 3], name=name or "transpose_image")


def rot90(image: Any, k: Any = 1, name: str | None = None) -> Tensor:
    """Rotate an image, or each of a batch, counterclockwise by k times 90 degrees.

    Raises ValueError if k is not a scalar.
    """
    with name_scope(name, "rot90", [image, k]):
        x, times = image_of(image), convert_to_tensor(k, dtypes.int32, name="k")
        if times.raw_shape not in (None, ()):
            raise ValueError(f"k must be a scalar: {times!r}")
        turns = [
            lambda: x,
            lambda: transpose(flip_left_right(x)),
            lambda: flip_left_right(flip_up_down(x)),
            lambda: flip_left_right(transpose(x)),
        ]
        number = static_value(times)
        if number is not None:
            return turns[int(np.mod(number, 4))]()
        times = floormod(times, 4)
        return case([(equal(times, i), turns[i]) for i in (1, 2, 3)], default=turns[0], exclusive=True)
