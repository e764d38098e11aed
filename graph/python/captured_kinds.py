"""Kinds of captured references: modules with per-process state, immutable types, the program's own code."""

from __future__ import annotations

import dis
import functools
import inspect
import io
import logging
import random
import sys
import threading
from _abc import _get_dump  # type: ignore[import-not-found]
from abc import ABCMeta
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType, ModuleType, TracebackType
from typing import Any

import cloudpickle
import numpy as np

from weftwork.graph.python.frames import columns_of_objects, is_lazy
from weftwork.graph.python.inspection import (
    ATOMS,
    MISSING,
    content,
    inside,
    parts_of,
)
from weftwork.graph.python.modules import is_own, is_owned
from weftwork.graph.python.unique import exists_once

ITSELF = ("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__slotnames__")
ITEMS = 256
"""Number of items of an object array that are searched for functions and classes."""
MOST_NAMED = 1024
"""Items of a container in a foreign module up to which it is state if code names it. Most larger ones are tables."""
CREATION_METHODS = frozenset(
    "__init__ __new__ __init_subclass__ __set_name__ __post_init__ __getstate__ __setstate__ __reduce__".split()
)
"""Methods that write to an instance while it is being made or copied."""
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
SURROUNDINGS = ("surroundings",)
"""The key of a write to the surroundings that all functions share."""
UNPICKLABLE = ("unpicklable",)
"""The key of objects that no other process can have: functions that refer to them run in creation order."""
MAIN_ONLY = ("stdin", "modules")
"""What only the main program has: its stdin, and its modules as it has changed them. Code that uses them runs there."""
ASKING = (input, breakpoint)
"""Builtins that read standard input."""
READING = {
    "sys": ("stdin", "modules"),
    "fileinput": ("input", "FileInput"),
    "getpass": ("getpass",),
    "pdb": ("set_trace", "run", "runcall", "runeval", "Pdb"),
    "code": ("interact", "InteractiveConsole"),
}
"""Attributes of modules that code uses to read standard input, or to look at all modules."""
STREAM = {*dir(io.TextIOBase), "buffer", "name", "mode"} - {"seek", "tell", "truncate"}
"""Attributes that the output streams of every process have. Code that uses others needs the program's own stream."""
_USE_FILES = (
    "read write close fstat lseek pread pwrite ftruncate fsync fdatasync dup dup2 sendfile readv writev fdopen isatty "
    "set_blocking get_blocking get_inheritable set_inheritable fchmod fchown splice copy_file_range ttyname closerange "
    "wait waitpid wait3 wait4 waitid"
)
OF_PROCESS = frozenset(
    [
        *(("signal", "getsignal"), ("mmap", "mmap"), ("socket", "fromfd")),
        *[("os", name) for name in _USE_FILES.split()],
        *[("fcntl", name) for name in ("fcntl", "ioctl", "flock", "lockf")],
        *[("select", name) for name in ("select", "poll", "epoll", "kqueue")],
    ]
)
"""Functions that depend on the process, by module: they take the number of an open file, wait for a child process, or
return a handler."""
OPENERS = frozenset(
    [
        *[("os", name) for name in "open pipe pipe2 openpty memfd_create".split()],
        *[("socket", name) for name in "socket socketpair create_connection create_server".split()],
        *(("subprocess", "Popen"), ("os", "fork")),
    ]
)
"""Functions that return such a number, or make a child: code that calls one has opened the file itself."""
NAMESPACES = frozenset(["eval", "exec", "globals"])
"""Builtins that let code refer to any name."""
LOGGING = frozenset("setLevel addHandler removeHandler addFilter removeFilter basicConfig captureWarnings".split())
"""Attributes of loggers and of their module that change what is logged."""
FILTERING = frozenset(["simplefilter", "filterwarnings", "resetwarnings"])
"""Functions that change which warnings are shown, permanently unless `catch_warnings` is around them."""
PRECISION = frozenset("prec rounding Emin Emax capitals clamp traps".split())
"""Attributes of decimal contexts."""
SETTERS = {
    "os": "chdir fchdir putenv unsetenv umask nice",
    "sys": "setrecursionlimit setswitchinterval settrace setprofile set_int_max_str_digits",
    "signal": "signal alarm setitimer set_wakeup_fd siginterrupt",
    "decimal": "setcontext",
    "locale": "setlocale",
    "socket": "setdefaulttimeout",
    "numpy": "seterr seterrcall set_printoptions setbufsize",
    "time": "tzset",
    "atexit": "register unregister",
    "gc": "disable enable set_threshold",
    "resource": "setrlimit",
    "codecs": "register register_error unregister",
    "logging": "disable addLevelName setLoggerClass setLogRecordFactory",
    "logging.config": "dictConfig fileConfig listen",
    "threading": "settrace setprofile stack_size",
    "calendar": "setfirstweekday",
    "csv": "register_dialect unregister_dialect field_size_limit",
    "xml.etree.ElementTree": "register_namespace",
    "mimetypes": "add_type init",
    "copyreg": "pickle",
    "sqlite3": "register_adapter register_converter",
    "shutil": "register_archive_format unregister_archive_format register_unpack_format unregister_unpack_format",
    "urllib.request": "install_opener",
}
"""Functions that change the surroundings of the whole program, by module."""
FUNCTION_PARTS = ("__code__", "__defaults__", "__kwdefaults__")
"""The attributes of a function that code reloaders assign to."""
_GENERIC = functools.singledispatch(len).__code__  # type: ignore[attr-defined]
"""The code object shared by all functions that `singledispatch` makes."""
SYSTEM, ENDS, FORKS = ("os", "posix", "nt"), ("_exit", "abort"), ("fork", "forkpty")
"""Modules and functions that end or fork a process."""
THREAD_BOUND = frozenset(["signal", "asyncio", "_asyncio"])
"""Modules whose functions need, or depend on, the thread that they run in."""
PER_PROCESS = frozenset("sys os warnings logging signal threading builtins random gc".split())
"""Modules whose attributes differ by process; those that must agree are part of the surroundings."""
NAMES_AT_FIRST = {name: frozenset(vars(import_module(name))) for name in PER_PROCESS}
"""Their names when this module was imported; any others were put there by the program."""
REPLACEABLE = frozenset("stdin stdout stderr modules path argv meta_path".split())
"""Attributes of `sys` that a program may replace without consequences for where functions run."""
DRAW = frozenset(["numpy.random", "numpy.random.mtrand"])
PYTHONS, NUMPYS = random.random.__self__, np.random.rand.__self__  # type: ignore[attr-defined]
"""The global generators of `random` and `numpy.random`."""
CHANGED = (list, dict, set, bytearray, deque)
WITHOUT_RANDOM = frozenset(["numpy", "weftwork", "ray", "cloudpickle", "polars", "pyarrow"])
"""Installed packages that do not draw from `random` or `numpy.random`, except through their `random` module."""
DRAWING = {"pandas": frozenset("sample plot plotting hist boxplot style testing _testing".split())}
"""Packages that draw from these in a few attributes only."""
NONE, INSIDE, ROOT = 0, 1, 2
"""A value is not captured state; is inside some captured object; is captured itself."""


