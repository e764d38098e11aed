"""Which modules belong to the program, and which of those other processes can import."""

from __future__ import annotations

import copyreg
import functools
import json
import os
import re
import sys
import sysconfig
from contextlib import suppress
from glob import escape as glob_escape
from glob import glob
from importlib.machinery import PathFinder
from types import FunctionType
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

import cloudpickle

_OURS = frozenset(["weftwork", "ray", "numpy", "cloudpickle"])
_PATHS = sysconfig.get_paths()
_FOLDERS = [*[_PATHS[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")], os.path.dirname(os.__file__)]
_INSTALLED = tuple({os.path.join(folder, "") for folder in _FOLDERS})
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

_HEAP = 1 << 9
"""The flag of types created at run time."""
_own: dict[str, bool] = {}
_looked_at: tuple = ()


def is_own(name: Any) -> bool:
    """True for a module of the program, which is neither Python's nor an installed package's."""
    known = _own.get(name) if type(name) is str else False
    if known is None:
        known = _own[name] = _is_own(name)
    return known


def is_pythons(name: str) -> bool:
    """True for a module of Python itself, not for one of the program's that has such a name."""
    return name.partition(".")[0] in sys.stdlib_module_names and not is_own(name)


def is_owned(value: Any) -> bool:
    """True for a function or class of the program's. Code that runs in a bare dict, by `exec`, has no module's name."""
    name = value.__module__
    if name is None or name == "builtins":
        return type(value) is FunctionType or (isinstance(value, type) and bool(value.__flags__ & _HEAP))
    if is_own(name):
        return True
    if type(value) is FunctionType:  # it may be named after another one, which it wraps
        return is_own(value.__globals__.get("__name__"))
    if not isinstance(value, type) or not value.__flags__ & _HEAP:
        return False
    known = _renamed.get(value)
    if known is None:
        known = _renamed[value] = _is_renamed(value, name)
    return known


_renamed: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def _is_renamed(kind: type, name: Any) -> bool:
    """True for a class of the program's that says it is of another module, which does not have it."""
    found: Any = sys.modules.get(name)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    members = [getattr(member, "__func__", member) for member in vars(kind).values()]
    return found is not kind and any([_runs_in_own(each) for each in members if type(each) is FunctionType])


def _runs_in_own(function: FunctionType) -> bool:
    module = sys.modules.get(function.__globals__.get("__name__", ""))
    return module is not None and vars(module) is function.__globals__ and is_own(module.__name__)


def _is_own(name: str) -> bool:
    top = name.partition(".")[0]
    if name == "__main__":
        return True
    if top in _OURS:
        return False
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        spec = getattr(module, "__spec__", None)
        is_pythons = top in sys.stdlib_module_names or top in sys.builtin_module_names
        return not is_pythons and getattr(spec, "origin", None) is None
    file = os.path.abspath(file)
    for mark in _PACKAGES:
        folder, found, path = file.rpartition(mark)
        if found:
            return path in _files_of_programs(folder + mark)
    return not file.startswith(_INSTALLED)


@functools.lru_cache
def _files_of_programs(folder: str) -> frozenset[str]:
    """The files in a folder of packages that belong to programs: packages that need this one, or come from a folder."""
    files: set[str] = set()
    for notes in glob(os.path.join(glob_escape(folder), "*.dist-info")):
        if _needs_us(notes) or _is_from_a_folder(notes):
            with suppress(OSError), open(os.path.join(notes, "RECORD")) as listed:
                files.update([line.partition(",")[0] for line in listed])
    return frozenset(files)


def _needs_us(notes: str) -> bool:
    with suppress(OSError), open(os.path.join(notes, "METADATA"), "rb") as file:
        head = file.read(_HEAD).partition(b"\n\n")[0]
        return b"weftwork" in head and any([_NEEDS_US.match(line) is not None for line in head.split(b"\n")])
    return False


_HEAD = 1 << 15
"""Bytes of a package's metadata in which we look for what it needs."""
_NEEDS_US = re.compile(rb"Requires-Dist: weftwork(?![\w.-])(?!.*\bextra\b)")


def _is_from_a_folder(notes: str) -> bool:
    """True for a package that was installed with `pip install .`: pip notes where it has a package from (PEP 610).

    Those who build packages for others do so in folders that are gone.
    """
    with suppress(OSError, ValueError, KeyError), open(os.path.join(notes, "direct_url.json")) as file:
        known = json.load(file)
        place = urlsplit(known["url"])
        return "dir_info" in known and place.scheme == "file" and os.path.isdir(unquote(place.path))
    return False


def settle_modules() -> None:
    """Make the program's modules that no other process can import be pickled by value, along with their contents.

    Only modules imported since the last call are examined: 0.1 us if there are none.
    """
    global _looked_at
    modules = sys.modules
    now = len(modules), next(reversed(modules))
    if now == _looked_at:
        return
    _looked_at = now
    for name in list(modules):
        if name not in _settled:
            _settled.add(name)
            module = modules.get(name)
            if module is not None and name not in ("__main__", "__mp_main__") and is_own(name):
                if not _can_be_imported(name, module):
                    cloudpickle.register_pickle_by_value(module)

            if name == _CONNECTIONS and module is not None:
                copyreg.pickle(module.Connection, _refuse)


_CONNECTIONS = "multiprocessing.connection"
"""Its connections would be pickled with their file numbers, which stand for other files in another process."""


def _refuse(value: Any) -> Any:
    raise TypeError(f"cannot pickle a {type(value).__name__}: it exists once, in this process")


_settled: set[str] = set()
_specs: dict[str, Any] = {}
"""For each module of which something was sent by name: how it had been loaded at that time."""


def settle_reloaded(name: Any) -> None:
    """Called before something of a module is sent by name: if the module was reloaded, it is sent by value instead."""
    module = sys.modules.get(name) if isinstance(name, str) else None
    spec = getattr(module, "__spec__", None)
    if module is None or spec is None or name == "__main__" or _specs.setdefault(name, spec) is spec:
        return
    cloudpickle.register_pickle_by_value(module)
    _specs[name] = spec


def _can_be_imported(name: str, module: Any) -> bool:
    """True if a process with this program's `sys.path` finds the same file under that name."""
    if name.partition(".")[0] in sys.stdlib_module_names:  # it may have loaded Python's already
        return False
    path: Any = None
    parent = name.rpartition(".")[0]
    if parent:
        path = getattr(sys.modules.get(parent), "__path__", None)
        if path is None or not _can_be_imported(parent, sys.modules[parent]):
            return False
    try:
        spec = PathFinder.find_spec(name.rpartition(".")[2] if parent else name, path and list(path))
    except Exception:
        return False
    if spec is None:
        return False
    file = getattr(module, "__file__", None)
    if not file:  # a namespace package
        return spec.origin is None and getattr(module, "__path__", None) is not None
    return spec.origin is not None and os.path.abspath(spec.origin) == os.path.abspath(file)
