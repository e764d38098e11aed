"""What a function mutates through its helpers: it passes an object to them, and they change it.

The walk over a function's references (`captured_walk`) analyzes its helpers for themselves. Here their mutations of
arguments are expressed by what the caller passed: if `put` appends to its argument, `put(rows)` appends to `rows`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from types import CodeType, FunctionType
from typing import Any

from weftwork.graph.python.codes import facts_of, without_given
from weftwork.graph.python.origins import REST, Change, is_held, item_of, joined
from weftwork.graph.python.reached import Callee, Look, Looked, callee_of, given_to
from weftwork.graph.python.value_stack import parameters_of


class Passed:
    """The mutations of functions, including those by their helpers; remembered while a walk lasts."""

    def __init__(self):
        self._known: dict[Any, set[Change]] = {}

    def of(self, function: FunctionType, roots: dict) -> set[Change]:
        """All mutations by a function, and by what it calls.   roots: values of origins known beforehand."""
        look = Looked(function)
        return self._all(function.__code__, lambda root: roots[root] if root in roots else look(root))

    def _all(self, code: CodeType, look: Look) -> set[Change]:
        key = code, look
        known = self._known.get(key)
        if known is None:
            facts = facts_of(code)
            known = self._known[key] = set(facts.changes)  # so that functions may call each other
            for passing in facts.passings:
                callee = callee_of(passing.root, passing.path, look)
                if callee is not None:
                    known |= self._handed_on(passing.given, callee)
                    continue
                for each in passing.given:  # other code may call what it gets, as `map` does
                    callee = callee_of(*each[1:], look)
                    if callee is not None and callee.code.co_name != "__init__":
                        others = tuple([other[1:] for other in passing.given if other is not each])
                        found = [(REST, *origin) for origin in (*others, *item_of(others))]
                        known |= self._handed_on(found, callee)
        return known

    def _handed_on(self, passed: Iterable[tuple], callee: Callee) -> set[Change]:
        """The mutations by a callee of what a call passes to it, in the caller's terms."""
        given = given_to(callee, passed)
        if not given:
            return set()
        found = set()
        for change in tuple(self._all(callee.code, callee.look)):
            for root, path in given.get(change.root, ()):
                whole = joined(path, without_given(change.path))
                if whole is not None and not is_held(whole):
                    found.add(Change(root, whole, change.how, change.name))
        return found


def bound_arguments(partial: functools.partial) -> dict:
    """The arguments that are fixed in a partial function, by origin."""
    code = partial.func.__code__
    own = parameters_of(code)
    named = {parameter: value for parameter, value in zip(own, partial.args, strict=False)}
    return {**named, **{("local", name): value for name, value in partial.keywords.items()}}
