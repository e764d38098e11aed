"""Frames and tables of other packages, none of which is imported: which can be shared, or copied at no cost.

immutable    an object of Arrow: nobody can change it, so it is shared without a copy
lazy         of a pandas frame, series or index that copies on write (pandas 3, or the mode of that name): a copy that
             shares the data until one of the two is written to
behind       the data that some attributes expose, such as `series.array`: writing to it makes no such copy
mapped       of a frame whose data cannot be written to, because they lie in shared memory: its lazy copies can be
             written to, as long as the frame itself exists
cells        of a column of objects: pandas copies no object in a cell, whichever way it copies the frame
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

BEHIND = frozenset("array flags setflags _mgr _data _mask _codes _ndarray _values _pa_array".split())
"""Attributes that lead behind a frame, or make its read-only arrays writable."""
_SIMPLE = frozenset("empty string bytes integer floating boolean complex decimal date datetime time timedelta".split())
"""What pandas calls columns of objects that cannot be changed. Looking at text takes 40 ns a cell."""
_ARROW = frozenset("Array ChunkedArray Table RecordBatch Scalar DataType Field Schema".split())


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def is_immutable(kind: type) -> bool:
    """True for a class of Arrow's own whose objects are immutable."""
    return _package(kind) == "pyarrow" and any([base.__name__ in _ARROW for base in kind.__mro__])


@functools.lru_cache(maxsize=1024)
def is_frame(kind: type) -> bool:
    """True for pandas' frames and series, and for derived classes."""
    return any([_package(base) == "pandas" and base.__name__ in ("DataFrame", "Series") for base in kind.__mro__])


def columns_of_objects(frame: Any) -> list[Any]:
    """The blocks of a frame or series whose cells may be changed: the `values` of each are an array of objects.

    The labels of an index have hashes, so they count as unchangeable.
    """
    pandas: Any = sys.modules["pandas"]
    blocks = [block for block in getattr(getattr(frame, "_mgr", None), "blocks", ()) if block.dtype == object]
    return [block for block in blocks if pandas.api.types.infer_dtype(block.values) not in _SIMPLE]


@functools.lru_cache(maxsize=1024)
def _is_pandas(kind: type) -> bool:
    """True for pandas' own frames, series and indices, but not for derived classes, which may do anything."""
    if _package(kind) != "pandas":
        return False
    return kind.__name__ in ("DataFrame", "Series") or any([base.__name__ == "Index" for base in kind.__mro__])


def is_lazy(kind: type) -> bool:
    """True for a class whose objects can be copied lazily."""
    return _is_pandas(kind) and _copies_on_write()


def _copies_on_write() -> bool:
    pandas: Any = sys.modules["pandas"]
    major = pandas.__version__.partition(".")[0]
    return (major.isdigit() and int(major) >= 3) or pandas.options.mode.copy_on_write is True


def lazily_copied(frame: Any) -> Any:
    """A lazy copy of an object whose class is lazy (`is_lazy`). It shares the objects in its cells."""
    return frame.copy(deep=False)


def is_mapped(frame: Any) -> bool:
    """True for an object whose class is lazy and whose data cannot be written to."""
    return any([not each.flags.writeable for each in arrays_of(frame)])


def arrays_of(frame: Any) -> list[np.ndarray]:
    """The arrays in which an object whose class is lazy has its data, those of extension arrays among them."""
    manager = getattr(frame, "_mgr", None)  # an index has none, and is never written to
    parts = [] if manager is None else manager.arrays
    found = [each for part in parts for each in (part, *getattr(part, "__dict__", {}).values())]
    return [each for each in found if isinstance(each, np.ndarray)]


def shares_all(one: Any, two: Any) -> bool:
    """Whether two objects of a class that is lazy share all data and labels, as lazy copies do until one is changed."""
    mine, other = getattr(one, "_mgr", None), getattr(two, "_mgr", None)
    if mine is None or other is None:  # an index
        return mine is other and one.is_(two)
    if len(mine.arrays) != len(other.arrays) or one.attrs or two.attrs:
        return False
    if "Series" in (type(one).__name__, type(two).__name__) and one.name is not two.name:
        return False
    labels = zip(one.axes, two.axes, strict=True)
    return all(map(_shares, mine.arrays, other.arrays)) and all([a.is_(b) and a.names == b.names for a, b in labels])


_DATA = ("_pa_array", "_ndarray", "_data", "_mask")
"""Where pandas' extension arrays have their data."""


def _shares(one: Any, two: Any) -> bool:
    """Whether two arrays, or extension arrays, have the same data."""
    if type(one) is not type(two) or one.dtype != two.dtype or one.shape != two.shape:
        return False
    if isinstance(one, np.ndarray):
        return one.strides == two.strides and one.ctypes.data == two.ctypes.data
    ours, theirs = [[getattr(each, name, None) for name in _DATA] for each in (one, two)]
    return any([part is not None for part in ours]) and all(
        [a is b or (isinstance(a, np.ndarray) and _shares(a, b)) for a, b in zip(ours, theirs, strict=True)]
    )
