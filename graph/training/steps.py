"""The global step: the variable that counts training steps."""

from __future__ import annotations

from typing import Any

from weftwork.graph import dtypes
from weftwork.graph.graph import Graph, GraphKeys
from weftwork.graph.operation import Tensor
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.initializers import Zeros
from weftwork.graph.variables.sharing import get_variable
from weftwork.graph.variables.variable import Variable

_READ = "global_step_read_op_cache"


def create_global_step(graph: Graph | None = None) -> Variable:
    """Create the graph's global step, int64, initially 0. Raises ValueError if it exists."""
    graph = graph or get_default_graph()
    if get_global_step(graph) is not None:
        raise ValueError('"global_step" already exists.')
    with graph.as_default(), graph.name_scope(None):
        return get_variable(
            GraphKeys.GLOBAL_STEP, shape=[], dtype=dtypes.int64, initializer=Zeros(), trainable=False,
            collections=[GraphKeys.GLOBAL_VARIABLES, GraphKeys.GLOBAL_STEP],
        )  # fmt: skip


def get_global_step(graph: Graph | None = None) -> Any:
    """The graph's global step: the variable in its collection, or the tensor `global_step:0`; None if there is none.

    Raises TypeError unless it is an integer scalar.
    """
    graph = graph or get_default_graph()
    known = graph.get_collection(GraphKeys.GLOBAL_STEP)
    if len(known) > 1:
        return None
    if known:
        step = known[0]
    else:
        try:
            step = graph.get_tensor_by_name("global_step:0")
        except KeyError:
            return None
        step = next((v for v in graph.get_collection(GraphKeys.GLOBAL_VARIABLES) if v._variable is step), step)
    assert_global_step(step)
    return step


def get_or_create_global_step(graph: Graph | None = None) -> Any:
    """The graph's global step, created if necessary."""
    graph = graph or get_default_graph()
    step = get_global_step(graph)
    return create_global_step(graph) if step is None else step


def get_or_create_global_step_read(graph: Graph | None = None) -> Tensor | None:
    """The value of the global step before the run that fetches it; None if there is no global step."""
    graph = graph or get_default_graph()
    reads = graph.get_collection(_READ)
    if reads:
        return reads[0]
    step = get_global_step(graph)
    if step is None:
        return None
    with graph.as_default(), graph.name_scope(None), graph.name_scope(f"{step.op.name}/"):
        read = step + 0
    graph.add_to_collection(_READ, read)
    return read


def assert_global_step(global_step_tensor: Any) -> None:
    """Raise TypeError unless it is an integer variable or tensor of rank 0.

    global_step_tensor: the variable or tensor.
    """
    if not isinstance(global_step_tensor, (Variable, Tensor)):
        raise TypeError(f'Existing "global_step" must be a Variable or Tensor: {global_step_tensor}.')
    if not global_step_tensor.dtype.base_dtype.is_integer:
        raise TypeError(f'Existing "global_step" does not have integer type: {global_step_tensor.dtype}')
    if global_step_tensor.get_shape().ndims not in (0, None):
        raise TypeError(f'Existing "global_step" is not scalar: {global_step_tensor.get_shape()}')


def global_step(sess: Any, global_step_tensor: Any) -> int:
    """The number of steps that a session has taken.

    global_step_tensor: the variable or tensor.
    """
    return int(sess.run(global_step_tensor))
