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
        if name.rpartition(":")[0] in operations:
            raise ValueError(f"The name {name!r} appears to refer to a Tensor, not a Operation.")
        raise ValueError(f"The name {name!r} looks like an (invalid) Operation name, not a Tensor.")
    if allow_operation:
        op = operations.get(name)
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
