"""Whether two copies of one object are equal, determined without running any of their code."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.python.frames import is_lazy, shares_all
from weftwork.graph.python.ownership import ATOMS

_DEPTH = 100
"""The depth to which an object is compared with its copy."""


def alike(one: Any, two: Any, depth: int = 0) -> bool:
    """True if two copies of one object are provably equal. None of their code is run; False if it is not certain."""
    kind = type(one)
    if one is two or kind is not type(two) or depth > _DEPTH:
        return one is two
    if kind in ATOMS:
        return one == two
    if kind is np.ndarray and not one.dtype.hasobject:
        return one.dtype == two.dtype and _same_bytes(one, two)
    if is_lazy(kind):
        return shares_all(one, two)
    if kind is dict:
        return list(one) == list(two) and alike(list(one.values()), list(two.values()), depth + 1)
    if kind is list or kind is tuple:
        return len(one) == len(two) and all([alike(*each, depth + 1) for each in zip(one, two, strict=True)])
    if (
        kind.__base__ is object
        and kind.__dictoffset__
        and not any(["__slots__" in vars(base) for base in kind.__mro__])
    ):
        mine, other = [object.__getattribute__(each, "__dict__") for each in (one, two)]
        return alike(mine, other, depth + 1)
    return False


def _same_bytes(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether two arrays of one type are equal to the last bit, so that NaN is like itself."""
    if one.shape != two.shape:
        return False
    if one.strides != two.strides or not (one.flags.c_contiguous or one.flags.f_contiguous):
        return np.array_equal(one, two)
    unit = "u8" if one.dtype.itemsize % 8 == 0 else "u1"
    return np.array_equal(one.ravel(order="K").view(unit), two.ravel(order="K").view(unit))
