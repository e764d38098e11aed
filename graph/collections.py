"""A graph's collections: named lists, which grow until the graph is finalized."""

from __future__ import annotations

import re
import threading
from typing import Any

from weftwork.graph.python.forks import fresh


class Collections:
    """A graph's named lists, and whether the graph may still grow."""

    def __init__(self):
        self._lock = fresh(threading.RLock())
        self._collections: dict[Any, list] = {}
        self._finalized = False

    @property
    def finalized(self) -> bool:
        """True if the graph may not grow any more."""
        return self._finalized

    def finalize(self) -> None:
        """Make any further change raise RuntimeError. The graph can still be run."""
        self._finalized = True

    def _unsafe_unfinalize(self) -> None:
        self._finalized = False

    def _check_not_finalized(self) -> None:
        if self._finalized:
            raise RuntimeError("Graph is finalized and cannot be modified.")

    @property
    def collections(self) -> list[Any]:
        """The names of all collections, including empty ones."""
        with self._lock:
            return list(self._collections)

    def add_to_collection(self, name: Any, value: Any) -> None:
        """Append `value` to the collection `name`. Raises RuntimeError if the graph is finalized."""
        self._check_not_finalized()
        with self._lock:
            self._collections.setdefault(name, []).append(value)

    def add_to_collections(self, names: Any, value: Any) -> None:
        """Append `value` to each of the collections. `names` may also be one string."""
        for name in dict.fromkeys((names,) if isinstance(names, str) else names):
            self.add_to_collection(name, value)

    def get_collection_ref(self, name: Any) -> list[Any]:
        """The list itself, created if missing."""
        with self._lock:
            return self._collections.setdefault(name, [])

    def get_collection(self, name: Any, scope: str | None = None) -> list[Any]:
        """A copy of the list. `scope`: only items whose `.name` matches this regular expression at its start."""
        with self._lock:
            items = list(self._collections.get(name, ()))
        if scope is None:
            return items
        pattern = re.compile(scope)
        return [item for item in items if hasattr(item, "name") and pattern.match(item.name)]

    def get_all_collection_keys(self) -> list[Any]:
        """The names of all collections. Those with other keys than strings are private."""
        with self._lock:
            return [name for name in self._collections if isinstance(name, str)]

    def clear_collection(self, name: Any) -> None:
        """Delete the collection."""
        self._check_not_finalized()
        with self._lock:
            self._collections.pop(name, None)
