"""Ownership: a function may modify its arguments as in a plain call, and nobody else sees the change.

atom      a value that cannot be modified, or cannot be copied: everybody gets the value itself
own       a user's function's result, made exclusive: copied if anything else still refers to it or to a part of it
lent      how a function gets a value that others see, too: a copy, or a read-only view if its code modifies no array

Atoms are numbers, text, bytes, classes, functions, modules, Enum members, exceptions, Arrow tables and the like, and
tuples and frozen sets of atoms. A pandas frame is copied lazily, if pandas copies on write. Values that cannot be
copied (a lock, an open file, a generator) are passed as they are, also inside a copied value.
"""

from __future__ import annotations

import copyreg
import datetime
import decimal
import enum
import fractions
import functools
import gc
import pathlib
import random
import re
import sys
import threading
import types
import uuid
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from weftwork.graph.python.arrays import arrays_of_objects, has_attributes
from weftwork.graph.python.class_facts import answers_all, class_entry, defines_its_state, fill, is_plain, is_reduced_as
from weftwork.graph.python.frames import columns_of_objects, is_frame, is_immutable, is_lazy, is_mapped, lazily_copied
from weftwork.graph.python.modules import is_pythons
from weftwork.graph.python.unique import exists_once

GENERATORS = (random.random.__self__, np.random.rand.__self__)  # type: ignore[attr-defined]
"""The global generators of `random` and `numpy.random`."""
ATOMS: frozenset[type] = frozenset(
    [
        *(int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range, object),
        *(types.FunctionType, types.ModuleType, types.CodeType, types.GeneratorType),
        *(types.CoroutineType, types.AsyncGeneratorType, types.GetSetDescriptorType),
        *(types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType, types.GenericAlias),
        *(type, weakref.ref, property, staticmethod, classmethod, memoryview, types.FrameType, types.TracebackType),
        *(datetime.date, datetime.time, datetime.datetime, datetime.timedelta, datetime.timezone),
        *(decimal.Decimal, fractions.Fraction, uuid.UUID, re.Pattern, type(threading.Lock()), type(threading.RLock())),
        *{np.bool_, *np.sctypeDict.values()} - {np.void, np.object_},
    ]
)
"""Types of atoms. Checked first: this is all that a number costs."""
_ATOM_BASES: list[type] = [
    *(type, enum.Enum, BaseException, types.ModuleType, np.dtype, np.ufunc, pathlib.PurePath, datetime.tzinfo),
    types.MappingProxyType,  # which cannot be copied, but may hold a tensor: it is looked into
]
"""Types that are atoms along with their subclasses."""


def add_atoms(*kinds: type) -> None:
    """Treat objects of further types, and of their subclasses, as atoms."""
    _ATOM_BASES.extend([kind for kind in kinds if kind not in _ATOM_BASES])
    is_atomic.cache_clear()


@functools.lru_cache(maxsize=1024)
def is_atomic(kind: type) -> bool:
    """True for a type all of whose objects are atoms."""
    return kind in ATOMS or is_bare(kind) or issubclass(kind, tuple(_ATOM_BASES)) or is_immutable(kind)


def is_bare(kind: type) -> bool:
    """True for a type whose objects cannot hold anything: only their identity matters."""
    return kind.__basicsize__ == object.__basicsize__ and not kind.__dictoffset__ and not kind.__itemsize__


def is_atom(value: Any) -> bool:
    """True for a value that may be shared as it is."""
    if type(value) in ATOMS:
        return True
    stack = [value]
    for item in stack:
        kind = type(item)
        if kind is tuple or kind is frozenset:
            if not ATOMS.issuperset(map(type, item)):
                stack.extend(item)
        elif not is_atomic(kind) and not (kind is types.BuiltinFunctionType and _is_unbound(item)):
            return False
    return True


def _is_unbound(function: Any) -> bool:
    """True for a C function that is not bound to an object, or is bound to one of the global generators."""
    owner = function.__self__
    return owner is None or isinstance(owner, (types.ModuleType, type)) or any([owner is one for one in GENERATORS])


# Copies


