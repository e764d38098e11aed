"""The pickler for everything that crosses between processes. What comes back is the same object that left.

by value    how classes and functions are sent that no other process can import: those of `__main__`, and local ones
home        the process in which such a class or function was defined. Only messages from there change it elsewhere;
            when it comes back home, it is the original, in its current state
bare        an object without contents, such as a plain `object()`, for which only identity matters. Singletons, whose
            `__reduce__` returns a name, are treated alike
Invariant: a class, function or bare object has one id in all processes, and each process has one object for each id.

Ray's serializer has tables of its own, so it is given bytes only.
"""

from __future__ import annotations

import _ctypes
import importlib
import io
import pickle
import sys
import threading
import uuid
import weakref
from collections import ChainMap, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from enum import EnumMeta
from types import CodeType, FunctionType
from typing import Any, NamedTuple, NewType

import cloudpickle
import numpy as np

from weftwork.actors.processes import exceptions, wrappers
from weftwork.graph.python.arrays import has_attributes
from weftwork.graph.python.class_facts import HEAP, answers_all, is_masked_array
from weftwork.graph.python.forks import fresh
from weftwork.graph.python.ownership import is_bare

_HERE = uuid.uuid4().hex
"""Id of this process. A forked child shares it, because it has its parent's classes."""
_MAX_BARE = 10_000
"""Maximum number of bare objects that a process remembers; the ones that crossed last are kept."""

_homes: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
"""Home of each class and function that came from elsewhere."""
_ids: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
_by_id: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
"""Ids of classes and functions, and the reverse mapping."""
_blank: weakref.WeakSet[type] = weakref.WeakSet()
"""Classes that were just created and have no contents yet."""
_bare: OrderedDict[str, Any] = OrderedDict()
_bare_ids: dict[int, str] = {}
_lock = fresh(threading.RLock())


def dumps(value: Any, buffer_callback: Callable | None = None, is_code: bool = False, is_alone: bool = False) -> bytes:
    """Pickle `value`. Raises what pickling raises, PicklingError for values nested too deeply.

    is_code: the value's functions become new functions wherever they are loaded, even at home.
    is_alone: exceptions go without those that they were raised from.
    """
    with io.BytesIO() as file:
        pickler = Pickler(file, 5, buffer_callback)
        pickler.is_code, pickler.is_alone = is_code, is_alone
        pickler.dump(value)
        return file.getvalue()


loads = pickle.loads


_UNIQUE_TYPES = frozenset([memoryview, weakref.ProxyType, weakref.CallableProxyType, weakref.finalize])
"""Types for which cloudpickle, or Python, would pickle the object behind them; and finalizers, because a copy of a
`TemporaryDirectory` would lose its folder once the original is gone. What code refers to is not gone while it runs."""


def _is_file(obj: Any) -> bool:
    """True for an open file, whose contents cloudpickle would send. Standard streams exist in each process."""
    return isinstance(obj, io.TextIOWrapper) and obj is not sys.stdout and obj is not sys.stderr


def use_reducers(reducers: Any) -> None:
    """Add a table of reducers by type: Ray's, for its references and handles."""
    if not any([known is reducers for known in _reducers.maps]):
        _reducers.maps.append(reducers)


def _reduced_code(code: CodeType) -> tuple:
    """Reduce code as cloudpickle does, but with the file name, so that tracebacks show lines wherever it runs."""
    make, args = cloudpickle.Pickler.dispatch_table[CodeType](code)  # type: ignore[index]
    return make, tuple([code.co_filename if arg == _NO_FILE else arg for arg in args])


def _reduced_row(row: np.void) -> tuple:
    """Reduce a row of a structured array as an array: NumPy's way makes one that ignores what is written to it."""
    return _row, (np.asarray(row),)


def _row(array: np.ndarray) -> Any:
    return array[()]


_NO_FILE = "<dynamic-code>"
_own_reducers: dict[Any, Callable] = {CodeType: _reduced_code, np.void: _reduced_row, np.record: _reduced_row}
_reducers: ChainMap[type, Callable] = ChainMap(_own_reducers, cloudpickle.Pickler.dispatch_table)  # type: ignore[arg-type]


