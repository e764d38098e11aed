"""tf.nest: lists, tuples and mappings as structures whose leaves are anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from weftwork.graph import nest

flatten = nest.flatten


def is_nested(structure: Any) -> bool:
    """True for a list, tuple or mapping."""
    return isinstance(structure, (list, tuple, Mapping))


def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any]) -> Any:
    """A structure like this one with other leaves, in `flatten`'s order. Raises ValueError if their number is wrong.

    flat_sequence: a list of the items.
    """
    if not is_nested(structure):
        if len(flat_sequence) != 1:
            raise ValueError(f"Structure is a scalar but len(flat_sequence) == {len(flat_sequence)} > 1")
        return flat_sequence[0]
    count = len(flatten(structure))
    if len(flat_sequence) != count:
        raise ValueError(
            "Could not pack sequence. Structure had "
            f"{count} elements, but flat_sequence had {len(flat_sequence)} elements.  Structure: {structure}, "
            f"flat_sequence: {flat_sequence}."
        )
    return packed(structure, iter(flat_sequence))


def packed(structure: Any, items: Iterator[Any]) -> Any:
    """A structure like this one, filled from an iterator."""
    if isinstance(structure, Mapping):
        result = {key: packed(structure[key], items) for key in ordered(structure)}
        return type(structure)([(key, result[key]) for key in structure])  # type: ignore[call-arg]
    if isinstance(structure, (list, tuple)):
        parts = [packed(item, items) for item in structure]
        return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)
    return next(items)


def ordered(mapping: Mapping) -> list:
    """The keys of a mapping, in `flatten`'s order."""
    try:
        return sorted(mapping)
    except TypeError:
        return list(mapping)


def map_structure(func: Callable[..., Any], *structure: Any, **kwargs: Any) -> Any:
    """Apply func(item, ...) to the items of one structure, or of several with the same nesting; return the structure.

    check_types=False: treat lists and tuples alike.   Raises TypeError or ValueError if the structures differ.
    """
    if not callable(func):
        raise TypeError(f"func must be callable, got: {func}")
    if not structure:
        raise ValueError("Must provide at least one structure")
    check = kwargs.pop("check_types", True)
    kwargs.pop("expand_composites", None)
    if kwargs:
        raise ValueError(f"Only valid keyword arguments are `check_types` and `expand_composites`, not: {list(kwargs)}")
    for other in structure[1:]:
        assert_same_structure(structure[0], other, check)
    rows = zip(*[flatten(one) for one in structure], strict=True)
    return pack_sequence_as(structure[0], [func(*row) for row in rows])


def assert_same_structure(nest1: Any, nest2: Any, check_types: bool = True, expand_composites: bool = False) -> None:
    """Raise ValueError if the structures are nested differently, TypeError if their sequences' types differ."""
    if (reason := _difference(nest1, nest2, check_types)) is not None:
        kind, text = reason
        shown = f"First structure: {_shown(nest1)}\n\nSecond structure: {_shown(nest2)}"
        raise kind(f"The two structures don't have the same nested structure.\n\n{shown}\n\nMore specifically: {text}")


def _shown(structure: Any) -> str:
    return f"type={type(structure).__name__} str={structure}"


def same_kind(one: Any, other: Any) -> bool:
    """True if two structures are of the same type, both mappings, or named tuples with the same name and fields."""
    mappings = isinstance(one, Mapping) and isinstance(other, Mapping)
    return type(one) is type(other) or mappings or (_named(one) is not None and _named(one) == _named(other))


def _named(structure: Any) -> tuple[str, tuple] | None:
    """The name and the fields of a named tuple; None for anything else."""
    fields = getattr(structure, "_fields", None) if isinstance(structure, tuple) else None
    return None if fields is None else (type(structure).__name__, fields)


def _difference(one: Any, other: Any, check_types: bool) -> tuple[type[Exception], str] | None:
    if is_nested(one) != is_nested(other):
        inner, leaf = (one, other) if is_nested(one) else (other, one)
        return ValueError, f'Substructure "{_shown(inner)}" is a sequence, while substructure "{_shown(leaf)}" is not'
    if not is_nested(one):
        return None
    if check_types and not same_kind(one, other):
        return TypeError, (
            f"The two structures don't have the same sequence type. First structure has type {type(one).__name__}, "
            f"while second structure has type {type(other).__name__}"
        )
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if set(one) != set(other):
            return ValueError, (
                f"The two dictionaries don't have the same set of keys. First structure has keys {list(one)}, while "
                f"second structure has keys {list(other)}"
            )
        pairs = [(one[key], other[key]) for key in one]
    else:
        if len(one) != len(other):
            return ValueError, (
                f"The two structures don't have the same number of elements. First structure: {_shown(one)}. "
                f"Second structure: {_shown(other)}"
            )
        pairs = list(zip(one, other, strict=True))
    return next((found for a, b in pairs if (found := _difference(a, b, check_types))), None)
