"""Functions of the library that the language below it calls: each is set once, by the module that defines it.

This way no module of the language imports one above it, and there are no import cycles. The defining module (listed in
`_HOMES`) is imported when its function is first used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class Seams:
    """One attribute for each function from above."""

    new_graph: Callable[[], Any]
    """`graph.Graph`: makes a thread's fallback graph."""
    flatten_graph: Callable[[Any], Any]
    fill_graph: Callable[[Any, Any], None]
    """`export`: a graph as plain data, and back."""
    graph_def: Callable[..., Any]
    node_def: Callable[[Any], Any]
    op_def: Callable[[Any], Any]
    get_attr: Callable[[Any, str], Any]
    attr_of: Callable[[Any], Any]
    create_op: Callable[..., Any]
    """`interchange`: a graph or an operation as protocol buffers, an attribute in their form, and `create_op`."""
    update_input: Callable[..., None]
    wait_for: Callable[..., None]
    refuse_cycles: Callable[..., None]
    """`rewiring`: another input, or further control inputs, of an operation that exists."""
    close_loops: Callable[[Any], None]
    """`interchange.closing`: make loops of the back edges that a program has added by hand."""
    divide: Callable[..., Any]
    """`build`: the node for a dividing ufunc; dividing an integer by zero is an error."""
    graph_of: Callable[[Any], Any]
    """`build.graph_of`: the graph of some values."""
    array_ufunc: Callable[..., Any]
    array_function: Callable[..., Any]
    """`numpy_protocol`: NumPy's functions of tensors."""
    getitem: Callable[[Any, Any], Any]
    """`ops.array_ops.slice_helper`: `tensor[item]`."""
    cast: Callable[..., Any]
    """`ops.conversion.cast`: a tensor as another dtype."""
    stack: Callable[..., Any]
    """`ops.array_ops.stack`: a list that holds tensors, as a tensor."""
    assign_slice: Callable[..., Any]
    """`variables.writes`: the node that assigns to a slice of a variable."""
    cwise: Callable[[str, Any, Any], Any]
    """`ops.sparse_ops.cwise`: a sparse tensor multiplied or divided by a dense one."""
    matmul: Callable[..., Any]
    """`ops.products`: `a @ b`, like np.matmul."""
    variable_class: type
    """`variables.variable.Variable`."""
    resource_variable: type
    unread: Callable[[Any, Any], Any]
    """`variables.resource`: the class of resource variables, and one as it is after a write."""
    saving: bool
    """True. Importing `training.saver_nodes` sets it, and registers the nodes that save and restore."""
    failed_inputs: Callable[[Any], list[Any]]
    replay: Callable[[Any, bool], Any]
    save_call: Callable[[Any, Any], None]
    """`actors.processes.replay`: what an OpError knows about the failed call."""
    visualize: Callable[..., str]
    graph_html: Callable[[Any], str]
    tensor_html: Callable[[Any], str]
    """`drawing.visualize`: a graph or tensor as a picture, and as HTML for notebooks."""
    costs_of: Callable[[Any], Any]
    """`views.costs`: measured costs of a graph's operations, in the runs that sessions remember."""
    write_text: Callable[[str, str], None]
    write_bytes: Callable[[str, bytes], None]
    """`views.costs`: write a file completely or not at all."""

    def __getattr__(self, name: str) -> Any:
        """Import the module that sets a missing function."""
        if name not in _HOMES:
            raise AttributeError(name)
        importlib.import_module(f"weftwork.{_HOMES[name]}")
        return self.__dict__[name]


_HOMES = {
    **dict.fromkeys(["new_graph"], "graph.graph"),
    **dict.fromkeys(["flatten_graph", "fill_graph"], "graph.export"),
    **dict.fromkeys(["graph_def", "node_def", "op_def", "get_attr", "attr_of"], "graph.interchange.writing"),
    "create_op": "graph.interchange.creating",
    "close_loops": "graph.interchange.closing",
    **dict.fromkeys(["update_input", "wait_for", "refuse_cycles"], "graph.rewiring"),
    **dict.fromkeys(["divide", "graph_of"], "graph.build"),
    **dict.fromkeys(["array_ufunc", "array_function"], "graph.numpy_protocol"),
    "getitem": "graph.ops.indexing",
    "stack": "graph.ops.joining",
    "assign_slice": "graph.variables.writes",
    "cast": "graph.ops.conversion",
    "cwise": "graph.ops.sparse_ops",
    "matmul": "graph.ops.products",
    "variable_class": "graph.variables.variable",
    **dict.fromkeys(["resource_variable", "unread"], "graph.variables.resource"),
    **dict.fromkeys(["visualize", "graph_html", "tensor_html"], "graph.drawing.visualize"),
    **dict.fromkeys(["costs_of", "write_text", "write_bytes"], "scheduler.views.costs"),
    "saving": "scheduler.saving.saver_nodes",
    **dict.fromkeys(["failed_inputs", "replay", "save_call"], "actors.processes.replay"),
}
"""The module that sets each attribute."""

seams = Seams()
