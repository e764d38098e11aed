"""Loops: operations that own the sections of their test and of their body.

Test and body are called once, when the graph is built. What they make runs once in each iteration; what they use from
outside is evaluated once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from weftwork.graph import dtypes, nest, shapes
from weftwork.graph.build import as_tensor, convert_to_tensor, graph_of
from weftwork.graph.contexts import WhileContext
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.ops.composite import IndexedSlices, SparseTensor
from weftwork.graph.ops.control_flow import OTHER_STRUCTURE, composite, leaves, parts_of, repacked, scalar_predicate
from weftwork.graph.ops.owners import add_owner, section_of
from weftwork.graph.ops.tensor_array import TensorArray
from weftwork.graph.scopes import name_scope
from weftwork.graph.sections import Section
from weftwork.graph.structures import assert_same_structure, ordered

if TYPE_CHECKING:
    import numpy as np

    from weftwork.graph.variables.variable import Variable

    One = Tensor | Variable | np.ndarray | complex | str | bytes
    """The types of a single loop variable, as opposed to a structure of several."""


@overload
def while_loop(
    cond: Callable[[Tensor], Any],
    body: Callable[[Tensor], One],
    loop_vars: Sequence[One],
    shape_invariants: Any = ...,
    parallel_iterations: int = ...,
    back_prop: bool = ...,
    swap_memory: bool = ...,
    name: str | None = ...,
    maximum_iterations: Any = ...,
) -> Tensor: ...
@overload
def while_loop(
    cond: Callable[[Tensor, Tensor], Any],
    body: Callable[[Tensor, Tensor], tuple[One, One]],
    loop_vars: Sequence[One],
    shape_invariants: Any = ...,
    parallel_iterations: int = ...,
    back_prop: bool = ...,
    swap_memory: bool = ...,
    name: str | None = ...,
    maximum_iterations: Any = ...,
) -> tuple[Tensor, Tensor]: ...
@overload
def while_loop(
    cond: Callable[[Tensor, Tensor, Tensor], Any],
    body: Callable[[Tensor, Tensor, Tensor], tuple[One, One, One]],
    loop_vars: Sequence[One],
    shape_invariants: Any = ...,
    parallel_iterations: int = ...,
    back_prop: bool = ...,
    swap_memory: bool = ...,
    name: str | None = ...,
    maximum_iterations: Any = ...,
) -> tuple[Tensor, Tensor, Tensor]: ...
@overload
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = ...,
    parallel_iterations: int = ...,
    back_prop: bool = ...,
    swap_memory: bool = ...,
    name: str | None = ...,
    maximum_iterations: Any = ...,
    return_same_structure: bool = ...,
) -> Any: ...
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
    maximum_iterations: Any = None,
    return_same_structure: bool = False,
) -> Any:
    """Repeat `loop_vars = body(*loop_vars)` while `cond(*loop_vars)`, a boolean tensor of rank 0, is true.

    loop_vars: a list or tuple of (nested structures of) tensors, SparseTensors, IndexedSlices and TensorArrays.
    maximum_iterations: the upper limit of the number of iterations.
    shape_invariants: shapes for loop variables whose shape changes between iterations, in the structure of loop_vars:
        for a SparseTensor [its rank], for IndexedSlices that of their values.
    back_prop: if False, the loop has no gradient (None).
    parallel_iterations: how many iterations may run concurrently, as far as they do not depend on each other.
    Returns the last loop variables, as `body` returns them; a single tensor without its list, unless
    `return_same_structure`. Raises TypeError or ValueError for arguments that do not match.

        i, total = tf.while_loop(lambda i, total: i < 10, lambda i, total: (i + 1, total + i), [0, 0])  # total is 45
    """
    _check_arguments(cond, body, loop_vars, parallel_iterations)
    first = leaves(loop_vars)
    graph = graph_of([t for t in first if as_tensor(t) is not None])
    with graph.as_default(), name_scope(name, "while", first):
        limit = None if maximum_iterations is None else _limit(maximum_iterations)
        enter = [convert_to_tensor(item) for item in first]
        allowed = _invariants(loop_vars, enter, shape_invariants)
        with section_of(graph, "while loop") as test:
            context = WhileContext(graph, test, parallel_iterations, back_prop, swap_memory, limit)
            test.context = context
            given = _loop_parameters(graph, test, enter, allowed, "Merge")
            wanted = convert_to_tensor(cond(*repacked(list(loop_vars), iter(given))))
            test.outputs = [scalar_predicate(wanted, "condition of the loop")]
        with section_of(graph, "while loop") as step:
            step.context, context.section, context.pivot = context, step, test.outputs[0]
            given = _loop_parameters(graph, step, enter, allowed, "Identity")
            result = body(*repacked(list(loop_vars), iter(given)))
            flat = _next_variables(loop_vars, result, step, enter, allowed)
        step.outputs = flat
        specs = [(t.dtype.base_dtype, shape) for t, shape in zip(enter, allowed, strict=True)]
        given_inputs = [*enter] if limit is None else [*enter, limit]
        attrs = {"_carried": len(enter), "_limited": limit is not None, "_parallel": parallel_iterations}
        if not back_prop:
            attrs["_no_gradient"] = True
        op = add_owner(graph, "While", [test, step], given_inputs, specs, "Exit", attrs)
        as_returned = isinstance(result, (list, tuple)) and len(result) == len(loop_vars)
        packed = repacked(result if as_returned else loop_vars, iter(op.outputs))
    return packed[0] if len(enter) == 1 and not return_same_structure else packed


def _limit(maximum_iterations: Any) -> Tensor:
    limit = convert_to_tensor(maximum_iterations, name="maximum_iterations")
    if limit.raw_shape:
        raise ValueError(f"maximum_iterations must be a scalar, saw shape: {shapes.text(limit.raw_shape)}")
    if not limit.dtype.is_integer and limit.dtype is not dtypes.object:
        raise TypeError(f"maximum_iterations must be an integer, got {limit.dtype.name}: {limit}")
    return limit


def _check_arguments(cond: Any, body: Any, loop_vars: Any, parallel_iterations: Any) -> None:
    if not callable(cond):
        raise TypeError("cond must be callable.")
    if not callable(body):
        raise TypeError("body must be callable.")
    if not isinstance(parallel_iterations, int) or parallel_iterations < 1:
        raise TypeError("parallel_iterations must be a positive integer.")
    if not loop_vars:
        raise ValueError("No loop variables provided")


def _invariants(loop_vars: Any, enter: list[Tensor], shape_invariants: Any) -> list:
    if shape_invariants is None:
        parts = iter(enter)
        return [shape for leaf in nest.flatten(loop_vars) for shape in _default_invariants(leaf, parts)]
    given = _shapes_of(loop_vars, shape_invariants)
    for tensor, shape in zip(enter, given, strict=True):
        if not shapes.less_specific(shape, tensor.raw_shape):
            raise ValueError(
                f"The shape invariant specified for {tensor.name} is not compatible with the initial shape of the "
                f"loop variable. It enters the loop with shape {shapes.text(tensor.raw_shape)}, but the specified "
                f"shape invariant is {shapes.text(shape)}."
            )
    return given


def _default_invariants(leaf: Any, enter: Iterator[Tensor]) -> list:
    """The default shape invariants of a loop variable. The number of values in a SparseTensor may vary.

    enter: its initial tensors come next.
    """
    given = [next(enter).raw_shape for _ in parts_of(leaf)]
    if isinstance(leaf, SparseTensor):
        rank = None if leaf.dense_shape.raw_shape is None else leaf.dense_shape.raw_shape[0]
        return [(None, rank), (None,), (rank,)]
    return given


def _shapes_of(structure: Any, given: Any) -> list:
    """The given shapes for a structure's tensors. Raises ValueError if the structures differ."""
    if isinstance(structure, dict):
        if not isinstance(given, dict) or set(given) != set(structure):
            raise ValueError(OTHER_STRUCTURE)
        return [shape for key in ordered(structure) for shape in _shapes_of(structure[key], given[key])]
    if isinstance(structure, (list, tuple)):
        if not isinstance(given, (list, tuple)) or len(given) != len(structure):
            raise ValueError(OTHER_STRUCTURE)
        return [shape for item, one in zip(structure, given, strict=True) for shape in _shapes_of(item, one)]
    if isinstance(given, dict):
        raise ValueError(OTHER_STRUCTURE)
    shape = shapes.as_raw(given)
    if isinstance(structure, SparseTensor):
        if shape is not None and len(shape) != 1:
            raise ValueError(
                f"Expected a shape with 1 dimension, the rank of a SparseTensor. Obtained: {shapes.text(shape)}"
            )
        rank = None if shape is None else shape[0]
        return [(None, rank), (None,), (rank,)]
    if isinstance(structure, IndexedSlices):
        rows = (None,) if shape is None else shape[:1]
        return [shape, rows, (None if shape is None else len(shape),)][: len(parts_of(structure))]
    return [()] if isinstance(structure, TensorArray) else [shape]


