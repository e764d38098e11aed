"""Simulates Python's value stack through a code object, to see where each value comes from.

root     where a value comes from: a global, a free variable, an argument with a default, `self`
path     how the code gets from the root to the value: attribute names, or `ITEM` for an item

We go instruction by instruction, without following loops back. Results are nearly always right; a missed mutation is
found after a call (`Captured.objects`).
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import CodeType
from typing import Any, NamedTuple

ITEM = "[]"
CALL = "()"
"""A path step that leads to the result of a call. It counts only where that result is changed (`Facts.results`)."""
VIEW = "[:]"
"""A path step that leads to a slice: of an array, a view of it; of a list, a copy."""
CLASS = ("__class__", "type()")
"""Path steps that lead to an object's class."""
ROOT_SELF = ("self", "")
SPACE = ("space", "")
"""The origin of what `globals()` returns."""
MADE, REST = "made", "rest"
"""Kinds of origin: a function that the code defines, named by its code; the parameters `*args` and `**kwargs`."""
CHANGES = frozenset(
    "append appendleft extend extendleft insert pop popleft popitem remove discard clear add update setdefault sort "
    "reverse rotate subtract move_to_end difference_update intersection_update symmetric_difference_update fill put "
    "itemset resize partition frombytes fromlist writelines set reset __setitem__ __delitem__ __iadd__".split()
)
"""Methods that mutate a container."""
_VIEWS = frozenset("get items values".split())
"""Methods that return a container's items."""
_ENDS = frozenset("RETURN_VALUE RETURN_CONST RAISE_VARARGS RERAISE".split())
_MAX_INSTRUCTIONS = 20_000
"""The largest number of instructions that are analyzed in a function."""


class Change(NamedTuple):
    """A mutation. how: "attribute", "item", "method", "inplace" or "argument".   name: of the attribute or method."""

    root: tuple[str, str]
    path: tuple[str, ...]
    how: str
    name: str


class Passing(NamedTuple):
    """A call that passes on values with a known origin.

    root, path: the origin of what is called.   given: of each argument, (position or name, or `REST` for items of
        `*args`; root; path).
    """

    root: tuple[str, Any]
    path: tuple[str, ...]
    given: tuple[tuple[int | str, tuple[str, Any], tuple[str, ...]], ...]


