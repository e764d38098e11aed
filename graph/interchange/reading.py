"""GraphDefs as nodes of a graph: `import_graph_def`.

The arguments are checked here; `importing` creates the nodes, with the readers in `given`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from weftwork.graph.build import as_tensor, convert_to_tensor
from weftwork.graph.interchange import native
from weftwork.graph.interchange.frames import source
from weftwork.graph.interchange.given import _no_kernel as _no_kernel  # pickled graphs refer to it here
from weftwork.graph.interchange.given import attributes, types
from weftwork.graph.interchange.importing import Import
from weftwork.graph.interchange.signatures import signature
from weftwork.graph.interchange.writing import PRODUCER
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.protos import TENSORFLOW_VERSION, protos
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph

_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\-/]*")


def import_graph_def(
    graph_def: Any,
    input_map: Mapping[str, Any] | None = None,
    return_elements: Sequence[str] | None = None,
    name: str | None = None,
    op_dict: Any = None,
    producer_op_list: Any = None,
    functions: native.Functions = False,
) -> Any:
    """Add the nodes of a GraphDef (from TensorFlow, TensorBoard, or `Graph.as_graph_def`) to the graph.

    input_map: tensors that replace those of the GraphDef, by name (`"x:0"`, `"^x"` for a control input).
    return_elements: names (`"y:0"`, or `"y"` for an operation) of the elements to return, in this order.
    name: a prefix for all names, "import" by default; "" for none.
    functions: the user functions that the graph may call: False for none; True for any that its import paths name,
        which means running code chosen by the graph's author; or a mapping from paths to functions.
    op_dict, producer_op_list: accepted and ignored.
    Each node also waits for the open control dependencies.
    Raises TypeError or ValueError for invalid arguments, NotFoundError for an operation that is not TensorFlow's. An
    operation that Weftwork does not have fails at run time.
    """
    definition = as_message(graph_def)
    mapped = _mapping(input_map)
    wanted = _elements(return_elements)
    graph = get_default_graph()
    with name_scope(name, "import", list(mapped.values())) as scope:
        prefix = scope[:-1] if scope else ""
        if not prefix and any(
            as_tensor(value) is None and not isinstance(value, Operation) for value in mapped.values()
        ):
            raise ValueError(
                "tf.import_graph_def() requires a non-empty `name` if `input_map` contains non-Tensor values. Try "
                "calling tf.convert_to_tensor() on `input_map` values before calling tf.import_graph_def()."
            )
        given = _sources(mapped)
        for key, value in given.items():
            if key[1] >= 0 and as_tensor(value) is None:
                with graph.name_scope("_inputs"):
                    given[key] = convert_to_tensor(value)
            elif key[1] >= 0:
                given[key] = convert_to_tensor(value)
    _check_versions(definition.versions)
    nodes = _checked_nodes(definition, given)
    work = Import(graph, nodes, prefix, given, functions)
    with graph.as_default(), graph.name_scope(None):
        work.run()
    unused = [key for key in mapped if source(key) not in work.used and not _known(source(key), nodes, work)]
    if unused:
        raise ValueError(f"Attempted to map inputs that were not found in graph_def: [{', '.join(sorted(unused))}]")
    return None if wanted is None else [_element(work, text) for text in wanted]


def as_message(graph_def: Any) -> Any:
    """Convert any GraphDef to TensorBoard's. Raises TypeError for anything else."""
    proto = protos("graph").GraphDef
    if isinstance(graph_def, proto):
        return graph_def
    if getattr(getattr(graph_def, "DESCRIPTOR", None), "name", None) == "GraphDef":
        return proto.FromString(graph_def.SerializeToString())
    raise TypeError("graph_def must be a GraphDef proto.")


def _mapping(input_map: Any) -> dict[str, Any]:
    if input_map is None:
        return {}
    if not isinstance(input_map, Mapping) or not all(isinstance(key, (str, bytes)) for key in input_map):
        raise TypeError("input_map must be a dictionary mapping strings to Tensor objects.")
    return {key.decode() if isinstance(key, bytes) else key: value for key, value in input_map.items()}


