"""Rules by composition: an operation's derivative is that of the operations which say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weftwork.graph.gradients.registry import Rule
from weftwork.graph.gradients.walk import gradients
from weftwork.graph.operation import Operation
from weftwork.graph.ops.flow import identity


def by_composition(build: Callable[..., Any]) -> Rule:
    """The rule of an operation that build(op, *inputs) says in other operations: theirs, chained.

    build: gives one tensor for each output; only inputs that they depend on get a gradient.
    """

    def composed(op: Operation, *grads: Any) -> list:
        inputs = [identity(t) if t in op.inputs[:i] else t for i, t in enumerate(op.inputs)]
        made = build(op, *inputs)
        # The inputs may depend on each other: what is asked for here are partial derivatives.
        return gradients(made, inputs, list(grads), name="composed", stop_gradients=inputs)

    return composed