def uses_own_stream(name: str, value: Any, attributes: frozenset) -> bool:
    """True for code that uses the program's own output stream, `value`, in a way that no other process's allows.

    name: that of an attribute of `sys`.   attributes: what the code looks up in anything.
    """
    if name not in ("stdout", "stderr"):
        return False
    with suppress(Exception):  # the program may have put anything there
        return any([hasattr(value, attribute) for attribute in attributes - STREAM])
    return True


def is_of_main(value: Any) -> bool:
    """True for a function or class of the main module: pickled by name, it must be found there."""
    return isinstance(value, (FunctionType, type)) and value.__module__ == "__main__"


def given(values: Iterable[Any]) -> Iterator[Any]:
    """The program's functions and classes among some values: no code refers to them yet.

    Objects that exist once are among them too, because functions see each other's changes to them.
    """
    todo, seen = list(values), set()
    for value in todo:
        kind = type(value)
        if kind in ATOMS or id(value) in seen:
            continue
        seen.add(id(value))
        if kind is FunctionType:
            if is_owned(value):
                yield value
        elif kind is MethodType or kind is BuiltinFunctionType:
            todo += [getattr(value, "__func__", None), value.__self__]
        elif value is PYTHONS or value is NUMPYS or exists_once(value):
            yield value
        elif kind is functools.partial:
            todo += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, type):
            if is_owned(value):
                yield value
        else:
            if is_owned(kind):
                yield kind
            todo += inside(value) or held_by(value)


class ObjectOf:
    """Stands for an instance that a function makes or gets: not the instance but its class is captured state."""

    def __init__(self, kind: type):
        self.kind = kind


