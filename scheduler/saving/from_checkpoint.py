"""Initial values from checkpoints: init_from_checkpoint, warm_start. See also `vocabularies`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from weftwork.actors.checkpoints.files import absolute, files_of
from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.graph import shapes
from weftwork.graph.graph import GraphKeys
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.partitioned import PartitionedVariable
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.saving.saver_nodes import restored_value
from weftwork.scheduler.saving.vocabularies import start_with_vocabulary
from weftwork.scheduler.state.checkpoint_state import checkpoint_exists, latest_checkpoint, state_file


def init_from_checkpoint(ckpt_dir_or_file: Any, assignment_map: Mapping[str, Any]) -> None:
    """Make the initializers of existing variables read a checkpoint, or the newest one in a folder.

    assignment_map: maps the checkpoint to variables: {"key": variable or name}, or whole scopes {"scope/": "other/"},
    where "/" is everything. Values are read when the initializers run.
    Raises ValueError for an unknown key or variable, or if shapes differ.
    """
    prefix = _prefix(ckpt_dir_or_file)
    reader = CheckpointReader(prefix)
    for key, variable in list(_pairs(assignment_map, reader, prefix)):
        _initialize(key, variable, reader, prefix)


def _prefix(ckpt_dir_or_file: Any) -> str:
    """A checkpoint, or the newest one of a folder. Raises ValueError if a folder has none."""
    path = os.fspath(ckpt_dir_or_file)
    if checkpoint_exists(path) or not (os.path.isdir(path) or files_of(path).exists(state_file(path))):
        return path
    newest = latest_checkpoint(path)
    if newest is None:
        raise ValueError(f"Couldn't find 'checkpoint' file or checkpoints in given directory {path}")
    return newest


def warm_start(
    ckpt_to_initialize_from: Any,
    vars_to_warm_start: Any = ".*",
    var_name_to_vocab_info: Any = None,
    var_name_to_prev_var_name: Mapping[str, str] | None = None,
) -> None:
    """Make the initializers of the graph's variables read a checkpoint, by the variables' names.

    vars_to_warm_start: a regular expression, which the names of trainable variables match from the start; or a list of
    expressions, which apply to all global variables, or of variables. None means those with a vocabulary.
    var_name_to_vocab_info: VocabInfo by the names of variables whose rows or columns belong to other entries now.
    var_name_to_prev_var_name: names in the checkpoint, where they differ.
    ckpt_to_initialize_from: the path of a checkpoint, or of a folder.
    Raises ValueError for names that are not in the checkpoint or not used.
    """
    names, infos = dict(var_name_to_prev_var_name or {}), dict(var_name_to_vocab_info or {})
    chosen: dict[str, list[Variable]] = {}
    for variable in _chosen(vars_to_warm_start):
        info = variable.save_slice_info
        chosen.setdefault(variable.op.name if info is None else info.full_name, []).append(variable)
    for argument, given in (("var_name_to_prev_var_name", names), ("var_name_to_vocab_info", infos)):
        unused = set(given) - set(chosen)
        if unused:
            raise ValueError(
                f"You provided the following variables in {argument} that were not used: {unused}.  Perhaps you "
                f"misspelled them?  Here is the list of viable variable names: {list(chosen)}"
            )
    for name, parts in chosen.items():
        key = names.get(name, name)
        if name in infos:
            start_with_vocabulary(parts, infos[name], _prefix(ckpt_to_initialize_from), key)
        elif vars_to_warm_start:
            init_from_checkpoint(ckpt_to_initialize_from, {key: parts if len(parts) > 1 else parts[0]})


def _chosen(wanted: Any) -> list[Variable]:
    graph = get_default_graph()
    if wanted is None or isinstance(wanted, str):
        return graph.get_collection(GraphKeys.TRAINABLE_VARIABLES, wanted)
    if not isinstance(wanted, (list, tuple)):
        raise ValueError(f"`vars_to_warm_start must be a `list` or `str`.  Given type is {type(wanted)}")
    if all([isinstance(item, str) for item in wanted]):
        found = [v for scope in wanted for v in graph.get_collection(GraphKeys.GLOBAL_VARIABLES, scope)]
        return list(dict.fromkeys(found))
    if not all([isinstance(item, (Variable, PartitionedVariable)) for item in wanted]):
        raise ValueError(
            "If `vars_to_warm_start` is a list, it must be all `Variable` or all `str`.  Given types are "
            f"{[type(item) for item in wanted]}"
        )
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
