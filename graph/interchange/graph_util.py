"""Transformations of GraphDefs: extract what some nodes need, freeze variables, remove training-only nodes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.graph import Graph
from weftwork.graph.interchange.frames import source
from weftwork.graph.interchange.reading import as_message
from weftwork.graph.interchange.values import number_dtype, tensor_proto
from weftwork.graph.operation import Operation
from weftwork.graph.protos import protos
from weftwork.graph.shapes import TensorShape

log = logging.getLogger("weftwork")
VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp"})


def _like(given: Any, nodes: Iterable[Any]) -> Any:
    """A GraphDef of these nodes, and of everything that belongs to another GraphDef as a whole."""
    definition = protos("graph").GraphDef(node=nodes)
    definition.library.CopyFrom(given.library)
    definition.versions.CopyFrom(given.versions)
    return definition


def extract_sub_graph(graph_def: Any, dest_nodes: Any) -> Any:
    """A GraphDef of the nodes that `dest_nodes` need, in the original order.

    dest_nodes: a list of names. Raises TypeError for another argument, AssertionError for an unknown name.
    """
    definition = as_message(graph_def)
    if isinstance(dest_nodes, str) or not isinstance(dest_nodes, Iterable):
        raise TypeError("dest_nodes must be a list.")
    nodes = {node.name: node for node in definition.node}
    stack = list(dest_nodes)
    for name in stack:
        if name not in nodes:
            raise AssertionError(f"{name} is not in graph")
    needed: set[str] = set()
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack += [source(text)[0] for text in nodes[name].input if source(text)[0] in nodes]
    return _like(definition, [node for node in definition.node if node.name in needed])


def convert_variables_to_constants(
    sess: Any,
    input_graph_def: Any,
    output_node_names: Any,
    variable_names_whitelist: Any = None,
    variable_names_blacklist: Any = None,
) -> Any:
    """Freeze a graph: a GraphDef of the nodes needed, with variables replaced by constants of a session's values.

    variable_names_whitelist: freeze only these.   variable_names_blacklist: do not freeze these.
    input_graph_def: a GraphDef.   output_node_names: a list of names of nodes.
    """
    definition = extract_sub_graph(input_graph_def, output_node_names)
    frozen = [
        node.name
        for node in definition.node
        if node.op in VARIABLES
        and (variable_names_whitelist is None or node.name in variable_names_whitelist)
        and (variable_names_blacklist is None or node.name not in variable_names_blacklist)
    ]
    values = dict(zip(frozen, sess.run([f"{name}:0" for name in frozen]) if frozen else [], strict=True))
    log.info("Froze %d variables.", len(frozen))
    constants = set(frozen)
    nodes = []
    for node in definition.node:
        new = protos("node_def").NodeDef()
        if node.name in values:
            _constant(new, node, values[node.name])
        else:
            new.CopyFrom(node)
            _read_constants(new, constants)
        nodes.append(new)
    return _like(definition, nodes)


def _constant(new: Any, node: Any, value: Any) -> None:
    dtype = number_dtype(node.attr["dtype"].type)
    new.name, new.op, new.device = node.name, "Const", node.device
    new.attr["dtype"].type = dtype.as_datatype_enum
    new.attr["value"].tensor.CopyFrom(tensor_proto(np.asarray(value), dtype))


def _read_constants(node: Any, constants: set[str]) -> None:
    """Switch operations that take a variable's reference to their counterparts that take a value."""
    if not node.input or source(node.input[0])[0] not in constants:
        return
    if node.op == "ReadVariableOp":
        kind = node.attr["dtype"].type
        node.op = "Identity"
        node.ClearField("attr")
        node.attr["T"].type = kind
    elif node.op == "ResourceGather":
        node.op = "Gather"
        kind = node.attr["dtype"].type
        for word in ("dtype", "batch_dims", "_class"):
            node.attr.pop(word, None)
        node.attr["Tparams"].type = kind
    elif node.op.startswith("Ref"):
        node.op = node.op[3:]
        constants.add(node.name)


def remove_training_nodes(input_graph: Any, protected_nodes: Any = None) -> Any:
    """A GraphDef without nodes that only pass on their input (Identity, CheckNumerics).

    A node is kept if it has control edges, or if it is among `protected_nodes`.
    input_graph: a GraphDef.
    """
    definition, protected = as_message(input_graph), set(protected_nodes or ())
    waited_for = {source(text)[0] for node in definition.node for text in node.input if text.startswith("^")}
    replacements = {
        node.name: node.input[0]
        for node in definition.node
        if node.op in ("Identity", "CheckNumerics")
        and node.name not in protected | waited_for
        and not any(text.startswith("^") for text in node.input)
    }
    nodes = []
    for node in definition.node:
        if node.name not in replacements:
            new = protos("node_def").NodeDef()
            new.CopyFrom(node)
            new.input[:] = [_spliced(text, replacements) for text in node.input]
            nodes.append(new)
    return _like(definition, nodes)


def _spliced(text: str, replacements: dict[str, str]) -> str:
    while text.removesuffix(":0") in replacements:
        text = replacements[text.removesuffix(":0")]
    return text


def tensor_shape_from_node_def_name(graph: Graph, input_name: str) -> TensorShape:
    """The shape of a tensor in a graph, by its name as written in NodeDefs.

    input_name: "NODE:OUTPUT", or "NODE" for its first output.
    """
    name, output = source(input_name)
    return graph.get_tensor_by_name(f"{name}:{output}").get_shape()


def write_graph(graph_or_graph_def: Any, logdir: Any, name: str, as_text: bool = True) -> str:
    """Write a Graph or GraphDef to the file `name` in a folder, which is created if necessary; returns the path.

    graph_or_graph_def: a Graph or a GraphDef.   logdir: the path of the folder.
    """
    if isinstance(graph_or_graph_def, Graph):
        graph_or_graph_def = graph_or_graph_def.as_graph_def()
    os.makedirs(logdir, exist_ok=True)
    path = os.path.join(logdir, name)
    if as_text:
        from google.protobuf import text_format

        data = text_format.MessageToString(graph_or_graph_def).encode()
    else:
        data = graph_or_graph_def.SerializeToString(deterministic=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def must_run_on_cpu(node: Any, pin_variables_on_cpu: bool = False) -> bool:
    """Whether TensorFlow runs an operation on the CPU only: for text, and for integers that are shapes and indices.

    node: an Operation or a NodeDef.   pin_variables_on_cpu: count variables as well.
    """
    definition = node.node_def if isinstance(node, Operation) else node

    def has(attr: str, *kinds: Any) -> bool:
        return definition.attr[attr].type in [kind.as_datatype_enum for kind in kinds]

    if pin_variables_on_cpu and definition.op in VARIABLES:
        return True
    if definition.op == "Const":
        return has("dtype", dtypes.string, dtypes.int32)
    if definition.op in ("DynamicStitch", "ParallelDynamicStitch"):
        return has("T", dtypes.int32)
    return definition.op == "Cast" and has("SrcT", dtypes.string)
