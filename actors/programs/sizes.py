"""Estimate the size of a value in bytes, as far as that is cheap.

sizer    a function that computes the size of values of one class. Classes are found by name, so no package is imported.
         Sizers that packages register with Dask (entry points of `dask.sizeof`) are used too, once such a value appears
"""

from __future__ import annotations

import gc
import sys
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from importlib.metadata import entry_points
from itertools import islice
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

_DEFAULT_BYTES = 64
"""Size assumed for a value of unknown kind."""
_MAX_PARTS, _MAX_PARTS_IN_ALL = 100, 1000
"""Maximum number of parts examined in one container or object, and in a value in total. The rest is extrapolated."""
_LARGE = 4096
"""Bytes from which a part is counted once, however often it occurs in a value."""
_MAX_DEPTH = 20
"""Maximum nesting depth that is examined, because a value may contain itself."""
_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
_NUMBERS: list[type] = [kind for kind in np.sctypeDict.values() if issubclass(kind, (np.bool_, np.number))]
_FIXED: dict[type, int] = {kind: np.dtype(kind).itemsize for kind in _NUMBERS}
_FIXED.update(dict.fromkeys([int, float, bool, complex, type(None)], _DEFAULT_BYTES))
"""Bytes of a value of these types, whatever the value is."""
_MANY = 16
"""From this number of values on, it is quicker to count those of each type first."""
_TEXT = frozenset([str, bytes, bytearray])
_ARGS: Any = vars(BaseException)["args"]
_PYTHONS = sys.stdlib_module_names | {"__main__"}
"""Modules whose classes no package registers with Dask."""
_OPAQUE = (type, ModuleType)
_MADE_BY_CLASS = 1 << 9
"""The flag of classes that were made at run time, as by `class` (`Py_TPFLAGS_HEAPTYPE`)."""

Sizer = Callable[[Any], int]


def size_of(value: Any) -> int:
    """The size of a value in bytes: of arrays, frames and text, and of containers and objects that hold such.

    Only the class is consulted, because an object may answer anything to an attribute access.
    """
    kind = type(value)
    if (fixed := _FIXED.get(kind)) is not None:
        return fixed
    if kind is np.ndarray and not value.dtype.hasobject:
        return value.nbytes
    return len(value) if kind in _TEXT else _size(value, kind, 0, {0: _MAX_PARTS_IN_ALL})


def sizes_of(values: Collection) -> int:
    """The sum of the sizes of some values, in bytes."""
    if len(values) >= _MANY and _FIXED.keys() >= (kinds := Counter(map(type, values))).keys():
        return sum([_FIXED[kind] * count for kind, count in kinds.items()])
    return sum(map(size_of, values))


def _size(value: Any, kind: type, depth: int, look: dict[int, int]) -> int:
    """look: under 0, the number of parts that may still be examined; under its id, each large part that was counted."""
    if issubclass(kind, (np.ndarray, np.generic)):
        return value.nbytes + (_of_parts(value.flat, value.size, depth, look) if value.dtype.hasobject else 0)
    if kind in _TEXT:
        return len(value)
    if kind in _CONTAINERS:
        return _of_parts(value.values() if kind is dict else value, len(value), depth, look)
    how = _SIZERS.get(kind)
    if how is None:
        how = _SIZERS[kind] = _find(kind)
    if not isinstance(how, tuple):
        return _safe_size(how, value)
    parts = _attributes(value, kind, how)
    for base in _CONTAINERS:
        if issubclass(kind, base):  # use the base class's methods: a subclass's may have side effects
            items = dict.values(value) if base is dict else base.__iter__(value)  # type: ignore[attr-defined]
            own = _of_parts(parts, len(parts), depth, look) if parts else 0
            return _of_parts(items, base.__len__(value), depth, look) + own
    return _of_parts(parts, len(parts), depth, look)


def _of_parts(parts: Iterable[Any], count: int, depth: int, look: dict[int, int]) -> int:
    looked = min(count, _MAX_PARTS, look[0])
    if not looked or depth >= _MAX_DEPTH:
        return _DEFAULT_BYTES
    look[0] -= looked
    total = 0
    try:
        for part in parts if looked == count else islice(parts, looked):
            kind = type(part)
            if kind in _FIXED:
                total += _DEFAULT_BYTES
                continue
            size = len(part) if kind in _TEXT else max(_DEFAULT_BYTES, _size(part, kind, depth + 1, look))
            if size < _LARGE:
                total += size
            elif id(part) not in look:  # a pickle has it once, too
                look[id(part)] = size
                total += size
    except RuntimeError:  # another thread is changing the container: what was seen until then must do
        pass
    return _DEFAULT_BYTES + total * count // looked


def _attributes(value: Any, kind: type, slots: tuple) -> list[Any]:
    """The attributes of an object, read without calling any of its own code.

    Those of an object of C code may be out of reach: then, what it refers to, as it tells the garbage collector.
    """
    if issubclass(kind, FunctionType):  # it refers to its module, too
        return [value.__closure__, value.__defaults__, value.__kwdefaults__]
    parts: list[Any] = []
    with suppress(AttributeError, TypeError, RuntimeError):
        parts.extend(object.__getattribute__(value, "__dict__").values())
    for slot in slots:
        with suppress(AttributeError, TypeError):  # the slot is empty
            parts.append(slot.__get__(value, kind))
    if issubclass(kind, BaseException):
        parts.append(_ARGS.__get__(value))
    elif not (parts and kind.__flags__ & _MADE_BY_CLASS) and not issubclass(kind, _CONTAINERS):
        told = gc.get_referents(value)
        parts.extend([part for part in told if part is not kind and (type(part) is not dict or part)])
    return parts


