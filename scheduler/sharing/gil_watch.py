"""GilWatch: finds out in this process whether functions hold the GIL. Usually a local worker finds out.

crowd     calls beside each other of the only function of a run that is not bound to the caller. If they wait for the
          GIL for long, each other's calls are the reason
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from weftwork.actors.processes.ticker import TICKER, Reading
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import COMPUTES, GIL_FREE, QUEUED
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.shipping import token_of


class GilWatch:
    """The watch of one run."""

    def __init__(self, flow: Dataflow, frontier: Frontier):
        self._flow, self._frontier = flow, frontier
        self._is_on = False
        self._users: tuple[int, ...] = ()
        """A node of each user function."""
        self._computing: set[int] = set()
        """By id, functions that have computed all through a call: where others had less of a core, they waited."""
        self._crowd: Any = None
        """The kernel of the crowd, while it is open what its calls gain from threads."""

    @contextmanager
    def watching(self, wanted: bool) -> Iterator[None]:
        """A context in which calls are watched, if that is wanted and something is unknown."""
        ops, kernels = self._flow.ops, self._flow.kernels
        users = {id(kernel): node for node, kernel in enumerate(kernels) if ops[node].traits.user}.values()
        free = [kernels[node] for node in users if not HISTORY.stays(kernels[node])]
        if wanted and len(free) == 1 and not HISTORY.holds_gil(free[0]):
            crowd = HISTORY.crowd(free[0])
            crowd.runs += 1
            self._crowd = free[0] if crowd.is_crowding is None else None
        if not wanted or (self._crowd is None and not any(map(self._frontier.gil_unknown, users))):
            yield
            return
        self._users, self._is_on = tuple(users), True
        TICKER.start()
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        if self._is_on:
            self._is_on, self._crowd = False, None
            TICKER.stop()

    def wants(self, node: int) -> bool:
        """Whether a call of a node shall be measured for `take`."""
        return self._is_on and self._frontier.gil_unknown(node)

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
        crowding = not alone and kernel is self._crowd and self._is_crowding(seconds, read)
        if not (wanted and self.wants(node)):
            return crowding
        verdict = TICKER.verdict(token_of(kernel), seconds, read)
        if verdict is not None:
            HISTORY.tell_gil(kernel, verdict)
        if HISTORY.holds_gil(kernel) is None:
            return crowding
        crowds = self._crowd is not None and not HISTORY.holds_gil(self._crowd)
        if not crowds and not any(map(self._frontier.gil_unknown, self._users)):
            self._end()
        return True

    def _is_crowding(self, seconds: float, read: Reading) -> bool:
        if read.queued > QUEUED * seconds:  # others had the cores, so the GIL was seldom needed
            return False
        waited = max(0.0, seconds - read.busy - read.queued)
        if read.free > GIL_FREE * seconds and id(self._crowd) not in self._computing:
            waited = 0.0
        return HISTORY.tell_crowd(self._crowd, seconds, waited)
