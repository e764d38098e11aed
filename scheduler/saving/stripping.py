"""What exports of graphs add or leave out: declarations of operations, default attributes, other savers' nodes."""

from __future__ import annotations

from typing import Any

from weftwork.graph.interchange.signatures import NO_DEFAULT, op_def, signature
from weftwork.graph.interchange.values import attr_proto

_SAVING = frozenset({"Save", "SaveSlices", "SaveV2", "Restore", "RestoreSlice", "RestoreV2"})


def op_list(graph_def: Any) -> list[Any]:
    """The declarations of the operations that a GraphDef uses, by name. TensorFlow's are known, others left out."""
    nodes = [*graph_def.node, *[node for function in graph_def.library.function for node in function.node_def]]
    declared = [signature(name) for name in sorted({node.op for node in nodes})]
    return [op_def(found) for found in declared if found is not None]


def strip_defaults(graph_def: Any) -> None:
    """Remove attributes of nodes that have the declared default."""
    for node in graph_def.node:
        declared = signature(node.op)
        for name, attr in ({} if declared is None else declared.attrs).items():
            known = name in node.attr and attr.has_default and attr.default is not NO_DEFAULT
            if known and attr_proto(attr.default, attr.kind) == node.attr[name]:
                del node.attr[name]


def other_savers(graph_def: Any, saver_def: Any) -> set[str]:
    """The names of nodes that belong to other savers than this one.

    A saver's nodes are in the scope of its SaveV2. A scope is kept if a node outside reads something inside.
    """
    kept = {_scope(saver_def.save_tensor_name), _scope(saver_def.restore_op_name)} if saver_def is not None else set()
    scopes = {_scope(node.name) for node in graph_def.node if node.op in _SAVING} - kept - {""}
    for node in graph_def.node:
        used = {_scope(_node_name(text)) for text in node.input}
        scopes -= used - {_scope(node.name)}
    return {node.name for node in graph_def.node if any(node.name.startswith(f"{scope}/") for scope in scopes)}


def without(graph_def: Any, names: set[str]) -> Any:
    """A GraphDef without some nodes."""
    made = type(graph_def)()
    made.CopyFrom(graph_def)
    del made.node[:]
    made.node.extend([node for node in graph_def.node if node.name not in names])
    return made


def _node_name(text: str) -> str:
    return text.lstrip("^").partition(":")[0]


def _scope(name: str) -> str:
    return name.rpartition("/")[0]