class Pickler(cloudpickle.Pickler):
    """cloudpickle's pickler, extended by ids for what is pickled by value."""

    dispatch_table = _reducers
    is_code = is_alone = False

    def reducer_override(self, obj: Any) -> Any:
        """Extend cloudpickle's method by ids."""
        kind = type(obj)
        wrapped = wrappers.reduced(obj, self.is_code)
        if wrapped is not None:
            return wrapped
        if (kind in _UNIQUE_TYPES and not (self.is_code and kind is weakref.finalize)) or (
            issubclass(kind, io.IOBase) and _is_file(obj)
        ):
            raise TypeError(f"cannot pickle a {kind.__name__}: it exists once, in this process")
        if kind is object:
            return _bare_of, (_bare_id(obj), object)
        if kind is FunctionType:
            return _reduced_function(obj, super().reducer_override(obj), self.is_code)
        if issubclass(kind, type):
            if obj.__module__ == "_ctypes" and not hasattr(_ctypes, obj.__name__):  # built in, but nobody can import it
                raise TypeError(f"cannot pickle {obj.__name__}: it exists once, in this process")
            return _reduced_class(obj, super().reducer_override(obj))
        if issubclass(kind, tuple) and _is_named(kind):
            return _named, (kind, tuple(obj), getattr(obj, "__dict__", None) or None)
        if issubclass(kind, BaseException):
            error = exceptions.reduced(obj, kind, dumps, self.is_alone)
            if error is not None:
                return error
        if kind is NewType and not _is_found(obj, obj.__qualname__):
            return _bare_of, (_bare_id(obj), kind), vars(obj), None, None, _set_bare
        if kind.__flags__ & HEAP:
            return self._reduced(obj, kind)
        return NotImplemented

    def _reduced(self, obj: Any, kind: type) -> Any:
        """Reduce an instance of a class made at run time. Singletons and bare objects go by id."""
        if issubclass(kind, np.ndarray):
            is_masked = is_masked_array(kind)
            usual: Any = np.ma.MaskedArray if is_masked else np.ndarray
            is_usual = kind.__reduce__ is usual.__reduce__ and kind.__reduce_ex__ is usual.__reduce_ex__
            has_more = is_usual and (is_masked or has_attributes(obj))  # than what NumPy pickles
            return (_array, (kind, obj.view(np.ndarray), vars(obj))) if has_more else NotImplemented
        if kind.__reduce_ex__ is object.__reduce_ex__ and kind.__reduce__ is object.__reduce__:
            if is_bare(kind):
                return _bare_of, (_bare_id(obj), kind)
            if answers_all(kind):
                return object.__new__, (kind,), object.__getattribute__(obj, "__dict__"), None, None, _set_attributes
            return NotImplemented
        if kind in self.dispatch_table or super().reducer_override(kind) is NotImplemented:
            return NotImplemented  # it has a reducer, or others can import its class
        reduced = obj.__reduce_ex__(5)
        if type(reduced) is not str or _is_found(obj, reduced):
            return reduced
        state = getattr(obj, "__dict__", None)
        return _bare_of, (_bare_id(obj), kind), state or None, None, None, _set_bare


# Classes


def _reduced_class(kind: type, reduced: Any) -> Any:
    """Extend cloudpickle's reduction of a class that is pickled by value: add its id and home."""
    if type(reduced) is not tuple or len(reduced) != 6:
        return reduced
    make, args, state, _, _, set_state = reduced
    if getattr(make, "__name__", "") == _MAKES:
        # cloudpickle leaves out where the class was defined, and that its objects have slots.
        constructor, name, bases, space, *rest = args
        slots = {"__slots__": vars(kind)["__slots__"]} if _has_slots(kind) else {}
        if type(kind).__name__ == _OF_DICTS:
            bases = tuple([base for base in bases if base is not dict])
        args = (constructor, name, bases, {**space, "__qualname__": kind.__qualname__, **slots}, *rest)
    if isinstance(kind, EnumMeta):
        set_state, state = (
            _set_enum,
            (set_state, state, {name: _own_state(member) for name, member in kind.__members__.items()}),
        )
    home = _homes.get(kind, _HERE)
    return _class_of, (_id_of(kind), make, args), (home, home == _HERE, set_state, state), None, None, _set_class


_MAKES = "_make_skeleton_class"
"""The name of what cloudpickle makes a class with."""


_OF_DICTS = "_TypedDictMeta"
"""The name of the metaclass of a `TypedDict`, which adds `dict` to the bases itself, and refuses it among them."""


def _own_state(member: Any) -> dict:
    """What an enumeration's `__init__` or `__new__` has set in a member: they are not called where it is made anew."""
    return {name: value for name, value in vars(member).items() if not (name[:1] == name[-1:] == "_")}


def _set_enum(kind: Any, contents: tuple) -> None:
    set_state, state, members = contents
    set_state(kind, state)
    for name, own in members.items():
        vars(kind[name]).update(own)


def _has_slots(kind: type) -> bool:
    """Whether a class must be told its slots when it is made: `typing.NamedTuple` refuses that, as it sets its own."""
    makes_own = NamedTuple in vars(kind).get("__orig_bases__", ())
    return type(vars(kind).get("__slots__")) in (str, tuple, list, dict) and not makes_own


def _id_of(kind: Any) -> str:
    """The id of a class or function, assigned at the first call."""
    with _lock:
        name = _ids.get(kind)
        if name is None:
            name = _ids[kind] = uuid.uuid4().hex
            _by_id[name] = kind
        return name


def _class_of(name: str, make: Callable, args: tuple) -> type:
    with _lock:
        kind = _by_id.get(name)
        if kind is None:
            kind = _by_id[name] = make(*args)
            _ids[kind] = name
            _blank.add(kind)
        return kind