def _loop_parameters(graph: Graph, section: Section, enter: list[Tensor], allowed: list, name: str) -> list[Tensor]:
    """The loop variables in the test or the body, by TensorFlow's names."""
    parameters = [
        graph.add(Kind.PLACEHOLDER, "LoopVariable", outputs=[(t.dtype.base_dtype, shape)], name=name).outputs[0]
        for t, shape in zip(enter, allowed, strict=True)
    ]
    section.parameters = parameters
    return parameters


def _next_variables(loop_vars: Any, result: Any, section: Section, enter: list[Tensor], allowed: list) -> list[Tensor]:
    """The body's results as the next loop variables. Raises ValueError if they do not match."""
    if isinstance(result, Operation) or result is None:
        raise ValueError("body must return the next loop variables")
    is_wrapped = len(loop_vars) == 1 and isinstance(loop_vars[0], (list, tuple)) and len(result) != 1
    packed = result if isinstance(result, (list, tuple)) and not is_wrapped else [result]
    flat = leaves(packed)
    assert_same_structure(list(loop_vars), list(packed))
    kinds = [list(map(composite, nest.flatten(structure))) for structure in (list(packed), list(loop_vars))]
    if len(flat) != len(enter) or kinds[0] != kinds[1]:
        raise ValueError(OTHER_STRUCTURE)
    tensors = []
    for item, parameter, start, shape in zip(flat, section.parameters, enter, allowed, strict=True):
        tensor = convert_to_tensor(item, None if as_tensor(item) is not None else parameter.dtype)
        if tensor.dtype.base_dtype != start.dtype.base_dtype:
            raise TypeError(
                f"The loop variable {start.name} enters the loop with dtype {start.dtype.name}, but has dtype "
                f"{tensor.dtype.name} after one iteration."
            )
        if not shapes.less_specific(shape, tensor.raw_shape):
            raise ValueError(
                f"Input tensor '{start.name}' enters the loop with shape {shapes.text(shape)}, but has shape "
                f"{shapes.text(tensor.raw_shape)} after one iteration. To allow the shape to vary across iterations, "
                "use the `shape_invariants` argument of tf.while_loop to specify a less-specific shape."
            )
        tensors.append(tensor)
    return tensors
