"""The part of the simulation that keeps Python's value stack and the local variables (`following`)."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import CodeType
from typing import Any

from weftwork.graph.python.origins import MADE, REST, ROOT_SELF, SLICE, SPACE, Root, Value, attribute_of, either

BACK = "JUMP_BACKWARD"
"""How instructions that end the body of a loop begin."""


class Stack:
    """The value stack and the variables of one code object: each entry is a value, which says where it comes from."""

    def __init__(self, facts: Any, code: CodeType, attributes: set[str]):
        self.facts, self.code, self.attributes = facts, code, attributes
        self.free = frozenset(code.co_freevars)
        self.stack: list[Value] = []
        self.locals: dict[str, Value] = {name: ((("local", name), ()),) for name in _arguments(code)}
        self.locals.update({name: (((REST, name), ()),) for name in rest_of(code)})
        self._names: tuple = ()
        """The names of the next call's keyword arguments."""
        self._level: Any = None
        self._constant: Any = None
        """The constant that was just loaded, and `_level` the one before: of an import, how many dots come first."""
        if code.co_argcount:
            self.locals[code.co_varnames[0]] = ((ROOT_SELF, ()),)
        self.shared = self.locals.copy()
        """The variables that nested functions use, with all values that they ever have."""

    def leave(self, waiting: dict, target: int, effect: int) -> None:
        """Remember the stack and the local variables for where a jump leads to."""
        left = [*self.stack, *[()] * effect][: max(0, len(self.stack) + effect)]
        known = waiting.get(target)
        if known is None:
            waiting[target] = left, self.locals.copy()
        else:
            waiting[target] = known[0], merged(known[1], self.locals)

    def meet(self, stack: list[Value], known: dict[str, Value], ended: str) -> None:
        """Go on where a jump leads to. ended: the instruction before, if it does not lead here too."""
        if ended and not ended.startswith(BACK):
            self.stack, self.locals = stack, known
            return
        if ended or len(stack) >= len(self.stack):  # a loop has ended with what its body left
            both = [either(one, other) for one, other in zip(stack, self.stack, strict=False)]
            self.stack = both + stack[len(both) :]
        self.locals = merged(self.locals, known)

    def origins_of(self, root: Root) -> Value:
        """Where a value of a nested function comes from in this code; an empty value if that is unknown."""
        if root[0] in ("global", "import", MADE, SPACE[0], "") or (root[0] == "free" and root[1] in self.free):
            return ((root, ()),)
        return self.shared.get(root[1], ()) if root[0] == "free" else ()

    def _pop(self, count: int = 1) -> Value:
        last: Value = ()
        for _ in range(count):
            last = self.stack.pop() if self.stack else ()
        return last

    def _top(self, value: Value) -> None:
        if self.stack:
            self.stack[-1] = value
        else:
            self.stack.append(value)

    def _peek(self, depth: int) -> Value:
        return self.stack[-depth] if len(self.stack) >= depth else ()

    # Names

    def _load_global(self, name: str, instruction: Any) -> None:
        self.facts.globals.append(name)
        self.stack.append(((("global", name), ()),))

    _load_name = _load_global

    def _load_from_dict_or_globals(self, name: str, instruction: Any) -> None:
        self._pop()
        self._load_global(name, instruction)

    def _store_global(self, name: str, instruction: Any) -> None:
        self._pop()
        self._delete_global(name, instruction)

    def _delete_global(self, name: str, instruction: Any) -> None:
        self.facts.stored_globals.add(name)
        self.facts.globals.append(name)

    def _load_const(self, value: Any, instruction: Any) -> None:
        made: Value = (((MADE, value), ()),) if isinstance(value, CodeType) else ()
        self.stack.append(SLICE if type(value) is slice else made)
        self._level, self._constant = self._constant, value

    _load_small_int = _load_const

    def _kw_names(self, number: int, instruction: Any) -> None:
        self._names = self.code.co_consts[instruction.arg]

    def _make_function(self, flags: int, instruction: Any) -> None:
        made = self._peek(2 if sys.version_info < (3, 11) else 1)
        self._pop(1 - dis.stack_effect(instruction.opcode, instruction.arg))
        self.stack.append(made)

    def _set_function_attribute(self, flag: int, instruction: Any) -> None:
        made = self._pop()
        self._top(made)

    def _load_deref(self, name: str, instruction: Any) -> None:
        self.stack.append(((("free", name), ()),) if name in self.free else self.locals.get(name, ()))

    _load_classderef = _load_deref

    def _load_from_dict_or_deref(self, name: str, instruction: Any) -> None:
        self._pop()
        self._load_deref(name, instruction)

    def _store_deref(self, name: str, instruction: Any) -> None:
        value = self._pop()
        if name in self.free:
            self.facts.stored_free.add(name)
        else:
            self.locals[name] = value
            self.shared[name] = either(self.shared.get(name, ()), value)

    def _delete_deref(self, name: str, instruction: Any) -> None:
        if name in self.free:
            self.facts.stored_free.add(name)

    def _load_fast(self, name: str, instruction: Any) -> None:
        self.stack.append(self.locals.get(name, ()))

    _load_fast_check = _load_fast_borrow = _load_fast_and_clear = _load_fast

    def _load_fast_load_fast(self, names: Any, instruction: Any) -> None:
        for name in names:
            self._load_fast(name, instruction)

    _load_fast_borrow_load_fast_borrow = _load_fast_load_fast

    def _store_fast(self, name: str, instruction: Any) -> None:
        self.locals[name] = self._pop()

    def _store_fast_store_fast(self, names: Any, instruction: Any) -> None:
        for name in names:
            self._store_fast(name, instruction)

    def _store_fast_load_fast(self, names: Any, instruction: Any) -> None:
        self._store_fast(names[0], instruction)
        self._load_fast(names[1], instruction)

    def _import_name(self, name: str, instruction: Any) -> None:
        self._pop(2)
        if type(self._level) is int:  # the list of names was loaded after it
            name = "." * self._level + name
        self.facts.imports.append(name)
        if "." in name and name[0] != ".":
            self.facts.imports.append(name.partition(".")[0])
        self.stack.append(((("import", name), ()),))

    def _import_from(self, name: str, instruction: Any) -> None:
        self.attributes.add(name)
        value = self._peek(1)
        self.facts.asks.update([(root, name) for root, _ in value])
        self.facts.looks.update([(root, (*path, name)) for root, path in value])
        self.stack.append(attribute_of(value, name))

    # The stack itself

    def _copy(self, depth: int, instruction: Any) -> None:
        self.stack.append(self._peek(depth))

    def _swap(self, depth: int, instruction: Any) -> None:
        if len(self.stack) >= depth:
            self.stack[-1], self.stack[-depth] = self.stack[-depth], self.stack[-1]

    def _dup_top(self, argument: Any, instruction: Any) -> None:
        self.stack.append(self._peek(1))

    def _dup_top_two(self, argument: Any, instruction: Any) -> None:
        self.stack += [self._peek(2), self._peek(1)]

    def _rotated(self, count: int) -> None:
        if len(self.stack) >= count:
            self.stack.insert(len(self.stack) - count, self.stack.pop())

    def _rot_two(self, argument: Any, instruction: Any) -> None:
        self._rotated(2)

    def _rot_three(self, argument: Any, instruction: Any) -> None:
        self._rotated(3)

    def _rot_four(self, argument: Any, instruction: Any) -> None:
        self._rotated(4)

    def _rot_n(self, count: int, instruction: Any) -> None:
        self._rotated(count)


def merged(one: dict[str, Value], other: dict[str, Value]) -> dict[str, Value]:
    """The values of variables where two ways meet."""
    if one == other:
        return one
    return {name: either(one.get(name, ()), other.get(name, ())) for name in one.keys() | other.keys()}


def _arguments(code: CodeType) -> Iterator[str]:
    yield from code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def parameters_of(code: CodeType) -> list[Root]:
    """The roots of a function's positional parameters."""
    names = code.co_varnames[: code.co_argcount]
    return [("local", name) if number else ROOT_SELF for number, name in enumerate(names)]


def rest_of(code: CodeType) -> tuple[str, ...]:
    """The names of a function's `*args` and `**kwargs`, as far as it has them."""
    named = code.co_argcount + code.co_kwonlyargcount
    both = bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
    return code.co_varnames[named : named + both]
