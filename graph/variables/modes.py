"""Settings of new variables: whether they are resource variables, and what would hold for copies.

There is only one copy here, so the latter are checked and have no other effect.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from weftwork.graph.stacks import get_default_graph

_POSITION = 11
"""The place of `use_resource` among the arguments of Variable."""
_by_default = False


def enable_resource_variables() -> None:
    """Make new variables resource variables, unless they or their scope say otherwise."""
    global _by_default
    _by_default = True


def disable_resource_variables() -> None:
    """Make new variables reference variables again, unless they or their scope say otherwise."""
    global _by_default
    _by_default = False


def resource_variables_enabled() -> bool:
    """Whether new variables are resource variables unless they or their scope say otherwise."""
    return _by_default


def wants_resource(args: tuple, kwargs: Mapping[str, Any]) -> bool:
    """Whether a variable with these arguments is a resource variable."""
    if kwargs.get("variable_def") is not None:
        return kwargs["variable_def"].is_resource
    given = args[_POSITION] if len(args) > _POSITION else kwargs.get("use_resource")
    scope = get_default_graph().variable_scope if given is None else None
    if scope is not None:
        given = scope.use_resource
    return _by_default if given is None else bool(given)


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
