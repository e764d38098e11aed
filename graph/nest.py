"""Nested Python structures that contain tensors: lists, tuples, dicts, sets, dataclasses, classes of `attrs`,
subclasses of them, and registered types.

template    a structure in which each tensor has been replaced by a `Slot`, its number in a flat list
Invariant: fill(lift(x, found), found) equals x.
"""

from __future__ import annotations

import copy
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from weftwork.graph.hidden import ONCE, refuse_hidden
from weftwork.graph.python.alike import alike
from weftwork.graph.python.frames import is_lazy
from weftwork.graph.python.lending import show
from weftwork.graph.python.ownership import ATOMS, copied, is_atom


class Slot(NamedTuple):
    """Stands for tensor number `index` in a template."""

    index: int


class Packed(NamedTuple):
    """Stands for an object of a registered type in a template: `pack` makes it of its parts."""

    pack: Callable[[tuple], Any]
    parts: tuple


_registered: dict[type, tuple[Callable[[Any], Sequence], Callable[[tuple], Any]]] = {}


def register_structure(
    kind: type[Any], unpack: Callable[[Any], Sequence[Any]], pack: Callable[[tuple[Any, ...]], Any]
) -> None:
    """Let nodes find the tensors in arguments of a type of your own.

    A function that is called with such an object gets an object of the same type, with values in place of tensors.
    kind: the class; its subclasses count as well unless they are registered themselves.
    unpack: returns the parts of an object, with or without tensors in them: `unpack(value)` is a sequence.
    pack: makes an object of its parts: `pack(unpack(value))` is like `value`. It is sent to the processes that need it.
    Raises TypeError for what is not a class and two functions, and for a class that nodes look into anyway.
    """
    if not isinstance(kind, type) or not callable(unpack) or not callable(pack):
        raise TypeError(f"register_structure needs a class and two functions, not {kind!r}, {unpack!r} and {pack!r}.")
    if kind in ATOMS or issubclass(kind, (list, tuple, dict, set, frozenset, deque, slice)):
        raise TypeError(f"{kind.__name__} cannot be registered as a structure: nodes know what it contains.")
    _registered[kind] = unpack, pack


def registration(kind: type) -> tuple[Callable[[Any], Sequence], Callable[[tuple], Any]] | None:
    """The functions of a registered type, or of the nearest base that is one."""
    if not _registered:
        return None
    return next((_registered[base] for base in kind.__mro__ if base in _registered), None)


def fields_of(kind: type) -> Sequence[str] | None:
    """The names of the fields of a dataclass or of a class of `attrs`; None for any other class."""
    space = vars(kind)
    if "__dataclass_fields__" in space:
        return tuple(space["__dataclass_fields__"])
    if "__attrs_attrs__" in space:
        return [each.name for each in space["__attrs_attrs__"]]
    return None


PLAIN = (ATOMS - {FunctionType, *ONCE}) | {Slot}
"""Types of template parts that refer to no state."""


_CONSTANTS = PLAIN - {Slot}


def are_plain(templates: Iterable[Any]) -> bool:
    """True if some templates are slots, constants that refer to no state, and tuples of such constants."""
    others = [item for item in templates if type(item) not in PLAIN]
    return not others or all([type(item) is tuple and _CONSTANTS.issuperset(map(type, item)) for item in others])


SLOTS = tuple(map(Slot, range(256)))
"""Shared slots, enough for nearly all templates."""


class Fixed:
    """A mutable part of a template that contains no tensor: filling the template copies it.

    Two parts are equal if they were copied from the same object, which had not changed in between.
    """

    __slots__ = ("__weakref__", "_name", "_origin", "value")

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

    def is_like(self, origin: Any) -> bool:
        """Whether it is a copy of this object, which has not changed since."""
        return self._origin is not None and self._origin() is origin and alike(self.value, origin)

    def __hash__(self) -> int:
        return hash(self._name)

    def __reduce__(self):
        return Fixed, (self.value, self.value)

    def __repr__(self) -> str:
        return repr(self.value)


_COPIES: WeakValueDictionary[int, Fixed] = WeakValueDictionary()
"""The last copy of each large array or frame, by the id of the object. Many calls may be given the same one."""
_LARGE = 16 * 1024
"""Minimum bytes of such an array. A smaller one is copied as quickly as it is compared."""


def _fixed(value: Any, memo: dict) -> Any:
    """A copy for use in a template. Raises TypeError if it holds a tensor that was not found."""
    kind = type(value)
    is_large = (kind is np.ndarray and value.nbytes >= _LARGE and not value.dtype.hasobject) or is_lazy(kind)
    known = _COPIES.get(id(value)) if is_large else None
    if known is not None and id(value) not in memo and known.is_like(value):
        memo[id(value)] = known.value
        return known
    refuse_hidden(value)
    duplicate = copied(value, memo)
    if is_atom(duplicate):
        return duplicate
    made = Fixed(duplicate, value)
    if is_large:
        _COPIES[id(value)] = made
    return made


