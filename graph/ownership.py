"""Whose a value is: a function may change what it gets as in a plain call, and nobody else sees it.

atom      a value that nobody can change, or that cannot be copied: it is handed to anybody as it is
own       what a user's function returned, as nobody else's: a copy of it if somebody still holds it, or a part of it
lent      a value that others see too, as a function gets it: a copy. Only an array whose function shows by its code
          that it changes none (`reading`) is not copied, but handed on as a read-only view

Atoms are numbers, text, bytes, classes, functions, modules, Enum members, exceptions, Arrow's tables and the like; so
are tuples and frozen sets of atoms. A pandas frame is copied lazily, where pandas does so. What cannot be copied (a
lock, an open file, a generator) is passed as it is, also inside of what is copied.
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

from weftwork.graph.frames import is_immutable, is_lazy, is_mapped, lazily_copied

_HEAP = 1 << 9
"""The flag of types that are made at run time."""
GENERATORS = (random.random.__self__, np.random.rand.__self__)  # type: ignore[attr-defined]
"""Those that `random` and `numpy.random` draw from: there is one of each."""
_SAYING = ("__getstate__", "__setstate__", "__getnewargs_ex__")
"""By which a class says what its objects' state is."""
ATOMS: frozenset[type] = frozenset(
    [
        *(int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range, object),
        *(types.FunctionType, types.ModuleType, types.CodeType, types.GeneratorType),
        *(types.CoroutineType, types.AsyncGeneratorType, types.GetSetDescriptorType, types.MappingProxyType),
        *(types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType, types.GenericAlias),
        *(type, weakref.ref, property, staticmethod, classmethod, memoryview, types.FrameType, types.TracebackType),
        *(datetime.date, datetime.time, datetime.datetime, datetime.timedelta, datetime.timezone),
        *(decimal.Decimal, fractions.Fraction, uuid.UUID, re.Pattern, type(threading.Lock()), type(threading.RLock())),
        *{np.bool_, *np.sctypeDict.values()} - {np.void, np.object_},
    ]
)
"""Types of atoms: what is looked at first, for it is all that a number costs."""
_DEPTH = 100
"""Levels of an object that are compared with its copy."""
_ATOM_BASES: list[type] = [
    *(type, enum.Enum, BaseException, types.ModuleType, np.dtype, np.ufunc, pathlib.PurePath, datetime.tzinfo)
]
"""Types of atoms, with those derived from them."""


def add_atoms(*kinds: type) -> None:
    """Let objects of further types, and of types derived from them, be handed on as they are."""
    _ATOM_BASES.extend([kind for kind in kinds if kind not in _ATOM_BASES])
    is_atomic.cache_clear()


@functools.lru_cache(maxsize=1024)
def is_atomic(kind: type) -> bool:
    """True for a type of which all objects are atoms."""
    return kind in ATOMS or is_bare(kind) or issubclass(kind, tuple(_ATOM_BASES)) or is_immutable(kind)


def is_bare(kind: type) -> bool:
    """True for a type whose objects have no room for anything: all that there is of one is who it is."""
    return kind.__basicsize__ == object.__basicsize__ and not kind.__dictoffset__ and not kind.__itemsize__


def is_atom(value: Any) -> bool:
    """True for a value that anybody may get as it is."""
    stack = [value]
    for item in stack:
        kind = type(item)
        if kind is tuple or kind is frozenset:
            if not ATOMS.issuperset(map(type, item)):
                stack.extend(item)
        elif not is_atomic(kind) and not (kind is types.BuiltinFunctionType and _is_loose(item)):
            return False
    return True


def _is_loose(function: Any) -> bool:
    """True for a function in C that is not the method of an object, but for the generators that all draw from."""
    owner = function.__self__
    return owner is None or isinstance(owner, (types.ModuleType, type)) or any([owner is one for one in GENERATORS])


# Copies