def _safe_size(sizer: Sizer, value: Any) -> int:
    try:
        size = sizer(value)
        return size if type(size) is int and size >= 0 else int(size)
    except Exception:  # a faulty sizer must not end a run
        return _DEFAULT_BYTES


def _frame(value: Any) -> int:
    """The size of a pandas frame, series or index. Text and other objects in it are sampled."""
    rows = len(value)
    total = int(value.index.memory_usage()) if hasattr(value, "index") else 0
    for number, dtype in enumerate(value.dtypes if value.ndim == 2 else [value.dtype]):
        if isinstance(dtype, np.dtype) and not dtype.hasobject:  # known without a look at the column, which takes 50 us
            total += dtype.itemsize * rows
            continue
        column = value.iloc[:, number] if value.ndim == 2 else value
        total += int(column.nbytes)
        if rows and isinstance(dtype, np.dtype):
            step = max(1, rows // _MAX_PARTS)
            sample = [len(item) if type(item) in (str, bytes) else size_of(item) for item in column.array[::step]]
            total += sum(sample) * rows // len(sample)
    return total


_BY_NAME: dict[str, Sizer] = {
    "pandas.DataFrame": _frame,
    "pandas.Series": _frame,
    "pandas.RangeIndex": lambda value: int(value.memory_usage()),
    "pandas.MultiIndex": lambda value: int(value.memory_usage()),
    "pandas.Index": _frame,
    "pandas.ExtensionArray": lambda value: value.nbytes,
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
    "sklearn.BinaryTree32": lambda value: sum([part.nbytes for part in value.get_arrays()]),
    "sklearn.BinaryTree64": lambda value: sum([part.nbytes for part in value.get_arrays()]),
    "sklearn.Tree": lambda value: 64 * value.node_count + value.value.nbytes,
    "_io.BytesIO": lambda value: value.__sizeof__(),
    "pickle.PickleBuffer": lambda value: value.raw().nbytes,
    "array.array": lambda value: value.itemsize * len(value),
    "builtins.slice": lambda value: sum([size_of(part) for part in (value.start, value.stop, value.step)]),
    "builtins.memoryview": lambda value: value.nbytes,
    "mmap.mmap": len,
    "weftwork.Held": lambda value: size_of(value.value),
    "weftwork.Spec": lambda value: value.nbytes,
    "weftwork.Exchange": lambda value: 0,  # an argument of concurrent programs, but not a value
    "weftwork.ProcessExchange": lambda value: 0,
}
"""Sizers by package and class name. They also apply to derived classes."""
_SIZERS: WeakKeyDictionary[type, Sizer | tuple] = WeakKeyDictionary()
"""Sizers of the classes seen so far. For a class whose attributes are examined, its slots instead."""
_registered: dict[type, Sizer] | None = None


def register_size(kind: type[Any], sizer: Sizer) -> None:
    """Register a function that computes the size of values of a class: `sizer(value)` returns bytes as an int.

    Use it if the size of your values is estimated wrongly. An object that hides in compiled code what it holds, such as
    a lazy frame of polars, counts as small. Sizes decide whether a value is sent to a worker directly or
    through Ray's object store, how costs are recorded, where a node runs, and what `memory_budget` counts.
    kind: the class; its subclasses count as well unless they have a sizer of their own.
    Raises TypeError unless given a class and a function.
    """
    if not isinstance(kind, type) or not callable(sizer):
        raise TypeError(f"register_size needs a class and a function, not {kind!r} and {sizer!r}.")
    _dask_registry()[kind] = sizer
    _SIZERS.clear()


def _find(kind: type) -> Sizer | tuple:
    if issubclass(kind, _OPAQUE):
        return lambda value: _DEFAULT_BYTES
    for base in kind.__mro__[:-1]:
        sizer = (_registered or {}).get(base) or _BY_NAME.get(f"{base.__module__.partition('.')[0]}.{base.__name__}")
        if sizer is not None:
            return sizer
    size = getattr(kind, "nbytes", None)
    if isinstance(size, GetSetDescriptorType):
        return lambda value: size.__get__(value, kind)
    if kind.__module__.partition(".")[0] not in _PYTHONS:
        for base in kind.__mro__[:-1]:
            if base in _dask_registry():
                return _dask_registry()[base]
    members = [member for base in kind.__mro__ for name, member in vars(base).items() if name != "__dict__"]
    return tuple([member for member in members if isinstance(member, MemberDescriptorType)])


class _Registry(dict):
    """Passed to packages for registration, in place of `dask.sizeof.sizeof`."""

    def register(self, kind: Any, sizer: Sizer | None = None) -> Any:
        """`register(kind, function)`, or a decorator."""
        if sizer is None:
            return lambda function: self.register(kind, function)
        for one in kind if isinstance(kind, tuple) else (kind,):
            self[one] = sizer
        return sizer

    def __call__(self, value: Any) -> int:
        return size_of(value)


def _dask_registry() -> dict[type, Sizer]:
    """The sizers of installed packages, looked up once."""
    global _registered
    if _registered is None:
        _registered = found = _Registry()
        for point in entry_points(group="dask.sizeof"):
            try:
                point.load()(found)
            except Exception:  # the package is broken: its values count as plain objects
                continue
    return _registered