def _sources(mapped: dict[str, Any]) -> dict[tuple[str, int], Any]:
    found = {}
    for key, value in mapped.items():
        where = source(key)
        element = value._as_graph_element() if hasattr(value, "_as_graph_element") and where[1] < 0 else value
        found[where] = element.op if where[1] < 0 and isinstance(element, Tensor) else element
    return found


def _elements(names: Any) -> list[str] | None:
    if names is None:
        return None
    listed: list[Any] = list(names) if isinstance(names, (list, tuple)) else [None]
    if not all(isinstance(item, (str, bytes)) for item in listed):
        raise TypeError("return_elements must be a list of strings.")
    return [item.decode() if isinstance(item, bytes) else item for item in listed]


def _check_versions(versions: Any) -> None:
    """Raise ValueError if the writer of a GraphDef says that we cannot read it."""
    if versions.producer < 0:
        raise ValueError(
            f"GraphDef producer version {versions.producer} below min producer 0 supported by TensorFlow "
            f"{TENSORFLOW_VERSION}.  Please regenerate your graph."
        )
    if versions.min_consumer > PRODUCER:
        raise ValueError(
            f"GraphDef min consumer version {versions.min_consumer} above current version {PRODUCER} for TensorFlow "
            f"{TENSORFLOW_VERSION}.  Please upgrade TensorFlow."
        )
    if PRODUCER in versions.bad_consumers:
        raise ValueError(
            f"GraphDef disallows consumer version {PRODUCER}.  Please upgrade TensorFlow: this version is likely buggy."
        )


def _checked_nodes(definition: Any, mapped: dict) -> dict[str, Any]:
    """The nodes by name. Raises ValueError for an invalid or duplicate name, and for a missing or misplaced input."""
    nodes: dict[str, Any] = {}
    for node in definition.node:
        if not _NAME.fullmatch(node.name):
            raise ValueError(f"Node '{node.name}': Node name contains invalid characters")
        if node.name in nodes:
            raise ValueError(f"Node '{node.name}' is not unique")
        nodes[node.name] = node
    for name, node in nodes.items():
        waits = False
        for text in node.input:
            other, output = source(text)
            if waits and output >= 0:
                raise ValueError(f"Node '{name}': Control dependencies must come after regular dependencies")
            waits = output < 0
            if (other, output) in mapped and other not in nodes:
                continue
            if other not in nodes:
                raise ValueError(f"Node '{name}': Unknown input node '{text}'")
            count = _output_count(nodes[other])
            if count is not None and output >= count:
                raise ValueError(
                    f"Node '{name}': Connecting to invalid output {output} of source node {other} which has {count} "
                    "outputs"
                )
    return nodes


def _output_count(node: Any) -> int | None:
    """The number of a node's outputs, if its declaration tells."""
    declared = signature(node.op)
    if declared is None or native.ATTRIBUTE in node.attr:
        return None
    try:
        return len(types(declared.outputs, attributes(node.name, node, declared)))
    except (ValueError, KeyError):
        return None


def _known(key: tuple[str, int], nodes: dict, work: Import) -> bool:
    return key[0] in nodes and (key[1] < 0 or key in work.made)


def _element(work: Import, text: str) -> Any:
    """A requested element. Raises ValueError if the GraphDef does not have it."""
    name, colon, index = text.partition(":")
    if colon and not index.isdigit():
        raise ValueError(f"Cannot convert {text!r} to a tensor name.")
    if not colon:
        if name not in work.nodes:
            raise ValueError(f"Requested return node '{name}' not found in graph def")
        if work.ops[name] is None:
            raise ValueError(f"Node '{name}' is not a separate operation here: it is part of a branch or loop.")
        return work.ops[name]
    key = (name, int(index))
    if key in work.mapped:
        return work.mapped[key]
    if name not in work.nodes:
        raise ValueError(f"Requested return tensor '{text}' not found in graph def")
    if key not in work.made:
        count = len([1 for other, _ in work.made if other == name])
        raise ValueError(f"Invalid return output {index} of node '{name}', which has {count} output(s)")
    return work.made[key]
