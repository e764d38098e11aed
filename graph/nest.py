"""Nested Python structures that contain tensors: lists, tuples, dicts, sets, dataclasses, and subclasses of them.

template    a structure in which each tensor has been replaced by a `Slot`, its number in a flat list
Invariant: fill(lift(x, found), found) equals x.
"""

from __future__ import annotations

import copy
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from weftwork.graph.alike import alike
from weftwork.graph.ownership import ATOMS, copied, is_atom


class Slot(NamedTuple):
    """Stands for tensor number `index` in a template."""

    index: int


PLAIN = (ATOMS - {FunctionType}) | {Slot}
"""Types of template parts that refer to no state."""
SLOTS = tuple(map(Slot, range(256)))
"""Shared slots, enough for nearly all templates."""


class Fixed:
    """A mutable part of a template that contains no tensor: filling the template copies it.

    Two parts are equal if they were copied from the same object, which had not changed in between.
    """

    __slots__ = ("_name", "_origin", "value")

    def __init__(self, value: Any, origin: Any):
        self.value = value
        self._name = id(origin)
        try:
            self._origin: Any = weakref.ref(origin)
        except TypeError:  # a list or a dict
            self._origin = None

    @property
    def is_of_one(self) -> bool:
        """True while the object that this is a copy of is known to be alive."""
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
    """A copy for use in a template."""
    duplicate = copied(value, memo)
    return duplicate if is_atom(duplicate) else Fixed(duplicate, value)


def lift(structure: Any, found: list, convert: Callable[[Any], Any], memo: dict | None = None) -> Any:
    """The template of `structure`; tensors (values that `convert` does not map to None) are appended to `found`.

    Parts without tensors are copied, so later changes do not reach the template. memo: copies made so far.
    Raises TypeError for a tensor among the keys of a mapping, ValueError for a structure with tensors that contains
    itself or is nested too deeply.
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
            f"a {type(structure).__name__} with tensors in it contains itself, or is nested too deeply to find them all"
        ) from None


def lift_call(args: Sequence, kwargs: Mapping, found: list, convert: Callable[[Any], Any]) -> tuple[tuple, dict]:
    """The templates of a call's arguments. An object that occurs twice is one object in them, too."""
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
    """True if a structure contains a tensor, at any depth, even if the structure contains itself."""
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
    """Rebuild the structure, with `values` in place of the tensors.

    give: makes the replacement for a mutable part without tensors; by default a copy. A part that occurs twice is
    replaced by one object.
    """
    if give is None:
        memo: dict = {}
        give = lambda value: copied(value, memo)  # noqa: E731
    kind = type(template)
    if kind is tuple:  # the arguments of a call: mostly tensors and plain constants
        return tuple(
            [
                item if type(item) in ATOMS else values[item.index] if type(item) is Slot else fill(item, values, give)
                for item in template
            ]
        )
    if kind is Slot:
        return values[template.index]
    if kind is Fixed:
        return give(template.value)
    return rebuild(template, lambda item: fill(item, values, give))


def fill_call(template: tuple[tuple, dict], values: Sequence[Any]) -> tuple[tuple, dict]:
    """`fill` for the arguments of a call."""
    args, kwargs = template
    if not kwargs and PLAIN.issuperset(map(type, args)):
        return tuple([values[item.index] if type(item) is Slot else item for item in args]), {}
    return fill(template, values)


def constants(templates: Sequence[Any]) -> list:
    """The parts of templates that contain no tensor, except numbers and the like."""
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


def unchanged(value: Any) -> Any:
    """For `fill`: return the part itself."""
    return value


def _parts(structure: Any) -> list:
    """The items of a structure; empty for anything else."""
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
    """A structure of the same type with items function(item); a non-structure is returned as is, or as other(it)."""
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
        result = tuple.__new__(kind, [function(item) for item in tuple.__iter__(structure)])
        vars(result).update(vars(structure)) if hasattr(result, "__dict__") else None
        return result
    if issubclass(kind, (set, frozenset)):
        return kind([function(item) for item in structure])
    if issubclass(kind, (list, dict, deque)):
        result = copy.copy(structure)
        for key, item in dict.items(structure) if issubclass(kind, dict) else enumerate(structure):
            result[key] = function(item)
        return result
    if "__dataclass_fields__" in vars(kind):
        result = copy.copy(structure)
        for name in vars(kind)["__dataclass_fields__"]:
            object.__setattr__(result, name, function(object.__getattribute__(structure, name)))
        return result
    return structure if other is None else other(structure)


def flatten(structure: Any) -> list[Any]:
    """The leaves of lists, tuples and mappings, in order (mappings by sorted key if the keys can be sorted)."""
    if isinstance(structure, Mapping):
        try:
            keys = sorted(structure)
        except TypeError:
            keys = list(structure)
        return [leaf for key in keys for leaf in flatten(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for item in structure for leaf in flatten(item)]
    return [structure]
