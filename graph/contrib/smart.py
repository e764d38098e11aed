"""Branches that are chosen while the graph is built, where the predicate is known by then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph.build import static_value
from weftwork.graph.operation import Tensor
from weftwork.graph.ops.control_flow import cond


def smart_constant_value(pred: Any) -> bool | None:
    """The value of a predicate, a bool, 0, 1 or a tensor, if it is known while the graph is built; else None.

    Raises TypeError for anything else.
    """
    if isinstance(pred, Tensor):
        known = static_value(pred)
        return None if known is None else bool(known)
    if pred in (0, 1):
        return bool(pred)
    raise TypeError(f"`pred` must be a Tensor, or a Python bool, or 1 or 0. Found instead: {pred}")


def smart_cond(
    pred: Any, true_fn: Callable[..., Any] | None = None, false_fn: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Any:  # fmt: skip
    """`true_fn()` or `false_fn()`, if the predicate is known while the graph is built; else the `cond` of both.

    pred: a bool, 0, 1 or a tensor. Raises TypeError for any other, and for a function that cannot be called.
    """
    if not callable(true_fn):
        raise TypeError("`true_fn` must be callable.")
    if not callable(false_fn):
        raise TypeError("`false_fn` must be callable.")
    known = smart_constant_value(pred)
    if known is None:
        return cond(pred, true_fn, false_fn, name=name)
    return true_fn() if known else false_fn()
