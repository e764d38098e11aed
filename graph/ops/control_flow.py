"""Control flow: branches and loops, as operations that own sections of the graph.

The functions passed in are called once, while the graph is built. The nodes they create run only in the branch that is
taken, or once in each iteration. The outside tensors they use are evaluated once, unconditionally.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

import numpy as np

from weftwork.graph import dtypes, nest, shapes
from weftwork.graph.build import apply, as_tensor, convert_to_tensor, graph_of
from weftwork.graph.contexts import CondContext
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.composite import IndexedSlices, SparseTensor
from weftwork.graph.ops.conversion import cast
from weftwork.graph.ops.flow import identity
from weftwork.graph.ops.owners import add_owner, section_of
from weftwork.graph.ops.tensor_array import TensorArray
from weftwork.graph.scopes import name_scope
from weftwork.graph.sections import Section
from weftwork.graph.structures import assert_same_structure, packed

A = TypeVar("A")
B = TypeVar("B")
OTHER_STRUCTURE = "The two structures don't have the same nested structure."


def _branch_outputs(graph: Graph, section: Section, result: Any, word: str, taken: bool) -> list:
    """The flat results of a branch as tensors; an operation becomes `taken`, the predicate, after it has run."""
    flat = []
    for item in leaves(result):
        standing = hasattr(type(item), "_as_graph_element") and as_tensor(item) is None
        element = item._as_graph_element() if standing else item
        if isinstance(element, Operation):
            with graph.control_dependencies([element]):
                flat.append(identity(np.bool_(taken), name="control_dependency"))
        elif element is None:
            raise ValueError(f"{word} must have a return value.")
        else:
            flat.append(convert_to_tensor(element))
    section.outputs = list(flat)
    return flat


# Branches


@overload
def cond(
    pred: Any, true_fn: Callable[[], Tensor[A]], false_fn: Callable[[], Tensor[B]], *, name: str | None = ...
) -> Tensor[A | B]: ...
@overload
def cond(
    pred: Any,
    true_fn: Callable[..., Any] | None = ...,
    false_fn: Callable[..., Any] | None = ...,
    strict: bool = ...,
    name: str | None = ...,
    fn1: Callable[..., Any] | None = ...,
    fn2: Callable[..., Any] | None = ...,
) -> Any: ...
def cond(
    pred: Any,
    true_fn: Callable[..., Any] | None = None,
    false_fn: Callable[..., Any] | None = None,
    strict: bool = False,
    name: str | None = None,
    fn1: Callable[..., Any] | None = None,
    fn2: Callable[..., Any] | None = None,
) -> Any:
    """The result of `true_fn()` if `pred` (a boolean tensor of rank 0) is true, else that of `false_fn()`.

    Both must return the same structure of tensors with the same dtypes. Nodes of the branch that is not taken have no
    effect at all. A list of one tensor is returned as just the tensor, unless `strict`. If a function returns an
    operation, the result is a boolean tensor, the predicate, available once the operation has run.
    fn1, fn2: older names of true_fn and false_fn.
    Raises TypeError for a Python bool or an object that cannot be called, TypeError or ValueError for functions whose
    results do not match.

        half = tf.cond(tf.equal(n % 2, 0), lambda: n // 2, lambda: 3 * n + 1)
    """
    true_fn, false_fn = _one_of(true_fn, fn1, "true_fn", "fn1"), _one_of(false_fn, fn2, "false_fn", "fn2")
    if not callable(true_fn):
        raise TypeError("true_fn must be callable.")
    if not callable(false_fn):
        raise TypeError("false_fn must be callable.")
    if isinstance(pred, bool):
        raise TypeError("pred must not be a Python bool")
    graph = graph_of([pred])
    with graph.as_default(), name_scope(name, "cond", [pred]):
        pred = scalar_predicate(convert_to_tensor(pred, name="pred"), "pred")
        results, flats, sections = [], [], []
        for function, word in ((true_fn, "true_fn"), (false_fn, "false_fn")):
            with section_of(graph, "a branch of a cond") as section:
                section.context = CondContext(graph, section, pred, int(word == "true_fn"))
                result = function()
                flats.append(_branch_outputs(graph, section, result, word, word == "true_fn"))
                results.append(result)
                sections.append(section)
        _check_structures(results[0], results[1], strict)
        _same_indices(graph, results[0], flats, sections)
        _check_alike(results, flats)
        specs = [
            (a.dtype.base_dtype, shapes.common(a.raw_shape, b.raw_shape))
            for a, b in zip(sections[0].outputs, sections[1].outputs, strict=True)
        ]
        op = add_owner(graph, "If", sections, [pred], specs, "Merge", {})
        structure = repacked(results[0], iter(op.outputs))
    if not strict and type(structure) in (list, tuple) and len(structure) == 1:
        return structure[0]
    return structure


def _one_of(function: Any, old: Any, name: str, old_name: str) -> Any:
    if function is not None and old is not None:
        raise TypeError(f"cond(): '{name}' and '{old_name}' may not be set simultaneously.")
    if function is None and old is None:
        raise TypeError(f"cond(): '{name}' argument required")
    return old if function is None else function


def _same_indices(graph: Graph, result: Any, flats: list[list], sections: Sequence[Section]) -> None:
    """Make indices of slices int64 in both branches if they are in one."""
    if len(flats[0]) != len(flats[1]):
        return
    indices = [part for leaf in nest.flatten(result) for part in _is_indices(leaf)]
    for number, (one, two, are) in enumerate(zip(*flats, indices, strict=True)):
        if are and one.dtype.base_dtype != two.dtype.base_dtype:
            for flat, section in zip(flats, sections, strict=True):
                with graph.in_section(section):
                    flat[number] = cast(flat[number], "int64")
                section.outputs = list(flat)


def _is_indices(leaf: Any) -> list[bool]:
    parts = parts_of(leaf)
    return [isinstance(leaf, IndexedSlices) and part is leaf.indices for part in parts]


def scalar_predicate(pred: Tensor, what: str) -> Tensor:
    """A predicate as a single boolean. Raises ValueError for a known rank other than 0, TypeError for another dtype."""
    if pred.raw_shape:
        raise ValueError(f"Shape must be rank 0 but is rank {len(pred.raw_shape)} for the {what} {pred}")
    if not pred.dtype.is_bool and pred.dtype is not dtypes.object:
        raise TypeError(f"{what} has type {pred.dtype.name} that does not match expected type of bool: {pred}")
    if pred.raw_shape == () and pred.dtype.is_bool:
        return pred
    return apply(one_truth, [pred], type="Identity", name="pred_id", dtype="bool", shape=())


def one_truth(value: Any) -> Any:
    """The kernel that checks a predicate whose shape is not known earlier."""
    if np.ndim(value):
        shape = shapes.bracket_text(np.shape(value))
        raise InvalidArgumentError(None, None, f"The predicate must be a scalar, but it has shape {shape}")
    return np.bool_(value)


def _check_structures(one: Any, two: Any, strict: bool) -> None:
    """Raise ValueError or TypeError unless both branches return the same structure."""
    if not strict:
        one, two = [x[0] if type(x) in (list, tuple) and len(x) == 1 else x for x in (one, two)]
    try:
        assert_same_structure(one, two)
    except (TypeError, ValueError) as error:
        raise type(error)(f"Incompatible return types/values of true_fn and false_fn: {error}") from None


class Unlike(ValueError):
    """The results of two branches have different numbers or dtypes."""


def _check_alike(results: list, flats: list) -> None:
    one, two = flats
    if not one and not two:
        raise ValueError("true_fn and false_fn must return at least one result.")
    kinds = [list(map(composite, nest.flatten(result))) for result in results]
    if len(one) != len(two) or kinds[0] != kinds[1]:
        raise Unlike(f"Incompatible return types/values of true_fn and false_fn: {results[0]!r}, {results[1]!r}")
    for a, b in zip(one, two, strict=True):
        if a.dtype.base_dtype != b.dtype.base_dtype:
            raise Unlike(f"Outputs of true_fn and false_fn must have the same type: {a.dtype.name}, {b.dtype.name}")


# Structures


def composite(leaf: Any) -> type | None:
    """The class of a leaf made of tensors (SparseTensor, IndexedSlices or TensorArray), or None for a tensor."""
    return next((kind for kind in (SparseTensor, IndexedSlices, TensorArray) if isinstance(leaf, kind)), None)


def parts_of(leaf: Any) -> list:
    """The tensors of a leaf, without an unknown dense shape."""
    if isinstance(leaf, SparseTensor):
        return [leaf.indices, leaf.values, leaf.dense_shape]
    if isinstance(leaf, IndexedSlices):
        return [part for part in (leaf.values, leaf.indices, leaf.dense_shape) if part is not None]
    return [leaf.flow] if isinstance(leaf, TensorArray) else [leaf]


def _from_parts(leaf: Any, parts: list) -> Any:
    """A leaf of the same kind with other tensors."""
    if isinstance(leaf, TensorArray):
        return leaf.with_flow(parts[0])
    kind = composite(leaf)
    return parts[0] if kind is None else kind(*parts)


def leaves(structure: Any) -> list:
    """The tensors of a structure; a SparseTensor counts as three, IndexedSlices as two or three."""
    return [part for leaf in nest.flatten(structure) for part in parts_of(leaf)]


def repacked(structure: Any, items: Any) -> Any:
    """A structure of the same kind with other tensors, one for each of its `leaves`."""
    made = []
    for leaf in nest.flatten(structure):
        made.append(_from_parts(leaf, [next(items) for _ in parts_of(leaf)]))
    return packed(structure, iter(made))
