"""A graph's collections: lists by name. They grow until the graph is finalized."""

from __future__ import annotations

import re
import threading
from typing import Any

from weftwork.graph.forks import fresh


class Collections:
    """What a graph keeps by name, and whether it may still grow."""

    def __init__(self):
        self._lock = fresh(threading.RLock())
        self._collections: dict[Any, list] = {}
        self._finalized = False

    @property
    def finalized(self) -> bool:
        """True when the graph may not grow any more."""
        return self._finalized

    def finalize(self) -> None:
        """Refuse any further change with a RuntimeError. Running goes on."""
        self._finalized = True

    def _unsafe_unfinalize(self) -> None:
        self._finalized = False

    def _check_not_finalized(self) -> None:
        if self._finalized:
            raise RuntimeError("Graph is finalized and cannot be modified.")

    @property
    def collections(self) -> list[Any]:
        """The names of the collections, the empty ones included."""
        with self._lock:
            return list(self._collections)

    def add_to_collection(self, name: Any, value: Any) -> None:
        """Append `value` to the list `name`; RuntimeError when the graph is finalized."""
        self._check_not_finalized()
        with self._lock:
            self._collections.setdefault(name, []).append(value)

    def add_to_collections(self, names: Any, value: Any) -> None:
        """Append `value` to each of the lists; one name may be given as a string."""
        for name in dict.fromkeys((names,) if isinstance(names, str) else names):
            self.add_to_collection(name, value)

    def get_collection_ref(self, name: Any) -> list[Any]:
        """The list itself; made when there is none."""
        with self._lock:
            return self._collections.setdefault(name, [])

    def get_collection(self, name: Any, scope: str | None = None) -> list[Any]:
        """A copy of the list; with `scope`, only items whose `.name` matches that regular expression at its start."""
        with self._lock:
            items = list(self._collections.get(name, ()))
        if scope is None:
            return items
        pattern = re.compile(scope)
        return [item for item in items if hasattr(item, "name") and pattern.match(item.name)]

    def get_all_collection_keys(self) -> list[Any]:
        """The names of the collections that are not empty."""
        with self._lock:
            return [name for name, items in self._collections.items() if items]

    def clear_collection(self, name: Any) -> None:
        """Forget the list."""
        self._check_not_finalized()
        with self._lock:
            self._collections.pop(name, None)