def copied(value: Any, memo: dict | None = None, lazily: bool = True) -> Any:
    """A copy that shares nothing which can be changed, as `copy.deepcopy` makes it. Its arrays can be written to.

    memo: of what was copied before, with which this may share parts.   lazily: frames that copy on write share data.
    Raises ValueError for a value that is nested too deep for it.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is np.ndarray and memo is None and not value.dtype.hasobject:
        return value.copy(order="K")
    try:
        if memo is None:
            memo = {} if lazily else {_AT_ONCE: True}
        return value if is_atom(value) else _copy(value, memo)
    except RecursionError:
        raise ValueError(
            f"a {kind.__name__} is nested too deep to be copied, and it must be: others see it too"
        ) from None


def _copy(value: Any, memo: dict) -> Any:
    kind = type(value)
    if is_atomic(kind):
        return value
    known = memo.get(id(value))
    if known is not None:
        return known
    copier = _COPIERS.get(kind)
    if copier is None and is_lazy(kind) and _AT_ONCE not in memo:
        copier = _copy_lazily
    if copier is None:
        copier = _copy_tuple if issubclass(kind, tuple) and _is_reduced_as(kind, object) else _copy_object
    made = copier(value, memo)
    memo[id(value)] = made
    memo.setdefault(id(memo), []).append(value)  # as long as the memo lives nobody else may have its id
    return made


_AT_ONCE = "frames are copied at once"


def _copy_lazily(frame: Any, memo: dict) -> Any:
    return lazily_copied(frame)


def _copy_container(value: list | dict, memo: dict) -> list | dict:
    """Lists and dicts in each other, however deep."""
    left: list[tuple] = []

    def begun(item: Any) -> Any:
        kind = type(item)
        if kind in ATOMS:
            return item
        if (kind is not list and kind is not dict) or id(item) in memo:
            return _copy(item, memo)
        made = memo[id(item)] = kind()
        left.append((item, made))
        return made

    whole = begun(value)
    for source, made in left:
        if type(source) is list:
            made.extend(source if ATOMS.issuperset(map(type, source)) else [begun(item) for item in source])
        else:
            for key, item in source.items():
                made[key if type(key) in ATOMS else _copy(key, memo)] = begun(item)
    return whole


def _copy_tuple(value: tuple, memo: dict) -> tuple:
    items = [_copy(item, memo) for item in value]
    if id(value) in memo:  # it holds itself, by way of a list
        return memo[id(value)]
    state = getattr(value, "__dict__", None)
    if not state and all([one is other for one, other in zip(items, value, strict=True)]):
        return value
    made = tuple.__new__(type(value), items)
    if state:
        made.__dict__.update(_copy(state, memo))
    return made


def _copy_array(value: np.ndarray, memo: dict) -> np.ndarray:
    memo[id(value)] = made = value.copy(order="K")
    if value.dtype == object and not ATOMS.issuperset(map(type, value.ravel().tolist())):
        for index in np.ndindex(value.shape):
            made[index] = _copy(value[index], memo)
    return made


_COPIERS: dict[type, Callable[[Any, dict], Any]] = {
    list: _copy_container,
    dict: _copy_container,
    tuple: _copy_tuple,
    set: lambda value, memo: {_copy(item, memo) for item in value},
    frozenset: lambda value, memo: frozenset([_copy(item, memo) for item in value]),
    bytearray: lambda value, memo: value[:],
    np.ndarray: _copy_array,
    types.MethodType: lambda value, memo: _copy_method(value, memo),
    types.BuiltinFunctionType: lambda value, memo: _copy_method(value, memo),
}


def _copy_method(value: Any, memo: dict) -> Any:
    """One of a copy of its object; a function of a module, and the generators' that all draw from, as they are."""
    owner = value.__self__
    if any([owner is one for one in GENERATORS]):
        return value
    made = _copy(owner, memo)
    if made is owner:
        return value
    return types.MethodType(value.__func__, made) if type(value) is types.MethodType else getattr(made, value.__name__)


