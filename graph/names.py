"""Names of nodes: unique in a graph, case-insensitively, and grouped by scopes as TensorFlow 1 does it."""

from __future__ import annotations

import re
from functools import lru_cache

_OP_NAME = re.compile(r"^[A-Za-z0-9.][A-Za-z0-9_.\-/]*$")
_INNER_SCOPE = re.compile(r"^[A-Za-z0-9_.\-/\\]*$")


@lru_cache(maxsize=4096)  # nodes made by one line ask for one name
def check_op_name(name: str) -> None:
    """ValueError unless `name` may name a node."""
    if not isinstance(name, str) or not _OP_NAME.match(name):
        raise ValueError(f"'{name}' is not a valid node name")


def check_scope_name(name: str, inside: bool) -> None:
    """ValueError unless `name` may name a scope; inside another scope more first characters are allowed."""
    if not (_INNER_SCOPE if inside else _OP_NAME).match(name):
        raise ValueError(f"'{name}' is not a valid scope name")


class Names:
    """The names in use in one graph."""

    def __init__(self):
        self._next: dict[str, int] = {}

    def unique(self, path: str, mark: bool = True) -> str:
        """`path`, or `path_1`, `path_2`, ... : the first that is free."""
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