def copied(value: Any, memo: dict | None = None, lazily: bool = True) -> Any:
    """A deep copy, as `copy.deepcopy` makes it, that shares nothing mutable. Its arrays are writable.

    memo: earlier copies, with which this one may share parts.   lazily: frames that copy on write share their data.
    Raises ValueError for a value that is nested too deeply.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is np.ndarray and memo is None and not value.dtype.hasobject:
        return value.copy(order="K")
    try:
        memo = {} if memo is None else memo
        if not lazily:
            memo[_AT_ONCE] = True
        return value if is_atom(value) else _copy(value, memo)
    except RecursionError:
        raise ValueError(
            f"a {kind.__name__} must be copied, because something else refers to it too, but is nested too deeply"
        ) from None


def _copy(value: Any, memo: dict) -> Any:
    kind = type(value)
    if is_atomic(kind):
        return value
    known = memo.get(id(value))
    if known is not None:
        return known
    duplicate = (_COPIERS.get(kind) or _copier_of(kind))(value, memo)
    memo[id(value)] = duplicate
    memo.setdefault(id(memo), []).append(value)  # its id must not be reused while the memo lives
    return duplicate


_AT_ONCE = "frames are copied at once"


def _copier_of(kind: type) -> Callable[[Any, dict], Any]:
    if issubclass(kind, tuple) and is_reduced_as(kind, object):
        return _copy_tuple
    if is_lazy(kind) or is_frame(kind):
        return _copy_frame
    if issubclass(kind, np.ndarray) and class_entry(kind, "__deepcopy__") is np.ndarray.__deepcopy__:
        return _copy_array
    if issubclass(kind, np.void):  # a row of a structured array
        return lambda value, memo: _copy_array(np.asarray(value), memo)[()]
    if is_pythons(kind.__module__):
        return _copy_pythons
    return _copy_plain if is_plain(kind) else _copy_object


def _copy_pythons(value: Any, memo: dict) -> Any:
    """Copy an object of Python's own; one that exists once, as a queue with its lock, stays as it is."""
    return value if exists_once(value) else _copy_object(value, memo)


def _copy_plain(value: Any, memo: dict) -> Any:
    """Copy an object that is nothing but its attributes. Returns the object itself if copying a part of it fails."""
    try:
        return _copy_container(value, memo)
    except RecursionError:
        raise
    except Exception:  # the hash of a key uses something that is not copied yet
        return value


def _copy_container(value: Any, memo: dict) -> Any:
    """Copy nested lists, dicts and plain objects of any depth."""
    pending: list[tuple] = []

    def begun(item: Any) -> Any:
        kind = type(item)
        if kind in ATOMS:
            return item
        is_container = kind is list or kind is dict
        if id(item) in memo or not (is_container or (not is_atomic(kind) and _copier_of(kind) is _copy_plain)):
            return _copy(item, memo)
        if not is_container and weakref.finalize in map(type, _attributes(item).values()):
            return item  # the finalizer acts when this very object ends
        duplicate = memo[id(item)] = kind() if is_container else object.__new__(kind)
        if is_container:
            pending.append((item, duplicate))
        else:
            memo.setdefault(id(memo), []).append(item)
            pending.append((_attributes(item), _attributes(duplicate)))
        return duplicate

    whole = begun(value)
    for source, result in pending:
        if type(source) is list:
            result.extend(source if ATOMS.issuperset(map(type, source)) else [begun(item) for item in source])
        else:
            for key, item in list(source.items()):  # at once: another thread may change it meanwhile
                result[key if type(key) in ATOMS else _copy(key, memo)] = begun(item)
    return whole


def _copy_tuple(value: tuple, memo: dict) -> tuple:
    items = [_copy(item, memo) for item in value]
    if id(value) in memo:  # it contains itself, through a list
        return memo[id(value)]
    state = getattr(value, "__dict__", None)
    if not state and all([one is other for one, other in zip(items, value, strict=True)]):
        return value
    duplicate = tuple.__new__(type(value), items)
    if state:
        duplicate.__dict__.update(_copy(state, memo))
    return duplicate


def _copy_array(value: np.ndarray, memo: dict) -> np.ndarray:
    memo[id(value)] = result = np.ndarray.copy(value, order="K")
    if has_attributes(value):
        vars(result).update(_copy(vars(value), memo))
    for part in arrays_of_objects(np.asarray(result)):
        if not ATOMS.issuperset(map(type, part.ravel().tolist())):
            for index in np.ndindex(part.shape):
                part[index] = _copy(part[index], memo)
    return result


