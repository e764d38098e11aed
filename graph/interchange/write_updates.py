"""Writers of the updates of optimizers: the new value is computed from the old one, and assigned.

term    a part, with operators that make nodes: a rule here reads as the kernel that it stands for
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weftwork.graph.interchange.nodes import Inexpressible, Part
from weftwork.graph.interchange.writing import OF_UPDATES, Node, writes
from weftwork.graph.training import kernels
from weftwork.graph.variables.handles import is_handle

Written = tuple[list[Part], dict[str, Any]]
ZERO = np.array(0, np.int32)


class Term:
    """A part that operators take."""

    def __init__(self, node: Node, part: Part):
        self.node, self.part = node, part

    def _of(self, type: str, *others: Any) -> Term:
        return Term(self.node, self.node.make(type, *[o.part if isinstance(o, Term) else o for o in others]))

    def __add__(self, other: Any) -> Term:
        return self._of("Add", self, other)

    def __sub__(self, other: Any) -> Term:
        return self._of("Sub", self, other)

    def __rsub__(self, number: float) -> Term:
        return self._of("Sub", Term(self.node, self.node.constant("number", number, self.part.dtype)), self)

    def __mul__(self, other: Any) -> Term:
        return self._of("Mul", self, other)

    def __truediv__(self, other: Any) -> Term:
        return self._of("RealDiv", self, other)

    @property
    def root(self) -> Term:
        """The square root."""
        return self._of("Sqrt", self)

    @property
    def square(self) -> Term:
        """The square."""
        return self._of("Square", self)


def _step(old: Term, grad: Term, spread: Term, rate: Term, mass: Term) -> Term:
    return old * mass + rate * grad / spread.root


RULES: dict[Callable[..., Any], Callable[..., Term]] = {
    kernels.descend: lambda old, grad, rate: old - grad * rate,
    kernels.minus: lambda old, step: old - step,
    kernels.scaled: lambda old, factor: old * factor,
    kernels.momentum: lambda old, grad, mass: old * mass + grad,
    kernels.nesterov: lambda old, grad, velocity, rate, mass: old - rate * (velocity * mass + grad),
    kernels.mean_of: lambda old, grad, keep: (grad - old) * (1 - keep) + old,
    kernels.mean_square_of: lambda old, grad, keep: (grad.square - old) * (1 - keep) + old,
    kernels.squares: lambda old, grad: grad.square + old,
    kernels.adagrad: lambda old, grad, total, rate: old - rate * grad / total.root,
    kernels.adam: lambda old, mean, square, rate, epsilon: old - rate * mean / (square.root + epsilon),
    kernels.rmsprop: lambda old, grad, square, rate, mass, epsilon: _step(old, grad, square + epsilon, rate, mass),
    kernels.centered_rmsprop: lambda old, grad, square, mean, rate, mass, epsilon: _step(
        old, grad, square - mean.square + epsilon, rate, mass
    ),
}
"""The new value for each kernel."""
_OF_ROWS: dict[Callable[..., Any], Callable[..., Term]] = {
    kernels.mean_of_rows: lambda rows, keep: (1 - keep) * rows,
    kernels.mean_square_of_rows: lambda rows, keep: (1 - keep) * rows.square,
}
"""What is added to some rows, where all others are only scaled."""


@writes("AdamRate")
def _adam_rate(node: Node) -> Written:
    rate, one, two = [Term(node, part) for part in node.inputs()]
    node.type = "RealDiv"
    return [(rate * (1 - two).root).part, (1 - one).part], {}


def _kernel(node: Node) -> Callable[..., Any]:
    assert node.op.kernel is not None
    return node.op.kernel


def _update(node: Node) -> Written:
    """All elements by a rule."""
    ref, *values = node.inputs()
    new = RULES[_kernel(node)](*[Term(node, part) for part in (node.read(ref), *values)])
    return node.assigned(ref, new.part)


def _with_rows(node: Node) -> Written:
    """All elements are scaled, and rows are added."""
    ref, at, *values = node.inputs()
    rows, keep = [Term(node, part) for part in values]
    old = node.read(ref)
    size = node.make("StridedSlice", node.make("Shape", old), [0], [1], [1], shrink_axis_mask=1)
    added = node.make("UnsortedSegmentSum", _OF_ROWS[_kernel(node)](rows, keep).part, at, size)
    return node.assigned(ref, (Term(node, old) * keep + Term(node, added)).part)


def _on_rows(node: Node) -> Written:
    """Some rows by a rule; tables are values with the same rows as the variable."""
    rule, tables = node.attrs["kernel"], node.attrs["tables"]
    if rule not in RULES or is_handle(node.op.inputs[0]):
        raise Inexpressible
    ref, at, *values = node.inputs()
    pairs = zip((node.read(ref), *values), (True, *tables), strict=True)
    rows = [node.make("GatherV2", part, at, ZERO) if table else part for part, table in pairs]
    new = RULES[rule](*[Term(node, part) for part in rows])
    node.type = "ScatterUpdate"
    return [ref, at, new.part], {}


OF_UPDATES.update(dict.fromkeys(RULES, _update))
OF_UPDATES.update(dict.fromkeys(_OF_ROWS, _with_rows))
OF_UPDATES[kernels.on_rows] = _on_rows
