"""What this program has found out about single nodes and functions, beyond what functions cost on average.

spread    how far a node's seconds are from their mean, as a part of it: a node with a small one is stable
staying   a function that only the program's own process can run, as it turned out
holding   a function that keeps the GIL while it computes: threads do not help it
"""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from weftwork.graph.forks import fresh
from weftwork.graph.operation import Operation
from weftwork.scheduler.plan.cost import spread_of
from weftwork.scheduler.plan.policy import GIL_HOLDS, NEW_RUN_WEIGHT, STABLE_AFTER, STABLE_SPREAD


class NodeCost:
    """Mean and spread of the seconds of one node."""

    __slots__ = ("calls", "seconds", "spread")

    def __init__(self, seconds: float):
        self.seconds, self.spread, self.calls = seconds, 0.0, 1

    def add(self, seconds: float) -> None:
        """Take a further measurement in."""
        self.calls += 1
        weight = max(NEW_RUN_WEIGHT, 1.0 / self.calls)
        self.spread += weight * (spread_of(seconds, self.seconds) - self.spread)
        self.seconds += weight * (seconds - self.seconds)


class History:
    """The history of the nodes of all graphs of a program; a node that is gone leaves nothing."""

    def __init__(self):
        self._nodes: WeakKeyDictionary[Operation, NodeCost] = WeakKeyDictionary()
        self._staying: WeakSet[Any] = WeakSet()
        self._holding: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        """How often a function was seen to keep the GIL; 0 once it was seen to release it."""
        self._computing: WeakSet[Any] = WeakSet()
        self._lock = fresh(threading.Lock())

    def learn(self, op: Operation, seconds: float) -> None:
        """A node took so many seconds."""
        cost = self._nodes.get(op)
        if cost is None:
            self._nodes[op] = NodeCost(seconds)
        else:
            cost.add(seconds)

    @property
    def has_nodes(self) -> bool:
        """True when something is known of some node."""
        return len(self._nodes) > 0

    def of(self, op: Operation) -> NodeCost | None:
        """What is known of a node."""
        return self._nodes.get(op)

    def stays(self, kernel: Any) -> bool:
        """True for a function that must run in the program's own process."""
        return bool(self._staying) and kernel in self._staying

    def let_stay(self, kernel: Any) -> bool:
        """Let a function run in the program's own process from now on. True the first time."""
        with self._lock:
            if kernel in self._staying:
                return False
            self._staying.add(kernel)
            return True

    def holds_gil(self, kernel: Any) -> bool | None:
        """Whether a function keeps the GIL while it computes; None where that is not known."""
        try:
            seen = self._holding.get(kernel)
        except TypeError:  # nothing refers to it weakly
            return None
        return seen == GIL_HOLDS if seen in (0, GIL_HOLDS) else None

    def computes(self, kernel: Any) -> bool:
        """True for a function that was seen to use the CPU all the time, so in a thread it waits for the GIL alone."""
        try:
            return kernel in self._computing
        except TypeError:  # nothing refers to it weakly
            return False

    def tell_gil(self, kernel: Any, holds: bool, computes: bool = False) -> None:
        """A function was seen to keep the GIL, or to release it: what is busy on the machine makes the first likely.

        computes: it used the CPU all the time.
        """
        with self._lock:
            if computes:
                self._computing.add(kernel)
            else:
                self._computing.discard(kernel)
            seen = self._holding.get(kernel)
            self._holding[kernel] = min(GIL_HOLDS, (seen or 0) + 1) if holds and seen != 0 else 0

    def is_stable(self, op: Operation) -> bool:
        """True for a node that has taken about as long each time."""
        cost = self._nodes.get(op)
        return cost is not None and cost.calls >= STABLE_AFTER and cost.spread < STABLE_SPREAD


HISTORY = History()
"""The history of this process."""