def _copy_frame(value: Any, memo: dict) -> Any:
    """Copy a frame, lazily if it can be, and the objects in its cells."""
    lazily = is_lazy(type(value)) and _AT_ONCE not in memo
    duplicate = lazily_copied(value) if lazily else _copy_object(value, memo)
    for block in columns_of_objects(duplicate) if duplicate is not value else ():
        block.values = _copy_array(block.values, memo)
    return duplicate


_COPIERS: dict[type, Callable[[Any, dict], Any]] = {
    list: _copy_container,
    dict: _copy_container,
    tuple: _copy_tuple,
    set: lambda value, memo: {_copy(item, memo) for item in list(value)},
    frozenset: lambda value, memo: frozenset([_copy(item, memo) for item in value]),
    bytearray: lambda value, memo: value[:],
    np.ndarray: _copy_array,
    types.MethodType: lambda value, memo: _copy_method(value, memo),
    types.BuiltinFunctionType: lambda value, memo: _copy_method(value, memo),
}


def _copy_method(value: Any, memo: dict) -> Any:
    """A method bound to the copy of its object; module functions and global generators' methods stay as they are."""
    owner = value.__self__
    if any([owner is one for one in GENERATORS]):
        return value
    duplicate = _copy(owner, memo)
    if duplicate is owner:
        return value
    return (
        types.MethodType(value.__func__, duplicate)
        if type(value) is types.MethodType
        else getattr(duplicate, value.__name__)
    )


def _attributes(value: Any) -> dict:
    return object.__getattribute__(value, "__dict__")


def _copy_object(value: Any, memo: dict) -> Any:
    """As `copy.deepcopy`; the object itself if it cannot be copied."""
    kind = type(value)
    own_method = class_entry(kind, "__deepcopy__")
    try:
        if own_method is not None:
            return own_method(value, memo)
        if (
            type(class_entry(kind, "__del__")) is types.FunctionType
            and is_reduced_as(kind, object)
            and not defines_its_state(kind)
        ):
            return value  # its contents must be released only once
        if answers_all(kind) and is_reduced_as(kind, object):
            reduced: Any = (object.__new__, (kind,), object.__getattribute__(value, "__dict__"))
        else:
            reduce = copyreg.dispatch_table.get(kind)
            reduced = reduce(value) if reduce is not None else kind.__reduce_ex__(value, 4)  # type: ignore[call-arg]
        return value if type(reduced) is str else _rebuilt(value, memo, *reduced)
    except RecursionError:
        raise
    except Exception:  # a lock or a file: there is only one
        return value


def _rebuilt(
    value: Any,
    memo: dict,
    make: Callable,
    args: Sequence,
    state: Any = None,
    items: Iterable | None = None,
    pairs: Iterable | None = None,
    set_state: Callable | None = None,
) -> Any:
    """Rebuild an object from copies, as its `__reduce_ex__` specifies."""
    memo[id(value)] = result = make(*[_copy(arg, memo) for arg in args])
    if state is not None:
        (set_state or fill)(result, _copy(state, memo))
    for item in items or ():
        result.append(_copy(item, memo))
    for key, item in pairs or ():
        result[_copy(key, memo)] = _copy(item, memo)
    return result


# Who holds a value


def own(box: list, more: int = 0) -> Any:
    """A value that a node has just returned, made exclusive: copied if the function still holds it or a part of it.

    box: a list that holds only the value. Apart from it, only a local variable of the caller, and `more` known others,
    may hold the value: its reference count is compared with that of a fresh value held in the same way. List and
    variable are counted in every version of Python; references from the interpreter while it passes an argument differ.
    An array of rank 0 becomes a scalar.
    """
    kind = type(box[0])
    if kind in ATOMS or (kind is tuple and ATOMS.issuperset(map(type, box[0]))):
        return box[0]
    holders, of_base = _holders(box)
    value = box[0]
    if kind is np.ndarray and not value.dtype.hasobject:
        if not value.ndim:
            return value[()]
        if holders > _FRESH + more or (value.base is not None and of_base > _FRESH_BASE):
            return value.copy(order="K")
        return value
    if is_lazy(kind):  # what lies in the store stays there, and cannot be written to elsewhere either
        return copied(value, lazily=not is_mapped(value))
    if is_atomic(kind) or (holders <= _FRESH + more and (_is_flat(value) or _is_alone(value))):
        return value
    return copied(value)


