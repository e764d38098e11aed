"""Held: a value that goes through a graph as it is.

Who comes in by a door has promised, as everybody does who uses threads, that a task changes none of its arguments:
so takers share a value and nothing is copied. Held is also what makes the value the user's own: an array of rank 0 or
a text stays what it is.
"""

from __future__ import annotations

from typing import Any

from weftwork.graph.ownership import add_atoms


class Held:
    """Holds one value; handed on as it is by all that copies values."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value


add_atoms(Held)
