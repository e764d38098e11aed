"""init_from_checkpoint: variables whose initial values are those of a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from weftwork.actors.checkpoints.files import absolute
from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.graph import shapes
from weftwork.graph.graph import GraphKeys
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.state.checkpoint_state import checkpoint_exists, latest_checkpoint
from weftwork.scheduler.training.saver_nodes import restored_value


def init_from_checkpoint(ckpt_dir_or_file: Any, assignment_map: Mapping[str, Any]) -> None:
    """Let variables, which are there already, have their initial values from a checkpoint (the newest of a folder).

    assignment_map: what in the checkpoint is which variable: {"key": variable or its name}, or of whole scopes
        {"scope/": "other/"}, where "/" is everything. Values are read when the initializers run.
    Raises ValueError for a key or a variable that is not there, or shapes that differ.
    """
    path = os.fspath(ckpt_dir_or_file)
    prefix = path if checkpoint_exists(path) else latest_checkpoint(path)
    if prefix is None:
        raise ValueError(f"Couldn't find 'checkpoint' file or checkpoints in given directory {path}")
    reader = CheckpointReader(prefix)
    for key, variable in list(_pairs(assignment_map, reader, prefix)):
        _initialise(key, variable, reader, prefix)


def _variables() -> dict[str, Variable]:
    graph = get_default_graph()
    found = graph.get_collection(GraphKeys.GLOBAL_VARIABLES) + graph.get_collection(GraphKeys.LOCAL_VARIABLES)
    return {variable.op.name: variable for variable in found}


def _pairs(assignment_map: Mapping[str, Any], reader: CheckpointReader, prefix: str) -> Iterator[tuple[str, Variable]]:
    """(key, variable). Raises ValueError for what is not there."""
    known = reader.get_variable_to_shape_map()
    for source, target in assignment_map.items():
        if isinstance(target, str) and source.endswith("/"):
            if not target.endswith("/"):
                raise ValueError(
                    f"Assignment map with scope only name {source} should map to scope only {target}. Should be "
                    "'scope/': 'other_scope/'."
                )
            yield from _scope(source.strip("/"), target.strip("/"), known, prefix)
            continue
        variable = _variables().get(target.removesuffix(":0")) if isinstance(target, str) else target
        if not isinstance(variable, Variable):
            raise ValueError(f"Variable {target} is not found: init_from_checkpoint takes variables and their names")
        if source not in known:
            raise ValueError(f"Tensor {source} is not found in {prefix} checkpoint {sorted(known)}")
        yield source, variable


def _scope(source: str, target: str, known: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Variable]]:
    start = f"{target}/" if target else ""
    for name, variable in _variables().items():
        if name.startswith(start):
            key = name[len(start) :] if not source else f"{source}/{name[len(start) :]}"
            if key not in known:
                raise ValueError(
                    f"Tensor {key} ({source or '/'} in {target or '/'}) is not found in {prefix} checkpoint"
                )
            yield key, variable


def _initialise(key: str, variable: Variable, reader: CheckpointReader, prefix: str) -> None:
    shape = reader.get_variable_to_shape_map()[key]
    wanted = variable.shape.as_list() if variable.shape.ndims is not None else None
    if shape is not None and not shapes.compatible(shapes.as_raw(wanted), shapes.as_raw(shape)):
        raise ValueError(
            f"Shape of variable {variable.name} ({wanted}) doesn't match with shape of tensor {key} ({shape}) from "
            "checkpoint reader."
        )
    variable.initialise_from(restored_value(absolute(prefix), key, variable))
