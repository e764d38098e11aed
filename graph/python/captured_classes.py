"""What a walk over references finds in classes: methods, attributes, metaclasses, members, patches."""

from __future__ import annotations

import functools
from abc import ABCMeta
from collections.abc import Mapping
from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

from weftwork.graph.python.captured_kinds import (
    CREATION_METHODS,
    FIRST_SEEN,
    ITEMS,
    ITSELF,
    MAIN_ONLY,
    NONE,
    ROOT,
    ObjectOf,
    code_of,
    is_by_value,
    is_data,
    is_put_in,
    number_registered,
    registered,
    takes_class,
)
from weftwork.graph.python.captured_notes import Bound, Notes
from weftwork.graph.python.class_facts import HEAP
from weftwork.graph.python.inspection import MISSING, found_in, number_of
from weftwork.graph.python.modules import is_own, is_owned
from weftwork.graph.python.ownership import is_atomic

_NOT_CALLED = CREATION_METHODS.union(ITSELF)
_first_bases: WeakKeyDictionary[type, int] = WeakKeyDictionary()
"""A hash of the bases that a class had when code first referred to it."""
_had: WeakKeyDictionary[type, set[str]] = WeakKeyDictionary()
"""The names that a class has had since then: other processes must be told of those that are gone."""


class Classes(Notes):
    """The part of a walk that visits classes."""

    def _class(self, kind: type, names: frozenset) -> None:
        known = set().union(*[vars(base) for base in kind.__mro__])
        for asked in sorted(names - known) if is_owned(kind) else ():
            self._refer(functools.partial(found_in, vars(kind)), asked, ("attribute", id(kind), asked))
        if is_owned(kind):
            self.classes[id(kind)] = kind
            bases = self._refer(functools.partial(getattr, kind), "__bases__", ("attribute", id(kind), "__bases__"))
            if _first_bases.setdefault(kind, hash(bases)) != hash(bases):
                self.writes.add((MAIN_ONLY, "modules"))  # other processes have made it of the bases that it had
        self._patched(kind, names)
        self._registered(kind)
        self._members(kind)
        if not is_owned(kind):
            self._note_module(kind.__module__)
        meta = type.mro(type(kind))
        for base in (*kind.__mro__, *meta):
            if not is_owned(base):
                continue
            space = vars(base)
            self._refer(number_of, space, ("attributes", id(base)))
            closed = base in meta or issubclass(kind, Enum)
            for name in list(space):
                value = space[name]
                if name in ITSELF or (name[:2] == "__" and not code_of(value)) or name[:5] == "_abc_":
                    continue
                if closed and name in CREATION_METHODS:  # they run when a class is made
                    continue
                self._refer(functools.partial(found_in, space), name, ("attribute", id(base), name))
                self._note_name(base, name, value)
                self._member(value, kind, base in meta)
            self._gone(base)

    def _patched(self, kind: type, names: frozenset) -> None:
        """Code that uses what the program has patched in a class of a library runs in the main program."""
        for base in kind.__mro__:
            if base.__flags__ & HEAP and not is_owned(base):
                for name in sorted(names & vars(base).keys()):
                    value = self._refer(functools.partial(found_in, vars(base)), name, ("attribute", id(base), name))
                    if is_put_in(base.__module__, f"{base.__qualname__}.{name}", value):
                        self.writes.add((MAIN_ONLY, "modules"))

    def _registered(self, kind: type) -> None:
        """Code uses an abstract class. Other processes know only those registered classes that its module registers."""
        if not isinstance(kind, ABCMeta):
            return
        count = self._refer(number_registered, kind, ("attribute", id(kind), "register"))
        if is_by_value(kind):
            return
        first = FIRST_SEEN.setdefault((f"{kind.__module__}.{kind.__qualname__}", "register()"), count)
        others = [each.__module__ for each in registered(kind) if each.__module__ != kind.__module__]
        if any(map(is_own, others)) or (first != count and is_owned(kind)):
            self.writes.add((MAIN_ONLY, "modules"))

    def _members(self, kind: type) -> None:
        """Code uses an enumeration: its members are state. They are sent by name, so changed ones stay here."""
        if not issubclass(kind, Enum) or not is_owned(kind):
            return
        self.reads.add(("object", id(kind)))
        for member in list(kind.__members__.values())[:ITEMS]:
            space = vars(member)
            self._refer(len, space, ("object", id(kind)))
            own = [name for name in space if name[:1] != "_"]
            changed = FIRST_SEEN.setdefault((str(id(member)), "vars()"), len(own)) != len(own)
            for name in own:
                value = self._refer(functools.partial(found_in, space), name, ("object", id(kind)))
                changed = changed or FIRST_SEEN.setdefault((str(id(member)), name), id(value)) != id(value)
            if changed:
                self.writes.add((MAIN_ONLY, "modules"))

    def _member(self, value: Any, kind: type, of_meta: bool = False) -> None:
        """Visit an attribute of a class or of its metaclass: its methods get an instance or the class."""
        functions = code_of(value)
        if type(value) is functools.singledispatchmethod:
            self._generic(value.dispatcher.registry)
        self_ = kind if of_meta or takes_class(value) else ObjectOf(kind)
        for function in functions:
            if self._is_new((id(function), id(kind))):
                self._todo.append((Bound(function, self_), frozenset(), NONE))
        if not functions:
            state = is_data(value) and not is_atomic(type(value))
            state = state and (is_owned(type(value)) or not hasattr(type(value), "__get__"))
            self.visit(value, frozenset(), ROOT if state else NONE)

    def _note_name(self, base: type, name: str, value: Any) -> None:
        self.names.append((base, name, value))
        _had.setdefault(base, set()).add(name)

    def _gone(self, base: type) -> None:
        """Note the names that the program has deleted from a class."""
        for name in sorted(_had.get(base, set()) - vars(base).keys()):
            self._refer(functools.partial(found_in, vars(base)), name, ("attribute", id(base), name))
            self.names.append((base, name, MISSING))

    def _generic(self, registry: Mapping) -> None:
        """Visit the implementations registered so far with a generic function."""
        self._refer(len, registry, ("registered", id(registry)))
        for kind in list(registry):
            self.visit(self._refer(registry.get, kind, ("registered", id(registry), kind)), frozenset())

    def _methods_of(self, kind: type) -> None:
        """Visit the methods that code may call on an instance of a class that it gets."""
        self._members(kind)
        for base in kind.__mro__:
            for name, value in list(vars(base).items()) if is_owned(base) else ():
                special = name[:2] == name[-2:] == "__" and name not in _NOT_CALLED and code_of(value)
                if (special or name in self.attributes) and self._is_new((id(base), name, id(kind))):
                    self._refer(functools.partial(found_in, vars(base)), name, ("attribute", id(base), name))
                    self._note_name(base, name, value)
                    self._member(value, kind)
            self._gone(base)
