"""Windows over one, two or three spatial axes: parsing their sizes, and counting them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weftwork.graph.operation import Tensor

FORMATS = {1: ("NWC",), 2: ("NHWC",), 3: ("NDHWC",)}


def axis_numbers(value: Any, rank: int, parameter: str) -> tuple[int, ...]:
    """One number for each spatial axis, given as a single number, one for each spatial axis, or one for each axis."""
    given = [operator.index(v) for v in (value if isinstance(value, (list, tuple, np.ndarray)) else [value])]
    if len(given) == rank + 2:
        if given[0] != 1 or given[-1] != 1:
            raise ValueError(f"{parameter} of the batch and channel axes must be 1, but got {given}.")
        given = given[1:-1]
    given = given * rank if len(given) == 1 else given
    if len(given) != rank or min(given) < 1:
        raise ValueError(f"{parameter} should be 1, {rank} or {rank + 2} positive numbers, but is {value!r}.")
    return tuple(given)


def checked_padding(padding: Any, data_format: Any, rank: int) -> str:
    if data_format is not None and data_format not in FORMATS[rank]:
        raise ValueError(
            f"Only the data format {FORMATS[rank][0]} is supported on a CPU, but got {data_format!r}; transpose the "
            "input."
        )
    word = str(padding).upper()
    if word not in ("SAME", "VALID"):
        raise ValueError(f"padding must be 'SAME' or 'VALID', but is {padding!r}.")
    return word


def sized(x: Tensor, rank: int, what: str) -> tuple:
    if x.raw_shape is None:
        return (None,) * (rank + 2)
    if len(x.raw_shape) != rank + 2:
        raise ValueError(f"Shape must be rank {rank + 2} but is rank {len(x.raw_shape)} for {what!r}.")
    return x.raw_shape


def window_counts(dims: Sequence, kernel: Sequence, attrs: dict) -> list:
    """The number of windows along each axis, None if unknown."""
    found = []
    for dim, size, stride, rate in zip(dims, kernel, attrs["strides"], attrs["rates"], strict=True):
        if dim is not None and attrs["padding"] == "SAME":
            found.append(-(-dim // stride))
        elif dim is None or size is None:
            found.append(None)
        else:
            found.append(max(0, (dim - (size - 1) * rate - 1) // stride + 1))
            if found[-1] == 0 and dim > 0:
                raise ValueError(f"Negative dimension size caused by a window of {size} on an axis of {dim}.")
    return found