class Follower:
    """Simulates the stack through one code object: each entry says where the value comes from, or is None."""

    def __init__(self, facts: Any, code: CodeType, attributes: set[str]):
        self.facts, self.code, self.attributes = facts, code, attributes
        self.free = frozenset(code.co_freevars)
        self.stack: list[Any] = []
        self.locals: dict[str, Any] = {name: (("local", name), ()) for name in _arguments(code)}
        self.locals.update({name: ((REST, name), ()) for name in rest_of(code)})
        self._names: tuple = ()
        """The names of the next call's keyword arguments."""
        self._level: Any = None
        self._constant: Any = None
        """The constant that was just loaded, and `_level` the one before: of an import, how many dots come first."""
        if code.co_argcount:
            self.locals[code.co_varnames[0]] = (ROOT_SELF, ())

    def follow(self) -> None:
        """Go through all instructions."""
        waiting: dict[int, list[Any]] = {}
        ended = False
        for count, instruction in enumerate(dis.get_instructions(self.code)):
            if count > _MAX_INSTRUCTIONS:
                return
            if instruction.offset in waiting:
                known = waiting.pop(instruction.offset)
                if ended or len(known) > len(self.stack):
                    self.stack = known
            ended = False
            target = instruction.argval if instruction.opcode in _JUMPS else None
            if target is not None:
                effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=True)
                left = [*self.stack, *[None] * effect]
                waiting.setdefault(target, left[: max(0, len(self.stack) + effect)])
            self._step(instruction)
            if instruction.opname in _ENDS or instruction.opname.startswith(
                ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE")
            ):
                ended = True

    def _step(self, instruction: dis.Instruction) -> None:
        name, argument = instruction.opname, instruction.argval
        self._stepped(name, argument, instruction)
        if name not in _BETWEEN:
            self._level = self._constant = None

    def _stepped(self, name: str, argument: Any, instruction: dis.Instruction) -> None:
        handler = getattr(self, f"_{name.lower()}", None)
        if handler is not None:
            handler(argument, instruction)
        elif name.startswith(("CALL", "PRECALL")):
            self._called(name, instruction.arg or 0)
        elif name.startswith(("BINARY_", "INPLACE_", "COMPARE_", "IS_OP", "CONTAINS_OP")):
            self._operated(name, instruction)
        elif name == "PUSH_NULL":
            return
        else:
            effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
            if effect > 0:
                self.stack += [None] * effect
            else:
                self._pop(-effect)
                if name.startswith(("BUILD_", "UNARY_", "FORMAT_", "LIST_TO", "CONVERT_", "GET_A", "SEND", "YIELD")):
                    self._top(None)

    def origins_of(self, root: tuple[str, Any]) -> list[tuple[tuple[str, Any], tuple[str, ...]]]:
        """Where a value of a nested function comes from in this code, as a list; an empty one if that is unknown."""
        if root[0] in ("global", "import", MADE, SPACE[0], "") or (root[0] == "free" and root[1] in self.free):
            return [(root, ())]
        known = self.locals.get(root[1]) if root[0] == "free" else None
        return [] if known is None else [known]

    def _pop(self, count: int = 1) -> Any:
        last = None
        for _ in range(count):
            last = self.stack.pop() if self.stack else None
        return last

    def _top(self, value: Any) -> None:
        if self.stack:
            self.stack[-1] = value
        else:
            self.stack.append(value)

    def _peek(self, depth: int) -> Any:
        return self.stack[-depth] if len(self.stack) >= depth else None

    def _changed(self, value: Any, how: str, name: str = "") -> None:
        if value is not None and CALL in value[1]:
            self.facts.results.add((value[0], value[1][: value[1].index(CALL)]))
        elif value is not None:
            self.facts.changes.add(Change(value[0], value[1], how, name))

    # Names

    def _load_global(self, name: str, instruction: Any) -> None:
        self.facts.globals.append(name)
        self.stack.append((("global", name), ()))

    def _load_name(self, name: str, instruction: Any) -> None:
        self._load_global(name, instruction)

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
        made = ((MADE, value), ()) if isinstance(value, CodeType) else None
        self.stack.append(_SLICE if type(value) is slice else made)
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
        self.stack.append((("free", name), ()) if name in self.free else self.locals.get(name))

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

    def _delete_deref(self, name: str, instruction: Any) -> None:
        if name in self.free:
            self.facts.stored_free.add(name)

    def _load_fast(self, name: str, instruction: Any) -> None:
        self.stack.append(self.locals.get(name))

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
        self.stack.append((("import", name), ()))

    def _import_from(self, name: str, instruction: Any) -> None:
        self.attributes.add(name)
        value = self._peek(1)
        if value is not None:
            self.facts.asks.add((value[0], name))
        self.stack.append(None if value is None else (value[0], (*value[1], name)))

    # Attributes and items

    def _load_attr(self, name: str, instruction: Any) -> None:
        self.attributes.add(name)
        value = self._peek(1)
        if value is not None:
            if not value[1]:
                self.facts.asks.add((value[0], name))
            if name in CHANGES:
                self._changed(value, "method", name)
            self._top((value[0], (*value[1], name)))

    _load_method = _load_attr

    def _store_attr(self, name: str, instruction: Any) -> None:
        self.attributes.add(name)
        self.facts.stores.add(name)
        self._changed(self._pop(), "attribute", name)
        self._pop()

    def _delete_attr(self, name: str, instruction: Any) -> None:
        self._changed(self._pop(), "attribute", name)

    def _store_subscr(self, argument: Any, instruction: Any) -> None:
        self._changed(self._peek(2), "item")
        self._pop(3)

    def _delete_subscr(self, argument: Any, instruction: Any) -> None:
        self._changed(self._peek(2), "item")
        self._pop(2)

    def _store_slice(self, argument: Any, instruction: Any) -> None:
        self._changed(self._peek(3), "item")
        self._pop(4)

    def _binary_subscr(self, argument: Any, instruction: Any) -> None:
        step = VIEW if self._pop() == _SLICE else ITEM
        value = self._peek(1)
        if value is not None and value[1][-1:] == ("modules",) and type(self._constant) is str:
            self.facts.imports.append(self._constant)
        self._top(None if value is None else (value[0], (*value[1], step)))

    def _build_slice(self, count: int, instruction: Any) -> None:
        self._pop(count)
        self.stack.append(_SLICE)

    def _binary_slice(self, argument: Any, instruction: Any) -> None:
        self._pop(2)
        self.stack.append(_SLICE)
        self._binary_subscr(argument, instruction)

    def _for_iter(self, argument: Any, instruction: Any) -> None:
        value = self._peek(1)
        self.stack.append(None if value is None else (value[0], (*value[1], ITEM)))

    def _unpack_sequence(self, count: int, instruction: Any) -> None:
        value = self._pop()
        self.stack += [None if value is None else (value[0], (*value[1], ITEM))] * count

    def _get_iter(self, argument: Any, instruction: Any) -> None:
        return

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

    # Calls and operators

    def _called(self, name: str, count: int) -> None:
        """The result of a call comes from what is called, or is a container's item. This stack has no NULLs."""
        if name == "PRECALL":
            return
        if name.startswith("CALL_INTRINSIC"):
            self._pop(2 if name.endswith("2") else 1)
        elif name == "CALL_FUNCTION_EX":
            given = [self._pop() for _ in range(1 + (count & 1))]
            self._passed(self._pop(), [(REST, (each[0], (*each[1], ITEM))) for each in given if each is not None])
        elif name in ("CALL_FUNCTION_KW", "CALL_KW"):
            self._pop()
            self._names = self._constant if type(self._constant) is tuple else ()
            self._arguments_of(count)
        else:
            argument = self._peek(count) if count else None
            called = self._arguments_of(count)
            if called is not None and (called[1] or called[0])[-1] in _MUTATORS:
                self._changed(argument, "argument")
            if called == _GLOBALS and not count:
                self.stack.append((SPACE, ()))
                return
            if called in _PARTS and count == 1 and argument is not None:
                self.stack.append((argument[0], (*argument[1], _PARTS[called])))
                return
            if called == _GETATTR and count == 2 and argument is not None and type(self._constant) is str:
                self.stack.append(argument)
                self._load_attr(self._constant, None)
                return
            if called is not None and called[1][-1:] and called[1][-1] in _VIEWS:
                self.stack.append((called[0], (*called[1][:-1], ITEM)))
                return
            self.stack.append(None if called is None else (called[0], (*called[1], CALL)))
            return
        self.stack.append(None)

    def _arguments_of(self, count: int) -> Any:
        """Take a call's arguments and what is called from the stack; note what it passes on. Returns what is called."""
        below = None if count else self._peek(2)
        if below is not None and below[0][0] == MADE and below[0][1].co_name in _COMPREHENSIONS:
            count = 1  # the iterator stands where a method's object does
        values = [self._pop() for _ in range(count)][::-1]
        names, self._names = self._names[:count], ()
        self.attributes.update({"pass_fds"}.intersection(names))
        keys = [*range(count - len(names)), *names]
        called = self._pop()
        self._passed(called, list(zip(keys, values, strict=True)))
        for key, value in zip(keys, values, strict=True):
            if key == "out":
                self._changed(value, "argument")
        if called is not None and values and (called[1] or called[0])[-1] in _IMPORTERS:
            if len(values) == 1 and type(self._constant) is str:
                self.facts.imports.append(self._constant.partition(":")[0])
            else:
                self.facts.named.add(values[0] or UNKNOWN)
        return called

    def _passed(self, called: tuple[tuple[str, Any], tuple[str, ...]] | None, given: list) -> None:
        known = tuple([(key, *value) for key, value in given if value is not None and CALL not in value[1]])
        called = None if called is not None and CALL in called[1] else called
        if known and (called is not None or len(known) > 1):
            root, path = called or UNKNOWN
            self.facts.passings.add(Passing(root, path, known))

    def _operated(self, name: str, instruction: dis.Instruction) -> None:
        if name.startswith("INPLACE_") or (name == "BINARY_OP" and instruction.argrepr.endswith("=")):
            self._changed(self._peek(2), "inplace")
        self._pop(2)
        self.stack.append(None)


