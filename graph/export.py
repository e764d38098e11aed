"""A graph as plain data, for listing, comparing and pickling. Nothing here is recursive: graphs may be long chains.

flat     tables from which a graph can be rebuilt: names, kernels, attributes, inputs as (operation, output) numbers
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weftwork.graph.forgetting import FORGOTTEN
from weftwork.graph.graph import Graph
from weftwork.graph.names import Names
from weftwork.graph.operation import Operation, Tensor, operation_at, tensor_at
from weftwork.graph.seams import seams
from weftwork.graph.sections import Section

__all__ = ["operation_at", "tensor_at"]  # older pickles refer to them here


def structure(graph: Graph) -> dict[str, Any]:
    """The graph as JSON data: its nodes, without the values of constants."""
    return {
        "node": [
            {
                "name": op.name,
                "op": op.type,
                "input": [t.name for t in op.inputs] + [f"^{c.name}" for c in op.controls],
                "device": op.device,
                "output": [
                    {"dtype": t.dtype.name, "shape": None if t.raw_shape is None else list(t.raw_shape)}
                    for t in op.outputs
                ],
                "defined_at": op.source.text,
            }
            for op in graph.get_operations()
        ]
    }


def needed(graph: Graph, fetches: Iterable[Any] | None) -> list[Operation]:
    """The operations that the fetches depend on, in creation order; all operations for None."""
    if fetches is None:
        return graph.get_operations()
    seen: set[Operation] = set()
    stack = []
    for fetch in fetches:
        element = graph.as_graph_element(fetch)
        stack.append(element.op if isinstance(element, Tensor) else element)
    while stack:
        op = stack.pop()
        if op not in seen:
            seen.add(op)
            stack.extend([t.op for t in op.inputs])
            stack.extend(op.controls)
    return sorted(seen, key=lambda op: op.index)


# Pickling


def flatten_graph(graph: Graph) -> dict[str, Any]:
    """The graph as tables without cycles or long chains. Its open scopes are left out: they are transient."""
    if graph.back_edges:
        seams.close_loops(graph)
    rows = [
        (
            op.name,
            op.type,
            op.kind,
            op.kernel,
            [(t.op.index, t.index) for t in op.inputs],
            dict(op.attrs),
            [(t.dtype, t.raw_shape) for t in op.outputs],
            [c.index for c in op.controls],
            op.traits,
            op.source,
            op.device,
            op.colocation,
            op.container,
            None if op.section is None else op.section.index,
        )
        if op is not FORGOTTEN
        else None
        for op in graph.operations
    ]
    return {
        "rows": rows,
        "sections": [_flat_section(section) for section in graph.sections],
        "names": dict(graph._names._next),
        "collections": {name: [_flat_item(item) for item in items] for name, items in graph._collections.items()},
        "seed": graph.seed,
        "finalized": graph.finalized,
        "unfeedable": [(t.op.index, t.index) for t in graph._unfeedable],
        "unfetchable": [op.index for op in graph._unfetchable],
        "dead": [op.index for op in graph.dead],
        "closed": [op.index for op in graph.closed],
    }


def fill_graph(graph: Graph, flat: dict[str, Any]) -> None:
    """Fill an empty graph from the tables of `flatten_graph`."""
    ops = graph.operations
    for word, outer, *_ in flat["sections"]:
        Section(graph, word, None if outer is None else graph.sections[outer])
    for index, row in enumerate(flat["rows"]):
        if row is None:
            graph.leave_out()
            continue
        name, type_, kind, kernel, inputs, attrs, outputs, controls, traits, source, device, colocation, *rest = row
        container, section = rest
        op = Operation(
            graph,
            index,
            name,
            type_,
            kind,
            kernel,
            tuple([ops[i].outputs[k] for i, k in inputs]),
            attrs,
            outputs,
            tuple([ops[i] for i in controls]),
            traits,
            source,
            device,
            (colocation,) if colocation and isinstance(colocation, str) else colocation or (),
            container,
            None if section is None else graph.sections[section],
        )
        graph._put(op)
        if op.section is not None:
            op.section.ops.append(op)
    for section, (_, _, parameters, outputs, targets) in zip(graph.sections, flat["sections"], strict=True):
        section.parameters = [ops[i].outputs[k] for i, k in parameters]
        section.outputs = [ops[i].outputs[k] for i, k in outputs]
        section.targets = [ops[i] for i in targets]
    names = Names()
    names._next = flat["names"]
    graph._names = names
    graph.seed = flat["seed"]
    graph._unfeedable = {ops[i].outputs[k] for i, k in flat["unfeedable"]}
    graph._unfetchable = {ops[i] for i in flat["unfetchable"]}
    for index in flat.get("dead", ()):
        graph.may_be_dead(ops[index])
    graph.closed = {ops[i] for i in flat.get("closed", ())}
    known: dict = {}
    for name, items in flat["collections"].items():
        graph._collections[name] = [_restored_item(graph, item, known) for item in items]
    graph._finalized = flat["finalized"]


def _flat_section(section: Section) -> tuple:
    return (
        section.word,
        None if section.outer is None else section.outer.index,
        [(t.op.index, t.index) for t in section.parameters],
        [(t.op.index, t.index) for t in section.outputs],
        [op.index for op in section.targets],
    )


def _flat_item(item: Any) -> tuple[str, Any]:
    """An item of a collection, without a reference back to the graph."""
    if isinstance(item, seams.variable_class):
        return "variable", item.to_flat()
    if isinstance(item, Tensor):
        return "tensor", (item.op.index, item.index)
    if isinstance(item, Operation):
        return "operation", item.index
    if hasattr(item, "to_flat"):
        return "object", (type(item), item.to_flat())
    if isinstance(item, dict):
        return "dict", {key: _flat_item(value) for key, value in item.items()}
    return "value", item


def _restored_item(graph: Graph, item: tuple[str, Any], known: dict) -> Any:
    kind, value = item
    ops = graph.operations
    if kind == "variable":
        if value["op"] not in known:
            known[value["op"]] = seams.variable_class.from_flat(graph, value)
        return known[value["op"]]
    if kind == "tensor":
        return ops[value[0]].outputs[value[1]]
    if kind == "operation":
        return ops[value]
    if kind == "object":
        return value[0].from_flat(graph, value[1])
    if kind == "dict":
        return {key: _restored_item(graph, part, known) for key, part in value.items()}
    return value


def variable_at(graph: Graph, flat: dict) -> Any:
    """How a pickled Variable is found again: the variable in the graph's collections, if it is in one."""
    variable = seams.variable_class
    for items in graph._collections.values():
        for item in items:
            if isinstance(item, variable) and item.op.index == flat["op"]:
                return item
    return variable.from_flat(graph, flat)


seams.flatten_graph, seams.fill_graph = flatten_graph, fill_graph
