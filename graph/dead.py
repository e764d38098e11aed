"""Dead values: what is not computed because a Switch sent its data the other way.

Only graphs with Switch and Merge operations that a program makes itself (`raw_ops.Switch`) have them; `tf.cond` and
`tf.while_loop` own sections instead. An operation with a dead input, or one that waits for a dead operation, does
nothing, and its outputs are dead. A Merge passes on the first input that is not dead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.sentinels import Sentinel


class Dead(Sentinel):
    """The value of an output that was not computed."""


DEAD = Dead()


def switched(data: Any, pred: Any) -> tuple[Any, Any]:
    """The kernel of Switch: `data` as the second output if `pred`, else as the first."""
    if data is DEAD or pred is DEAD:
        return DEAD, DEAD
    return (DEAD, data) if pred else (data, DEAD)


def merged(*values: Any) -> tuple[Any, Any]:
    """The kernel of Merge: the first value that is not dead, and its number."""
    for number, value in enumerate(values):
        if value is not DEAD:
            return value, np.int32(number)
    return DEAD, DEAD


def entered(data: Any, **attrs: Any) -> Any:
    """The kernel of Enter: its input."""
    return data


def alive(value: Any) -> Any:
    """The kernel that checks a fetched value."""
    if value is DEAD:
        raise InvalidArgumentError(None, None, "Retval[0] does not have value")
    return value


class Unless:
    """A kernel that is only called if none of its values is dead.

    first: the number of arguments before the values (the old value of a variable, or a random generator).
    waits: the number of values at the end that it only waits for.   outputs: how many there are.
    keeps: its result is a variable's new value, which is otherwise the old one.
    """

    def __init__(self, kernel: Any, first: int, waits: int, outputs: int, keeps: bool, takes_old: bool):
        self.kernel, self.first, self.waits, self.outputs = kernel, first, waits, outputs
        self.keeps, self.takes_old = keeps, takes_old
        self.__name__ = getattr(kernel, "__name__", type(kernel).__name__)

    def __call__(self, *values: Any, **attrs: Any) -> Any:
        if any([value is DEAD for value in values[self.first :]]):
            if self.keeps:
                return values[0]
            return DEAD if self.outputs == 1 else (DEAD,) * self.outputs
        given = values[: len(values) - self.waits]
        return self.kernel(*(given if self.takes_old else given[self.first :]), **attrs)


_FIRST = {Kind.PURE: 0, Kind.RANDOM: 1, Kind.UPDATE: 1, Kind.ASSIGN: 1}
"""The kinds of operations that can be skipped, and how many arguments of their kernels are not inputs of the node."""


def may_die(op: Operation, among: set[Operation]) -> bool:
    """Whether an operation depends on one of `among`, whose outputs may be dead."""
    return not among.isdisjoint([t.op for t in op.inputs]) or not among.isdisjoint(op.controls)


def skipped_if_dead(
    among: set[Operation],
    kind: Kind,
    kernel: Any,
    inputs: tuple[Tensor, ...],
    controls: Iterable[Operation],
    made: int,
) -> tuple[Kind, Any, tuple[Tensor, ...]]:
    """The kind, kernel and inputs of a new operation that does nothing if an input or a control input is dead.

    made: the number of its outputs.
    """
    waits = tuple([control.outputs[0] for control in controls if control in among and control.outputs])
    if kind not in _FIRST or kernel in (switched, merged) or among.isdisjoint([t.op for t in (*inputs, *waits)]):
        return kind, kernel, inputs
    writes = kind in (Kind.ASSIGN, Kind.UPDATE)
    unless = Unless(kernel, _FIRST[kind], len(waits), made, writes, kind is not Kind.ASSIGN)
    return Kind.UPDATE if writes else kind, unless, (*inputs, *waits)
