"""Simulates Python's value stack through a code object, to see where each value comes from (`origins`).

We go instruction by instruction, without following loops back. Where two ways meet, a value has the origins of both.
Results are nearly always right; a missed mutation is found after a call (`Captured.objects`).
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

from weftwork.graph.python.origins import (
    BUILTINS,
    CHANGES,
    COPY,
    FILLERS,
    MADE,
    MUTATORS,
    REST,
    SLICE,
    UNKNOWN,
    WRITERS,
    Call,
    Change,
    Origin,
    Passing,
    Value,
    attribute_of,
    copy_of,
    either,
    held,
    is_held,
    item_of,
    joined,
    result_of,
    slice_of,
)
from weftwork.graph.python.value_stack import Stack, parameters_of

_ENDS = frozenset("RETURN_VALUE RETURN_CONST RAISE_VARARGS RERAISE".split())
_JUMPING = ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE")
_MAX_INSTRUCTIONS = 20_000
"""The largest number of instructions that are analyzed in a function."""


class Follower(Stack):
    """Goes through one code object, and notes in `facts` what it does."""

    def follow(self) -> None:
        """Go through all instructions."""
        waiting: dict[int, tuple[list[Value], dict[str, Value]]] = {}
        ended = ""
        for count, instruction in enumerate(dis.get_instructions(self.code)):
            if count > _MAX_INSTRUCTIONS:
                return
            if instruction.offset in waiting:
                self.meet(*waiting.pop(instruction.offset), ended)
            name = instruction.opname
            target = instruction.argval if instruction.opcode in _JUMPS else 0
            if target > instruction.offset:
                self.leave(waiting, target, dis.stack_effect(instruction.opcode, instruction.arg, jump=True))
            self._step(instruction)
            ended = name if name in _ENDS or name.startswith(_JUMPING) else ""

    def _step(self, instruction: dis.Instruction) -> None:
        name, argument = instruction.opname, instruction.argval
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, argument, instruction)
        elif name.startswith(("CALL", "PRECALL")):
            self._called(name, instruction.arg or 0)
        elif name.startswith(("BINARY_", "INPLACE_", "COMPARE_", "IS_OP", "CONTAINS_OP")):
            self._operated(name, instruction)
        elif name != "PUSH_NULL":
            effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
            if effect > 0:
                self.stack += [()] * effect
            else:
                self._pop(-effect)
                if name.startswith(("BUILD_", "UNARY_", "FORMAT_", "CONVERT_", "GET_A", "SEND")):
                    self._top(())
        if name not in _BETWEEN:
            self._level = self._constant = None

    def _changed(self, value: Value, how: str, name: str = "") -> None:
        for root, path in value:
            if not path or not (path[-1] == COPY or is_held(path)):  # else it is the code's own
                self.facts.changes.add(Change(root, path, how, name))

    # Attributes and items

    def _load_attr(self, name: str, instruction: Any) -> None:
        self.attributes.add(name)
        value = self._peek(1)
        self.facts.asks.update([(root, name) for root, path in value if not path])
        self.facts.looks.update([(root, (*path, name)) for root, path in value if root[0] in _NAMED and len(path) < 3])
        if name in CHANGES:
            self._changed(value, "method", name)
        self._top(attribute_of(value, name))

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
        is_slice, value = self._pop() == SLICE, self._peek(1)
        if type(self._constant) is str and any([path[-1:] == ("modules",) for _, path in value]):
            self.facts.imports.append(self._constant)
        self._top(slice_of(value) if is_slice else item_of(value, self._constant))

    def _build_slice(self, count: int, instruction: Any) -> None:
        self._pop(count)
        self.stack.append(SLICE)

    def _binary_slice(self, argument: Any, instruction: Any) -> None:
        self._pop(2)
        self._top(slice_of(self._peek(1)))

    def _for_iter(self, argument: Any, instruction: Any) -> None:
        self.stack.append(item_of(self._peek(1)))

    def _unpack_sequence(self, count: int, instruction: Any) -> None:
        value = self._pop()
        self.stack += [item_of(value, at) for at in reversed(range(count))]

    def _unpack_ex(self, counts: int, instruction: Any) -> None:
        value, before, after = self._pop(), counts & 255, counts >> 8
        self.stack += [item_of(value)] * after + [held(item_of(value))]
        self.stack += [item_of(value, at) for at in reversed(range(before))]

    def _match_keys(self, argument: Any, instruction: Any) -> None:
        self.stack.append(self._peek(2))
        self.stack += [()] * (sys.version_info < (3, 11))

    def _before_with(self, argument: Any, instruction: Any) -> None:
        value = self._pop()
        self.stack += [(), either(value, item_of(value))]  # itself, or what a generator yields

    _setup_with = _before_with

    def _get_yield_from_iter(self, argument: Any, instruction: Any) -> None:
        self.facts.returns.update(held(item_of(self._peek(1))))

    def _get_iter(self, argument: Any, instruction: Any) -> None:
        return

    # Containers of the code's own

    def _build_list(self, count: int, instruction: Any) -> None:
        values = [self._pop() for _ in range(count)][::-1]
        self.stack.append(either(*[held(value, at) for at, value in enumerate(values)]))

    _build_tuple = _build_list

    def _build_set(self, count: int, instruction: Any) -> None:
        self.stack.append(either(*[held(self._pop()) for _ in range(count)]))

    def _build_map(self, count: int, instruction: Any) -> None:
        values = [self._pop() for _ in range(2 * count)]
        self.stack.append(either(*map(held, values[::2])))

    def _build_const_key_map(self, count: int, instruction: Any) -> None:
        self._pop()
        self.stack.append(either(*[held(self._pop()) for _ in range(count)]))

    def _put(self, depth: int, value: Value) -> None:
        if value and len(self.stack) >= depth:
            self.stack[-depth] = either(self.stack[-depth], held(value))

    def _list_append(self, depth: int, instruction: Any) -> None:
        value = self._pop()
        self._put(depth, value)

    _set_add = _list_append

    def _map_add(self, depth: int, instruction: Any) -> None:
        value = self._pop()
        self._pop()
        self._put(depth, value)

    def _list_extend(self, depth: int, instruction: Any) -> None:
        value = self._pop()
        self._put(depth, item_of(value))

    _set_update = _dict_update = _dict_merge = _list_extend

    def _list_to_tuple(self, argument: Any, instruction: Any) -> None:
        return

    def _return_value(self, argument: Any, instruction: Any) -> None:
        self.facts.returns.update(self._pop())

    def _yield_value(self, argument: Any, instruction: Any) -> None:
        self.facts.returns.update(held(self._peek(1)))
        self._top(())

    # Calls and operators

    def _called(self, name: str, count: int) -> None:
        """The result of a call comes from what is called, or from its arguments. This stack has no NULLs."""
        if name == "PRECALL":
            return
        if name.startswith("CALL_INTRINSIC"):
            kept = self._peek(1) if name.endswith("1") else ()  # one of them makes a list a tuple
            self._pop(2 if name.endswith("2") else 1)
            self.stack.append(kept)
        elif name == "CALL_FUNCTION_EX":
            given = [self._pop() for _ in range(1 + (count & 1))]
            self._result_of(self._pop(), [(REST, item_of(value)) for value in given])
        elif name in ("CALL_FUNCTION_KW", "CALL_KW"):
            self._pop()
            self._names = self._constant if type(self._constant) is tuple else ()
            self._call_with(count)
        else:
            self._call_with(count)

    def _call_with(self, count: int) -> None:
        """Take a call's arguments and what is called from the stack, and put the result there."""
        below = self._peek(2) if not count else ()
        if below and below[0][0][0] == MADE and below[0][0][1].co_name in _COMPREHENSIONS:
            count = 1  # the iterator stands where a method's object does
        values = [self._pop() for _ in range(count)][::-1]
        names, self._names = self._names[:count], ()
        self.attributes.update({"pass_fds"}.intersection(names))
        keys: list[int | str] = [*range(count - len(names)), *names]
        called, given = self._pop(), list(zip(keys, values, strict=True))
        for key, value in given:
            if key == "out":
                self._changed(value, "argument")
        self._note_import(called, values)
        if _GETATTR in called and count == 2 and type(self._constant) is str:
            self.stack.append(values[0])
            self._load_attr(self._constant, None)
            self._passed(called, given)
        else:
            self._result_of(called, given)

    def _note_import(self, called: Value, values: list[Value]) -> None:
        if not values or not any([(path or root)[-1] in _IMPORTERS for root, path in called]):
            return
        if len(values) == 1 and type(self._constant) is str:
            self.facts.imports.append(self._constant.partition(":")[0])
        else:
            self.facts.named.update(values[0] or [UNKNOWN])

    def _result_of(self, called: Value, given: list[tuple[int | str, Value]]) -> None:
        """Note what a call changes and passes on, and put its result on the stack."""
        positional = [value for at, value in given if type(at) is int]
        results = []
        for root, path in called:
            name = (path or root)[-1]
            if positional and (name in MUTATORS or (name in CHANGES and root in BUILTINS and len(path) == 1)):
                self._changed(positional[0], "argument")
            for value in positional if name in FILLERS else ():
                self._changed(either(value, item_of(value)), "argument")
            results.append(
                self._returned(root[1], given)
                if root[0] == MADE and not path
                else result_of((root, path), positional, given)
            )
        if any([(path or root)[-1] in WRITERS for value in positional for root, path in value if root[0] != "local"]):
            for value in positional:  # it may be called with them, as `map` does
                self._changed(either(value, item_of(value)), "argument")
        self._passed(called, given)
        self.stack.append(either(*results))

    def _returned(self, code: CodeType, given: list[tuple[int | str, Value]]) -> Value:
        """What a function that this code defines returns."""
        own = parameters_of(code)
        found: list[Origin] = []
        for root, path in self.facts.of(code).returns:
            sources = [value for at, value in given if type(at) is int and own[at : at + 1] == [root]]
            sources += [value for at, value in given if root == ("local", at)]
            for value in sources or [self.origins_of(root)]:
                found += [(first, whole) for first, start in value if (whole := joined(start, path)) is not None]
        return either(tuple(found))

    def _passed(self, called: Value, given: list[tuple[int | str, Value]]) -> None:
        known = tuple([(key, *origin) for key, value in given for origin in value])
        for root, path in called or [UNKNOWN] if known else ():
            if any([type(step) is Call for step in path]):
                root, path = UNKNOWN
            if len(known) > 1 or (root, path) != UNKNOWN:
                self.facts.passings.add(Passing(root, path, known))

    def _operated(self, name: str, instruction: dis.Instruction) -> None:
        if name.startswith("INPLACE_") or (name == "BINARY_OP" and instruction.argrepr.endswith("=")):
            self._changed(self._peek(2), "inplace")
            kept = self._peek(2)
        elif name in _JOINING or instruction.argrepr in ("+", "|"):
            kept = copy_of(either(self._peek(1), self._peek(2)))  # lists and dicts are joined so
        else:
            kept = ()
        self._pop(2)
        self.stack.append(kept)


_HANDLERS: dict[str, Callable] = {
    name[1:].upper(): handler
    for kind in (Stack, Follower)
    for name, handler in vars(kind).items()
    if name[1:].upper() in dis.opmap
}
"""By the name of an instruction."""
_NAMED = ("global", "free", "import")
_GETATTR: Origin = (("global", "getattr"), ())
_COMPREHENSIONS = frozenset(["<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"])
_IMPORTERS = frozenset(["import_module", "__import__", "resolve_name"])
"""Functions that take the name of a module first; `pkgutil.resolve_name` that of something in it, after a colon."""
_BETWEEN = frozenset("LOAD_CONST LOAD_SMALL_INT KW_NAMES PRECALL CACHE EXTENDED_ARG".split())
"""Instructions that may stand between the loading of a constant and the call that takes it."""
_JOINING = ("BINARY_ADD", "BINARY_OR")
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])
