"""Integer division. Dividing by zero is an error here; NumPy returns 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from weftwork.graph.errors import InvalidArgumentError


def divisor(x: Any, y: Any) -> Any:
    """Return the divisor y. Raises InvalidArgumentError if it has a zero, unless there is nothing to divide."""
    if not (y if isinstance(y, np.generic) else y.all()) and np.size(x):
        raise InvalidArgumentError(None, None, "Integer division by zero")
    return y


def floor_divide(x, y):
    """x // y for integers."""
    return x // divisor(x, y)


def remainder(x, y):
    """x % y for integers, with the sign of y."""
    return x % divisor(x, y)


def fmod(x, y):
    """The remainder of x / y for integers, with the sign of x."""
    return np.fmod(x, divisor(x, y))


def divide_with_remainder(x, y):
    """(x // y, x % y) for integers."""
    return np.divmod(x, divisor(x, y))


def divide_small(x, y):
    """x / y for integers of 8 and 16 bits: float32 as in TensorFlow, not float64."""
    return np.divide(x, y, dtype=np.float32)


DIVISIONS = {
    np.floor_divide: floor_divide,
    np.remainder: remainder,
    np.fmod: fmod,
    np.divmod: divide_with_remainder,
}
"""The kernels that replace these ufuncs on integers."""
