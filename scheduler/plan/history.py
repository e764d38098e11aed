"""What this program has learned about single nodes and functions, beyond the mean costs of functions.

spread    the deviation of a node's seconds from their mean, as a fraction of it; a node with a small spread is stable
staying   a function that has turned out to run only in the program's own process
holding   a function that holds the GIL while it computes, so threads do not speed it up
crowding  a function that releases the GIL, but needs it for so much of its time that threads hardly speed it up: it
          counts as holding
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from math import inf
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from weftwork.graph.operation import Operation
from weftwork.graph.python.forks import fresh
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.cost import COSTS, size_class, spread_of
from weftwork.scheduler.plan.policy import (
    CROWD_RUNS,
    CROWD_SEEN,
    CROWDED,
    GIL_HOLDS,
    LONG_NODE,
    NEW_RUN_WEIGHT,
    STABLE_AFTER,
    STABLE_SPREAD,
)


class NodeCost:
    """The mean and the spread of one node's seconds, on inputs of one size class."""

    __slots__ = ("calls", "seconds", "size", "spread")

    def __init__(self, seconds: float, size: int):
        self.seconds, self.spread, self.calls, self.size = seconds, 0.0, 1, size

    def add(self, seconds: float) -> None:
        """Include another measurement."""
        self.calls += 1
        weight = max(NEW_RUN_WEIGHT, 1.0 / self.calls)
        self.spread += weight * (spread_of(seconds, self.seconds) - self.spread)
        self.seconds += weight * (seconds - self.seconds)


class Crowd:
    """What calls of a function beside each other, in threads, have shown.

    runs: those in which that was looked at.   seconds: of the calls.   waited: for how long they waited for the GIL.
    """

    __slots__ = ("runs", "seconds", "waited")

    def __init__(self):
        self.runs, self.seconds, self.waited = 0, 0.0, 0.0

    @property
    def is_crowding(self) -> bool | None:
        """Whether they gain too little from threads; None while that is unknown, and still looked at."""
        if self.seconds < CROWD_SEEN:
            return None if self.runs <= CROWD_RUNS else False
        return self.waited > CROWDED * self.seconds