def code_of(member: Any) -> list[FunctionType]:
    """The functions of a class attribute: a method, or those of a property."""
    if type(member) in (classmethod, staticmethod):
        found = [member.__func__]
    elif type(member) is property:
        found = [member.fget, member.fset, member.fdel]
    elif type(member) in (functools.cached_property, functools.partialmethod):
        found = [member.func]
    elif type(member) is functools.singledispatchmethod:
        found = list(member.dispatcher.registry.values())
    else:
        found = [member]
    return [function for function in found if type(function) is FunctionType]


def held_by(value: Any) -> list:
    """What is the program's in an object of Python's or of a package: functions, methods, classes and objects.

    An encoder, a parser or a pipeline calls what the program has given it. Loggers do not count: what they are told is
    passed on to the program's handlers after the run.
    """
    if is_owned(type(value)) or type(value) in _SEARCHED:
        return []
    found, todo, seen = [], [value], set()
    for each in todo:
        kind = type(each)
        if kind in ATOMS or id(each) in seen:
            continue
        seen.add(id(each))
        if len(seen) > _MOST_HELD:
            break
        if is_owned(each if kind is FunctionType or issubclass(kind, type) else kind):
            found.append(each)
        elif kind is FunctionType:
            todo += [content(cell) for cell in each.__closure__ or ()]
        elif not issubclass(kind, _NOT_SEARCHED) and str(kind.__module__).partition(".")[0] not in ("weftwork", "ray"):
            if kind is MethodType and type(each.__func__) is FunctionType and is_owned(each.__func__):
                found.append(each)
            elif is_lazy(kind):  # a frame has some 300 parts, of which only these can be the program's
                todo += [getattr(each, "attrs", None), *[block.values for block in columns_of_objects(each)]]
            else:
                todo += parts_of(each)
    return found


_SEARCHED = frozenset([list, tuple, set, frozenset, dict, deque, *ATOMS])
"""Types whose objects `inside` looks into."""
_NOT_SEARCHED = (ModuleType, type, FrameType, TracebackType, logging.Logger, logging.Handler, logging.Manager)
_MOST_HELD = 512
"""How many parts of an object are looked at."""


def registered(kind: ABCMeta) -> list[type]:
    """The classes that are registered with an abstract class."""
    return [each for known in _get_dump(kind)[0] if (each := known()) is not None]


def number_registered(kind: ABCMeta) -> int:
    """The number of these, counted up to 256."""
    return min(len(_get_dump(kind)[0]), 256)


def is_by_value(kind: type) -> bool:
    """True for a class that other processes cannot import, so that it is sent to them with all its attributes."""
    found: Any = sys.modules.get(kind.__module__)
    if found is None or not is_imported(found):
        return True
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is not kind


def takes_class(member: Any) -> bool:
    """True for a class method or `__new__`, whose first argument is the class."""
    return type(member) is classmethod or (type(member) is staticmethod and member.__func__.__name__ == "__new__")


def is_imported(module: ModuleType) -> bool:
    """True for a module of the program that other processes can import."""
    return module.__name__ != "__main__" and module.__name__ not in cloudpickle.list_registry_pickle_by_value()


def is_logging(value: Any) -> bool:
    """True for a logger and for the module `logging`."""
    return value is logging or isinstance(value, logging.Logger)


def is_generic(function: FunctionType) -> bool:
    """True for a `singledispatch` function: any code may register implementations that it calls."""
    return function.__code__ is _GENERIC


def is_per_process(value: Any) -> bool:
    """True for something in a module that each process has for itself, and that need not agree with the program's.

    It is a lock, a C library, a pool of threads or processes, a read-only view, an object of an installed package, or a
    container of these. Anything else that cannot be pickled may hold state of the program.
    """
    todo, seen = [value], set()
    for each in todo:
        if id(each) in seen:
            continue
        seen.add(id(each))
        kind = type(each)
        if kind in _CONTAINERS:
            todo += each.values() if issubclass(kind, dict) else each
        elif kind is memoryview and each.readonly:
            continue
        elif kind in ATOMS or isinstance(each, (*_PER_PROCESS, *_CODE)) or kind.__module__ in _OF_EACH_PROCESS:
            continue
        elif is_owned(kind) or kind.__module__.partition(".")[0] in sys.stdlib_module_names:
            return False
    return True


_CONTAINERS = (list, dict, tuple, set, frozenset, defaultdict)
_PER_PROCESS = (type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Semaphore)
_OF_EACH_PROCESS = frozenset(
    "ctypes _ctypes concurrent.futures.thread concurrent.futures.process multiprocessing.pool _struct json.decoder "
    "_json logging".split()
)
"""Modules of Python whose objects cannot be pickled but hold no state of the program."""


