"""Settings for a variable's copies. There is only one copy here, so they are checked and have no other effect."""

from __future__ import annotations

import enum
from typing import Any


class VariableSynchronization(enum.Enum):
    """When a variable's copies would be synchronized. No effect: there is only one copy."""

    AUTO = 0
    NONE = 1
    ON_WRITE = 2
    ON_READ = 3


class VariableAggregation(enum.Enum):
    """How a variable's copies would be aggregated. No effect: there is only one copy."""

    NONE = 0
    SUM = 1
    MEAN = 2
    ONLY_FIRST_REPLICA = ONLY_FIRST_TOWER = 3


def checked_modes(synchronization: Any, aggregation: Any, trainable: bool | None, name: Any) -> bool:
    """Whether a variable is trainable. Raises ValueError for invalid modes, or modes that contradict each other."""
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
