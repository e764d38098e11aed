"""The walk over a function's references: what it reads, what it writes, and what it may mutate."""

from __future__ import annotations

import builtins
import functools
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from enum import Enum
from importlib.util import resolve_name
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from weftwork.graph.python.captured_classes import Classes
from weftwork.graph.python.captured_kinds import (
    ASKING,
    CREATION_METHODS,
    FUNCTION_PARTS,
    GENERATORS,
    IMMUTABLE,
    INSIDE,
    ITEMS,
    MAIN_ONLY,
    MOST_NAMED,
    NAMES_AT_FIRST,
    NONE,
    NUMPYS,
    PER_PROCESS,
    PYTHONS,
    READING,
    REBOUND,
    REPLACEABLE,
    ROOT,
    SETTERS,
    SURROUNDINGS,
    ObjectOf,
    code_of,
    held_by,
    is_data,
    is_generic,
    is_imported,
    is_of_main,
    is_patched_in,
    is_put_in,
    takes_class,
    uses_own_stream,
)
from weftwork.graph.python.captured_names import writes_of_names
from weftwork.graph.python.captured_notes import Bound
from weftwork.graph.python.codes import facts_of
from weftwork.graph.python.inspection import (
    CACHED,
    MISSING,
    content,
    defaults,
    found_in,
    has_own,
    inside,
    is_filled,
    owners,
    reachable,
    space_of,
    value_of,
)
from weftwork.graph.python.modules import is_own, is_owned
from weftwork.graph.python.origins import ROOT_SELF, Change
from weftwork.graph.python.ownership import is_atom
from weftwork.graph.python.passed import Passed, bound_arguments
from weftwork.graph.python.reached import Look, Looked, reached, value_at
from weftwork.graph.python.seeded import NUMPY, PYTHON


