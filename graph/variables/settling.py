"""The form in which a variable stores a value."""

from __future__ import annotations

from mmap import mmap
from typing import Any

import numpy as np

from weftwork.graph.python.ownership import copied


def settle(value: Any, dtype: np.dtype | None) -> Any:
    """`value` as a variable stores it: of the variable's dtype, in an array that nobody else can write to."""
    if dtype is None:
        return copied(value)
    if not isinstance(value, np.ndarray) or value.dtype != dtype:
        value = np.asarray(value).astype(dtype)[()]
        if not isinstance(value, np.ndarray):
            return value
    elif (value.base is not None or not value.flags.owndata) and not _is_immutable(value):
        value = value.copy()
    value.flags.writeable = False
    return value


def _is_immutable(value: np.ndarray) -> bool:
    """True for an array that covers a whole read-only buffer, as arrays in Ray's object store do."""
    base: Any = value
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    try:
        view = memoryview(base)
    except TypeError:
        return False
    return view.readonly and view.nbytes == value.nbytes and not isinstance(base, mmap)
