"""GilWatch: finds out in this process whether functions hold the GIL. Usually a local worker finds out.

crowd     calls in threads, beside each other. Functions that wait there for the GIL for a good part of their time gain
          nothing from threads. That is looked at in runs of one function, and in those whose functions are all known to
          release the GIL: else it is not known who keeps a call waiting
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from weftwork.actors.processes.ticker import TICKER, Reading
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import COMPUTES, CROWDED_FROM, GIL_FREE, QUEUED, WATCHED_FROM
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.shipping import token_of


class GilWatch:
    """The watch of one run."""

    def __init__(self, flow: Dataflow, frontier: Frontier):
        self._flow, self._frontier = flow, frontier
        self._is_on = False
        self._users: Collection[int] = ()
        """A node of each user function."""
        self._computing: set[int] = set()
        """By id, functions that have computed all through a call: where others had less of a core, they waited."""
        self._crowds: set[int] = set()
        """By id, functions of which it is open what their calls gain from threads."""

    @contextmanager
    def watching(self, always: bool) -> Iterator[None]:
        """A context in which calls are watched while something is unknown.

        always: whether that includes first calls. Otherwise only long nodes are watched.
        """
        ops, kernels = self._flow.ops, self._flow.kernels
        self._users = {id(kernel): node for node, kernel in enumerate(kernels) if ops[node].traits.user}.values()
        free = [kernels[node] for node in self._users if not HISTORY.stays(kernels[node])]
        if len(free) == 1 or all([HISTORY.holds_gil(kernel) is False for kernel in free]):
            for kernel in free:
                crowd = HISTORY.crowd(kernel)
                crowd.runs += 1
                if crowd.is_crowding is None and not HISTORY.holds_gil(kernel):
                    self._crowds.add(id(kernel))
        if always and (self._crowds or any(map(self._frontier.gil_unknown, self._users))):
            self._begin()
        try:
            yield
        finally:
            self._end()

    def _begin(self) -> None:
        self._is_on = True
        TICKER.start()

    def _end(self) -> None:
        if self._is_on:
            self._is_on = False
            self._crowds.clear()
            TICKER.stop()

    def wants(self, node: int) -> bool:
        """Whether a call of a node shall be measured for `take`."""
        unknown, is_open = self._frontier.gil_unknown(node), id(self._flow.kernels[node]) in self._crowds
        if not self._is_on and (unknown or is_open):
            known = self._frontier.known(node).seconds
            if known is None or known < (WATCHED_FROM if unknown else CROWDED_FROM):
                return False
            self._begin()
        return unknown

    def seconds_alone(self, node: int, seconds: float, read: Reading, helped: bool) -> float:
        """The seconds that a call would have taken without others beside it.   helped: whether there were others."""
        kernel = id(self._flow.kernels[node])
        if read.busy > COMPUTES * (seconds - read.queued):
            self._computing.add(kernel)
        return min(read.busy, seconds) if kernel in self._computing and helped else seconds

    def take(self, node: int, seconds: float, read: Reading, wanted: bool, alone: bool) -> bool:
        """Learn what is wanted from a call. Returns whether nodes of its function may belong elsewhere now.

        seconds: its duration.   wanted: whether `wants` said so before.   alone: nothing ran beside it.
        """
        kernel = self._flow.kernels[node]
        is_open = self._is_on and id(kernel) in self._crowds
        crowding = not alone and is_open and self._is_crowding(kernel, seconds, read)
        if not (wanted and self.wants(node)):
            return crowding
        tell(kernel, seconds, read)
        if (holds := HISTORY.holds_gil(kernel)) is None:
            return crowding
        if holds:
            self._crowds.discard(id(kernel))
        if not self._crowds and not any(map(self._frontier.gil_unknown, self._users)):
            self._end()
        return True

    def _is_crowding(self, kernel: Any, seconds: float, read: Reading) -> bool:
        if read.queued > QUEUED * seconds:  # others had the cores, so the GIL was seldom needed
            return False
        waited = max(0.0, seconds - read.busy - read.queued)
        if read.free > GIL_FREE * seconds and id(kernel) not in self._computing:
            waited = 0.0
        found = HISTORY.tell_crowd(kernel, seconds, waited)
        if HISTORY.crowd(kernel).is_crowding is not None:
            self._crowds.discard(id(kernel))
        return found


class CallWatch:
    """The watch of calls that are made one after another, with nothing beside them."""

    def __init__(self):
        self._is_on = False

    def call(self, kernel: Any, function: Callable, *args: Any, **attrs: Any) -> Any:
        """Call a function, and learn from it whether `kernel` holds the GIL."""
        if not self._is_on:
            self._is_on = True
            TICKER.start()
        with TICKER.looking():
            before, start = TICKER.read(), perf_counter()
            result = function(*args, **attrs)
            tell(kernel, perf_counter() - start, TICKER.read().since(before))
        return result

    def end(self) -> None:
        """End the watch."""
        if self._is_on:
            self._is_on = False
            TICKER.stop()


def tell(kernel: Any, seconds: float, read: Reading) -> None:
    """Note what a watched call has shown of whether its function holds the GIL."""
    verdict = TICKER.verdict(token_of(kernel), seconds, read)
    if verdict is not None:
        HISTORY.tell_gil(kernel, verdict)
