"""The nodes of a Saver, which write checkpoints and restore variables from them.

saveable  a variable, or a slice of one, with its key in the checkpoint (`saveables`)
filename  the placeholder `save/Const`, a prefix, which each run feeds
save      SaveV2 nodes write the values seen by their run, all of one moment. Either one node writes everything, or each
          of several writes a data file, in parallel, and a last one writes the index
restore   a RestoreV2 node reads, and an Assign follows for each variable

The nodes are the library's, so they run where the values are: in the caller, unless values are large and elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from weftwork.actors.checkpoints import bundle, sliced
from weftwork.actors.checkpoints import writer as checkpoint
from weftwork.actors.checkpoints.files import files_of
from weftwork.actors.checkpoints.reader import CheckpointReader, Wanted
from weftwork.actors.checkpoints.slices import Cut, parsed
from weftwork.actors.checkpoints.writer import Part
from weftwork.graph import dtypes
from weftwork.graph.build import constant, placeholder_with_default, static_value
from weftwork.graph.interchange import native
from weftwork.graph.interchange.given import Given, reads
from weftwork.graph.interchange.nodes import Inexpressible
from weftwork.graph.interchange.nodes import Part as WrittenPart
from weftwork.graph.interchange.writing import Node, writes
from weftwork.graph.operation import LIBRARY, Kind, Operation, Tensor, Traits
from weftwork.graph.ops.flow import group, identity
from weftwork.graph.saveable import Piece, Saveable
from weftwork.graph.scopes import name_scope
from weftwork.graph.seams import seams
from weftwork.graph.shapes import RawShape
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables import writes as state_ops
from weftwork.graph.variables.slices import SaveSliceInfo
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.plan.cost import shape_bytes
from weftwork.scheduler.saving.saveables import Saveables, spec_of, variable_of

_SHARD_BYTES = 8 << 20
"""Size of variables in bytes above which another shard is worth a file of its own."""
_MOST_SHARDS = 8


# Kernels


def _format(bundled: bool | str) -> Any:
    """The module that writes: TensorFlow's format (True, or "V1" for the older one), or Weftwork's."""
    if bundled == "V1":
        return sliced
    return bundle if bundled else checkpoint


def _items(keys: Sequence[str], types: Sequence[str], values: Sequence[Any], specs: Sequence[str]) -> list[tuple]:
    """What a writer takes: (key, type, value), where the value of a slice is a `Cut`."""
    specs = specs or [""] * len(keys)
    cut = [Cut(value, *parsed(spec)) if spec else value for value, spec in zip(values, specs, strict=True)]
    return list(zip(keys, types, cut, strict=True))


def save_all(
    filename: bytes,
    *values: Any,
    keys: tuple[str, ...],
    types: tuple[str, ...],
    bundled: bool | str = False,
    specs: tuple[str, ...] = (),
) -> tuple:
    """The kernel of a SaveV2 node that writes the whole checkpoint."""
    prefix, files = os.fsdecode(filename), _format(bundled)
    files.write_index(prefix, [files.write_shard(prefix, _items(keys, types, values, specs))])
    return ()


def save_shard(
    filename: bytes,
    *values: Any,
    keys: tuple[str, ...],
    types: tuple[str, ...],
    shard: int,
    shards: int,
    bundled: bool | str = False,
    specs: tuple[str, ...] = (),
) -> Part:
    """The kernel of a SaveV2 node that writes one of several data files. Returns a description of the file."""
    prefix = os.fsdecode(filename)
    return _format(bundled).write_shard(prefix, _items(keys, types, values, specs), shard, shards)


def merge_shards(filename: bytes, *parts: Part, bundled: bool | str = False) -> tuple:
    """The kernel that turns written shards into a checkpoint."""
    _format(bundled).write_index(os.fsdecode(filename), parts)
    return ()


def restore_values(filename: bytes, *, wanted: tuple[Wanted, ...]) -> Any:
    """The kernel of RestoreV2: reads values of a checkpoint."""
    values = CheckpointReader(os.fsdecode(filename)).read(wanted)
    return values[0] if len(values) == 1 else tuple(values)


def shard_name(basename: bytes, shard: Any, count: Any) -> bytes:
    """The kernel of ShardedFilename."""
    return basename + b"-%05d-of-%05d" % (shard, count)


def shards_name(basename: bytes, count: Any) -> bytes:
    """The kernel of ShardedFilespec: what stands for all shards of a checkpoint in the older format."""
    return basename + b"-?????-of-%05d" % count


def merge_bundles(prefixes: Any, destination: bytes) -> tuple:
    """The kernel of TensorFlow's MergeV2Checkpoints: merges several checkpoints into one."""
    names = [os.fsdecode(prefix) for prefix in np.ravel(prefixes)]
    values = []
    for name in names:
        values += CheckpointReader(name).items()
    prefix = os.fsdecode(destination)
    bundle.write_index(prefix, [bundle.write_shard(prefix, values)])
    for name in names:
        checkpoint.remove(name)
        files_of(name).remove_folder(name)
    return ()