class Walk(Classes):
    """One walk over everything a function refers to. given: functions, and classes of objects, passed to it."""

    def __init__(self, function: Callable, whole: tuple[type, ...], given: list):
        super().__init__()
        self._kinds = whole
        self.spaces: list[tuple[FunctionType, tuple[str, ...]]] = []
        self.objects: dict[int, Any] = {}
        self.variables: list[tuple[ContextVar, Any]] = []
        self.caches: list[Any] = []
        """The program's cached functions that have been called in this process."""
        self.each: set[int] = set()
        """Ids of values in modules that other processes import: if one cannot be pickled, each process has its own."""
        self._passed = Passed()
        self.visit(function, frozenset(), ROOT)
        for part in given:
            if not isinstance(part, type):
                self.visit(part, frozenset(), NONE if type(part) is FunctionType else ROOT)
        self._drain()
        classes = [part for part in given if isinstance(part, type) and id(part) not in self.classes]
        known = -1
        while known < len(self.attributes):  # methods may call other methods
            known = len(self.attributes)
            for kind in classes:
                self._methods_of(kind)
            self._drain()

    def _drain(self) -> None:
        while self._todo:
            self._visit_now(*self._todo.pop())

    def _visit_now(self, value: Any, names: frozenset, state: int) -> None:
        kind = type(value)
        if kind is FunctionType:
            self._function(value)
        elif kind is Bound:
            self._function(value.function, value.self_)
        elif kind is MethodType and type(value.__func__) is not FunctionType:
            # A partial or any callable object can be bound.
            for part in (value.__func__, value.__self__):
                self.visit(part, names, state)
        elif kind is MethodType:
            self.visit(value.__self__, frozenset([value.__func__.__name__]), state)
            self._function(value.__func__, value.__self__)
        elif kind is ModuleType or isinstance(value, ModuleType):
            self._module(value, names)
        elif isinstance(value, type):
            self._class(value, names)
        elif kind is BuiltinFunctionType:
            self._foreign(value)
        elif kind is functools.partial:
            self._refer_to_parts(value)
            for part in (value.func, *value.args, *value.keywords.values()):
                self.visit(part, names, state)
            if type(value.func) is FunctionType:
                self._function(value.func, given=bound_arguments(value))
        elif kind is ContextVar:
            self.variables.append((value, self._refer(value_of, value, ("variable", id(value)))))
            self.visit(self.variables[-1][1], names, ROOT)
        elif kind in (staticmethod, classmethod):
            self.visit(value.__func__, names, state)
        elif kind is property:
            for part in (value.fget, value.fset):
                self.visit(part, names, state)
        elif not issubclass(kind, self._kinds):
            self._instance(value, names, state)

    def _function(self, function: FunctionType, self_: Any = MISSING, given: Iterable = ()) -> None:
        space = function.__globals__
        home = space.get("__name__", "builtins")  # that of code which runs in a bare dict
        if home != "builtins" and not is_own(home):
            self._foreign(function)
            if is_generic(function):
                self._generic(vars(function)["registry"])
            else:
                self._decorated(function)
            return
        facts = facts_of(function.__code__)
        self.attributes |= facts.attributes
        module = sys.modules.get(space.get("__name__", ""))
        data: list[str] = []
        roots: dict[Any, Any] = dict(given)
        for name in facts.globals:
            value = self._refer(functools.partial(found_in, space), name, ("name", id(space), name))
            roots["global", name] = value
            if is_data(value):
                data.append(name)
            if module is not None and vars(module) is space and (module.__name__ != "__main__" or is_of_main(value)):
                self.names.append((module, name, value))
                if is_imported(module):
                    self.each.add(id(value))
            if value is MISSING:
                value = self._builtin(name)
            if value is not MISSING:
                self.visit(value, facts.attributes, ROOT)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            value = self._refer(content, cell, ("cell", id(cell)))
            roots["free", name] = value
            self.visit(value, facts.attributes, ROOT)
        for name in FUNCTION_PARTS:
            self._refer(functools.partial(getattr, function), name, ("object", id(function)))
        for name in function.__kwdefaults__ or ():
            self._refer(functools.partial(found_in, function.__kwdefaults__), name, ("object", id(function)))
        for name in vars(function):
            self._attribute_of(function, name, facts.attributes)
        for name, value in defaults(function):
            roots["local", name] = value
            self.visit(value, facts.attributes, ROOT)
        if self_ is not MISSING:
            roots[ROOT_SELF] = self_
        for name in facts.imports:
            roots["import", name] = self._imported(name, facts.attributes, space.get("__package__"))
        self._named(facts, roots)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self.writes |= writes_of_names(facts, roots, self._handled)
        self._asked(facts, roots)
        self._looked(facts, roots)
        self.writes.update([("name", id(space), name) for name in facts.stored_globals])
        self.writes.update([("cell", id(cells[name])) for name in facts.stored_free])
        looked = Looked(function)
        for change in self._passed.of(function, roots):
            self._record_change(change, lambda root: roots[root] if root in roots else looked(root))
        if data or any([is_data(content(cell)) for cell in cells.values()]):
            self.spaces.append((function, tuple(data)))
        self._wrapped(function)

    def _named(self, facts: Any, roots: dict[Any, Any]) -> None:
        """Visit the modules that code imports by a name which stands in it, or which it refers to."""
        found = functools.partial(found_in, roots)
        for origin in facts.named:
            name = value_at(found, *origin)
            if type(name) is str:
                self._imported(name, facts.attributes, None)
            else:  # computed, or given as an argument: only the program has all of its modules
                self.writes.add((MAIN_ONLY, "modules"))

    def _asked(self, facts: Any, roots: dict[Any, Any]) -> None:
        """Note which functions the code asks for attributes, and which caches it changes: what these keep is state."""
        for root, name in facts.asks:
            asked = roots.get(root)
            if isinstance(asked, CACHED) and name in ("cache_info", "cache_clear"):
                self.writes.add(("object", id(asked)))
            elif type(asked) is FunctionType and not hasattr(asked, name) and is_owned(asked):
                self._attribute_of(asked, name, facts.attributes)
            elif isinstance(asked, ModuleType) and name not in vars(asked) and is_own(asked.__name__):
                self.visit(vars(asked).get("__getattr__"), facts.attributes, ROOT)

    def _looked(self, facts: Any, roots: dict[Any, Any]) -> None:
        """Note the small containers in modules of Python's or of packages that the code names: they are state."""
        for root, path in facts.looks:
            module, name = value_at(functools.partial(found_in, roots), root, path[:-1]), path[-1]
            if type(module) is not ModuleType or module.__name__ in PER_PROCESS or is_own(module.__name__):
                continue
            value = found_in(vars(module), name)
            if type(value) in (list, dict, set) and len(value) <= MOST_NAMED:
                self.names.append((module, name, value))
                self.visit(value, facts.attributes, ROOT)

    def _refer_to_parts(self, value: functools.partial) -> None:
        """Watch what a partial calls, and its arguments: its dict of keywords may be changed."""
        for name in ("func", "args", "keywords"):
            self._refer(functools.partial(getattr, value), name, ("object", id(value)))
        for name in value.keywords:
            self._refer(functools.partial(found_in, value.keywords), name, ("object", id(value)))

    def _imported(self, name: str, attributes: frozenset[str], package: str | None) -> Any:
        """Visit a module that the code imports. Returns it, or MISSING if it is not loaded yet.

        package: that of the code, from which a name that begins with dots leads.
        """
        if name[:1] == ".":
            with suppress(ImportError, TypeError):
                name = resolve_name(name, package)
        module = self._refer(functools.partial(found_in, sys.modules), name, ("import", name))
        if isinstance(module, ModuleType):
            self.imported.add(name)
            self.visit(module, attributes)
            return module
        if name.partition(".")[0] in ("random", "signal", "asyncio"):
            self._note_module(name)
        elif not attributes.isdisjoint(READING.get(name, ())):
            self.writes.add((MAIN_ONLY, "stdin"))
        return MISSING

    def _decorated(self, function: FunctionType) -> None:
        """Visit the program's functions and objects in a closure of Python's or of a package, e.g. a decorator's."""
        held = [content(cell) for cell in function.__closure__ or ()]
        objects = [each for each in held if is_owned(type(each)) and not isinstance(each, type)]
        for each in held:
            kind = type(each)
            if kind in (FunctionType, MethodType, functools.partial) or each in objects or callable(each):
                self.visit(each, frozenset(), ROOT if each in objects else NONE)
            for method in code_of(each) if hasattr(kind, "__get__") and kind is not FunctionType else ():
                for self_ in objects:
                    self._function(method, self_)

    def _attribute_of(self, function: FunctionType, name: str, names: frozenset) -> None:
        value = self._refer(functools.partial(found_in, vars(function)), name, ("object", id(function)))
        if name[:2] != "__" and (value is MISSING or is_data(value)):
            self.names.append((function, name, value))
            self.each.add(id(value))
        self.visit(value, names, ROOT)

    def _handled(self, number: int) -> bool:
        """True if the program has set a handler of its own for a signal."""
        handler = self._refer(signal.getsignal, number, ("signal", number))
        return is_own(getattr(handler, "__module__", ""))

    def _builtin(self, name: str) -> Any:
        """The value of a builtin name. If the program has set it, other processes must be told."""
        value = self._refer(functools.partial(found_in, vars(builtins)), name, ("builtin", name))
        own = not isinstance(value, (BuiltinFunctionType, type)) and type(value).__module__ != "_sitebuiltins"
        if own and value is not MISSING and name[:2] != "__" and value is not Ellipsis and value is not NotImplemented:
            self.names.append((builtins, name, value))
            return value
        return value if value in ASKING else MISSING

    def _record_change(self, change: Change, look: Look) -> None:
        """Record that code mutates something: it is a write if the thing is captured state."""
        for each in reached(change.root, change.path, look):
            if change.how == "inplace":
                is_write = any([_is_increased(part) for part in each.parts])
            else:
                is_write = bool(each.parts) or not isinstance(each.holder, np.ndarray)  # else it is a number
            if is_write:
                self._record(change, each.value, each.holder, each.exact)

    def _record(self, change: Change, value: Any, holder: Any, exact: bool) -> None:
        if type(holder) is ObjectOf:
            if change.name == "__dict__" or issubclass(holder.kind, Enum):  # such attributes last
                self.writes.add(("object", id(holder.kind)))
            return
        if change.how == "method":
            if isinstance(holder, (ModuleType, type)) or has_own(holder, change.name):
                return
            if type(holder) in IMMUTABLE and (exact or is_atom(holder)):
                return
        if type(holder) is ContextVar:
            self.writes.add(("variable", id(holder)))
        elif isinstance(holder, ModuleType):
            self.writes.update([("name", id(vars(holder)), change.name)] if exact else [])
        elif isinstance(holder, type) and change.how == "attribute":
            self.writes.update([("attribute", id(base), change.name) for base in holder.__mro__])
        elif any([holder is each for each in (os.environ, sys.path, sys.meta_path, sys.modules, warnings.filters)]):
            self.writes.add(SURROUNDINGS)
        else:
            changed = [value, holder, *owners(value), *owners(holder)]
            changed += [] if exact else reachable(holder)
            self.writes.update([("object", id(each)) for each in changed])

    def _module(self, module: ModuleType, names: frozenset) -> None:
        name, space = module.__name__, vars(module)
        own = is_own(name)
        for asked in sorted(names & space.keys()) if not own else sorted(names):
            value = self._refer(functools.partial(found_in, space), asked, ("name", id(space), asked))
            if not own and name not in PER_PROCESS and (name, asked) not in REBOUND:
                if is_put_in(name, asked, value):
                    REBOUND.add((name, asked))
            if (own and name != "__main__") or (name, asked) in REBOUND:
                self.names.append((module, asked, value))
                if own and is_imported(module):
                    self.each.add(id(value))
            if name in PER_PROCESS and value is not MISSING and asked not in REPLACEABLE:
                if is_patched_in(value) or asked not in NAMES_AT_FIRST[name]:
                    self.writes.add((MAIN_ONLY, "modules"))
            if own or isinstance(value, (ModuleType, BuiltinFunctionType, FunctionType, MethodType)):
                self.visit(value, names, ROOT if own else NONE)
            elif isinstance(value, type):
                self._patched(value, names)
                self._registered(value)
            if asked in SETTERS.get(name, "").split():
                self.writes.add(SURROUNDINGS)
            if asked in READING.get(name, "") or (name == "sys" and uses_own_stream(asked, value, names)):
                self.writes.add((MAIN_ONLY, asked))
        if name == "__main__":
            self.writes.add((MAIN_ONLY, "modules"))
        self._note_module(name)

    def _instance(self, value: Any, names: frozenset, state: int) -> None:
        kind = type(value)
        if value is PYTHONS or value is NUMPYS:
            self.draws |= PYTHON if value is PYTHONS else NUMPY
            return
        if state and (kind not in IMMUTABLE or not is_atom(value)):
            if state == ROOT:
                self.objects[id(value)] = value
            self.reads.update([("object", id(each)) for each in (value, *owners(value))])
            if isinstance(value, GENERATORS) or (hasattr(kind, "__next__") and hasattr(kind, "__iter__")):
                self.writes.add(("object", id(value)))
        self._wrapped(value)
        if (
            kind is CACHED
            and is_owned(getattr(value, "__wrapped__", None))
            and self._refer(is_filled, value, ("cache", id(value)))
        ):
            self.caches.append(value)
        if is_owned(kind):
            self._class(kind, frozenset())
            if state:
                self._methods(value, names)
        for item in (*inside(value), *held_by(value)):
            self.visit(item, names, INSIDE if state else NONE)

    def attributes_of(self, value: Any) -> None:
        """Watch a large object's attributes: a rebinding of one is detected."""
        space = space_of(value) if is_owned(type(value)) else None
        for name in list(space or ())[:ITEMS]:
            self._refer(functools.partial(found_in, space), name, ("object", id(value)))

    def _methods(self, value: Any, names: frozenset) -> None:
        """Visit the methods that code may call on a captured instance: what they mutate is captured state."""
        for base in type(value).__mro__:
            if is_owned(base):
                for name, method in list(vars(base).items()):
                    special = name[:2] == name[-2:] == "__" and name not in CREATION_METHODS
                    if name in names or special:
                        for function in () if takes_class(method) else code_of(method):
                            self._record_own_changes(function, value, names)

    def _record_own_changes(self, method: FunctionType, value: Any, names: frozenset) -> None:
        if not self._is_new((method.__code__, id(value))):
            return
        for change in self._passed.of(method, {ROOT_SELF: value}):
            if change.root == ROOT_SELF:
                self._record_change(change, Looked(method, value))
        self._methods(value, facts_of(method.__code__).attributes - names)

    def _wrapped(self, value: Any) -> None:
        """Visit the function behind a decorator or a cache."""
        try:
            inner = object.__getattribute__(value, "__wrapped__")
        except AttributeError:
            return
        self.visit(inner, frozenset(), NONE)


def _is_increased(value: Any) -> bool:
    """Whether `value += 1` changes the value itself."""
    return hasattr(type(value), "__iadd__") and type(value) not in IMMUTABLE