UNKNOWN = (("", ""), ())
"""The origin of a call's result, or of another value of unknown origin."""
_GLOBALS = (("global", "globals"), ())
_PARTS = {(("global", "type"), ()): CLASS[1], (("global", "vars"), ()): "__dict__"}
"""The origins of functions that return a part of their argument, and that part."""
_GETATTR = (("global", "getattr"), ())
_SLICE = (("", "slice"), ())
"""The origin of a slice."""
_COMPREHENSIONS = frozenset(["<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"])
_MUTATORS = frozenset(
    "at setattr delattr setitem delitem iadd heappush heappop heapify heapreplace heappushpop insort insort_left "
    "insort_right shuffle copyto putmask place fill_diagonal put_along_axis".split()
)
"""Functions that change their first argument. `numpy.add.at` and the like do so even if it is read-only."""
_IMPORTERS = frozenset(["import_module", "__import__", "resolve_name"])
"""Functions that take the name of a module first; `pkgutil.resolve_name` that of something in it, after a colon."""
_BETWEEN = frozenset("LOAD_CONST LOAD_SMALL_INT KW_NAMES PRECALL CACHE EXTENDED_ARG".split())
"""Instructions that may stand between the loading of a constant and the call that takes it."""
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])


def _arguments(code: CodeType) -> Iterator[str]:
    yield from code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def rest_of(code: CodeType) -> tuple[str, ...]:
    """The names of a function's `*args` and `**kwargs`, as far as it has them."""
    named = code.co_argcount + code.co_kwonlyargcount
    both = bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
    return code.co_varnames[named : named + both]