native.KERNELS.update(
    {native.path_of(kernel): kernel for kernel in (save_all, save_shard, merge_shards, restore_values)}
)


# TensorFlow's form of these nodes


@writes("SaveV2")
def _write_save(node: Node) -> tuple[list, dict]:
    if node.op.kernel is not save_all:
        raise Inexpressible
    filename, *tensors = node.inputs()
    return [filename, *_texts(node, node.attrs["keys"], node.attrs.get("specs")), *tensors], {}


@writes("RestoreV2")
def _write_restore(node: Node) -> tuple[list, dict]:
    wanted = node.attrs["wanted"]
    if any(want.reshape for want in wanted):
        raise Inexpressible
    keys = [want.key for want in wanted]
    specs = [want.spec for want in wanted]
    return [*node.inputs(), *_texts(node, keys, specs)], {"dtypes": [t.dtype.base_dtype for t in node.op.outputs]}


def _texts(node: Node, keys: Sequence[str], specs: Sequence[str] | None = None) -> list[WrittenPart]:
    """Constants with the names of tensors, and with their slice specifications."""
    names = np.array([key.encode() for key in keys], object)
    slices = np.array([spec.encode() for spec in specs or [""] * len(keys)], object)
    return [
        node.constant("tensor_names", names, dtypes.string),
        node.constant("shape_and_slices", slices, dtypes.string),
    ]


def _keys(given: Given) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys and the slice specifications of a node."""
    names, slices = [static_value(tensor) for tensor in given.inputs[1:3]]
    if names is None or slices is None:
        raise ValueError("names that are known only when it runs are not supported")
    return tuple([name.decode() for name in np.ravel(names)]), tuple([spec.decode() for spec in np.ravel(slices)])


@reads("SaveV2")
def _read_save(given: Given) -> Operation:
    tensors = given.inputs[3:]
    types = tuple([tensor.dtype.base_dtype.name for tensor in tensors])
    keys, specs = _keys(given)
    attrs = {"keys": keys, "types": types, "bundled": True, **({"specs": specs} if any(specs) else {})}
    return _function("SaveV2", save_all, [given.inputs[0], *tensors], attrs, [], given.name)


@reads("RestoreV2")
def _read_restore(given: Given) -> list[Tensor]:
    each = zip(*_keys(given), given.outputs, strict=True)
    wanted = tuple([Wanted(key, dtype.name, None, False, spec) for key, spec, dtype in each])
    outputs = [(dtype, None) for dtype in given.outputs]
    made = _function("RestoreV2", restore_values, given.inputs[:1], {"wanted": wanted}, outputs, given.name)
    return list(made.outputs)


@reads("ShardedFilename")
def _read_shard_name(given: Given) -> Tensor:
    return _function("ShardedFilename", shard_name, given.inputs, {}, [(dtypes.string, ())], given.name).outputs[0]


@reads("MergeV2Checkpoints")
def _read_merge(given: Given) -> Operation:
    return _function("MergeV2Checkpoints", merge_bundles, given.inputs, {}, [], given.name)


# Nodes

_IN_CALLER = Traits(here=True)
"""A path is valid on the program's machine. Only shards are written where their values are."""


def add_nodes(
    name: str | None, prefix: str | None, saveables: Saveables, sharded: bool, reshape: bool, bundled: bool | str
) -> tuple[Tensor, Tensor, Operation]:
    """Add a saver's nodes. Returns the filename, the tensor that saves, and the operation that restores."""
    with name_scope(name, "save", [variable.value() for _, variable in saveables]):
        graph = get_default_graph()
        with graph.device(None), graph.control_dependencies(None):
            given = placeholder_with_default(prefix or "model", (), name="filename")
            filename = placeholder_with_default(given, (), name="Const")
            saved = _save_nodes(filename, saveables, sharded, bundled)
            return filename, saved, _restore_nodes(filename, saveables, reshape)


def _function(type: str, kernel: Any, inputs: Iterable[Tensor], attrs: dict, outputs: list, name: str) -> Operation:
    traits = LIBRARY if kernel is save_shard else _IN_CALLER
    return get_default_graph().add(
        Kind.FUNCTION,
        type,
        kernel=kernel,
        inputs=tuple(inputs),
        attrs=attrs,
        outputs=outputs,
        name=name,
        traits=traits,
    )


