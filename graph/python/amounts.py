"""Amounts that a program gives: how many of something, and how many seconds."""

from __future__ import annotations

import math
import threading
from numbers import Integral, Real
from typing import Any


def count_of(name: str, value: Any) -> int:
    """`value` as an int. Raises TypeError unless it is an integer, and ValueError if it is below 1.

    name: what the error calls it. True is no integer here: it stands for a flag that got into the wrong place.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, not {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be greater than 0, not {value!r}.")
    return int(value)


def seconds_of(name: str, value: Any) -> float | None:
    """How many seconds to wait; None, which means for ever, also stands for more than Python can wait.

    Raises TypeError unless it is a number or None, and ValueError for NaN.   name: what the error calls it.
    """
    if value is None:
        return None
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}.")
    if math.isnan(value):
        raise ValueError(f"{name} must be a number of seconds, not {value!r}.")
    return float(value) if value < threading.TIMEOUT_MAX else None
