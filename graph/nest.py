"""Nested Python structures with tensors in them: lists, tuples, dicts, sets, dataclasses, and what derives from them.

template    a structure in which every tensor has been replaced by a `Slot`, its number in a flat list
Invariant: fill(lift(x, found), found) equals x.
"""

from __future__ import annotations

import copy
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from weftwork.graph.ownership import ATOMS, alike, copied, is_atom


class Slot(NamedTuple):
    """The place of the tensor number `index` in a template."""

    index: int


PLAIN = (ATOMS - {FunctionType}) | {Slot}
"""Types of parts of a template that refer to no state."""
SLOTS = tuple(map(Slot, range(256)))
"""The slots that nearly all templates have: a slot is made once."""


class Fixed:
    """A part of a template that holds no tensor, and can be changed: who fills the template gets a copy.

    Equal are parts that were copied from one object, which had not changed in between.
    """

    __slots__ = ("_name", "_origin", "value")

    def __init__(self, value: Any, origin: Any):
        self.value = value
        self._name = id(origin)
        try:
            self._origin: Any = weakref.ref(origin)
        except TypeError:  # a list, a dict
            self._origin = None

    @property
    def is_of_one(self) -> bool:
        """Whether it is known of which object it is a copy, for as long as that lives."""
        return self._origin is not None

    def __eq__(self, other: Any) -> bool:
        if self is other or type(other) is not Fixed or self._origin is None or other._origin is None:
            return self is other
        origin = self._origin()
        return origin is not None and origin is other._origin() and alike(self.value, other.value)

    def __hash__(self) -> int:
        return hash(self._name)

    def __reduce__(self):
        return Fixed, (self.value, self.value)

    def __repr__(self) -> str:
        return repr(self.value)


def _fixed(value: Any, memo: dict) -> Any:
    """A copy, as it stands in a template."""
    mine = copied(value, memo)
    return mine if is_atom(mine) else Fixed(mine, value)


def lift(structure: Any, found: list, convert: Callable[[Any], Any], memo: dict | None = None) -> Any:
    """The template of `structure`; tensors (what `convert` does not give None for) are appended to `found`.

    What holds no tensor is copied, so that the template stays what it is now. memo: what was copied already.
    Raises TypeError for a tensor among the keys of a mapping, ValueError for a structure with tensors that holds
    itself, or is nested very deep.
    """
    if type(structure) in ATOMS:
        return structure
    tensor = convert(structure)
    if tensor is not None:
        return slot_of(tensor, found)
    memo = {} if memo is None else memo
    if not _holds(structure, convert):
        return _fixed(structure, memo)
    try:
        return _lift(structure, found, convert, memo)
    except RecursionError:
        raise ValueError(
            f"a {type(structure).__name__} with tensors in it holds itself, or is nested too deep to find them all"
        ) from None


def lift_call(args: Sequence, kwargs: Mapping, found: list, convert: Callable[[Any], Any]) -> tuple[tuple, dict]:
    """The template of a call's arguments. What comes twice is one object in it."""
    memo: dict = {}
    return (
        tuple([lift(item, found, convert, memo) for item in args]),
        {name: lift(item, found, convert, memo) for name, item in kwargs.items()},
    )


def slot_of(tensor: Any, found: list) -> Slot:
    """The slot of a tensor in a template, which is appended to `found`."""
    number = len(found)
    found.append(tensor)
    return SLOTS[number] if number < len(SLOTS) else Slot(number)


def _lift(structure: Any, found: list, convert: Callable[[Any], Any], memo: dict) -> Any:
    if type(structure) in ATOMS:
        return structure
    tensor = convert(structure)
    if tensor is not None:
        return slot_of(tensor, found)
    return rebuild(structure, lambda item: _lift(item, found, convert, memo), lambda item: _fixed(item, memo))


