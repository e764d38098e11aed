"""What arrays hold besides numbers: objects, and the attributes of derived classes."""

from __future__ import annotations

import numpy as np


def arrays_of_objects(array: np.ndarray) -> list[np.ndarray]:
    """The array itself if it holds objects, or the fields of a structured one that do, as views."""
    if array.dtype == object:
        return [array]
    names = [name for name in array.dtype.names or () if array.dtype[name].hasobject]
    return [part for name in names for part in arrays_of_objects(array[name])]


def has_attributes(array: np.ndarray) -> bool:
    """True for an array of a class that gives it attributes. Those of a mapped file say where the file is mapped."""
    return bool(getattr(array, "__dict__", None)) and not isinstance(array, np.memmap)
