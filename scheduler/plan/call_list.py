"""CallList: the nodes of a signature that needs no plan yet, in calling order, prepared once for all its runs.

For a whole graph, the statistics that the graph has kept as it grew are enough, and no node is visited. Otherwise the
needed nodes are found and counted.

chunk     a fixed number of nodes, consecutive in creation order
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any

from weftwork.actors.programs.float_errors import hush, loud
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.statistics import CALLED, GraphStatistics
from weftwork.graph.user_function import UserFunction
from weftwork.scheduler.compile.effects import bound_together
from weftwork.scheduler.compile.pruning import makers_of, prune
from weftwork.scheduler.events.event import Told, is_told, told
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.placement import worth_sharing_once
from weftwork.scheduler.plan.policy import (
    CHUNK,
    COLD_LIBRARY,
    COLD_OBJECT,
    COLD_SCALAR,
    FIRST_CALLS,
    HEAVY_CALL,
    LEAST_COLD_CALLS,
    LEAST_COLD_NODES,
    LONG_NODE,
    MOST_SPREAD,
    PLANNING_A_NODE,
)
from weftwork.scheduler.request.fetches import Fetches

_STRIDE = 16 * CHUNK
"""One node in this many is measured, and the first one of each function."""
_OFTEN = 4
"""Mean number of calls from which a function's first call says little about the others."""
_index = attrgetter("index")
_NEVER = 2**62

ABSENT = object()
"""Stands for a value that has not been computed yet, or has been dropped."""
TURN = object()
"""Marks a call that switches NumPy's error handling and belongs to no node."""