def _of_type(kind: type, name: str) -> Any:
    """What a class says under a name. An object is not asked: it might answer anything."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def _is_reduced_as(kind: type, base: type) -> bool:
    return (
        all([_of_type(kind, name) is vars(base).get(name) for name in ("__reduce_ex__", "__reduce__")])
        and _of_type(kind, "__deepcopy__") is None
    )


def answers_all(kind: type) -> bool:
    """True for a class whose objects may answer to any name, so that nothing may be read off the answer.

    All that such an object is are its attributes. One whose class says itself how it is pickled, as data frames do,
    knows what it answers; and of one that has slots, or is derived from dict, say, the attributes are not all.
    """
    if not kind.__dictoffset__ or kind.__itemsize__ or kind in copyreg.dispatch_table:
        return False
    if _says_its_state(kind):
        return False
    if any([base is not object and not base.__flags__ & _HEAP for base in kind.__mro__]):
        return False
    return any([isinstance(_of_type(kind, name), types.FunctionType) for name in ("__getattr__", "__getattribute__")])


def _says_its_state(kind: type) -> bool:
    return any([isinstance(_of_type(kind, name), types.FunctionType) for name in _SAYING])


def _copy_object(value: Any, memo: dict) -> Any:
    """As `copy.deepcopy`; itself where that is not possible."""
    kind = type(value)
    by_itself = _of_type(kind, "__deepcopy__")
    try:
        if by_itself is not None:
            return by_itself(value, memo)
        if (
            type(_of_type(kind, "__del__")) is types.FunctionType
            and _is_reduced_as(kind, object)
            and not _says_its_state(kind)
        ):
            return value  # what it holds is let go once
        if answers_all(kind) and _is_reduced_as(kind, object):
            reduced: Any = (object.__new__, (kind,), object.__getattribute__(value, "__dict__"))
        else:
            reduce = copyreg.dispatch_table.get(kind)
            reduced = reduce(value) if reduce is not None else kind.__reduce_ex__(value, 4)  # type: ignore[call-arg]
        return value if type(reduced) is str else _rebuilt(value, memo, *reduced)
    except RecursionError:
        raise
    except Exception:  # a lock, a file: there is one of it
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
    """What `__reduce_ex__` says, done with copies."""
    memo[id(value)] = made = make(*[_copy(arg, memo) for arg in args])
    if state is not None:
        state = _copy(state, memo)
        by_itself = _of_type(type(made), "__setstate__")
        if set_state is not None:
            set_state(made, state)
        elif by_itself is not None:
            by_itself(made, state)
        else:
            attributes, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
            if attributes:
                object.__getattribute__(made, "__dict__").update(attributes)
            for name, item in (slots or {}).items():
                object.__setattr__(made, name, item)
    for item in items or ():
        made.append(_copy(item, memo))
    for key, item in pairs or ():
        made[_copy(key, memo)] = _copy(item, memo)
    return made


def alike(one: Any, two: Any, depth: int = 0) -> bool:
    """True when two copies of one object show to be the same. They are not asked; where that cannot be seen: False."""
    kind = type(one)
    if one is two or kind is not type(two) or depth > _DEPTH:
        return one is two
    if kind in ATOMS:
        return one == two
    if kind is np.ndarray and not one.dtype.hasobject:
        return one.dtype == two.dtype and np.array_equal(one, two)
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


# Who holds a value


def own(box: list, more: int = 0) -> Any:
    """A value that a node has just made, as nobody else's: a copy when the node still holds it or a part of it.

    box: a list of the value alone. Beside it only a local variable of the caller may hold the value, and `more` that
    are known of: the number of references is compared with that of a fresh value that is held so. List and variable
    count in every version of Python; what the interpreter counts of a value on its way to a function differs. An array
    of rank 0 becomes a scalar.
    """
    kind = type(box[0])
    if kind in ATOMS:
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
    if is_atomic(kind) or (holders <= _FRESH + more and _is_alone(value)):
        return value
    return copied(value)


def writable(value: Any, lazily: bool = True) -> Any:
    """A value of the function's own: a copy of an array that cannot be written to.

    lazily: lazy copies of frames are written to as pandas does it; else one that lies in the store is copied, too.
    """
    if type(value) is np.ndarray:
        return value if value.flags.writeable else value.copy(order="K")
    return value if lazily or not is_lazy(type(value)) else copied(value, lazily=False)


def own_made(box: list) -> Any:
    """The same for what a node of the library made, which may be a view that cannot be written to."""
    return writable(own(box))


def own_each(values: Sequence) -> Sequence:
    """The same for a node of the library with several outputs; they share nothing with each other either."""
    return values if ATOMS.issuperset(map(type, values)) else [_own_part(values, at) for at in range(len(values))]


def _own_part(values: Sequence, at: int) -> Any:
    value = values[at]
    return writable(own([value], 1))


def _holders(box: list) -> tuple[int, int]:
    """The numbers of references to the value in a box, and to its base if it is an array."""
    return sys.getrefcount(box[0]), sys.getrefcount(box[0].base) if type(box[0]) is np.ndarray else 0


def _is_alone(value: Any) -> bool:
    """True when nobody else holds a part of a value. Parts that each one other part holds are looked at in bulk."""
    level, seen = [value], {id(value)}
    while True:
        level = _parts_of(level)
        if not level:
            return True
        ids = set(map(id, level))
        if len(ids) < len(level) or not ids.isdisjoint(seen) or max(map(sys.getrefcount, level)) > _HELD_ONCE:
            level = []  # else they are held by it, too
            return _is_alone_in_all(value)
        seen |= ids


def _is_alone_in_all(value: Any) -> bool:
    """The same for any value: each part is held as often as other parts hold it."""
    parts, held = [value], {id(value): 0}
    for part in parts:
        for child in _parts_of([part]):
            if type(child) is tuple and is_atom(child):
                continue
            if id(child) not in held:
                held[id(child)] = 0
                parts.append(child)
            held[id(child)] += 1
    part = child = None
    del parts[0]
    return all([sys.getrefcount(part) - _HELD <= held[id(part)] for part in parts])


def _parts_of(objects: list) -> list:
    """What some objects hold that is not an atom."""
    arrays = [each for each in objects if isinstance(each, np.ndarray)]
    parts = gc.get_referents(*objects) if len(arrays) < len(objects) else []
    for array in arrays:
        if array.base is not None:
            parts.append(array.base)
        if array.dtype == object:
            parts += array.ravel().tolist()
        if type(array) is not np.ndarray:
            parts += vars(array).values()
    kinds = set(map(type, parts))
    atoms = {kind for kind in kinds if is_atomic(kind)}
    return [part for part in parts if type(part) not in atoms] if kinds - atoms else []


def _references() -> tuple[int, int, int, int]:
    """The references to a fresh value in a box, to the base of a fresh view, and to parts as they are looked at."""
    fresh, view = np.zeros(1), np.zeros(2)[:1]
    parts = [np.zeros(1)]
    level = [[]]
    held = [sys.getrefcount(part) for part in parts][0]
    return _holders([fresh])[0], _holders([view])[1], held, max(map(sys.getrefcount, level)) + 1


_FRESH, _FRESH_BASE, _HELD, _HELD_ONCE = _references()
"""A part in `_is_alone` is held by its whole besides."""