def own_leaving(box: list) -> Any:
    """As `own`, for a result that is pickled next: a frame that shares data with the object store is not copied."""
    return box[0] if is_lazy(type(box[0])) else own(box)


def writable(value: Any, lazily: bool = True) -> Any:
    """A value that the function may modify: an array that is read-only is copied.

    lazily: pandas copies a frame when it is written to; otherwise it is copied now.
    """
    if type(value) is np.ndarray:
        return value if value.flags.writeable else value.copy(order="K")
    return value if lazily or not is_lazy(type(value)) else copied(value, lazily=False)


def own_made(box: list) -> Any:
    """As `own`, for the result of a library node, which may be a read-only view."""
    return writable(own(box))


def own_each(values: Sequence) -> Sequence:
    """As `own`, for a library node with several outputs; the results share nothing with each other either."""
    return values if ATOMS.issuperset(map(type, values)) else [_own_part(values, at) for at in range(len(values))]


def _own_part(values: Sequence, at: int) -> Any:
    value = values[at]
    return writable(own([value], 1))


def _holders(box: list) -> tuple[int, int]:
    """The reference counts of the boxed value and, if it is an array, of its base."""
    return sys.getrefcount(box[0]), sys.getrefcount(box[0].base) if type(box[0]) is np.ndarray else 0


def _is_flat(value: Any) -> bool:
    """True for a list or dict that contains only atoms."""
    kind = type(value)
    if kind is dict:
        return ATOMS.issuperset(map(type, value)) and ATOMS.issuperset(map(type, value.values()))
    return kind is list and ATOMS.issuperset(map(type, value))


def _is_alone(value: Any) -> bool:
    """True if nobody else holds a part of a value. Parts held by exactly one other part are checked in bulk."""
    level, seen = [value], {id(value)}
    while True:
        level = _parts_of(level)
        if not level:
            return True
        ids = set(map(id, level))
        if len(ids) < len(level) or not ids.isdisjoint(seen) or max(map(sys.getrefcount, level)) > _HELD_ONCE:
            level = []  # or the list would hold the parts, too
            return _is_alone_in_all(value)
        seen |= ids


def _is_alone_in_all(value: Any) -> bool:
    """As `_is_alone`, for any value: each part must be held exactly as often as other parts hold it.

    Arrays that share memory are not alone: copying and pickling would separate them, so we always do.
    """
    parts, counts = [value], {id(value): 0}
    bases: set[int] = set()
    for part in parts:
        base = part.base if isinstance(part, np.ndarray) else None
        if base is not None:
            if id(base) in bases or id(base) in counts:
                return False
            bases.add(id(base))
        for child in _parts_of([part]):
            if type(child) is tuple and is_atom(child):
                continue
            if id(child) not in counts:
                counts[id(child)] = 0
                parts.append(child)
            elif id(child) in bases and child is not base:
                return False
            counts[id(child)] += 1
    part = child = base = None
    del parts[0]
    return all([sys.getrefcount(part) - _HELD <= counts[id(part)] for part in parts])


def _parts_of(objects: list) -> list:
    """The contents of some objects, except atoms."""
    arrays = [each for each in objects if isinstance(each, (np.ndarray, np.void))]  # a row is a view of its array
    parts = gc.get_referents(*objects) if len(arrays) < len(objects) else []
    for array in arrays:
        if array.base is not None:
            parts.append(array.base)
        for part in arrays_of_objects(np.asarray(array)):
            parts += part.ravel().tolist()
        parts += getattr(array, "__dict__", {}).values()
    kinds = set(map(type, parts))
    atoms = {kind for kind in kinds if is_atomic(kind)}
    return [part for part in parts if type(part) not in atoms] if kinds - atoms else []


def _references() -> tuple[int, int, int, int]:
    """The reference counts of a fresh value in a box, of a fresh view's base, and of parts under inspection."""
    fresh, view = np.zeros(1), np.zeros(2)[:1]
    parts = [np.zeros(1)]
    level = [[]]
    held = [sys.getrefcount(part) for part in parts][0]
    return _holders([fresh])[0], _holders([view])[1], held, max(map(sys.getrefcount, level)) + 1


_FRESH, _FRESH_BASE, _HELD, _HELD_ONCE = _references()
"""A part in `_is_alone` is also held by the whole that contains it."""
