"""Names of nodes: unique within a graph, ignoring case, and grouped by scopes as in TensorFlow 1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_OP_NAME = re.compile(r"^[A-Za-z0-9.][A-Za-z0-9_.\-/]*$")
_INNER_SCOPE = re.compile(r"^[A-Za-z0-9_.\-/\\]*$")


@lru_cache(maxsize=4096)  # a line in a loop requests the same name again and again
def check_op_name(name: object) -> None:
    """Raise ValueError unless `name` is a valid node name."""
    if not isinstance(name, str) or not _OP_NAME.match(name):
        raise ValueError(f"'{name}' is not a valid node name")


def check_scope_name(name: str, inside: bool) -> None:
    """Raise ValueError unless `name` is a valid scope name; inside another scope it may start with more characters."""
    if not (_INNER_SCOPE if inside else _OP_NAME).match(name):
        raise ValueError(f"'{name}' is not a valid scope name")


def with_scope(name: str, scope: str | None) -> str:
    """A name inside `scope`."""
    return f"{scope.rstrip('/')}/{name}" if scope else name


def without_scope(name: str, scope: str | None) -> str:
    """The inverse of `with_scope`: the name without its scope."""
    return name.removeprefix(f"{scope.rstrip('/')}/") if scope else name


class Names:
    """The names in use in one graph."""

    def __init__(self):
        self._next: dict[str, int] = {}

    def unique(self, path: str, mark: bool = True) -> str:
        """Return `path`, or the first of `path_1`, `path_2`, ... that is unused."""
        key = path.lower()
        suffix = self._next.get(key, 0)
        if mark:
            self._next[key] = suffix + 1
        if suffix == 0:
            return path
        while (numbered := f"{key}_{suffix}") in self._next:
            suffix += 1
        if mark:
            self._next[numbered] = 1
        return f"{path}_{suffix}"


def output_name(operations: Mapping[str, Any], owner: Any, index: int) -> str:
    """The name of an output of an operation; of a branch or a loop, that of the Merge or Exit it is in TensorFlow."""
    alone = f"{owner.name}_{index}"
    plain = index == 0 or owner.type not in _OWNERS or alone in operations
    return f"{owner.name}:{index}" if plain else f"{alone}:0"


def _output(operations: Mapping[str, Any], name: str) -> Any:
    """The output of a branch or a loop that has the name of an operation of its own; else None."""
    owner, _, number = name.rpartition("_")
    op = operations.get(owner)
    if op is None or op.type not in _OWNERS or not number.isdigit():
        return None
    return op.outputs[int(number)] if 0 < int(number) < len(op.outputs) else None


_OWNERS = ("If", "While")
"""Operations whose outputs are operations of their own in TensorFlow: `cond/Merge`, `cond/Merge_1` ..."""


def find(operations: Mapping[str, Any], name: str, allow_tensor: bool, allow_operation: bool) -> Any:
    """Find an operation or tensor by name. Raises ValueError for an invalid name, KeyError if it does not exist."""
    if ":" in name and allow_tensor:
        op_name, _, index = name.rpartition(":")
        if not index.isdigit() or ":" in op_name:
            raise ValueError(
                f"The name {name!r} looks a like a Tensor name, but is not a valid one. Tensor names must be of "
                'the form "<op_name>:<output_index>".'
            )
        op = operations.get(op_name)
        alone = _output(operations, op_name) if op is None and not int(index) else None
        if alone is not None:
            return alone
        if op is None:
            raise KeyError(
                f"The name {name!r} refers to a Tensor which does not exist. The operation, {op_name!r}, does "
                "not exist in the graph."
            )
        if int(index) >= len(op.outputs):
            raise KeyError(
                f"The name {name!r} refers to a Tensor which does not exist. The operation, {op_name!r}, exists "
                f"but only has {len(op.outputs)} outputs."
            )
        return op.outputs[int(index)]
    if ":" in name:
        raise ValueError(f"Name {name!r} appears to refer to a Tensor, not a Operation.")
    if allow_operation:
        op = operations.get(name)
        if op is None and (alone := _output(operations, name)) is not None:
            return alone.op
        if op is None:
            raise KeyError(f"The name {name!r} refers to an Operation not in the graph.")
        return op
    if name in operations:
        raise ValueError(
            f"The name {name!r} refers to an Operation, not a Tensor. Tensor names must be of the form "
            '"<op_name>:<output_index>".'
        )
    raise ValueError(
        f"The name {name!r} looks like an (invalid) Operation name, not a Tensor. Tensor names must be of the "
        'form "<op_name>:<output_index>".'
    )
