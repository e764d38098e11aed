"""The notes of a walk over references: what it has found, what it has yet to visit, and what foreign code reveals."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from weftwork.graph.python.captured_kinds import (
    ASKING,
    CHANGED,
    DRAW,
    DRAWING,
    ENDS,
    FORKS,
    GENERATORS,
    MAIN_ONLY,
    NONE,
    NUMPYS,
    PUBLIC,
    PYTHONS,
    ROOT,
    SETTERS,
    SURROUNDINGS,
    SYSTEM,
    THREAD_BOUND,
    WITHOUT_RANDOM,
    is_data,
    is_patched_in,
)
from weftwork.graph.python.inspection import ATOMS, found_in
from weftwork.graph.python.modules import is_own
from weftwork.graph.python.origins import CHANGES
from weftwork.graph.python.ownership import is_atom
from weftwork.graph.python.seeded import NUMPY, PACKAGES, PYTHON

_SETTINGS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "csv": (lambda module: (len(module.list_dialects()), module.field_size_limit()), (3, 131072)),
    "calendar": (lambda module: module.firstweekday(), 0),
    "reprlib": (lambda module: vars(module.aRepr) == vars(module.Repr()), True),
    "xml.etree.ElementTree": (lambda module: len(getattr(module, "_namespace_map", range(7))), 7),
}
"""By module of Python's: what its functions depend on, and what that is if the program has not set it."""


def _is_set(module: str) -> bool:
    look, default = _SETTINGS[module]
    return module in sys.modules and look(sys.modules[module]) != default


class Bound(NamedTuple):
    """A function, to be visited as a method of an object."""

    function: FunctionType
    self_: Any


class Notes:
    """What is known about a function from its references.

    sources, values: how each reference is looked up, and its value.   writes, reads: keys of what it writes and reads.
    data: keys of references to data.   names: (module or class, name, value) of references that must agree in all
    processes.   classes: those of the program.   attributes: names that it looks up in anything.
    draws: bits of the generators that it may draw from.   drawing: names of attributes by which it would.
    main: it depends on its thread.   ends, forks: it may end, or fork, the process that it runs in.
    """

    def __init__(self):
        self.sources: list[tuple[Callable, Any]] = []
        self.values: list[Any] = []
        self.writes: set = set()
        self.reads: set = set()
        self.data: set = set()
        self.names: list[tuple[Any, str, Any]] = []
        self.imported: set[str] = set()
        """The modules that the code imports while it runs: other processes import them then, too."""
        self.classes: dict[int, type] = {}
        self.attributes: set[str] = set()
        self.draws, self.main, self.ends, self.forks = 0, False, False, False
        self.drawing: frozenset[str] = frozenset()
        self._seen: set = set()
        self._todo: list[tuple[Any, frozenset, int]] = []

    def visit(self, value: Any, names: frozenset, state: int = NONE) -> None:
        """Queue a value that code refers to.

        names: attributes that this code looks up.   state: whether it is captured itself or inside a captured value.
        """
        if type(value) not in ATOMS and self._is_new((id(value), names, state)):
            self._todo.append((value, names, state))

    def _refer(self, source: Callable, name: Any, key: Any) -> Any:
        value = source(name)
        self.sources.append((source, name))
        self.values.append(value)
        self.reads.add(key)
        if is_data(value):
            self.data.add(key)
        return value

    def _is_new(self, key: tuple) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _foreign(self, function: Any) -> None:
        owner = self._note_function(function)
        if owner is not None:
            self.visit(owner, frozenset([function.__name__]), ROOT)

    def _note_module(self, name: str) -> None:
        """Code names a module, or an attribute of a module."""
        top = name.partition(".")[0]
        if top == "random":
            self.draws |= PYTHON
        elif name in DRAW:
            self.draws |= NUMPY
        elif top in THREAD_BOUND:
            self.main = True
        elif top == "threading":
            hook = self._refer(functools.partial(found_in, vars(threading)), "excepthook", ("threading", "excepthook"))
            if is_patched_in(hook):  # it hears of errors in the threads that the code may start
                self.writes.add((MAIN_ONLY, "modules"))
        elif PUBLIC.get(name, name) in _SETTINGS:
            if self._refer(_is_set, PUBLIC.get(name, name), ("settings", name)):
                self.writes.add((MAIN_ONLY, "modules"))
        elif top in DRAWING:
            self.drawing |= DRAWING[top]
        elif not is_own(name) and top not in WITHOUT_RANDOM and top not in sys.stdlib_module_names:
            self.draws |= PACKAGES

    def _note_function(self, function: Any) -> Any:
        """Code names a function that is not the program's. Returns the object that it is bound to, if it has state."""
        owner = getattr(function, "__self__", None)
        if owner is PYTHONS:
            self.draws |= PYTHON
        elif owner is NUMPYS:
            self.draws |= NUMPY
        elif isinstance(owner, GENERATORS) or (function.__name__ in CHANGES and isinstance(owner, CHANGED)):
            self.writes.add(("object", id(owner)))  # a bound method
        name = getattr(function, "__module__", None)
        if function in ASKING:
            self.writes.add((MAIN_ONLY, "stdin"))
        if isinstance(name, str):
            self._note_module(name)
            self.ends = self.ends or (name in SYSTEM and function.__name__ in ENDS)
            self.forks = self.forks or (name in SYSTEM and function.__name__ in FORKS)
            if function.__name__ in SETTERS.get(PUBLIC.get(name, name), "").split():
                self.writes.add(SURROUNDINGS)
        return None if isinstance(owner, (ModuleType, type)) or is_atom(owner) else owner
