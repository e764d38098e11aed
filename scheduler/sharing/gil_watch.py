"""GilWatch: finds out in this process whether functions hold the GIL. Usually a local worker finds out.

suspect   a function that has computed for a while next to other calls, without a verdict. It is called alone for as
          long again, and as often as it must be seen to hold the GIL
round     a time in which calls are watched. A run of many short calls that tell nothing is watched in rounds, with a
          rest after each: the ticks take the GIL from its calls
crowd     calls beside each other of the only function of a run that is not bound to the caller. If they wait for the
          GIL for long, each other's calls are the reason
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from weftwork.actors.processes.ticker import TICKER, Reading
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import (
    COMPUTES,
    GIL_FREE,
    GIL_HOLDS,
    SUSPECT_AFTER,
    WATCH_CALLS,
    WATCH_REST,
    WATCH_ROUND,
)
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.shipping import token_of


class GilWatch:
    """The watch of one run."""

    def __init__(self, flow: Dataflow, frontier: Frontier):
        self._flow, self._frontier = flow, frontier
        self._is_on = False
        self._users: tuple[int, ...] = ()
        """A node of each user function."""
        self._round, self._calls = 0, 0
        """The number of the round, and of its calls. The number is negative during the rest after it."""
        self._until = 0.0
        """When the round or the rest ends, by `time.monotonic`."""
        self._spent: dict[int, float] = {}
        """By id, the CPU seconds of functions about which nothing is known yet."""
        self._alone: dict[int, list[float]] = {}
        """Those of each call beside which nothing ran."""
        self._suspects: set[int] = set()
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
        self._users = tuple(users)
        self._begin_round()
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False
            if self._round > 0:
                TICKER.stop()

    def _begin_round(self) -> None:
        self._round, self._calls, self._until = abs(self._round) + 1, 0, monotonic() + WATCH_ROUND
        TICKER.start()

    def wants(self, node: int) -> int:
        """The number of the round if a call of a node shall be measured for `learn`, else 0."""
        if not self._is_on or not self._frontier.gil_unknown(node):
            return 0
        if self._round < 0:
            if monotonic() < self._until:
                return 0
            self._begin_round()
        elif self._calls >= WATCH_CALLS and monotonic() > self._until and not self._suspects and self._crowd is None:
            TICKER.stop()
            self._round, self._until = -self._round, monotonic() + WATCH_REST
            return 0
        return self._round

    def suspects(self, node: int) -> bool:
        """Whether a node must be called alone."""
        return id(self._flow.kernels[node]) in self._suspects

    def seconds_alone(self, node: int, seconds: float, busy: float, helped: bool) -> float:
        """The seconds that a call would have taken without others beside it.

        busy: those for which it had a core.   helped: whether there were others.
        """
        kernel = id(self._flow.kernels[node])
        if busy > COMPUTES * seconds:
            self._computing.add(kernel)
        return min(busy, seconds) if kernel in self._computing and helped else seconds

    def take(self, node: int, seconds: float, read: Reading, wanted: int, alone: bool) -> bool:
        """Learn what is wanted from a call. Returns whether nodes of its function may belong elsewhere now.

        seconds: its duration.   wanted: what `wants` said before: of a call that has outlasted its round, there are not
        all ticks.   alone: nothing ran beside it.
        """
        crowding = not alone and self._flow.kernels[node] is self._crowd and self._is_crowding(seconds, read)
        self._calls += wanted > 0
        if wanted == self._round and self._is_on and self._frontier.gil_unknown(node):
            changed = self.learn(node, seconds, read, alone)
            if changed:
                self._end_if_known()
            return changed or crowding
        return crowding

    def _end_if_known(self) -> None:
        """Stop the ticks if nothing is left to learn. What a crowd gains does not matter once it holds the GIL."""
        crowds = self._crowd is not None and not HISTORY.holds_gil(self._crowd)
        if not crowds and not any(map(self._frontier.gil_unknown, self._users)):
            TICKER.stop()
            self._is_on, self._round, self._crowd = False, -self._round, None

    def _is_crowding(self, seconds: float, read: Reading) -> bool:
        waited = 0.0 if read.free > GIL_FREE * seconds else max(0.0, seconds - read.busy - read.queued)
        return HISTORY.tell_crowd(self._crowd, seconds, waited)

    def learn(self, node: int, seconds: float, read: Reading, alone: bool) -> bool:
        """Learn from a call. Returns whether nodes of its function may belong elsewhere now.

        seconds: its duration.   alone: nothing ran beside it.
        """
        kernel = self._flow.kernels[node]
        verdict = TICKER.verdict(token_of(kernel), seconds, read, alone)
        if verdict is not None:
            HISTORY.tell_gil(kernel, verdict)
        self._spent[id(kernel)] = spent = self._spent.get(id(kernel), 0.0) + read.busy
        calls = self._alone.setdefault(id(kernel), [])
        if alone:
            calls.append(read.busy)
        was, known = id(kernel) in self._suspects, HISTORY.holds_gil(kernel) is not None
        enough = len(calls) >= GIL_HOLDS and sum(calls) > SUSPECT_AFTER
        suspect = not known and spent > SUSPECT_AFTER and not enough
        (self._suspects.add if suspect else self._suspects.discard)(id(kernel))
        return known or suspect is not was
