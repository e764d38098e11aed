"""What a Saver saves: variables and other state by their keys, and partitioned variables slice by slice.

slice     a variable that is part of a larger one: it is saved under the larger one's key, with its position in the
          larger one. So a variable may be restored into other slices than those it was saved from, or as a whole
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weftwork.actors.checkpoints.encoding import TYPES
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.saveable import Piece, Saveable
from weftwork.graph.variables.partitioned import PartitionedVariable
from weftwork.graph.variables.variable import Variable

Saveables = list[tuple[str, "Variable | Saveable"]]
"""(key, variable) pairs, sorted by key."""


class Slice(Saveable):
    """A slice of a variable. spec: which one, as in `actors.checkpoints.slices`."""

    def __init__(self, variable: Variable):
        super().__init__(variable.op, variable.dtype.base_dtype, variable.raw_shape)
        assert variable.save_slice_info is not None
        self.variable, self.spec = variable, variable.save_slice_info.spec

    def value(self) -> Tensor:
        return self.variable.value()

    def restored(self, *values: Tensor) -> Operation:
        raise NotImplementedError("The variable of a slice is assigned.")


def spec_of(item: Any) -> str:
    """Which slice something is; "" for a whole."""
    return item.spec if isinstance(item, Slice) else ""


def variable_of(item: Any) -> Any:
    """The variable behind a slice; anything else as it is."""
    return item.variable if isinstance(item, Slice) else item


def saveables_of(var_list: Any) -> Saveables:
    """(key, variable) pairs, sorted by key.

    Raises TypeError for something that cannot be saved, ValueError for duplicate keys, and for slices of different
    variables.
    """
    if isinstance(var_list, dict):
        items = list(var_list.items())
    elif isinstance(var_list, (list, tuple, set, frozenset)):
        items = list(_by_name(var_list).items())
    else:
        raise TypeError(f"Variables to save should be passed in a dict or a list. Got {var_list}")
    found: Saveables = []
    seen: set[int] = set()
    for key, item in sorted(_checked_keys(items), key=lambda pair: pair[0]):
        several = isinstance(item, (list, tuple, PartitionedVariable))
        for each in _slices(item) if several else [item]:
            _check(each, isinstance(var_list, dict))
            if id(variable_of(each)) in seen:
                raise ValueError(f"The same saveable will be restored with two names: {key}")
            seen.add(id(variable_of(each)))
            parts = each.parts if isinstance(each, Saveable) else [each]
            found += [(key + part.ending if isinstance(part, Piece) else key, part) for part in parts]
    return found


def _checked_keys(items: Iterable[tuple[Any, Any]]) -> list[tuple[str, Any]]:
    items = list(items)
    for key, _ in items:
        if not isinstance(key, str):
            raise TypeError(
                f"names_to_saveables must be a dict mapping string names to checkpointable operations. "
                f"Name is not a string: {key}"
            )
    return items


def _by_name(items: Iterable[Any]) -> dict[str, Any]:
    """What is to be saved, by name; slices of one variable together."""
    found: dict[str, Any] = {}
    for item in items:
        whole = [*item] if isinstance(item, PartitionedVariable) else [item]
        for each in whole:
            if not isinstance(each, (Variable, Saveable)):
                raise TypeError(f"Variable to save is not a Variable: {each!r}")
            if not isinstance(each, Variable) or each.save_slice_info is None:
                if each.op.name in found:
                    raise ValueError(f"At least two variables have the same name: {each.op.name}")
                found[each.op.name] = each
                continue
            known = found.setdefault(each.save_slice_info.full_name, [])
            if not isinstance(known, list):
                text = f"Mixing slices and non-slices with the same name: {each.save_slice_info.full_name}"
                raise ValueError(text)
            known.append(each)
    return found


def _slices(parts: Any) -> list[Slice]:
    """The slices of one variable. Raises ValueError for slices of other variables, or for anything but a slice."""
    name = None
    for part in parts:
        if not isinstance(part, Variable):
            raise ValueError(f"Slices must all be Variables: {part}")
        if part.save_slice_info is None:
            raise ValueError(f"Slices must all be slices: {part}")
        if name not in (None, part.save_slice_info.full_name):
            raise ValueError(f"Slices must all be from the same tensor: {name} != {part.save_slice_info.full_name}")
        name = part.save_slice_info.full_name
    return [Slice(part) for part in parts]


def _check(item: Any, named: bool) -> None:
    if not isinstance(item, (Variable, Saveable)):
        if named:
            raise TypeError(
                f"names_to_saveables must be a dict mapping string names to Tensors/Variables. Not a variable: {item!r}"
            )
        raise TypeError(f"Variable to save is not a Variable: {item!r}")
    if item.dtype.base_dtype.name not in TYPES:
        raise TypeError(f"Variable {item.op.defined_at} is {item.dtype.name}, which cannot be saved.")
