"""Analysis of a code object: the names that it looks up, rebinds and mutates.

root     where a mutated value comes from: a global, a free variable, an argument with a default, `self`
path     how the code gets from the root to the value: attribute names, or `ITEM` for an item

We simulate Python's value stack instruction by instruction, without following loops back. Results are nearly always
right; a missed mutation is found after a call (`Captured.objects`).
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

ITEM = "[]"
_ASKING = frozenset(["getattr", "hasattr"])
"""Functions that take the name of an attribute as text."""
CLASS = ("__class__", "type()")
"""Path steps that lead to an object's class."""
ROOT_SELF = ("self", "")
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


class Facts:
    """The facts about a code object and those nested in it.

    globals, attributes, imports: names.   stored_globals, stored_free: names that it rebinds.   changes: mutations.
    stores: names of attributes that it sets on anything.   asks: (root, attribute) that it reads from roots.
    """

    def __init__(self, code: CodeType):
        self.code = code
        self.globals: list[str] = []
        self.imports: list[str] = []
        self.stored_globals: set[str] = set()
        self.stored_free: set[str] = set()
        self.changes: set[Change] = set()
        self.stores: set[str] = set()
        self.asks: set[tuple[tuple[str, str], str]] = set()
        attributes: set[str] = set()
        _Follower(self, code, attributes).follow()
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                self._take(facts_of(inner), code, attributes)
        self.globals = list(dict.fromkeys(self.globals))
        self.imports = list(dict.fromkeys(self.imports))
        if not _ASKING.isdisjoint(self.globals):
            attributes.update([text for text in code.co_consts if type(text) is str and text.isidentifier()])
        self.attributes = frozenset(attributes)

    def _take(self, inner: Facts, code: CodeType, attributes: set[str]) -> None:
        """Merge the facts of a nested function, class or comprehension, for which our locals are not captured."""
        self.globals += inner.globals
        self.imports += inner.imports
        self.stored_globals |= inner.stored_globals
        self.stores |= inner.stores
        self.asks |= inner.asks
        free = set(code.co_freevars)
        self.stored_free |= inner.stored_free & free
        self.changes |= {c for c in inner.changes if c.root[0] in ("global", "import") or c.root[1] in free}
        attributes |= inner.attributes


_facts: dict[int, Facts] = {}
_MOST_KNOWN = 4096


def facts_of(code: CodeType) -> Facts:
    """The facts about a code object, cached."""
    facts = _facts.get(id(code))
    if facts is None or facts.code is not code:
        if len(_facts) >= _MOST_KNOWN:
            _facts.clear()
        facts = _facts[id(code)] = Facts(code)
    return facts


def changes_arguments(code: CodeType) -> bool:
    """True for code that changes one of its arguments in place, or a part of one."""
    return any([change.root[0] in ("local", ROOT_SELF[0]) for change in facts_of(code).changes])


class _Follower:
    """Simulates the stack through one code object: each entry tells where the value comes from, or is None."""

    def __init__(self, facts: Facts, code: CodeType, attributes: set[str]):
        self.facts, self.code, self.attributes = facts, code, attributes
        self.free = frozenset(code.co_freevars)
        self.stack: list[Any] = []
        self.locals: dict[str, Any] = {name: (("local", name), ()) for name in _arguments(code)}
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
        if value is not None:
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
        self.facts.imports.append(name)
        if "." in name:
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
        self._pop()
        value = self._peek(1)
        self._top(None if value is None else (value[0], (*value[1], ITEM)))

    def _binary_slice(self, argument: Any, instruction: Any) -> None:
        self._pop(2)
        self._top(None)

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
        """The result of a call has no known root, unless it is a container's item. This stack has no NULLs."""
        if name == "PRECALL":
            return
        if name.startswith("CALL_INTRINSIC"):
            self._pop(2 if name.endswith("2") else 1)
        elif name == "CALL_FUNCTION_EX":
            self._pop(2 + (count & 1))
        elif name in ("CALL_FUNCTION_KW", "CALL_KW"):
            self._pop(count + 2)
        else:
            argument = self._peek(count) if count else None
            self._pop(count)
            called = self._pop()
            if called is not None and (called[1] or called[0])[-1] in _MUTATORS:
                self._changed(argument, "argument")
            if called == _TYPE and count == 1 and argument is not None:
                self.stack.append((argument[0], (*argument[1], CLASS[1])))
                return
            if called is not None and called[1][-1:] and called[1][-1] in _VIEWS:
                self.stack.append((called[0], (*called[1][:-1], ITEM)))
                return
        self.stack.append(None)

    def _operated(self, name: str, instruction: dis.Instruction) -> None:
        if name.startswith("INPLACE_") or (name == "BINARY_OP" and instruction.argrepr.endswith("=")):
            self._changed(self._peek(2), "inplace")
        self._pop(2)
        self.stack.append(None)


_TYPE = (("global", "type"), ())
"""The origin of `type`, whose result is its argument's class."""
_MUTATORS = frozenset(
    "at setattr delattr setitem delitem iadd heappush heappop heapify heapreplace heappushpop insort insort_left "
    "insort_right shuffle copyto putmask place fill_diagonal put_along_axis".split()
)
"""Functions that change their first argument. `numpy.add.at` and the like do so even if it is read-only."""
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])


def _arguments(code: CodeType) -> Iterator[str]:
    yield from code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