def _holds(structure: Any, convert: Callable[[Any], Any]) -> bool:
    """True when there is a tensor in a structure, however deep, and whether it holds itself or not."""
    stack, seen = [structure], {id(structure)}
    while stack:
        item = stack.pop()
        if convert(item) is not None:
            return True
        if issubclass(type(item), dict):
            for key in dict.keys(item):
                if type(key) not in ATOMS and convert(key) is not None:
                    raise TypeError(f"a tensor cannot be a key of a {type(item).__name__}: {key!r}")
        parts = _parts(item)
        if not ATOMS.issuperset(map(type, parts)):
            for part in parts:
                if type(part) not in ATOMS and id(part) not in seen:
                    seen.add(id(part))
                    stack.append(part)
    return False


def fill(template: Any, values: Sequence[Any], give: Callable[[Any], Any] | None = None) -> Any:
    """The structure again, with `values` where the tensors stood.

    give: what stands for a part that can be changed, and holds no tensor: a copy, unless nobody will change it. What
    is in it twice is one copy.
    """
    if give is None:
        memo: dict = {}
        give = lambda value: copied(value, memo)  # noqa: E731
    if type(template) is Slot:
        return values[template.index]
    if type(template) is Fixed:
        return give(template.value)
    return rebuild(template, lambda item: fill(item, values, give))


def constants(templates: Sequence[Any]) -> list:
    """The parts of templates that hold no tensor; numbers and the like are left out."""
    found, stack = [], list(templates)
    while stack:
        item = stack.pop()
        if type(item) is Fixed:
            found.append(item.value)
        elif type(item) not in PLAIN:
            parts = _parts(item)
            found += [] if parts else [item]
            stack += parts
    return found


def as_it_is(value: Any) -> Any:
    """For `fill`: the part itself."""
    return value


def _parts(structure: Any) -> list:
    """What a structure is made of; nothing for what is none."""
    kind = type(structure)
    if issubclass(kind, dict):
        return list(dict.values(structure))
    for base in (list, tuple, set, frozenset, deque):
        if issubclass(kind, base):
            return list(base.__iter__(structure))
    if kind is slice:
        return [structure.start, structure.stop, structure.step]
    if "__dataclass_fields__" in vars(kind):
        attributes = object.__getattribute__(structure, "__dict__") if kind.__dictoffset__ else None
        return (
            list(attributes.values())
            if attributes is not None
            else [object.__getattribute__(structure, field) for field in vars(kind)["__dataclass_fields__"]]
        )
    return []


def rebuild(structure: Any, function: Callable[[Any], Any], other: Callable[[Any], Any] | None = None) -> Any:
    """A structure of the same type whose items are function(item); anything else as it is, or other(it)."""
    kind = type(structure)
    if kind is tuple:
        return tuple([function(item) for item in structure])
    if kind is list:
        return [function(item) for item in structure]
    if kind is dict:
        return {key: function(item) for key, item in structure.items()}
    if kind is slice:
        return slice(function(structure.start), function(structure.stop), function(structure.step))
    if issubclass(kind, tuple):
        made = tuple.__new__(kind, [function(item) for item in tuple.__iter__(structure)])
        vars(made).update(vars(structure)) if hasattr(made, "__dict__") else None
        return made
    if issubclass(kind, (set, frozenset)):
        return kind([function(item) for item in structure])
    if issubclass(kind, (list, dict, deque)):
        made = copy.copy(structure)
        for key, item in dict.items(structure) if issubclass(kind, dict) else enumerate(structure):
            made[key] = function(item)
        return made
    if "__dataclass_fields__" in vars(kind):
        made = copy.copy(structure)
        for name in vars(kind)["__dataclass_fields__"]:
            object.__setattr__(made, name, function(object.__getattribute__(structure, name)))
        return made
    return structure if other is None else other(structure)


def flatten(structure: Any) -> list[Any]:
    """The leaves of lists, tuples and mappings, in order (mappings by sorted key where the keys can be sorted)."""
    if isinstance(structure, Mapping):
        try:
            keys = sorted(structure)
        except TypeError:
            keys = list(structure)
        return [leaf for key in keys for leaf in flatten(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for item in structure for leaf in flatten(item)]
    return [structure]
