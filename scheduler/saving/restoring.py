"""Functions that restore variables from checkpoints, as in contrib's framework and slim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.graph.variables.partitioned import PartitionedVariable
from weftwork.scheduler.saving.saver import Saver
from weftwork.scheduler.state.checkpoint_state import log


def assign_from_checkpoint_fn(
    model_path: str, var_list: Any, ignore_missing_vars: bool = False, reshape_variables: bool = False
) -> Callable[[Any], None] | None:
    """Return a function of a session that restores variables from a checkpoint.

    var_list: variables, or a dict of them by their keys.   ignore_missing_vars: skip variables that the checkpoint
    lacks; returns None if it lacks all of them.   Raises ValueError for an empty list.
    """
    if not var_list:
        raise ValueError("var_list cannot be empty")
    items = dict(var_list) if isinstance(var_list, dict) else {_key(v): v for v in var_list}
    if ignore_missing_vars:
        there = CheckpointReader(model_path).get_variable_to_shape_map()
        for name in [name for name in items if name not in there]:
            log.warning("Variable %s missing in checkpoint %s", name, model_path)
            del items[name]
    if not items:
        log.warning("No Variables to restore")
        return None
    saver = Saver(items, reshape=reshape_variables)
    return lambda session: saver.restore(session, model_path)


def _key(variable: Any) -> str:
    return variable.name if isinstance(variable, PartitionedVariable) else variable.op.name