def _save_nodes(filename: Tensor, saveables: Saveables, sharded: bool, bundled: bool | str) -> Tensor:
    """Add the nodes that save. Returns the filename as a tensor that is available when everything is written."""
    groups = _in_shards(saveables) if sharded else [saveables]
    named = {"bundled": bundled}
    in_shards = sharded and bundled == "V1"
    if len(groups) == 1 and not in_shards:
        inputs, attrs = _saved(filename, groups[0], bundled)
        done = _function("SaveV2", save_all, inputs, attrs, [], "SaveV2")
    else:
        parts = []
        for shard, part in enumerate(groups):
            inputs, attrs = _saved(filename, part, bundled)
            attrs |= {"shard": shard, "shards": len(groups)}
            parts.append(_function("SaveV2", save_shard, inputs, attrs, [(dtypes.object, None)], "SaveV2").outputs[0])
        done = _function("MergeV2Checkpoints", merge_shards, [filename, *parts], named, [], "MergeV2Checkpoints")
    with get_default_graph().control_dependencies([done]):
        if not in_shards:
            return identity(filename, name="control_dependency")
        inputs = [filename, constant(len(groups), name="num_shards")]
        output = (dtypes.string, ())
        return _function("ShardedFilespec", shards_name, inputs, {}, [output], "ShardedFilespec").outputs[0]


def _saved(filename: Tensor, saveables: Saveables, bundled: bool | str) -> tuple[list[Tensor], dict[str, Any]]:
    """The inputs and attributes of a node that saves."""
    keys = tuple([key for key, _ in saveables])
    types = tuple([variable.dtype.base_dtype.name for _, variable in saveables])
    attrs = {"keys": keys, "types": types, "bundled": bundled}
    specs = tuple([spec_of(variable) for _, variable in saveables])
    if any(specs):
        attrs["specs"] = specs
    return [filename, *[variable.value() for _, variable in saveables]], attrs


def _in_shards(saveables: Saveables) -> list[Saveables]:
    """Group variables for parallel writing: by device, and large ones into groups of similar size."""
    devices: dict[str, Saveables] = {}
    for key, variable in saveables:
        devices.setdefault(variable.device, []).append((key, variable))
    return [part for group in devices.values() for part in _parts(group)]


def _parts(saveables: Saveables) -> list[Saveables]:
    sized = [(shape_bytes(variable.value()) or 64, key, variable) for key, variable in saveables]
    total = sum([size for size, _, _ in sized])
    count = max(1, min(_MOST_SHARDS, len(saveables), int(total // _SHARD_BYTES)))
    parts: list[Saveables] = [[] for _ in range(count)]
    filled = [0.0] * count
    for size, key, variable in sorted(sized, key=lambda item: -item[0]):
        least = filled.index(min(filled))
        parts[least].append((key, variable))
        filled[least] += size
    return parts


def _restore_nodes(filename: Tensor, saveables: Saveables, reshape: bool) -> Operation:
    """An operation that is done when all variables have been restored."""
    wanted = tuple([_wanted(key, variable, reshape) for key, variable in saveables])
    outputs = [(variable.dtype.base_dtype, _shape(variable)) for _, variable in saveables]
    node = _function("RestoreV2", restore_values, [filename], {"wanted": wanted}, outputs, "RestoreV2")
    assigns, parts = [], {}
    for (_, item), value in zip(saveables, node.outputs, strict=True):
        variable = variable_of(item)
        if isinstance(variable, Piece):
            parts.setdefault(id(variable.whole), (variable.whole, []))[1].append(value)
            continue
        if isinstance(variable, Saveable):
            assigns.append(variable.restored(value))
            continue
        # RestoreV2 has checked the shape before reading anything.
        attrs = {"dtype": state_ops.stored_dtype(variable.dtype.base_dtype), "shape": None}
        kind, kernel, shape = Kind.ASSIGN, state_ops.assign_value, variable.raw_shape
        assigns.append(state_ops.write(kind, "Assign", kernel, variable, [value], attrs, shape, "Assign").op)
    assigns += [whole.restored(*values) for whole, values in parts.values()]
    return group(*assigns, name="restore_all")


def _wanted(key: str, variable: Variable | Saveable, reshape: bool) -> Wanted:
    return Wanted(key, variable.dtype.base_dtype.name, _shape(variable), reshape, spec_of(variable))


def _shape(variable: Variable | Saveable) -> RawShape:
    return variable.raw_shape if isinstance(variable, Saveable) else variable.raw_shape


def restored_value(prefix: str, key: str, variable: Variable, info: SaveSliceInfo | None = None) -> Tensor:
    """A node that reads a variable's value from a checkpoint; with `info`, this slice of one."""
    wanted = _wanted(key, variable, False)._replace(spec="" if info is None else info.spec)
    return _restored(prefix, variable, wanted, _shape(variable))


def whole_value(prefix: str, key: str, variable: Variable, shape: Sequence[int]) -> Tensor:
    """A node that reads a value of another shape than the variable's from a checkpoint."""
    return _restored(prefix, variable, _wanted(key, variable, False)._replace(shape=tuple(shape)), tuple(shape))


def _restored(prefix: str, variable: Variable, wanted: Wanted, shape: Any) -> Tensor:
    with variable.graph.as_default(), variable.graph.control_dependencies(None), name_scope(variable.op.name + "/"):
        filename = constant(prefix, dtypes.string, name="checkpoint")
        outputs = [(variable.dtype.base_dtype, shape)]
        attrs = {"wanted": (wanted,)}
        return _function("RestoreV2", restore_values, [filename], attrs, outputs, "RestoreV2").outputs[0]


seams.saving = True