class History:
    """The history of all nodes of a program. Nodes carry their own, so that it ends with them."""

    def __init__(self):
        self.has_nodes = False
        """True if any node has been measured."""
        self._staying: WeakSet[Any] = WeakSet()
        self._some_stay = False
        self._holding: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        """How often each function was seen to hold the GIL; 0 once it was seen to release it."""
        self._by_code: WeakSet[Any] = WeakSet()
        """Those of them of which only the code is known."""
        self._crowds: WeakKeyDictionary[Any, Crowd] = WeakKeyDictionary()
        self.epoch = 0
        """Counts up when more is known about where a function may run."""
        self._lock = fresh(threading.Lock())

    def learn(self, op: Operation, taken: int, seconds: float) -> None:
        """Record the seconds of one call of a node on `taken` bytes of inputs. Those on other sizes are forgotten."""
        self.learn_size(op, size_class(taken), seconds)

    def learn_size(self, op: Operation, size: int, seconds: float) -> None:
        """`learn`, for the size class of the inputs."""
        cost = op.measured
        if cost is None or cost.size != size:
            op.measured, self.has_nodes = NodeCost(seconds, size), True
        else:
            cost.add(seconds)

    def of(self, op: Operation, taken: float | None = None) -> NodeCost | None:
        """The measured cost of a node on `taken` bytes of inputs, or on any; None if there is none."""
        cost: NodeCost | None = op.measured
        return cost if cost is None or taken is None or cost.size == size_class(taken) else None

    def stays(self, kernel: Any) -> bool:
        """True for a function that must run in the program's own process."""
        return self._some_stay and kernel in self._staying

    def let_stay(self, kernel: Any) -> bool:
        """Let a function run in the program's own process from now on. True the first time."""
        with self._lock:
            if kernel in self._staying:
                return False
            self._staying.add(kernel)
            self._some_stay = True
            self.epoch += 1
            return True

    def holds_gil(self, kernel: Any) -> bool | None:
        """Whether a function holds the GIL while it computes; None if unknown."""
        try:
            seen = self._holding.get(kernel)
        except TypeError:  # it has no weak references
            return None
        return seen == GIL_HOLDS if seen in (0, GIL_HOLDS) else None

    def tell_gil(self, kernel: Any, holds: bool) -> None:
        """Note that a function was seen to hold or release the GIL. A busy machine can feign the former."""
        with self._lock:
            seen = None if kernel in self._by_code else self._holding.get(kernel)
            self._by_code.discard(kernel)
            if (crowd := self._crowds.get(kernel)) is not None and crowd.is_crowding:
                return  # in a process of its own, it is seen to release it
            now = min(GIL_HOLDS, (seen or 0) + 1) if holds and seen != 0 else 0
            if now != seen:
                self._holding[kernel] = now
                self.epoch += 1

    def let_hold(self, kernel: Any) -> None:
        """Let a function count as holding the GIL, because its code shows that it does so unless it gets arrays.

        That is until `doubt`, or until its calls are watched.
        """
        with self._lock:
            if self._holding.get(kernel) is None:
                self._holding[kernel] = GIL_HOLDS
                self._by_code.add(kernel)
                self.epoch += 1

    def is_by_code(self, kernel: Any) -> bool:
        """Whether a function counts as holding the GIL by its code alone."""
        return kernel in self._by_code

    def doubt(self, kernels: Iterable[Any]) -> None:
        """Forget what is known of some functions by their code alone: they get large arrays now."""
        with self._lock:
            for kernel in self._by_code.intersection(kernels):
                self._by_code.discard(kernel)
                self._holding.pop(kernel, None)
                self.epoch += 1

    def crowd(self, kernel: Any) -> Crowd:
        """What is known of a function's calls beside each other."""
        with self._lock:
            return self._crowds.setdefault(kernel, Crowd())

    def tell_crowd(self, kernel: Any, seconds: float, waited: float) -> bool:
        """Note that a call beside others has waited for the GIL. Returns whether its function counts as holding now."""
        crowd = self.crowd(kernel)
        with self._lock:
            if crowd.is_crowding is not None:
                return False
            crowd.seconds += seconds
            crowd.waited += waited
            if not crowd.is_crowding:
                return False
            self._holding[kernel] = GIL_HOLDS
            self.epoch += 1
            return True

    def is_stable(self, op: Operation) -> bool:
        """True for a node that has taken about the same time in each run."""
        cost: NodeCost | None = op.measured
        return cost is not None and cost.calls >= STABLE_AFTER and cost.spread < STABLE_SPREAD

    def variance(self, op: Operation) -> float:
        """The variance of a node's seconds; infinite while its runs are too few to tell."""
        cost: NodeCost | None = op.measured
        return inf if cost is None or cost.calls < STABLE_AFTER else (cost.spread * cost.seconds) ** 2


HISTORY = History()
"""The instance of this process."""


def learn(flow: Dataflow, calls: Iterable[tuple[int, int, float, int]]) -> None:
    """Add calls of a dataflow's nodes to what is known of the nodes and of their functions.

    calls: of each the node, the bytes of its inputs, the seconds, and the bytes of its outputs.
    """
    alike: dict[tuple[Any, int], list] = {}
    kernels, ops = flow.kernels, flow.ops
    for node, taken, seconds, made in calls:
        size = size_class(taken)
        alike.setdefault((kernels[node], size), []).append((seconds, made))
        if seconds > LONG_NODE:
            HISTORY.learn_size(ops[node], size, seconds)
    for (kernel, size), each in alike.items():
        COSTS.learn_calls(kernel, size, each)
