"""Held: passes a value through a graph unchanged.

As in any program with threads, tasks that come in through a door must not change their arguments. So they may share
values, and nothing is copied. The wrapper also protects the value's type: an array of rank 0 or a text stays what it
is.
"""

from __future__ import annotations

from typing import Any

from weftwork.graph.python.ownership import add_atoms


class Held:
    """Holds one value. It is an atom: code that copies values passes it on as it is."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value


add_atoms(Held)
