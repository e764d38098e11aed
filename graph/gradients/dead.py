"""Derivatives of Switch, Merge and what passes on its input between them."""

from __future__ import annotations

from typing import Any

from weftwork.graph.gradients.registry import RULES, rule
from weftwork.graph.gradients.walk import pass_on
from weftwork.graph.operation import Operation
from weftwork.graph.ops import math_ops
from weftwork.graph.ops.dead import merge, switch
from weftwork.graph.ops.filling import zeros_like

PASSED = ("Enter", "RefEnter", "Exit", "RefExit", "NextIteration", "RefNextIteration", "RefIdentity")
"""Operations that pass on their input."""

for _type in PASSED:
    RULES[_type] = pass_on


@rule("Switch")
def _switch(op: Operation, *grads: Any) -> list:
    """The gradient of the side that was taken."""
    sides = [zeros_like(t) if g is None else g for t, g in zip(op.outputs, grads, strict=True)]
    return [merge(sides)[0], None]


@rule("Merge")
def _merge(op: Operation, grad: Any, _: Any) -> list:
    """The gradient, for the input that was passed on only."""
    chosen = op.outputs[1]
    return [switch(grad, math_ops.equal(chosen, number))[1] for number in range(len(op.inputs))]
