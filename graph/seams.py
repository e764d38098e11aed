"""What the language calls of the library that is written on it: each function is set once, by the module that has it.

So no module of the language imports one above it, and there is no circle. The module is imported when its function is
first called for: `_HOMES` says which it is.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class Seams:
    """One attribute for each function from above."""

    new_graph: Callable[[], Any]
    """`graph.Graph`: the fallback graph of a thread."""
    flatten_graph: Callable[[Any], Any]
    fill_graph: Callable[[Any, Any], None]
    """`export`: a graph as plain data, and back."""
    graph_def: Callable[..., Any]
    node_def: Callable[[Any], Any]
    op_def: Callable[[Any], Any]
    get_attr: Callable[[Any, str], Any]
    """`interchange.writing`: a graph or an operation as protocol buffers, and an attribute as these know it."""
    divide: Callable[..., Any]
    """`build`: the node of a ufunc that divides, where an integer by zero is an error."""
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
    """`variables.writes`: the node that gives a variable the elements of a slice of it."""
    cwise: Callable[[str, Any, Any], Any]
    """`ops.sparse_ops.cwise`: a sparse tensor times, or by, a dense one."""
    matmul: Callable[..., Any]
    """`ops.products`: `a @ b`, as np.matmul."""
    variable_class: type
    """`variables.variable.Variable`."""
    saving: bool
    """True: the nodes that save and restore can be read. `training.saver_nodes` sets it, having registered them."""
    failed_inputs: Callable[[Any], list[Any]]
    replay: Callable[[Any, bool], Any]
    save_call: Callable[[Any, Any], None]
    """`actors.processes.replay`: what an OpError knows of the call that failed."""
    visualize: Callable[..., str]
    graph_html: Callable[[Any], str]
    tensor_html: Callable[[Any], str]
    """`drawing.visualize`: a graph or a tensor as a picture, and for a notebook."""
    costs_of: Callable[[Any], Any]
    """`views.costs`: what the operations of a graph cost in the runs that sessions remember."""
    write_text: Callable[[str, str], None]
    """`views.costs`: write a file whole or not at all."""

    def __getattr__(self, name: str) -> Any:
        """What nobody has set yet: its module does so while it is imported."""
        if name not in _HOMES:
            raise AttributeError(name)
        importlib.import_module(f"weftwork.{_HOMES[name]}")
        return self.__dict__[name]


_HOMES = {
    **dict.fromkeys(["new_graph"], "graph.graph"),
    **dict.fromkeys(["flatten_graph", "fill_graph"], "graph.export"),
    **dict.fromkeys(["graph_def", "node_def", "op_def", "get_attr"], "graph.interchange.writing"),
    **dict.fromkeys(["divide", "graph_of"], "graph.build"),
    **dict.fromkeys(["array_ufunc", "array_function"], "graph.numpy_protocol"),
    "getitem": "graph.ops.indexing",
    "stack": "graph.ops.joining",
    "assign_slice": "graph.variables.writes",
    "cast": "graph.ops.conversion",
    "cwise": "graph.ops.sparse_ops",
    "matmul": "graph.ops.products",
    "variable_class": "graph.variables.variable",
    **dict.fromkeys(["visualize", "graph_html", "tensor_html"], "graph.drawing.visualize"),
    **dict.fromkeys(["costs_of", "write_text"], "scheduler.views.costs"),
    "saving": "scheduler.training.saver_nodes",
    **dict.fromkeys(["failed_inputs", "replay", "save_call"], "actors.processes.replay"),
}
"""The module that sets each."""

seams = Seams()
