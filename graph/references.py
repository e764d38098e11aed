"""A tensor or a variable as a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


class Reference:
    """Stands for a tensor or a variable as a key of a dictionary: equal to another one of the same."""

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
