"""CallList: the nodes of a kind of run that needs no plan yet, looked at once for all its runs.

Where a run is of a whole graph, what the graph has counted as it grew says all that must be known: no node is looked
at. Else the nodes that are needed are found and counted.

chunk     so many nodes, one after another in creation order
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from weftwork.actors.programs.float_errors import hush, loud
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.statistics import CALLED, GraphStatistics
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.compile.effects import bound_together
from weftwork.scheduler.compile.pruning import prune
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.placement import worth_sharing_once
from weftwork.scheduler.plan.policy import (
    CHUNK,
    COLD_OVERHEAD_A_NODE,
    FIRST_CALLS,
    HEAVY_CALL,
    LEAST_COLD_NODES,
    MOST_SPREAD,
    PLANNING_A_NODE,
)

_STRIDE = 16 * CHUNK
"""One in so many nodes is measured, and the first one of each function."""
_NEVER = 2**62

ABSENT = object()
"""Stands for a value that is not there yet, or not any more."""
TURN = object()
"""Stands first in a call that turns NumPy's errors on or off, and belongs to no node."""


class CallList:
    """The nodes of a kind of run that needs no plan yet.

    ops: in creation order.   counts: how often each kernel is called.   functions: the users' ones among them.
    last: of each tensor, by its number, the index of the node that takes it last; _NEVER for what is fetched.
    bound: the functions that stay in the caller, for they share state.
    only_users, mixed: all nodes, or some of them, call users' functions.
    """

    def __init__(
        self,
        elements: Sequence[Tensor | Operation],
        ops: list[Operation],
        statistics: GraphStatistics,
        bound: frozenset[UserFunction] = frozenset(),
    ):
        self.bound = bound
        users = {isinstance(kernel, UserFunction) for kernel in statistics.counts}
        self.only_users, self.mixed = users == {True}, len(users) == 2
        self.elements, self.ops, self.counts, self.last = elements, ops, statistics.counts, statistics.last
        for element in elements:
            if isinstance(element, Tensor):
                self.last[element.number] = _NEVER
        self.functions = [op.kernel for op in statistics.first if isinstance(op.kernel, UserFunction)]
        self.measured = {*statistics.first, *ops[::_STRIDE]}
        indexes = [op.index for op in ops[CHUNK::CHUNK]]
        self.watched = {bisect_right(indexes, op.index) for op in self.measured}
        """The chunks that have nodes to be measured."""
        self.calls = statistics.calls
        self._blank = [ABSENT] * statistics.tensors + statistics.constants[::-1]
        self._saved = 0.0
        """Seconds that a plan might have saved so far."""

    @classmethod
    def of(cls, elements: Sequence[Tensor | Operation], fed: set[Tensor]) -> CallList | None:
        """The calls for these elements with these feeds, if a plan is neither needed nor likely to pay in one run."""
        wanted = [e if isinstance(e, Operation) else e.op for e in elements if e not in fed]
        if not wanted or wanted[0].graph.version < LEAST_COLD_NODES:
            return None
        ops, statistics = _needed(wanted, fed)
        if len(ops) < LEAST_COLD_NODES or statistics.tensors > MOST_SPREAD * len(ops):
            return None
        makers = {tensor.op for tensor in fed}
        if not all([op in makers for op in statistics.others]):
            return None
        if not _are_placeholders(makers) and not makers.isdisjoint(ops):  # it runs, but its value is another
            return None
        if COSTS.blocks_any(statistics.counts):
            return None
        functions = [kernel for kernel in statistics.counts if isinstance(kernel, UserFunction)]
        if any([function.captured.draws or function.captured.ends for function in functions]):
            return None  # each call needs a seed, or a process of its own: a plan has one for each
        bound = bound_together(functions)
        if len(ops) < LEAST_COLD_NODES * len(unseen(statistics.counts) - bound) or are_heavy(statistics.counts):
            return None
        return cls(elements, ops, statistics, bound)

    @property
    def blocks(self) -> bool:
        """Some function is blocked: it may not be called here."""
        return COSTS.blocks_any(self.functions)

    def values(self, feeds: Mapping[Tensor, Any]) -> list:
        """The values of a run that begins: of tensors by their numbers, at the end the constants of calls."""
        values = self._blank[:]
        for tensor, value in feeds.items():
            values[tensor.number] = value
        return values

    def calls_of(self, ops: list[Operation]) -> list[tuple]:
        """The calls of some nodes."""
        first, last = ops[0].index, ops[-1].index
        if last - first + 1 == len(ops):
            return self.calls[first : last + 1]
        return [self.calls[op.index] for op in ops]

    def is_worth_a_plan(self, called: int, seconds: float, slots: int) -> bool:
        """Whether the next run should be planned, now that one has called so many nodes in so many seconds.

        It should once plans, which run `slots` nodes at a time, might have saved as much as making one takes: so both
        together take at most twice what the better of the two would have taken, however often the graph is run.
        """
        self._saved += COLD_OVERHEAD_A_NODE * called + seconds * (1 - 1 / slots)
        return self._saved >= PLANNING_A_NODE * len(self.ops)


def _needed(wanted: Sequence[Operation], fed: set[Tensor]) -> tuple[list[Operation], GraphStatistics]:
    """The operations that must run for some, in creation order, and their statistics.

    Where nobody wants a part of the graph without them, that is the graph: nothing has to be looked for.
    """
    if _are_placeholders([tensor.op for tensor in fed]):
        everything = wanted[0].graph.all_for(wanted)
        if everything is not None:
            return everything
    ops = prune(wanted, fed)
    return ops, wanted[0].graph.statistics.part(ops)


def _are_placeholders(ops: Iterable[Operation]) -> bool:
    return all([op.kind is Kind.PLACEHOLDER for op in ops])


def unseen(kernels: Iterable[Any]) -> set[UserFunction]:
    """The users' functions among some kernels of which nothing is known."""
    return {k for k in kernels if isinstance(k, UserFunction) and COSTS.find(k, 0) is None}


def are_heavy(counts: Mapping[Any, int]) -> bool:
    """Whether so many calls of each function are worth a plan, as far as they have been seen."""
    total = 0.0
    for kernel, count in counts.items():
        record = COSTS.find(kernel, 0)
        if record is not None and (record.calls > FIRST_CALLS or record.seconds >= HEAVY_CALL):
            total += count * record.seconds
    return worth_sharing_once(total, sum(counts.values()))


def with_turns(rows: list[Operation], calls: list[tuple]) -> tuple[list, list[tuple]]:
    """Nodes and their calls, with calls between them that turn NumPy's errors on for users' functions; None stands
    for the node of such a call.
    """
    all_rows: list[Operation | None] = []
    all_calls: list[tuple] = []
    users = False
    for op, call in zip(rows, calls, strict=True):
        if op.traits.user is not users and op.kind in CALLED:
            users = not users
            all_rows.append(None)
            all_calls.append((TURN, loud if users else hush))
        all_rows.append(op)
        all_calls.append(call)
    if users:
        all_rows.append(None)
        all_calls.append((TURN, hush))
    return all_rows, all_calls
