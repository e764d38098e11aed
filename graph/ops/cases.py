"""Branches selected by one of several predicates, or by a number: nested conds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import apply, as_tensor, graph_of
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops import math_ops
from weftwork.graph.ops.control_flow import Unlike, cond, leaves, repacked
from weftwork.graph.ops.flow import group, identity
from weftwork.graph.scopes import name_scope


def case(
    pred_fn_pairs: Any,
    default: Callable[..., Any] | None = None,
    exclusive: bool = False,
    strict: bool = False,
    name: str = "case",
) -> Any:
    """The result of the function of the first true predicate, else that of `default`.

    pred_fn_pairs: a list of (boolean tensor of rank 0, function), or a dict of these.
    exclusive: raise InvalidArgumentError at run time if several predicates are true. Without a default, it is also
    raised if none is. strict: keep the list around a single result.
    """
    if not isinstance(pred_fn_pairs, (list, tuple, dict)):
        raise TypeError("pred_fn_pairs must be a list, tuple, or dict")
    pairs = list(pred_fn_pairs.items()) if isinstance(pred_fn_pairs, dict) else list(pred_fn_pairs)
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError("Each entry in pred_fn_pairs must be a 2-tuple")
        if not isinstance(pair[0], Tensor):
            raise TypeError(
                f"pred must be Tensor, got: {pair[0]!r}. Entries are pairs of a boolean Tensor and a callable"
            )
        if not callable(pair[1]):
            raise TypeError(f"fn for pred {pair[0].name} must be callable.")
        if not pair[0].dtype.is_bool and pair[0].dtype is not dtypes.object:
            raise TypeError(f"pred must be Tensor of type bool: {pair[0].name}")
    if not pairs:
        raise ValueError("pred_fn_pairs must not be empty")
    preds = [pred for pred, _ in pairs]
    with name_scope(name, "case", preds):
        if exclusive:
            preds = [_alone(pred, preds) for pred in preds]
        if default is None:
            default = _asserted(preds, pairs[-1][1])
            preds, pairs = preds[:-1], pairs[:-1]
        chosen = default
        for pred, (_, function) in zip(reversed(preds), reversed(pairs), strict=True):
            chosen = _either(pred, function, chosen, strict)
        return chosen()


def _asserted(preds: list, function: Callable) -> Callable:
    """The last function of a case without a default: it fails at run time if no predicate is true."""

    def last() -> Any:
        names = ", ".join([pred.name for pred in preds])
        checked = apply(assert_any, preds, {"names": names}, type="Assert", dtype="bool", shape=())
        with preds[0].graph.control_dependencies([checked]):
            result = function()
            return repacked(result, iter([_held(item) for item in leaves(result)]))

    return last


def assert_any(*preds: Any, names: str) -> Any:
    """The kernel of the assertion that one of some predicates is true."""
    if not any(preds):
        raise InvalidArgumentError(None, None, f"Input error: None of conditions evaluated as True: {names}")
    return np.True_


one_of_them = assert_any  # the name in graphs that older versions wrote


def _held(item: Any) -> Any:
    """A result that waits for the control dependencies."""
    if item is None:
        return None
    element = item._as_graph_element() if hasattr(item, "_as_graph_element") and as_tensor(item) is None else item
    return group(element) if isinstance(element, Operation) else identity(element)


def _either(pred: Tensor, function: Callable, otherwise: Callable, strict: bool) -> Callable:
    return lambda: cond(pred, function, otherwise, strict=strict)


def _alone(pred: Tensor, preds: list) -> Tensor:
    names = ", ".join(p.name for p in preds)
    return apply(_only_one, [pred, *preds], {"names": names}, type="Assert", dtype="bool", shape=())


def _only_one(pred: Any, *preds: Any, names: str) -> Any:
    if sum(map(bool, preds)) > 1:
        raise InvalidArgumentError(
            None,
            None,
            f"Input error: exclusive=True: more than 1 conditions ({names}) evaluated as True: "
            f"{list(map(bool, preds))}",
        )
    return pred


def switch_case(
    branch_index: Any, branch_fns: Any, default: Callable[..., Any] | None = None, name: str = "switch_case"
) -> Any:
    """The result of function number `branch_index`, an integer tensor; for any other number, that of the default or of
    the last function.

    branch_fns: a list of functions, of (number, function) pairs, or a dict of them: numbers from 0 on, without gaps.
    Raises TypeError and ValueError for anything else.
    """
    if not isinstance(branch_index, Tensor):
        raise TypeError(f"branch_index must be a Tensor, got {type(branch_index)}")
    if not branch_index.dtype.is_integer:
        raise TypeError(f"branch_index must be an integer Tensor, got {branch_index.dtype.name}")
    pairs = _numbered(branch_fns)
    with graph_of([branch_index]).as_default(), name_scope(name, "switch_case", [branch_index]):
        last = pairs[-1][1] if default is None else default
        others = pairs[:-1] if default is None else pairs
        if not others:
            return last()
        try:
            return case([(math_ops.equal(branch_index, number), fn) for number, fn in others], default=last)
        except Unlike as error:
            raise TypeError(
                "branches of tf.switch_case must have the same number, type, and overall structure of return values. "
                f"{error}"
            ) from error


def _numbered(branch_fns: Any) -> list[tuple[int, Callable[..., Any]]]:
    """The functions in the order of their numbers."""
    if not isinstance(branch_fns, (list, tuple, dict)):
        raise TypeError("branch_fns must be a list, tuple, or dict")
    if not branch_fns:
        raise ValueError("Must provide at least one item in branch_fns")
    pairs: list[Any] = list(branch_fns.items()) if isinstance(branch_fns, dict) else list(branch_fns)
    if all(callable(item) for item in pairs):
        pairs = list(enumerate(pairs))
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError("Each entry in branch_fns must be a 2-tuple")
        if not isinstance(pair[0], int):
            raise TypeError(f"key must be a Python `int`, got {type(pair[0])}")
        if not callable(pair[1]):
            raise TypeError(f"fn for key {pair[0]} must be callable.")
    pairs.sort(key=lambda pair: pair[0])
    if [number for number, _ in pairs] != list(range(len(pairs))):
        numbers = ",".join([str(number) for number, _ in pairs])
        raise ValueError(
            f"branch indices (keys) must form contiguous range of [0 to {len(pairs)}) but found {{{numbers}}}"
        )
    return pairs
