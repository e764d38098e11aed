"""Tensors and variables as dictionary keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


class Reference:
    """A tensor or a variable as a dictionary key: two references to the same object are equal."""

    __slots__ = ("_of",)

    def __init__(self, of: Any):
        self._of = of

    def deref(self) -> Any:
        """The tensor or variable."""
        return self._of

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Reference) and self._of is other._of

    def __hash__(self) -> int:
        return id(self._of)
