"""What a function mutates through the functions that it calls: it passes an object on, and they change it in place.

The walk over a function's references (`captured_walk`) analyzes its helpers for themselves. Here their mutations of
arguments are expressed by what the caller passed: if `put` appends to its argument, `put(rows)` appends to `rows`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from weftwork.graph.captured_kinds import ObjectOf
from weftwork.graph.codes import facts_of
from weftwork.graph.following import MADE, REST, ROOT_SELF, Change, rest_of
from weftwork.graph.inspection import MISSING, attribute, content
from weftwork.graph.modules import is_owned

Look = Callable[[tuple], Any]
"""Tells the value of an origin, or MISSING."""


class _Callee(NamedTuple):
    """Code that a call runs. first: the number of its parameters that were bound before."""

    code: CodeType
    look: Look
    first: int


class Passed:
    """The mutations of functions, those by way of their helpers included; remembered while a walk lasts."""

    def __init__(self):
        self._known: dict[Any, set[Change]] = {}

    def of(self, function: FunctionType, roots: dict) -> set[Change]:
        """All mutations by a function, also those by what it calls.   roots: values of origins known beforehand."""
        look = _Looked(function)
        return self._all(function.__code__, lambda root: roots[root] if root in roots else look(root))

    def _all(self, code: CodeType, look: Look) -> set[Change]:
        key = code, look
        known = self._known.get(key)
        if known is None:
            facts = facts_of(code)
            known = self._known[key] = set(facts.changes)  # so that functions may call each other
            for passing in facts.passings:
                callee = _callee_of(passing.root, passing.path, look)
                if callee is not None:
                    known |= self._handed_on(passing.given, callee)
                    continue
                for each in passing.given:  # other code may call what it gets, as `map` does
                    callee = _callee_of(*each[1:], look)
                    if callee is not None and callee.code.co_name != "__init__":
                        others = [(REST, *other[1:]) for other in passing.given if other is not each]
                        known |= self._handed_on(others, callee)
        return known

    def _handed_on(self, passed: Iterable[tuple], callee: _Callee) -> set[Change]:
        """The mutations by a callee of what a call passes to it, in the caller's terms."""
        given: dict[tuple, list[tuple]] = {}
        for at, root, path in passed:
            for parameter in _parameters(callee, at):
                given.setdefault(parameter, []).append((root, path))
        if not given:
            return set()
        changes = tuple(self._all(callee.code, callee.look))
        return {
            Change(root, path + change.path, change.how, change.name)
            for change in changes
            if change.path or change.root[0] != REST  # a function's own `*args`
            for root, path in given.get(change.root, ())
        }


def bound_arguments(partial: functools.partial) -> dict:
    """The arguments that are fixed in a partial function, by origin."""
    code = partial.func.__code__
    own = _own_parameters(code)
    named = {parameter: value for parameter, value in zip(own, partial.args, strict=False)}
    return {**named, **{("local", name): value for name, value in partial.keywords.items()}}


def _own_parameters(code: CodeType) -> list[tuple]:
    names = code.co_varnames[: code.co_argcount]
    return [("local", name) if number else ROOT_SELF for number, name in enumerate(names)]


def _parameters(callee: _Callee, at: int | str) -> list[tuple]:
    """The origins, in a callee's code, of an argument: at a position, by its name, or anywhere."""
    code = callee.code
    own, rest = _own_parameters(code), [(REST, name) for name in rest_of(code)]
    if at == REST:
        return [*own[callee.first :], *rest]
    if isinstance(at, int):
        return own[callee.first + at :][:1] or rest[:1]
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if at not in named:
        return rest[-1:]
    return [ROOT_SELF if at == named[0] and code.co_argcount else ("local", at)]


def _callee_of(root: tuple, path: tuple, look: Look) -> _Callee | None:
    """The code of the program that a call of an origin runs; None if it is not known, or not the program's."""
    if root[0] == MADE:
        return None if path else _Callee(root[1], look, 0)
    value, self_, first = look(root), MISSING, 0
    for step in path:
        value, self_ = _step(value, step)
    while True:
        kind = type(value)
        if kind is FunctionType:
            first += self_ is not MISSING
            return _Callee(value.__code__, _Looked(value, self_), first) if is_owned(value) else None
        if isinstance(value, functools.partial):
            value, first = value.func, first + len(value.args)
        elif kind is MethodType:
            value, self_ = value.__func__, value.__self__
        elif kind in (staticmethod, classmethod):
            self_ = self_ if kind is classmethod else MISSING
            value = value.__func__
        elif isinstance(value, type) and is_owned(value):
            value, self_ = attribute(value, "__init__"), ObjectOf(value)
        elif value is not MISSING and is_owned(kind):
            value, self_ = attribute(kind, "__call__"), value
        else:
            return None


def _step(value: Any, name: str) -> tuple[Any, Any]:
    """An attribute, and the object to which it is bound if it is a function; else MISSING."""
    if isinstance(value, (ModuleType, FunctionType)):
        return attribute(value, name), MISSING
    if isinstance(value, type):
        found = attribute(value, name)
        return found, value if type(found) is classmethod else MISSING
    found = MISSING if type(value) is ObjectOf else attribute(value, name)
    if found is not MISSING:
        return found, MISSING
    found = attribute(value.kind if type(value) is ObjectOf else type(value), name)
    return found, value if type(found) in (FunctionType, classmethod, functools.partialmethod) else MISSING


class _Looked:
    """The values of a function's globals, closure cells and `self`, by origin. Equal for the same function and self."""

    def __init__(self, function: FunctionType, self_: Any = MISSING):
        self._function, self._self = function, self_

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Looked) and (other._function, id(other._self)) == (self._function, id(self._self))

    def __hash__(self) -> int:
        return hash((id(self._function), id(self._self)))

    def __call__(self, root: tuple) -> Any:
        kind, name = root
        function = self._function
        if kind == "global":
            return function.__globals__.get(name, MISSING)
        if root == ROOT_SELF:
            return self._self
        names = function.__code__.co_freevars if kind == "free" else ()
        return content(function.__closure__[names.index(name)]) if name in names and function.__closure__ else MISSING
