"""The one pickler of everything that crosses between processes, both ways, so that what comes back is what left.

by value    how classes and functions travel that no other process can import: those of `__main__`, and local ones
home        of a class or function that travels by value: the process in which it was defined. Only what comes from
            there changes it elsewhere; what comes back is the class or function itself, as it is there now
bare        an object that can hold nothing, such as a plain `object()`: all that there is of it is who it is. So are
            singletons, that is objects whose `__reduce__` gives their name
Invariant: a class, function or bare object has one id in all processes, and each process one object for each id.

Ray's serializer has tables of its own, so it is handed bytes alone.
"""

from __future__ import annotations

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
from types import CodeType, FunctionType
from typing import Any

import cloudpickle
import numpy as np

from weftwork.actors.processes import wrappers
from weftwork.graph.forks import fresh
from weftwork.graph.ownership import answers_all, is_bare

_HEAP = 1 << 9
"""The flag of types that are made at run time."""
_HERE = uuid.uuid4().hex
"""This process: one that is forked off has the classes of its parent, and goes by its name."""
_MOST_BARE = 10_000
"""Bare objects that a process remembers: those that crossed last."""

_homes: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
"""Of classes and functions that came from elsewhere."""
_ids: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
_by_id: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
"""The ids of classes and functions, and what they are ids of here."""
_blank: weakref.WeakSet[type] = weakref.WeakSet()
"""Classes that have just been made, of which nothing is known."""
_bare: OrderedDict[str, Any] = OrderedDict()
_bare_ids: dict[int, str] = {}
_lock = fresh(threading.RLock())


def dumps(value: Any, buffer_callback: Callable | None = None, is_code: bool = False) -> bytes:
    """`value` as bytes. Raises what pickling raises; PicklingError for a value that is nested too deep.

    is_code: its functions are new ones wherever it is loaded, at home too.
    """
    with io.BytesIO() as file:
        pickler = Pickler(file, 5, buffer_callback)
        pickler.is_code = is_code
        pickler.dump(value)
        return file.getvalue()


loads = pickle.loads


_ONE_OF_EACH = frozenset([memoryview, weakref.ProxyType, weakref.CallableProxyType])
"""Types of what cloudpickle, or Python, would replace by what it stands for."""


def _is_file(obj: Any) -> bool:
    """True for an open file, of which cloudpickle would send the contents; the standard output is each process's."""
    return isinstance(obj, io.TextIOWrapper) and obj is not sys.stdout and obj is not sys.stderr


def use_reducers(reducers: Any) -> None:
    """Take over how some types are pickled, from a table by type: Ray's, for its references and handles."""
    if not any([known is reducers for known in _reducers.maps]):
        _reducers.maps.append(reducers)


def _reduced_code(code: CodeType) -> tuple:
    """As cloudpickle says it, which leaves out the file: so tracebacks show the line wherever the function ran."""
    make, args = cloudpickle.Pickler.dispatch_table[CodeType](code)  # type: ignore[index]
    return make, tuple([code.co_filename if arg == _NO_FILE else arg for arg in args])


_NO_FILE = "<dynamic-code>"
_reducers: ChainMap[type, Callable] = ChainMap({CodeType: _reduced_code}, cloudpickle.Pickler.dispatch_table)  # type: ignore[arg-type]


class Pickler(cloudpickle.Pickler):
    """cloudpickle's, with ids for what travels by value."""

    dispatch_table = _reducers
    is_code = False

    def reducer_override(self, obj: Any) -> Any:
        """As cloudpickle's, with ids."""
        kind = type(obj)
        wrapped = wrappers.reduced(obj, self.is_code)
        if wrapped is not None:
            return wrapped
        if kind in _ONE_OF_EACH or (issubclass(kind, io.IOBase) and _is_file(obj)):
            raise TypeError(f"cannot pickle a {kind.__name__}: there is one of it, in this process")
        if kind is object:
            return _bare_of, (_bare_id(obj), object)
        if kind is FunctionType:
            return _told_function(obj, super().reducer_override(obj), self.is_code)
        if issubclass(kind, type):
            return _told_class(obj, super().reducer_override(obj))
        if issubclass(kind, np.ma.MaskedArray) and kind.__reduce__ is np.ma.MaskedArray.__reduce__:
            return _masked, (kind, obj.view(np.ndarray), vars(obj))
        if issubclass(kind, tuple) and _is_named(kind):
            return _named, (kind, tuple(obj), getattr(obj, "__dict__", None) or None)
        if issubclass(kind, BaseException) and _is_plain_error(kind):
            return _error, (kind, obj.args, vars(obj) or None)
        if kind.__flags__ & _HEAP:
            return self._reduced(obj, kind)
        return NotImplemented

    def _reduced(self, obj: Any, kind: type) -> Any:
        """How an object is pickled whose class was made at run time: a singleton, or a bare object, by its id."""
        if kind.__reduce_ex__ is object.__reduce_ex__ and kind.__reduce__ is object.__reduce__:
            if is_bare(kind):
                return _bare_of, (_bare_id(obj), kind)
            if answers_all(kind):
                return object.__new__, (kind,), object.__getattribute__(obj, "__dict__"), None, None, _set_attributes
            return NotImplemented
        if kind in self.dispatch_table or super().reducer_override(kind) is NotImplemented:
            return NotImplemented  # somebody says how, or it is of a class that others can import
        reduced = obj.__reduce_ex__(5)
        if type(reduced) is not str or _is_found(obj, reduced):
            return reduced
        state = getattr(obj, "__dict__", None)
        return _bare_of, (_bare_id(obj), kind), state or None, None, None, _set_bare


# Classes


