"""Functions over the elements of arrays: `map_fn`, `foldl`, `foldr`, `scan`, as one operation that owns a section.

element    a slice along an array's first axis. The function is called once, with a tensor that stands for an element
carried    the values that the function passes from one element to the next
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph import nest, shapes
from weftwork.graph.build import as_tensor, convert_to_tensor, graph_of
from weftwork.graph.contexts import WhileContext
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Kind, Tensor
from weftwork.graph.ops.joining import concat
from weftwork.graph.ops.owners import add_owner, section_of
from weftwork.graph.scopes import name_scope
from weftwork.graph.structures import assert_same_structure, packed

_COLLECTED, _CARRIED = "TensorArrayStack/TensorArrayGatherV3", "while/Exit_2"
"""The names of results within their scopes in TensorFlow, by which programs fetch them."""


def sweep(
    function: Callable[[list[Tensor], list[Tensor]], tuple[list, list]],
    initial: list[Tensor],
    elements: list[Tensor],
    reverse: bool = False,
    name: str | None = None,
    parallel: int = 1,
    infer_shape: bool = True,
) -> tuple[list[Tensor], list[Tensor]]:
    """Apply function(carried, element) -> (carried, collected) along the first axis of `elements`.

    parallel: if nothing is carried, the number of parts into which the elements are split, to run concurrently; else
        the number of calls that may run concurrently, as far as they do not depend on each other.
    infer_shape: False if what is collected may differ in its shape from the first result, and so has no known one.
    Returns the final carried tensors, and the collected ones stacked along a new first axis.
    Raises ValueError for scalars and for different lengths, TypeError if a carried value changes its dtype.
    """
    graph = graph_of([*initial, *elements])
    count = _length(elements)
    with section_of(graph, "a function over elements") as section:
        section.context = WhileContext(graph, section, parallel or 10)
        carried = [_placeholder_for(graph, t.dtype, t.raw_shape) for t in initial]
        element = [_placeholder_for(graph, t.dtype, None if t.raw_shape is None else t.raw_shape[1:]) for t in elements]
        section.parameters = [*carried, *element]
        next_carried, collected = function(carried, element)
        next_carried = [convert_to_tensor(t) for t in next_carried]
        collected = [convert_to_tensor(t) for t in collected]
        section.outputs = [*next_carried, *collected]
    for before, after in zip(initial, next_carried, strict=True):
        if before.dtype.base_dtype != after.dtype.base_dtype:
            raise TypeError(
                f"The accumulator {before.name} has dtype {before.dtype.name}, but {after.dtype.name} after an element."
            )
    outputs = [
        (b.dtype.base_dtype, shapes.common(b.raw_shape, e.raw_shape))
        for b, e in zip(initial, next_carried, strict=True)
    ]
    for t in collected:
        known = infer_shape and t.raw_shape is not None
        outputs.append((t.dtype.base_dtype, (count, *t.raw_shape) if known else None))  # type: ignore[misc]
    empty = tuple([((0, *[d or 0 for d in t.raw_shape or ()]), t.dtype.base_dtype.numpy) for t in collected])
    attrs = {"_carried": len(initial), "_elements": len(elements), "_reverse": reverse, "_empty": empty}
    attrs["_parallel"] = parallel if count is None else min(parallel, count)
    op = add_owner(graph, "Sweep", [section], [*initial, *elements], outputs, name or "Sweep", attrs)
    return list(op.outputs[: len(initial)]), list(op.outputs[len(initial) :])


def _length(elements: list[Tensor]) -> int | None:
    """The common length of some tensors, if it is known. Raises ValueError if they cannot have one."""
    length = None
    for tensor in elements:
        if tensor.raw_shape == ():
            raise ValueError(f"elements in elems must be 1+ dimensional Tensors, not scalars: {tensor}")
        known = None if tensor.raw_shape is None else tensor.raw_shape[0]
        if None not in (length, known) and length != known:
            raise ValueError(
                f"Dimensions {length} and {known} are not compatible: all elems must have the same length."
            )
        length = known if length is None else length
    return length


def _placeholder_for(graph: Graph, dtype: Any, shape: shapes.RawShape) -> Tensor:
    return graph.add(Kind.PLACEHOLDER, "Element", outputs=[(dtype.base_dtype, shape)], name="element").outputs[0]


def _tensors(structure: Any) -> list[Tensor]:
    return [convert_to_tensor(item) for item in nest.flatten(structure)]


def map_fn(
    fn: Callable[..., Any],
    elems: Any,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    name: str | None = None,
) -> Any:
    """Apply `fn` to each element of `elems` (a tensor, or a structure of tensors of the same length), and stack.

    dtype: of the result, or a structure of dtypes, if it differs from that of `elems`.
    parallel_iterations: the number of parts into which the elements are split, to run concurrently if it pays; None
    means 10. Raises TypeError if `fn` is not callable or returns another dtype than stated, or for fewer than 1 part.

        tf.map_fn(lambda x: x * x, tf.range(4))  # [0, 1, 4, 9]
    """
    if not callable(fn):
        raise TypeError("fn must be callable.")
    parts = 10 if parallel_iterations is None else parallel_iterations
    if not isinstance(parts, int) or parts < 1:
        raise TypeError("parallel_iterations must be a positive integer.")
    flat = _tensors(elems)
    shape_of: list[Any] = []

    def one(_: list, element: list) -> tuple[list, list]:
        result = fn(packed(elems, iter(element)))
        shape_of.append(result)
        results = nest.flatten(result)
        assert_same_structure(elems if dtype is None else dtype, result)
        types = [t.dtype for t in flat] if dtype is None else [as_dtype(d) for d in nest.flatten(dtype)]
        return [], [_with_dtype(item, wanted) for item, wanted in zip(results, types, strict=True)]

    with name_scope(name, "map", flat):
        _, stacked = sweep(one, [], flat, name=_COLLECTED, parallel=parts, infer_shape=infer_shape)
    result = shape_of[0]
    return packed(result, iter(stacked))


def _with_dtype(item: Any, dtype: Any) -> Tensor:
    tensor = convert_to_tensor(item, None if as_tensor(item) is not None else dtype)
    if tensor.dtype.base_dtype != dtype.base_dtype:
        raise TypeError(f"fn gave {tensor.dtype.base_dtype.name}, but dtype is {dtype.base_dtype.name}.")
    return tensor


def _fold(
    fn: Callable, elems: Any, initializer: Any, parallel: int, reverse: bool, collect: bool, name: str | None, word: str
) -> Any:
    if not callable(fn):
        raise TypeError("fn must be callable.")
    if not isinstance(parallel, int) or parallel < 1:
        raise TypeError("parallel_iterations must be a positive integer.")
    flat = _tensors(elems)
    structure = elems if initializer is None else initializer
    with name_scope(name, word, flat):
        if initializer is None:
            first = [t[-1] if reverse else t[0] for t in flat]
            rest = [t[:-1] if reverse else t[1:] for t in flat]
        else:
            first, rest = _tensors(initializer), flat

        def one(carried: list, element: list) -> tuple[list, list]:
            result = fn(packed(structure, iter(carried)), packed(elems, iter(element)))
            assert_same_structure(structure, result)
            ends = _tensors(result)
            return ends, ends if collect else []

        last, stacked = sweep(one, first, rest, reverse, None if collect else _CARRIED, parallel)
        if collect and initializer is None:
            start = [t[-1:] if reverse else t[:1] for t in flat]
            pairs = zip(start, stacked, strict=True)
            stacked = [concat([s, a] if reverse is False else [a, s], 0, name=_COLLECTED) for s, a in pairs]
    return packed(structure, iter(stacked if collect else last))


def foldl(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """fn(...fn(fn(initializer, elems[0]), elems[1])..., elems[-1]); without an initializer, starts with elems[0]."""
    return _fold(fn, elems, initializer, parallel_iterations, False, False, name, "foldl")


def foldr(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """As foldl, but from the last element to the first."""
    return _fold(fn, elems, initializer, parallel_iterations, True, False, name, "foldr")


def scan(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    reverse: bool = False,
    name: str | None = None,
) -> Any:
    """As foldl, but returns all intermediate values, stacked: one for each element.

    reverse: begin with the last element.
    """
    return _fold(fn, elems, initializer, parallel_iterations, reverse, True, name, "scan")
