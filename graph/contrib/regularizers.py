"""Regularizers: functions that return a loss for the size of a variable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weftwork.graph.build import constant, convert_to_tensor
from weftwork.graph.graph import GraphKeys
from weftwork.graph.nn.ops import l2_loss
from weftwork.graph.operation import Tensor
from weftwork.graph.ops import math_ops
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph

Regularizer = Callable[[Any], Any]


def _checked(scale: Any) -> float:
    if isinstance(scale, bool) or not isinstance(scale, (int, float)):
        raise ValueError(f"scale must be a number, not {scale!r}")
    if isinstance(scale, int) and scale != 0:
        raise ValueError(f"scale cannot be an integer: {scale}")
    if scale < 0.0:
        raise ValueError(f"Setting a scale less than 0 on a regularizer: {scale}.")
    return float(scale)


def l1_regularizer(scale: float, scope: str | None = None) -> Regularizer:
    """scale times the sum of |w|. Raises ValueError for a scale that is not a float, or negative."""
    factor = _checked(scale)

    def l1(weights: Any) -> Tensor | None:
        if factor == 0.0:
            return None
        with name_scope(scope, "l1_regularizer", [weights]) as name:
            x = convert_to_tensor(weights)
            return math_ops.multiply(
                convert_to_tensor(factor, x.dtype), math_ops.reduce_sum(math_ops.abs(x)), name=name
            )

    return l1


def l2_regularizer(scale: float, scope: str | None = None) -> Regularizer:
    """scale times half of the sum of w^2. Raises ValueError for a scale that is not a float, or negative."""
    factor = _checked(scale)

    def l2(weights: Any) -> Tensor | None:
        if factor == 0.0:
            return None
        with name_scope(scope, "l2_regularizer", [weights]) as name:
            x = convert_to_tensor(weights)
            return math_ops.multiply(convert_to_tensor(factor, x.dtype), l2_loss(x), name=name)

    return l2


def l1_l2_regularizer(scale_l1: float = 1.0, scale_l2: float = 1.0, scope: str | None = None) -> Regularizer:
    """The sum of the L1 and L2 regularizers."""
    made = sum_regularizer([l1_regularizer(scale_l1), l2_regularizer(scale_l2)], scope or "l1_l2_regularizer")
    assert made is not None
    return made


def sum_regularizer(regularizer_list: Sequence[Regularizer | None], scope: str | None = None) -> Regularizer | None:
    """The sum of several regularizers; None if there are none."""
    kept = [one for one in regularizer_list if one is not None]
    if not kept:
        return None

    def total(weights: Any) -> Tensor | None:
        with name_scope(scope, "sum_regularizer", [weights]):
            terms = [term for term in (one(weights) for one in kept) if term is not None]
            return math_ops.add_n(terms) if terms else None

    return total


def apply_regularization(regularizer: Regularizer, weights_list: Any = None) -> Tensor:
    """The total loss of all weights (by default the collection WEIGHTS); it is added to REGULARIZATION_LOSSES."""
    graph = get_default_graph()
    weights = graph.get_collection(GraphKeys.WEIGHTS) if weights_list is None else list(weights_list)
    if not weights:
        raise ValueError("No weights to regularize.")
    with name_scope(None, "get_regularization_penalty", weights) as scope:
        terms = [term if (term := regularizer(w)) is not None else constant(0.0) for w in weights]
        total = math_ops.add_n(terms, name=scope)
        graph.add_to_collection(GraphKeys.REGULARIZATION_LOSSES, total)
        return total