def _told_class(kind: type, reduced: Any) -> Any:
    """What cloudpickle says of a class that travels by value, with its home."""
    if type(reduced) is not tuple or len(reduced) != 6:
        return reduced
    make, args, state, _, _, set_state = reduced
    home = _homes.get(kind, _HERE)
    return _class_of, (_id_of(kind), make, args), (home, home == _HERE, set_state, state), None, None, _set_class


def _id_of(kind: Any) -> str:
    """The id of a class or function."""
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


def _set_class(kind: type, told: tuple) -> type:
    """Let a class be what its home says it is; what another process says is heard while nothing else is known."""
    home, from_home, set_state, state = told
    if kind in _blank or (from_home and home != _HERE):
        _homes[kind] = home
        set_state(kind, state)
        _blank.discard(kind)
        if home != _HERE:
            _stand(kind)
    return kind


_of_main: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
"""The classes that came from the main module of a program, by name."""


def _stand(kind: type) -> None:
    """Let a class of the program's main module be found in the one of this process, as long as it is there.

    So can what functions pickle by themselves, or have multiprocessing pickle.
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


def _told_function(function: FunctionType, reduced: Any, is_code: bool) -> Any:
    """What cloudpickle says of a function that travels by value, with its home."""
    if type(reduced) is not tuple:
        return reduced
    make, args, state, _, _, set_state = reduced
    home = _homes.get(function, _HERE)
    return _function_of, (_id_of(function), home, is_code, make, args), (set_state, state), None, None, _set_function


def _function_of(name: str, home: str, is_new: bool, make: Callable, args: tuple) -> FunctionType:
    """The function itself at home; elsewhere a new one each time, for the state that it has captured may be another."""
    function = None if is_new or home != _HERE else _by_id.get(name)
    if function is None:
        function = make(*args)
        _homes[function], _ids[function] = home, name
    return function


def _set_function(function: FunctionType, told: tuple) -> None:
    if function in _homes:
        set_state, state = told
        set_state(function, state)


# Bare objects and singletons


def _bare_id(obj: Any) -> str:
    """Its id: where it stands in a module that others can import, else one made up."""
    with _lock:
        name = _bare_ids.get(id(obj))
        if name is None:
            name = _place_of(obj) or uuid.uuid4().hex
            _remember(name, obj)
        _bare.move_to_end(name)
        return name


def _bare_of(name: str, kind: type) -> Any:
    with _lock:
        if name not in _bare:
            _remember(name, _standing(name) or object.__new__(kind))
        return _bare[name]


def _set_attributes(obj: Any, attributes: dict) -> None:
    """Those of an object that answers to any name: it is not asked how it is set."""
    object.__getattribute__(obj, "__dict__").update(attributes)


def _set_bare(obj: Any, state: dict) -> None:
    """A singleton's attributes, for a process that has just made it."""
    if not vars(obj):
        vars(obj).update(state)


def _remember(name: str, obj: Any) -> None:
    _bare[name], _bare_ids[id(obj)] = obj, name
    while len(_bare) > _MOST_BARE:
        _, old = _bare.popitem(last=False)
        del _bare_ids[id(old)]


def _is_found(obj: Any, name: str) -> bool:
    """True for an object that others find by its name in a module, as compiled functions are."""
    found = sys.modules.get(getattr(obj, "__module__", None) or "__main__")
    if found is None or found.__name__ == "__main__":
        return False
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj


_looked_at: set[str] = {"__main__"}
_standing_at: dict[int, str] = {}


def _place_of(obj: Any) -> str | None:
    """ "module:name" of a bare object that a module holds: the modules that are there are looked through once."""
    for module in set(sys.modules) - _looked_at:
        _looked_at.add(module)
        names = getattr(sys.modules[module], "__dict__", {})
        for name, value in list(names.items()):
            if type(value) is object or (type(type(value)) is type and is_bare(type(value))):
                _standing_at.setdefault(id(value), f"{module}:{name}")
    place = _standing_at.get(id(obj))
    return place if place is not None and _standing(place) is obj else None


def _standing(place: str) -> Any:
    module, _, name = place.partition(":")
    if name and module not in sys.modules:
        with suppress(Exception):
            importlib.import_module(module)
    return vars(sys.modules[module]).get(name) if name and module in sys.modules else None


# What Python or NumPy would rebuild as something else


def _masked(kind: type, data: np.ndarray, state: dict) -> np.ndarray:
    """A masked array whose fill value is what it was: NumPy casts it, so that int8's 999999 becomes 63."""
    made = data.view(kind)
    vars(made).update(state)
    return made


def _is_plain_error(kind: type) -> bool:
    """True for an exception's class that says nothing of pickling, and keeps nothing that Python code cannot see."""
    base = next(base for base in kind.__mro__ if not base.__flags__ & _HEAP)
    says = kind.__reduce__ is not BaseException.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__
    return bool(kind.__flags__ & _HEAP) and base.__basicsize__ == BaseException.__basicsize__ and not says


def _error(kind: type, args: tuple, state: dict | None) -> BaseException:
    """An exception, whatever its `__init__` takes."""
    made: Any = kind.__new__(kind, *args)
    made.args = args
    if state:
        vars(made).update(state)
    return made


class Bare:
    """An exception of some class on its way: what comes of it has no other way to be made."""

    def __init__(self, kind: type, args: tuple, state: dict):
        self.kind, self.args, self.state = kind, args, state

    def __reduce__(self) -> tuple:
        return _error, (self.kind, self.args, self.state)


def _is_named(kind: type) -> bool:
    own = kind.__reduce__ is not object.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__
    return hasattr(kind, "_fields") and not own


def _named(kind: type, items: tuple, state: dict | None) -> tuple:
    """A named tuple: the fields say all, whatever its `__new__` takes."""
    made = tuple.__new__(kind, items)
    if state:
        made.__dict__.update(state)
    return made