def lift(structure: Any, found: list, convert: Callable[[Any], Any], memo: dict | None = None) -> Any:
    """The template of `structure`; tensors (values that `convert` does not map to None) are appended to `found`.

    Parts without tensors are copied, so later changes do not reach the template. memo: copies made so far.
    Raises TypeError for a tensor among the keys of a mapping, ValueError for a structure with tensors that contains
    itself or is nested too deeply.
    """
    kind = type(structure)
    if kind in ATOMS or (kind is tuple and ATOMS.issuperset(map(type, structure))):
        return structure
    memo = {} if memo is None else memo
    if kind is list and _CONSTANTS.issuperset(map(type, structure)):  # as is usual for long ones
        return Fixed(memo.setdefault(id(structure), structure[:]), structure)
    tensor = convert(structure)
    if tensor is not None:
        return slot_of(tensor, found)
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
    if not kwargs and ATOMS.issuperset(map(type, args)):
        return tuple(args), {}
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
    done = memo.get(("lifted", id(structure)))
    if done is not None:
        return done[0]
    known = registration(type(structure))
    if known is not None:
        template: Any = Packed(known[1], tuple([_lift(item, found, convert, memo) for item in known[0](structure)]))
    else:
        template = rebuild(structure, lambda item: _lift(item, found, convert, memo), lambda item: _fixed(item, memo))
    memo["lifted", id(structure)] = template, structure  # which stays alive, so that its id is not used again
    return template


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


def _false() -> bool:
    return False


def fill(
    template: Any,
    values: Sequence[Any],
    give: Callable[[Any], Any] | None = None,
    reads: Callable[[], bool | None] = _false,
) -> Any:
    """Rebuild the structure, with `values` in place of the tensors.

    give: makes the replacement for a mutable part without tensors; by default what a function may have. A part that
    occurs twice is replaced by one object, and so is a structure with tensors in it.   reads: of the function, as in
    `lending.lent`: one that modifies no array gets views of arrays, and others get copies.
    """
    if give is None:
        memo: dict = {}

        def given(value: Any) -> Any:
            how = reads()
            if how and type(value) is np.ndarray and not value.dtype.hasobject:
                return memo.setdefault(id(value), show(value))
            return copied(value, memo, lazily=how is not None)

        give = given
    return _fill(template, values, give, {})


def _fill(template: Any, values: Sequence[Any], give: Callable[[Any], Any], made: dict[int, Any]) -> Any:
    """made: the structures so far, by the ids of their templates."""
    kind = type(template)
    if kind is Slot:
        return values[template.index]
    if kind is Fixed:
        return give(template.value)
    if kind in ATOMS:
        return template
    whole = made.get(id(template))
    if whole is None:
        if kind is tuple:  # the arguments of a call: mostly tensors and plain constants
            whole = tuple(
                [
                    item
                    if type(item) in ATOMS
                    else values[item.index]
                    if type(item) is Slot
                    else _fill(item, values, give, made)
                    for item in template
                ]
            )
        elif kind is Packed:
            whole = template.pack(tuple([_fill(item, values, give, made) for item in template.parts]))
        else:
            whole = rebuild(template, lambda item: _fill(item, values, give, made))
        made[id(template)] = whole
    return whole


def fill_call(
    template: tuple[tuple, dict], values: Sequence[Any], reads: Callable[[], bool | None] = _false
) -> tuple[tuple, dict]:
    """`fill` for the arguments of a call."""
    args, kwargs = template
    if not kwargs and are_plain(args):
        return tuple([values[item.index] if type(item) is Slot else item for item in args]), {}
    return fill(template, values, reads=reads)


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


def arguments(template: Any, values: Sequence[Any]) -> list:
    """The values of the tensors, and all constants in a template."""
    parts = [part.value if type(part) is Fixed else part for part in flatten(template)]
    return [*values, *[part for part in parts if type(part) is not Slot]]


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
    fields = fields_of(kind)
    if fields is not None:
        attributes = object.__getattribute__(structure, "__dict__") if kind.__dictoffset__ else None
        return (
            list(attributes.values())
            if attributes is not None
            else [object.__getattribute__(structure, field) for field in fields]
        )
    known = registration(kind)
    return [] if known is None else list(known[0](structure))


def rebuild(structure: Any, function: Callable[[Any], Any], other: Callable[[Any], Any] | None = None) -> Any:
    """A structure of the same type with items function(item); a non-structure is returned as is, or as other(it)."""
    kind = type(structure)
    if kind is tuple:
        return tuple([function(item) for item in structure])
    if kind is list:
        return [function(item) for item in structure]
    if kind is dict:
        return {key: function(item) for key, item in list(structure.items())}  # at once: another thread may change it
    if kind is slice:
        return slice(function(structure.start), function(structure.stop), function(structure.step))
    if issubclass(kind, tuple):
        result = tuple.__new__(kind, [function(item) for item in tuple.__iter__(structure)])
        vars(result).update(vars(structure)) if hasattr(result, "__dict__") else None
        return result
    if issubclass(kind, (set, frozenset)):
        return kind([function(item) for item in list(structure)])
    if issubclass(kind, (list, dict, deque)):
        result = copy.copy(structure)
        for key, item in list(dict.items(result) if issubclass(kind, dict) else enumerate(result)):
            result[key] = function(item)
        return result
    fields = fields_of(kind)
    if fields is not None:
        result = copy.copy(structure)
        for name in fields:
            object.__setattr__(result, name, function(object.__getattribute__(structure, name)))
        return result
    known = registration(kind)
    if known is not None:
        return known[1](tuple([function(item) for item in known[0](structure)]))
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