def is_data(value: Any) -> bool:
    """True for a value that is neither code nor a module."""
    return value is not MISSING and not isinstance(value, _CODE)


_CODE = (ModuleType, FunctionType, BuiltinFunctionType, type, np.ufunc, property, staticmethod, classmethod)
IMMUTABLE = frozenset([*ATOMS, tuple, frozenset, FunctionType, BuiltinFunctionType, MethodType, functools.partial]) - {
    FunctionType
}
"""Types of immutable values."""
PUBLIC = {"posix": "os", "nt": "os", "_sqlite3": "sqlite3"}
PUBLIC.update({f"_{name}": name for name in ("signal", "decimal", "locale", "csv")})
FIRST_SEEN: dict[tuple[str, str], int] = {}
"""By (module, name): the id of the value when code first referred to it."""
REBOUND: set[tuple[str, str]] = set()
"""Names of foreign modules that the program has rebound: other processes must be told."""


def is_put_in(module: str, path: str, value: Any) -> bool:
    """True for what the program has put into a foreign module or class: only it has that.

    The module's code gives the name another constant, or does not name it; or it was bound to something else when code
    first referred to it.   path: the name, behind that of its class if it has one.
    """
    first = FIRST_SEEN.setdefault((module, path), id(value))
    names, constants = _given_in(module) if type(value) in _PLAIN else (set(), {})
    if path in constants:
        return type(value) is not type(constants[path]) or value != constants[path]
    is_unknown = bool(names) and "." not in path and path not in names
    return is_unknown or first != id(value) or is_patched_in(value)


@functools.lru_cache(maxsize=256)
def _given_in(module: str) -> tuple[set[str], dict[str, Any]]:
    """The names in a module's code, and the constants that it gives to some of them, and to attributes of its classes.

    Both are empty if it has no code. There are no names if it takes some from other modules by a star.
    """
    try:
        code = sys.modules[module].__loader__.get_code(module)  # type: ignore[union-attr]
    except Exception:  # a loader may raise anything
        code = None
    names: set[str] = set()
    stored: dict[str, list] = {}
    todo, is_known = [(code, "")] if isinstance(code, CodeType) else [], True
    for each, prefix in todo:
        is_known = is_known and ("*",) not in each.co_consts
        names.update(each.co_names)
        is_function = bool(each.co_flags & inspect.CO_OPTIMIZED)
        for name, constants in _stores(each, is_function):
            stored.setdefault(name if is_function else f"{prefix}{name}", []).extend(constants or [None, None])
        inner = [const for const in each.co_consts if isinstance(const, CodeType)]
        todo += [(const, f"{prefix}{'<>.' if is_function else ''}{const.co_name}.") for const in inner]
    once = {name: found[0] for name, found in stored.items() if len(found) == 1 and "__" not in name}
    return names if is_known else set(), once


def _stores(code: CodeType, is_function: bool) -> Iterator[tuple[str, list]]:
    """The names that code gives a value, as globals if it is a function, and the constant in a list, if it is one.

    The bytes are searched, because `dis` takes 600 ms for the module of pandas' frames.
    """
    wanted = (_STORE_GLOBAL,) if is_function else (_STORE_GLOBAL, _STORE_NAME)
    text, high, before = code.co_code, 0, (-1, 0)
    if is_function and _STORE_GLOBAL not in text[::2]:
        return
    for at in range(0, len(text), 2):
        operation, argument = text[at], text[at + 1] | high
        high = argument << 8 if operation == dis.EXTENDED_ARG else 0
        if operation in wanted:
            yield code.co_names[argument], [code.co_consts[before[1]]] if before[0] == _LOAD_CONST else []
        if operation != dis.EXTENDED_ARG:
            before = operation, argument


_STORE_NAME, _STORE_GLOBAL, _LOAD_CONST = [dis.opmap[name] for name in ("STORE_NAME", "STORE_GLOBAL", "LOAD_CONST")]
_PLAIN = frozenset([*ATOMS, list, dict, set, tuple, frozenset]) - {CodeType, np.dtype}


def is_changed(module: ModuleType, name: str) -> bool:
    """True if the program has rebound this name of a foreign module."""
    return (module.__name__, name) in REBOUND


def is_patched_in(value: Any) -> bool:
    """True for a value that only the program can have put into a foreign module: its code, its object, a mock."""
    home = value.__module__ if isinstance(value, (FunctionType, type)) else type(value).__module__
    return home == "unittest.mock" or is_own(home)
