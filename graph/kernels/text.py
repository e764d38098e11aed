"""What the nodes on strings compute. A string is bytes, a tensor of them an array of objects.

each   applies a function of bytes to every string of a tensor
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.errors import InvalidArgumentError


def each(function: Callable[[bytes], Any], strings: Any, dtype: Any = object) -> Any:
    """function(s) of every string, as an array of the same shape; of a scalar the value itself."""
    if isinstance(strings, bytes):
        value = function(strings)
        return value if dtype is object else np.dtype(dtype).type(value)
    made = np.empty(strings.shape, dtype)
    flat = made.reshape(-1)
    for i, string in enumerate(strings.reshape(-1)):
        flat[i] = function(string)
    return made


# Numbers

_INTEGER = re.compile(rb"\s*[-+]?\d+\s*\Z")


def number(string: bytes, dtype: np.dtype) -> Any:
    """The number that a string says; None where it says none that the dtype can hold."""
    if dtype.kind in "iu":
        if not _INTEGER.match(string):
            return None
        value, limits = int(string), np.iinfo(dtype)
        return dtype.type(value) if limits.min <= value <= limits.max else None
    try:
        value = float(string) if b"_" not in string else math.nan
    except ValueError:
        return None
    with np.errstate(over="ignore"):
        return None if b"_" in string else dtype.type(value)


def to_number(strings: Any, *, dtype: np.dtype) -> Any:
    """The kernel of StringToNumber."""

    def converted(string: bytes) -> Any:
        value = number(string, dtype)
        if value is None:
            raise InvalidArgumentError(
                None, None, f"StringToNumberOp could not correctly convert string: {shown(string)}"
            )
        return value

    return each(converted, strings, dtype)


def shown(string: bytes) -> str:
    """A string as messages print it."""
    return string.decode("utf-8", "backslashreplace")
