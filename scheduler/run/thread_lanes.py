"""Thread lanes: threads of this process that run nodes of a shared-out run.

A lane keeps its thread for the whole run. A thread that has just become idle is woken on its old core. Another thread
may be woken on the core of a busy lane, and share that core for some milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from time import thread_time
from weakref import WeakKeyDictionary

from weftwork.actors.processes.ticker import TICKER, Evidence
from weftwork.actors.programs.float_errors import quiet
from weftwork.graph.kernels.team import single_blas
from weftwork.scheduler.events.event import Lane
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.run.calling import Cost, call_node
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.telling import lane

Job = Callable[[], None]
_evidence = Evidence(WeakKeyDictionary())
"""Of functions that were called in threads before it was known whether they hold the GIL."""


@dataclass
class ThreadBatch:
    """Nodes that a thread runs one after another, unless the run or `halt` tells it to stop.

    costs: one for each finished node.   seconds: what each would take alone, without waiting for the GIL.
    lane: that of the thread.   error: the error that ended the batch early.
    """

    run: Run
    nodes: list[int]
    halt: list
    costs: list[Cost] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    lane: Lane = Lane()
    error: BaseException | None = None

    def work(self, done: Job) -> None:
        """Run the nodes, then call `done`."""
        self.lane = lane("thread")
        try:
            with quiet(), single_blas():
                for node in self.nodes:
                    if self.run.stop or self.halt:
                        break
                    self._call(node)
        except BaseException as error:
            self.error = error
        finally:
            done()

    def _call(self, node: int) -> None:
        kernel = self.run.flow.kernels[node]
        computes, unknown = HISTORY.computes(kernel), self._is_unknown(node)
        with TICKER.counting(unknown):
            ticks, before = TICKER.ticks, thread_time()
            cost = call_node(self.run, node)
            ticks, busy = TICKER.ticks - ticks, thread_time() - before
        self.seconds.append(min(busy, cost[1]) if computes else cost[1])
        self.costs.append(cost)
        if unknown and (gil := _evidence.verdict(kernel, ticks, cost[1], busy, alone=False)) is not None:
            HISTORY.tell_gil(kernel, *gil)

    def _is_unknown(self, node: int) -> bool:
        """Whether it is to be found out if a node holds the GIL."""
        flow = self.run.flow
        return flow.ops[node].traits.user and HISTORY.holds_gil(flow.kernels[node]) is None


class ThreadLanes:
    """The threads of one run: one for each lane that has used one."""

    def __init__(self) -> None:
        self._jobs: dict[int, SimpleQueue[Job | None]] = {}

    def start(self, slot: int, batch: ThreadBatch, done: Job) -> None:
        """Run a batch in the thread of a lane, which calls `done` at the end."""
        jobs = self._jobs.get(slot)
        if jobs is None:
            jobs = self._jobs[slot] = SimpleQueue()
            borrow(1)[0].put(partial(_serve, jobs))
        context = copy_context()
        jobs.put(lambda: context.run(batch.work, done))

    def end(self) -> None:
        """Give the threads back once they have finished their batches."""
        for jobs in self._jobs.values():
            jobs.put(None)
        self._jobs.clear()


def _serve(jobs: SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