class CallList:
    """The nodes of a kind of run that needs no plan yet.

    ops: in creation order.   counts: the calls of each kernel.   functions: the user functions among them.
    last: by tensor number, the index of the last node that reads the tensor; _NEVER for fetched tensors.
    bound: the functions that must stay in the caller because they share state.
    first: the first call of each function, if functions are called several times on average.
    only_users, mixed: all nodes, or some of them, call user functions.   threadsafe: all user functions are.
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
        self.threadsafe = all([function.threadsafe for function in self.functions])
        self.measured = {*statistics.first, *ops[::_STRIDE]}
        often = len(ops) >= _OFTEN * len(statistics.first)
        self.first = frozenset(statistics.first if often else ())
        places = {bisect_left(ops, op.index, key=_index) for op in statistics.first}
        self._measured_at = sorted(places.union(range(0, len(ops), _STRIDE)))
        self.calls = statistics.calls
        self._all_told = all(map(is_told, statistics.first))
        self._all_called = sum(self.counts.values()) == len(ops)
        self._blank = [ABSENT] * statistics.tensors + statistics.constants[::-1]
        ours = sum([count for kernel, count in self.counts.items() if not isinstance(kernel, UserFunction)])
        self._library = COLD_LIBRARY * ours / max(1, sum(self.counts.values()))
        """Extra seconds for each node that is called, because many nodes are the library's."""
        self._saved = 0.0
        """Seconds that a plan could have saved so far."""

    @classmethod
    def of(cls, fetches: Fetches, fed: set[Tensor]) -> CallList | None:
        """The call list for these fetches and feeds, or None if a plan is needed or likely to pay within one run."""
        elements = fetches.elements
        wanted = makers_of(elements, fed) if fed else fetches.ops
        if not wanted or wanted[0].graph.version < LEAST_COLD_NODES:
            return None
        ops, statistics = _needed(wanted, fed)
        if len(ops) < LEAST_COLD_NODES or statistics.tensors > MOST_SPREAD * len(ops):
            return None
        makers = {tensor.op for tensor in fed}
        if not all([op in makers for op in statistics.others]):
            return None
        if not _are_placeholders(makers) and not makers.isdisjoint(ops):  # it runs, but its value is replaced
            return None
        if COSTS.blocks_any(statistics.counts):
            return None
        functions = [kernel for kernel in statistics.counts if isinstance(kernel, UserFunction)]
        if any([function.captured.draws or function.captured.ends for function in functions]):
            return None  # each call needs a seed, or a process of its own, and only a plan provides that
        bound = bound_together(functions)
        tried = [kernel for kernel in unseen(statistics.counts) - bound if not kernel.interruptible]
        if len(ops) < LEAST_COLD_CALLS * len(tried) or are_heavy(statistics.counts):
            return None
        return cls(elements, ops, statistics, bound)

    @cached_property
    def told(self) -> Sequence[Operation]:
        """Those of all nodes that are called and of which events tell."""
        return self.told_among([self.ops])

    def told_among(self, pieces: Iterable[Sequence[Operation]]) -> Sequence[Operation]:
        """The same of some nodes."""
        ops = chain.from_iterable(pieces)
        if self._all_told and self._all_called:  # as usual in a large graph, so nothing is asked of each node
            return Told(ops)
        called = [op for op in ops if op.kind in CALLED]
        return Told(called) if self._all_told else told(called)

    @property
    def is_outdated(self) -> bool:
        """True if functions that shared state, and so had to run in the caller, no longer do."""
        return bool(self.bound) and bound_together(self.functions) < self.bound

    @property
    def blocks(self) -> bool:
        """True if some function is blocked, so it may not be called in this process."""
        return COSTS.blocks_any(self.functions)

    def next_measured(self, at: int) -> int:
        """The place of the first measured node from `at` on, among the nodes; their number if there is none."""
        later = bisect_left(self._measured_at, at)
        return self._measured_at[later] if later < len(self._measured_at) else len(self.ops)

    def values(self, feeds: Mapping[Tensor, Any]) -> list:
        """The initial values of a run: one place for each tensor number, followed by the constants of the calls."""
        values = self._blank[:]
        for tensor, value in feeds.items():
            values[tensor.number] = value
        return values

    def calls_of(self, ops: list[Operation]) -> list[tuple]:
        """The calls for some nodes."""
        first, last = ops[0].index, ops[-1].index
        if last - first + 1 == len(ops):
            return self.calls[first : last + 1]
        return [self.calls[op.index] for op in ops]

    def is_worth_a_plan(self, called: int, seconds: float, scalars: bool, slots: int) -> bool:
        """Whether to plan the next run, given how many nodes this one called, and in how many seconds.

        Planning pays once plans, which run `slots` long nodes at a time, could have saved as much time as making one
        costs. So the total is at most twice that of the better choice, however often the graph is run.
        scalars: whether all values were scalars.
        """
        together = max(0.0, seconds - LONG_NODE * called) * (1 - 1 / slots)
        self._saved += ((COLD_SCALAR if scalars else COLD_OBJECT) + self._library) * called + together
        return self._saved >= PLANNING_A_NODE * len(self.ops)


def _needed(wanted: Sequence[Operation], fed: set[Tensor]) -> tuple[list[Operation], GraphStatistics]:
    """The operations that `wanted` depends on, in creation order, and their statistics.

    If they depend on the whole graph, nothing has to be searched.
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
    """The user functions among some kernels that have never been measured, and that a worker should try first."""
    return {k for k in kernels if isinstance(k, UserFunction) and not k.threadsafe and COSTS.find(k, 0) is None}


def are_heavy(counts: Mapping[Any, int], are_up: bool = False) -> bool:
    """Whether this many calls of each function are worth a plan, by the costs known so far.

    are_up: whether the local workers have started.
    """
    return worth_sharing_once(known_seconds(counts), sum(counts.values()), are_up)


def known_seconds(counts: Mapping[Any, int]) -> float:
    """What this many calls of each function take together, by the costs known so far; 0 for those unknown."""
    total = 0.0
    for kernel, count in counts.items():
        record = COSTS.find(kernel, 0)
        if record is not None and (record.calls > FIRST_CALLS or record.seconds >= HEAVY_CALL):
            total += count * record.seconds
    return total


def with_turns(rows: list[Operation], calls: list[tuple]) -> tuple[list, list[tuple]]:
    """Nodes and their calls, plus calls, of node None, that switch NumPy's error handling for user functions."""
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