def _set_class(kind: type, contents: tuple) -> type:
    """Set a class's contents to those at home. Contents from elsewhere count only while it has none."""
    home, from_home, set_state, state = contents
    if kind in _blank or (from_home and home != _HERE):
        _homes[kind] = home
        set_state(kind, state)
        _blank.discard(kind)
        if home != _HERE:
            _publish_in_main(kind)
    return kind


_of_main: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
"""Classes that came from the program's main module, by name."""


def _publish_in_main(kind: type) -> None:
    """Make a class of the program's main module available in this process's main module, while the class lives.

    So functions can pickle its instances themselves, and so can multiprocessing.
    """
    name, module = kind.__qualname__, sys.modules.get("__main__")
    if kind.__module__ == "__main__" and "." not in name and module is not None:
        _of_main[name] = kind
        vars(module).setdefault("__getattr__", _found_in_main)


def _found_in_main(name: str) -> Any:
    try:
        return _of_main[name]
    except KeyError:
        raise AttributeError(f"module '__main__' has no attribute {name!r}") from None


# Functions


def _reduced_function(function: FunctionType, reduced: Any, is_code: bool) -> Any:
    """Extend cloudpickle's reduction of a function that is pickled by value: add its id and home."""
    if type(reduced) is not tuple:
        return reduced
    make, args, state, _, _, set_state = reduced
    home = _homes.get(function, _HERE)
    return _function_of, (_id_of(function), home, is_code, make, args), (set_state, state), None, None, _set_function


def _function_of(name: str, home: str, is_new: bool, make: Callable, args: tuple) -> FunctionType:
    """The function itself at home. Elsewhere a new one each time, since its captured state may differ."""
    function = None if is_new or home != _HERE else _by_id.get(name)
    if function is None:
        function = make(*args)
        _homes[function], _ids[function] = home, name
    return function


def _set_function(function: FunctionType, contents: tuple) -> None:
    if function in _homes:
        set_state, state = contents
        set_state(function, state)


# Bare objects and singletons


def _bare_id(obj: Any) -> str:
    """The id of a bare object: its name in an importable module, or else a random one."""
    with _lock:
        name = _bare_ids.get(id(obj))
        if name is None:
            name = _module_name_of(obj) or uuid.uuid4().hex
            _remember(name, obj)
        _bare.move_to_end(name)
        return name


def _bare_of(name: str, kind: type) -> Any:
    with _lock:
        if name not in _bare:
            _remember(name, _module_attribute(name) or object.__new__(kind))
        return _bare[name]


def _set_attributes(obj: Any, attributes: dict) -> None:
    """Set attributes without calling `__setattr__`, because the object answers to any name."""
    object.__getattribute__(obj, "__dict__").update(attributes)


def _set_bare(obj: Any, state: dict) -> None:
    """Set a singleton's attributes in a process that has just created it."""
    if not vars(obj):
        vars(obj).update(state)


def _remember(name: str, obj: Any) -> None:
    _bare[name], _bare_ids[id(obj)] = obj, name
    while len(_bare) > _MAX_BARE:
        _, old = _bare.popitem(last=False)
        del _bare_ids[id(old)]


def _is_found(obj: Any, name: str) -> bool:
    """Whether other processes can find an object by its name in a module, like compiled functions."""
    found = sys.modules.get(getattr(obj, "__module__", None) or "__main__")
    if found is None or found.__name__ == "__main__":
        return False
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj


_searched_modules: set[str] = {"__main__"}
_module_names: dict[int, str] = {}


def _module_name_of(obj: Any) -> str | None:
    """ "module:name" of a bare object that a module holds. Each loaded module is searched once."""
    for module in set(sys.modules) - _searched_modules:
        _searched_modules.add(module)
        names = getattr(sys.modules[module], "__dict__", {})
        for name, value in list(names.items()):
            if type(value) is object or (type(type(value)) is type and is_bare(type(value))):
                _module_names.setdefault(id(value), f"{module}:{name}")
    place = _module_names.get(id(obj))
    return place if place is not None and _module_attribute(place) is obj else None


def _module_attribute(place: str) -> Any:
    module, _, name = place.partition(":")
    if name and module not in sys.modules:
        with suppress(Exception):
            importlib.import_module(module)
    return vars(sys.modules[module]).get(name) if name and module in sys.modules else None

    # Values that Python or NumPy would rebuild differently


def _array(kind: type, data: np.ndarray, state: dict) -> np.ndarray:
    """Rebuild an array of a derived class with its attributes, which NumPy leaves out, or changes: for a masked array,
    it casts the fill value, so int8's 999999 would become 63."""
    made = data.view(kind)
    vars(made).update(state)
    return made


def _is_named(kind: type) -> bool:
    own = kind.__reduce__ is not object.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__
    return hasattr(kind, "_fields") and not own


def _named(kind: type, items: tuple, state: dict | None) -> tuple:
    """Rebuild a named tuple from its fields, whatever arguments its `__new__` takes."""
    made = tuple.__new__(kind, items)
    if state:
        made.__dict__.update(state)
    return made
