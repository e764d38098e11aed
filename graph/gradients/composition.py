"""Rules by composition: an operation gets its derivative from an equivalent composition of other operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph.gradients.registry import Rule
from weftwork.graph.gradients.walk import gradients
from weftwork.graph.operation import Operation
from weftwork.graph.ops.flow import identity


def by_composition(build: Callable[..., Any]) -> Rule:
    """A rule for operations that `build(op, *inputs)` expresses in other operations, by the chain rule.

    build: returns one tensor for each output. Only inputs that these depend on get a gradient.
    """

    def composed(op: Operation, *grads: Any) -> list:
        inputs = [identity(t) if t in op.inputs[:i] else t for i, t in enumerate(op.inputs)]
        result = build(op, *inputs)
        # The inputs may depend on each other, but we need partial derivatives.
        return gradients(result, inputs, list(grads), name="composed", stop_gradients=inputs)

    return composed
