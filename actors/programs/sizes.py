"""Sizes: how many bytes a value is, as far as that is cheap to tell.

sizer    tells the bytes of values of one class, by its name: no package is imported for it. Those of packages that
         register with Dask (entry points of `dask.sizeof`) are taken too, once a value of theirs turns up
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import entry_points
from itertools import islice
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

_SMALL = 64
"""Bytes of what nothing is known about."""
_MOST_PARTS, _MOST = 100, 1000
"""Parts that are looked at of one container or object, and of a value in all; others count as much as these."""
_DEEPEST = 20
"""Containers and objects inside each other that are looked into: a value may hold itself."""
_CONTAINERS = (list, tuple, dict, set, frozenset)
_ATOMS = frozenset([int, float, bool, complex, type(None)])
_TEXT = frozenset([str, bytes, bytearray])
_OPAQUE = (type, FunctionType, ModuleType)

Sizer = Callable[[Any], int]


def size_of(value: Any) -> int:
    """Bytes of a value: of arrays, frames and text, and of containers and objects of these.

    The class is asked, not the value: an object might answer anything.
    """
    kind = type(value)
    if issubclass(kind, (np.ndarray, np.generic)):
        return value.nbytes
    return _SMALL if kind in _ATOMS else len(value) if kind in _TEXT else _size(value, kind, 0, [_MOST])


def _size(value: Any, kind: type, depth: int, left: list[int]) -> int:
    """left: how many parts may still be looked at."""
    if issubclass(kind, (np.ndarray, np.generic)):
        return value.nbytes
    if kind in _TEXT:
        return len(value)
    if issubclass(kind, _CONTAINERS):  # by its own class: a subclass may do anything when it is gone through
        for base in _CONTAINERS:
            if issubclass(kind, base):
                items = dict.values(value) if base is dict else base.__iter__(value)  # type: ignore[attr-defined]
                return _of_parts(items, base.__len__(value), depth, left)
    how = _SIZERS.get(kind)
    if how is None:
        how = _SIZERS[kind] = _find(kind)
    if isinstance(how, tuple):
        parts = _attributes(value, kind, how)
        return _of_parts(parts, len(parts), depth, left)
    return _told(how, value)


def _of_parts(parts: Iterable[Any], count: int, depth: int, left: list[int]) -> int:
    looked = min(count, _MOST_PARTS, left[0])
    if not looked or depth >= _DEEPEST:
        return _SMALL
    left[0] -= looked
    total = 0
    for part in parts if looked == count else islice(parts, looked):
        kind = type(part)
        total += _SMALL if kind in _ATOMS else len(part) if kind in _TEXT else _size(part, kind, depth + 1, left)
    return _SMALL + total * count // looked


def _attributes(value: Any, kind: type, slots: tuple) -> list[Any]:
    """What any other object holds. Nothing of its own is called."""
    parts: list[Any] = []
    with suppress(AttributeError, TypeError):
        parts.extend(object.__getattribute__(value, "__dict__").values())
    for slot in slots:
        with suppress(AttributeError, TypeError):  # it is not set
            parts.append(slot.__get__(value, kind))
    return parts


def _told(sizer: Sizer, value: Any) -> int:
    try:
        size = sizer(value)
        return size if type(size) is int and size >= 0 else int(size)
    except Exception:  # what a package says of its own values must not end a run
        return _SMALL


def _frame(value: Any) -> int:
    """Of pandas' frames, series and indices: text and other objects in them are looked at as samples."""
    columns = [value.iloc[:, k] for k in range(value.shape[1])] if value.ndim == 2 else [value]
    total = int(value.index.memory_usage()) if hasattr(value, "index") else 0
    for column in columns:
        total += int(column.memory_usage() if column is value and not hasattr(value, "index") else column.nbytes)
        if column.dtype == object and len(column):
            step = max(1, len(column) // _MOST_PARTS)
            sample = [len(item) if type(item) in (str, bytes) else _SMALL for item in column.array[::step]]
            total += sum(sample) * len(column) // len(sample)
    return total


_BY_NAME: dict[str, Sizer] = {
    "pandas.DataFrame": _frame,
    "pandas.Series": _frame,
    "pandas.Index": _frame,
    "polars.DataFrame": lambda value: value.estimated_size(),
    "polars.Series": lambda value: value.estimated_size(),
    "pyarrow.Table": lambda value: value.nbytes,
    "pyarrow.RecordBatch": lambda value: value.nbytes,
    "pyarrow.Array": lambda value: value.nbytes,
    "pyarrow.ChunkedArray": lambda value: value.nbytes,
    "pyarrow.Buffer": lambda value: value.size,
    "torch.Tensor": lambda value: value.element_size() * value.nelement(),
    "xarray.Dataset": lambda value: value.nbytes,
    "xarray.DataArray": lambda value: value.nbytes,
    "PIL.Image": lambda value: value.width * value.height * len(value.getbands()),
    "array.array": lambda value: value.itemsize * len(value),
    "builtins.memoryview": lambda value: value.nbytes,
    "mmap.mmap": len,
    "weftwork.Exchange": lambda value: 0,  # programs that work beside each other take it, and it is no value
    "weftwork.ProcessExchange": lambda value: 0,
}
"""Of classes by package and name: also of what is derived from them."""
_SIZERS: WeakKeyDictionary[type, Sizer | tuple] = WeakKeyDictionary()
"""Of the classes that were met; for an object whose attributes are looked at, its slots."""
_registered: dict[type, Sizer] | None = None


def register_size(kind: type[Any], sizer: Sizer) -> None:
    """Say how many bytes values of a class are, where it is not told right: `sizer(value)` gives an int.

    Sizes decide what goes to a worker by value and what lies in Ray's store, how costs are known, where a node runs,
    and what `memory_budget` counts.
    """
    if not isinstance(kind, type) or not callable(sizer):
        raise TypeError(f"register_size needs a class and a function, not {kind!r} and {sizer!r}.")
    _of_dask()[kind] = sizer
    _SIZERS.clear()


def _find(kind: type) -> Sizer | tuple:
    if issubclass(kind, _OPAQUE):
        return lambda value: _SMALL
    for base in kind.__mro__[:-1]:
        sizer = (_registered or {}).get(base) or _BY_NAME.get(f"{base.__module__.partition('.')[0]}.{base.__name__}")
        if sizer is not None:
            return sizer
    size = getattr(kind, "nbytes", None)
    if isinstance(size, GetSetDescriptorType):
        return lambda value: size.__get__(value, kind)
    if kind.__module__ not in ("builtins", "__main__"):
        for base in kind.__mro__[:-1]:
            if base in _of_dask():
                return _of_dask()[base]
    members = [member for base in kind.__mro__ for name, member in vars(base).items() if name != "__dict__"]
    return tuple([member for member in members if isinstance(member, MemberDescriptorType)])


class _Registry(dict):
    """What packages register with, as with `dask.sizeof.sizeof`."""

    def register(self, kind: Any, sizer: Sizer | None = None) -> Any:
        """`register(kind, function)`, or a decorator."""
        if sizer is None:
            return lambda function: self.register(kind, function)
        for one in kind if isinstance(kind, tuple) else (kind,):
            self[one] = sizer
        return sizer

    def __call__(self, value: Any) -> int:
        return size_of(value)


def _of_dask() -> dict[type, Sizer]:
    """What installed packages have registered, looked for once."""
    global _registered
    if _registered is None:
        _registered = found = _Registry()
        for point in entry_points(group="dask.sizeof"):
            try:
                point.load()(found)
            except Exception:  # the package is broken: its values count as objects
                continue
    return _registered
