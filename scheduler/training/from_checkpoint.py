"""Initial values from checkpoints: init_from_checkpoint, warm_start."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from weftwork.actors.checkpoints.files import absolute
from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.graph import shapes
from weftwork.graph.graph import GraphKeys
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.partitioned import PartitionedVariable
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.state.checkpoint_state import checkpoint_exists, latest_checkpoint
from weftwork.scheduler.training.saver_nodes import restored_value


def init_from_checkpoint(ckpt_dir_or_file: Any, assignment_map: Mapping[str, Any]) -> None:
    """Make the initializers of existing variables read a checkpoint, or the newest one in a folder.

    assignment_map: maps the checkpoint to variables: {"key": variable or name}, or whole scopes {"scope/": "other/"},
    where "/" is everything. Values are read when the initializers run.
    Raises ValueError for an unknown key or variable, or if shapes differ.
    """
    path = os.fspath(ckpt_dir_or_file)
    prefix = path if checkpoint_exists(path) else latest_checkpoint(path)
    if prefix is None:
        raise ValueError(f"Couldn't find 'checkpoint' file or checkpoints in given directory {path}")
    reader = CheckpointReader(prefix)
    for key, variable in list(_pairs(assignment_map, reader, prefix)):
        _initialize(key, variable, reader, prefix)


def warm_start(
    ckpt_to_initialize_from: Any,
    vars_to_warm_start: Any = ".*",
    var_name_to_vocab_info: Any = None,
    var_name_to_prev_var_name: Mapping[str, str] | None = None,
) -> None:
    """Make the initializers of the graph's variables read a checkpoint, by the variables' names.

    vars_to_warm_start: a regular expression, which the names of trainable variables match from the start; or a list of
    expressions, which apply to all global variables, or of variables; None for none.
    var_name_to_prev_var_name: names in the checkpoint, where they differ.
    ckpt_to_initialize_from: the path of a checkpoint, or of a folder.   var_name_to_vocab_info: None.
    Raises NotImplementedError for vocabularies, ValueError for names that are not in the checkpoint.
    """
    if var_name_to_vocab_info:
        raise NotImplementedError("warm_start does not support vocabularies: var_name_to_vocab_info must be None.")
    names = dict(var_name_to_prev_var_name or {})
    chosen: dict[str, list[Variable]] = {}
    for variable in _chosen(vars_to_warm_start):
        info = variable.save_slice_info
        chosen.setdefault(variable.op.name if info is None else info.full_name, []).append(variable)
    unused = sorted(set(names) - set(chosen))
    if unused:
        raise ValueError(f"You provided previous variable names that were not used: {unused}")
    for name, parts in chosen.items():
        init_from_checkpoint(ckpt_to_initialize_from, {names.get(name, name): parts if len(parts) > 1 else parts[0]})


def _chosen(wanted: Any) -> list[Variable]:
    graph = get_default_graph()
    if wanted is None:
        return []
    if isinstance(wanted, str):
        known = graph.get_collection(GraphKeys.TRAINABLE_VARIABLES)
        return [v for v in known if re.match(wanted, v.op.name)]
    if all([isinstance(item, str) for item in wanted]):
        known = graph.get_collection(GraphKeys.GLOBAL_VARIABLES)
        return [v for v in known if any([re.match(expression, v.op.name) for expression in wanted])]
    return [part for item in wanted for part in (item if isinstance(item, PartitionedVariable) else [item])]


def _variables() -> dict[str, Variable]:
    graph = get_default_graph()
    found = graph.get_collection(GraphKeys.GLOBAL_VARIABLES) + graph.get_collection(GraphKeys.LOCAL_VARIABLES)
    return {variable.op.name: variable for variable in found}


def _pairs(assignment_map: Mapping[str, Any], reader: CheckpointReader, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield (key, variable). Raises ValueError for unknown keys and variables."""
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
        variable = _named(target.removesuffix(":0")) if isinstance(target, str) else target
        if variable is None:
            raise ValueError(
                f"Variable {target} is not found, and is not a scope. Assignment map with scope only name {source} "
                f"should map to scope only {target}. Should be 'scope/': 'other_scope/'."
            )
        if not isinstance(variable, Variable) and not _parts(variable):
            raise ValueError(f"Variable {target} is not found: init_from_checkpoint takes variables and their names")
        if source not in known:
            raise ValueError(f"Tensor {source} is not found in {prefix} checkpoint {known}")
        yield source, variable


def _named(name: str) -> Any:
    """The variable with a name, or the parts of a partitioned one; None if there is none."""
    known = _variables()
    parts = [v for v in known.values() if v.save_slice_info is not None and v.save_slice_info.full_name == name]
    return known.get(name) or parts or None


def _parts(variable: Any) -> list[Variable]:
    """The parts of a partitioned variable; [] for any other."""
    parts = list(variable) if isinstance(variable, (PartitionedVariable, list, tuple)) else []
    return parts if all([isinstance(part, Variable) and part.save_slice_info for part in parts]) else []


def _scope(source: str, target: str, known: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Variable]]:
    start = f"{target}/" if target else ""
    for name, variable in _variables().items():
        if name.startswith(start):
            key = name[len(start) :] if not source else f"{source}/{name[len(start) :]}"
            if key not in known:
                raise ValueError(
                    f"Tensor {key} ({name[len(start) :]} in {source}/) is not found in {prefix} checkpoint"
                )
            yield key, variable


def _initialize(key: str, variable: Any, reader: CheckpointReader, prefix: str) -> None:
    for part in _parts(variable) or [variable]:
        _initialize_one(key, part, reader, prefix)


def _initialize_one(key: str, variable: Variable, reader: CheckpointReader, prefix: str) -> None:
    shape, info = reader.get_variable_to_shape_map()[key], variable.save_slice_info
    wanted: Any = variable.shape.as_list() if variable.shape.ndims is not None else None
    if info is not None and shape != wanted:
        wanted = info.full_shape
    if shape is not None and not shapes.compatible(shapes.as_raw(wanted), shapes.as_raw(shape)):
        own = shapes.text(shapes.as_raw(wanted))
        raise ValueError(
            f"Shape of variable {variable.name} ({own}) doesn't match with shape of tensor {key} ({shape}) from "
            "checkpoint reader."
        )
    part = info if shape is None or info is None or list(shape) == info.full_shape else None
    variable.initialise_from(restored_value(absolute(prefix), key, variable, part))
