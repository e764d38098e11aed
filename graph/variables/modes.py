"""What is said of a variable's copies. There is one copy here, so nothing follows from it but what may be said."""

from __future__ import annotations

import enum
from typing import Any


class VariableSynchronization(enum.Enum):
    """When a variable's copies would be brought together; there is one copy here."""

    AUTO = 0
    NONE = 1
    ON_WRITE = 2
    ON_READ = 3


class VariableAggregation(enum.Enum):
    """How the values of a variable's copies would be put together; there is one copy here."""

    NONE = 0
    SUM = 1
    MEAN = 2
    ONLY_FIRST_REPLICA = ONLY_FIRST_TOWER = 3


def checked_modes(synchronization: Any, aggregation: Any, trainable: bool | None, name: Any) -> bool:
    """Whether a variable is trainable. Raises ValueError for modes that are none, or that do not go together."""
    if not isinstance(synchronization, VariableSynchronization):
        raise ValueError(f"Invalid variable synchronization mode: {synchronization} for variable: {name}")
    if not isinstance(aggregation, VariableAggregation):
        raise ValueError(f"Invalid variable aggregation mode: {aggregation} for variable: {name}")
    on_read = synchronization is VariableSynchronization.ON_READ
    if trainable and on_read:
        raise ValueError(
            "Synchronization value can be set to VariableSynchronization.ON_READ only for non-trainable variables."
        )
    return not on_read if trainable is None else trainable
