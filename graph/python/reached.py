"""Follows the path of an origin to the objects that it leads to now, without running code of the program."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from weftwork.graph.python.captured_kinds import ObjectOf
from weftwork.graph.python.codes import facts_of, without_given
from weftwork.graph.python.inspection import ATOMS, CACHED, MISSING, attribute, content, inside
from weftwork.graph.python.modules import is_own, is_owned
from weftwork.graph.python.origins import (
    ANYWHERE,
    CLASS,
    COPY,
    MADE,
    MEMORY,
    REST,
    ROOT_SELF,
    VIEW,
    Call,
    Item,
    Path,
    Root,
    is_item,
    joined,
)
from weftwork.graph.python.value_stack import parameters_of, rest_of

Look = Callable[[Root], Any]
"""Returns the value of a root, or MISSING."""
_MOST_CALLS = 4
"""How many calls that return what others have returned are followed."""
_MOST_PARTS = 64
"""How many items or attributes of a value are looked at."""
_MOST_WRAPPED = 16
"""How many partials, methods and decorators around a function are followed."""


class Callee(NamedTuple):
    """Code that a call runs. first: the number of its parameters that were bound before."""

    code: CodeType
    look: Look
    first: int


class Reached(NamedTuple):
    """What a path leads to.

    value: of the root.   holder: the object reached, or the last one on the way that is known.   exact: whether it is
    the object reached.   parts: that object, or those that it may be.
    """

    value: Any
    holder: Any
    exact: bool
    parts: list


def step_of(holder: Any, step: Any) -> Any:
    """The value of an attribute, or the class of an object; MISSING if it cannot be had without running code."""
    if step in CLASS:
        return holder.kind if type(holder) is ObjectOf else type(holder)
    if step in (VIEW, MEMORY):
        return holder
    if type(step) is Item:
        return _item(holder, step.key)
    return attribute(holder.kind if type(holder) is ObjectOf else holder, step)


def value_at(look: Look, root: Root, path: Path) -> Any:
    """The value that code gets to from one of its names; MISSING if that cannot be had without running code."""
    value = look(root)
    for step in path:
        value = MISSING if value is MISSING else step_of(value, step)
    return value


def reached(root: Root, path: Path, look: Look, calls: int = _MOST_CALLS) -> Iterator[Reached]:
    """What a path leads to that is not the code's own: nothing for a copy, several values for the result of a call."""
    value = look(root)
    if value is MISSING:
        return
    holder, parts, exact, own, shared = value, [value], True, False, False
    for at, step in enumerate(path):
        if type(step) is Call:
            if exact and isinstance(holder, CACHED):  # what it returned is in its cache, for later callers
                yield Reached(holder, holder, True, parts)
            elif calls:
                yield from _returned(root, path[:at], step, path[at + 1 :], look, calls - 1)
            return
        if step == COPY:
            if parts and all([_is_numeric(each) for each in parts]):
                return
            own = True
        elif step == MEMORY:
            shared = True
        elif step == VIEW:
            own = own or not (shared or any([isinstance(each, (np.ndarray, memoryview)) for each in parts]))
        else:
            own = shared = False
            found = step_of(holder, step) if exact else MISSING
            exact = found is not MISSING
            holder = found if exact else holder
            parts = [found] if exact else _parts(parts, step)
    if not own:
        yield Reached(value, holder, exact, parts)


def _item(holder: Any, key: Any) -> Any:
    """An item of a container of Python's; MISSING if there is none."""
    if type(holder) is dict:
        return holder.get(key, MISSING)
    try:
        return holder[key] if type(holder) in (list, tuple) else MISSING
    except (IndexError, TypeError):
        return MISSING


def _parts(values: list, step: Any) -> list:
    """What the items or the attributes of some values may be, without numbers and texts.

    A value of which this is not known stands for its parts, such as an empty list.
    """
    found: list = []
    for each in values[:_MOST_PARTS]:
        if type(each) in _CONTAINERS and each:
            items = each.values() if isinstance(each, dict) else each
            found += [item for item in list(islice(items, _MOST_PARTS)) if type(item) not in ATOMS]
        elif not _is_numeric(each) or each.dtype.names or not is_item(step):
            found += [each, *inside(each)]
        elif each.ndim > 1:
            found.append(each[0] if len(each) else each)
    return found[:_MOST_PARTS]


_CONTAINERS = (list, tuple, dict, set, frozenset, defaultdict, OrderedDict)


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and not value.dtype.hasobject


def _returned(root: Root, path: Path, call: Call, rest: Path, look: Look, calls: int) -> Iterator[Reached]:
    """What a path leads to from the result of a call, if this runs code of the program."""
    callee = callee_of(root, path, look)
    if callee is None:
        return
    given = given_to(callee, call.given)
    for first, start in facts_of(callee.code).returns:
        whole = joined(without_given(start), rest)
        if whole is None:
            continue
        for origin, before in given.get(first, ()):
            passed = joined(before, whole)
            if passed is not None:
                yield from reached(origin, passed, look, calls)
        if first not in given:
            yield from reached(first, whole, callee.look, calls)


def given_to(callee: Callee, passed: Iterable[tuple[int | str, Root, Path]]) -> dict[Root, list[tuple[Root, Path]]]:
    """The origins of what a call passes, by parameter; `*args` and `**kwargs` hold what they get."""
    given: dict[Root, list[tuple[Root, Path]]] = {}
    for at, root, path in passed:
        for parameter in _parameters(callee, at):
            given.setdefault(parameter, []).append((root, (*path, ANYWHERE) if parameter[0] == REST else path))
    return given


def _parameters(callee: Callee, at: int | str) -> list[tuple]:
    """The origins, in a callee's code, of an argument: at a position, by its name, or anywhere."""
    code = callee.code
    own, rest = parameters_of(code), [(REST, name) for name in rest_of(code)]
    if at == REST:
        return [*own[callee.first :], *rest]
    if isinstance(at, int):
        return own[callee.first + at :][:1] or rest[:1]
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if at not in named:
        return rest[-1:]
    return [ROOT_SELF if at == named[0] and code.co_argcount else ("local", at)]


def callee_of(root: tuple, path: tuple, look: Look) -> Callee | None:
    """The code of the program that a call of an origin runs; None if it is not known, or not the program's."""
    if root[0] == MADE:
        return None if path else Callee(root[1], look, 0)
    value: Any = look(root)
    self_, first = MISSING, 0
    for step in path:
        value, self_ = _step(value, step)
    for _ in range(_MOST_WRAPPED):
        kind = type(value)
        if kind is FunctionType and is_own(value.__globals__.get("__name__", "")):
            return Callee(value.__code__, Looked(value, self_), first + (self_ is not MISSING))
        if kind is FunctionType:
            value = vars(value).get("__wrapped__")  # that of a decorator of Python's, such as `contextmanager`
        elif isinstance(value, functools.partial):
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
            break
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


class Looked:
    """The values of a function's globals, closure cells and `self`, by origin. Equal for the same function and self."""

    def __init__(self, function: FunctionType, self_: Any = MISSING):
        self._function, self._self = function, self_

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Looked) and (other._function, id(other._self)) == (self._function, id(self._self))

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
