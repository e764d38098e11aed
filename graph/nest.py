"""Nested Python structures with tensors in them: lists, tuples, named tuples, mappings.

template    a structure in which every tensor has been replaced by a `Slot`, its number in a flat list
Invariant: fill(lift(x, found), found) equals x.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Slot(NamedTuple):
    """The place of the tensor number `index` in a template."""

    index: int


_ATOMS = frozenset({int, float, str, bytes, bool, type(None)})
SLOTS = tuple(map(Slot, range(256)))
"""The slots that nearly all templates have: a slot is made once."""


def lift(structure: Any, found: list, convert: Callable[[Any], Any]) -> Any:
    """The template of `structure`; tensors (what `convert` does not give None for) are appended to `found`."""
    if type(structure) in _ATOMS:
        return structure
    tensor = convert(structure)
    if tensor is not None:
        number = len(found)
        found.append(tensor)
        return SLOTS[number] if number < len(SLOTS) else Slot(number)
    return rebuild(structure, lambda item: lift(item, found, convert))


def fill(template: Any, values: Sequence[Any]) -> Any:
    """The structure again, with `values` where the tensors stood."""
    if type(template) is Slot:
        return values[template.index]
    return rebuild(template, lambda item: fill(item, values))


def rebuild(structure: Any, function: Callable[[Any], Any]) -> Any:
    """A structure of the same type whose items are function(item); anything else as it is."""
    if isinstance(structure, tuple):
        if hasattr(structure, "_fields"):
            return type(structure)(*[function(item) for item in structure])
        return tuple([function(item) for item in structure])
    if isinstance(structure, list):
        return [function(item) for item in structure]
    if type(structure) is dict:
        return {key: function(item) for key, item in structure.items()}
    if isinstance(structure, slice):
        return slice(function(structure.start), function(structure.stop), function(structure.step))
    return structure


def flatten(structure: Any) -> list:
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
