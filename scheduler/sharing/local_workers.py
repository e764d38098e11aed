"""LocalWorkers: processes on this machine that run parts of a plan concurrently with each other and the caller.

slot     the caller is slot 0, each resident has another; each runs one program, and they exchange values

They suit code that holds the GIL and is too fine-grained for Ray: a run costs each resident one message, and a value
crosses in tens of microseconds, through a local socket. All sessions share them. The program starts them itself, so Ray
need not run, and they end with the program.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterable
from glob import glob
from itertools import count
from time import monotonic
from typing import Any

from weftwork.actors.processes.messages import unpack_parts
from weftwork.actors.processes.transport import Transport, is_left
from weftwork.scheduler.machines.folders import socket_folder
from weftwork.scheduler.machines.local_processes import LocalProcess
from weftwork.scheduler.plan.lanes import Lanes
from weftwork.scheduler.plan.placement import Estimate
from weftwork.scheduler.plan.plan import Plan
from weftwork.scheduler.plan.policy import WORKER_START
from weftwork.scheduler.run.limits import is_around
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.waiting import awaiting_a_worker
from weftwork.scheduler.segments.detached import Detached
from weftwork.scheduler.segments.residents import Team
from weftwork.scheduler.sharing.allowed import Allowed
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.lane import Lane
from weftwork.scheduler.sharing.refusals import Refusals
from weftwork.scheduler.sharing.sharing import Sharing
from weftwork.scheduler.sharing.workers import Workers

_UP_WITHIN = 60.0
"""Seconds that a resident may take to start before the program goes on without it."""
_DEATHS, _AGAIN_AFTER = 4, 60.0
"""Consecutive workers that may die while starting before no more are started, and the seconds until they are tried
again."""
_PREFIX = "weftwork-residents-"
"""Prefix of the names of the folders with their sockets."""
_PATIENCE = 1.0
"""Seconds for which a shared-out run waits for another run that has the workers."""
_ASKED_EVERY = 0.2
"""Seconds between two checks whether a starting worker has died."""
_KILLED_WITHIN = 10.0
"""Seconds to wait for the end of a killed worker."""


class LocalWorkers:
    """The local workers of this program. They work for one run at a time."""

    def __init__(self):
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._folder = ""
        self._processes: dict[int, LocalProcess] = {}
        self._up: set[int] = set()
        self._programs: dict[int, set[str]] = {}
        self._lanes: dict[int, Lane] = {}
        self._numbers = count(1)
        self._since = 0.0
        self._missed = 0.0
        self._run: Run | None = None
        """The run that has borrowed them."""
        self._slow: Run | None = None
        """The same run, once another one has waited for it in vain."""
        self._deaths = 0
        """How many have died in a row while starting."""
        self._wanted = 0
        """How many workers the run could use that has borrowed some."""
        self._given_up = 0.0
        """Until when they are considered unable to start on this machine."""

    @property
    def failed(self) -> bool:
        """True while they are considered unable to start here; retried after a while."""
        return monotonic() < self._given_up

    def _give_up(self) -> None:
        self._deaths, self._given_up = 0, monotonic() + _AGAIN_AFTER

    @property
    def is_up(self) -> bool:
        """True if some are up, as far as is known."""
        return bool(self._up)

    def are_worth_starting(self, seconds: float, to_come: float = 0.0) -> bool:
        """Add seconds of work that a run could share with them. True once the sum would pay for their start.

        to_come: seconds that are known to follow.
        """
        self._missed += seconds
        return self._missed + to_come > WORKER_START

    def borrow(self, slots: int, seconds: float = 0.0, patience: float | None = None, run: Run | None = None) -> bool:
        """Borrow the residents of slots 1 to `slots` - 1, if they are up and free; call `give_back` afterwards.

        Missing ones are started, and awaited for up to `seconds`, or until `run`, which asks, is to stop. Another run
        that has them is awaited for up to `patience` seconds.
        """
        end = monotonic() + seconds
        if self.failed or not self._get_hold(seconds if patience is None else patience, run):
            return False
        up = False
        try:
            while not self.failed:
                self._fill(slots)
                up = self._are_up(slots, end - monotonic())
                if up or (run is not None and run.stop) or monotonic() >= end:
                    break
        except OSError:  # no sockets on this machine
            self._give_up()
        finally:
            if not up:
                self._lock.release()
        return up

    def _get_hold(self, patience: float, asker: Run | None) -> bool:
        """Keep other runs away. A run that has the workers is awaited, unless it waits for the one that asks.

        Nor is one awaited for which another run has waited in vain.
        """
        if self._lock.acquire(blocking=False):
            return True
        having = self._run
        if having is not None and (having is self._slow or (asker is not None and is_around(having, asker))):
            return False
        if self._lock.acquire(timeout=patience):
            return True
        if patience >= _PATIENCE:
            self._slow = having
        return False

    def borrow_some(self, count: int, run: Run, needed: bool = True) -> LocalWorkers | Threads | None:
        """Borrow those of slots 1 to `count` that are up; call `give_back` afterwards. None without a CPU for them.

        needed: at least one is needed. The others are started, and the first one is awaited until the run is to stop.
        Another run that has them is awaited for a second. If none is needed, none is started, and nothing is awaited.
        """
        if not count:
            return None
        if not needed and not self.borrow(1, patience=0.0):
            return Threads()
        if needed:
            run.awaited = awaiting_a_worker(run)
            try:
                if not self.borrow(2, _UP_WITHIN, patience=_PATIENCE, run=run):
                    return None
            finally:
                run.awaited = None
            self._fill(count + 1)
        self._are_up(count + 1, 0.0)
        self._wanted = count
        return self

    def give_back(self) -> None:
        """Note that the run is over."""
        self._run = self._slow = None
        self._lock.release()

    def leave(self, run: Run) -> None:
        """Abandon a run whose thread does not return: if it has the workers, the program uses new ones from now on."""
        having = self._run
        while having is not None and having is not run:
            having = having.outer
        if having is run:
            _of_process.cache_clear()
            for process in list(self._processes.values()):
                process.end()

    def _fill(self, slots: int) -> None:
        """Start the missing workers."""
        if self._transport is None:
            for folder in glob(os.path.join(socket_folder(), f"{_PREFIX}*")):
                if is_left(folder):  # left by a program that died
                    shutil.rmtree(folder, ignore_errors=True)
            self._folder = tempfile.mkdtemp(prefix=_PREFIX, dir=socket_folder())  # other users cannot enter it
            self._transport = Transport(self._folder, 0)
            weakref.finalize(self, _leave, self._transport, self._folder, self._processes, os.getpid())
        for slot in range(1, slots):
            if slot not in self._processes:
                self._processes[slot] = LocalProcess(self._folder, slot)
                self._programs[slot] = set()
                self._since = monotonic()

    def _are_up(self, slots: int, seconds: float) -> bool:
        if self._transport is None:
            return False
        missing = set(range(1, slots)) - self._up
        came = self._transport.next(max(0.0, min(seconds, _ASKED_EVERY)) if missing else 0)
        while came is not None:
            slot, message = came
            if message is None:
                self._end(slot)
            elif unpack_parts(message)[0] == "up":
                self._up.add(slot)
                self._deaths = 0
            came = self._transport.next(0)
        missing = set(range(1, slots)) - self._up
        starting = {slot: self._processes[slot] for slot in missing if slot in self._processes}
        for slot, process in starting.items():
            if not process.is_alive:
                self._end(slot)
                self._deaths += 1
        late = bool(starting) and monotonic() > self._since + _UP_WITHIN
        if late:  # they hang, or nobody noticed that they are up
            self._deaths += _DEATHS // 2
        if given_up := self._deaths >= _DEATHS:
            self._give_up()
        if late or given_up:
            for slot in starting:
                self._end(slot)
        return not missing

    def _end(self, slot: int) -> None:
        process = self._processes.pop(slot, None)
        self._up.discard(slot)
        self._lanes.pop(slot, None)
        if process is not None:
            process.end()

    # While borrowed

    def run(self, run: Run, plan: Plan, measure: bool, detached: Detached, grace: float) -> None:
        """Run a plan made for residents. The first error wins, and is raised once all work has ended.

        detached: the detached nodes. Raises Unfit if residents cannot run the plan, and Restart if one has died.
        """
        assert self._transport is not None
        self._run = run
        pids = {slot: process.pid for slot, process in self._processes.items()}
        team = Team(run, plan, self._transport, next(self._numbers), measure, self._up, pids, detached)
        run.wakers.append(self._transport.wake)
        run.values.append(team)
        failure: BaseException | None = None
        try:
            for segment in plan.segments[1:]:
                team.begin(segment, self._programs[segment.slot])
            run.run_here(plan, plan.segments[0], measure)
            team.finish()
        except BaseException as error:
            failure = error
        if failure is not None:
            self._rest(team, grace)
        for slot in team.gone:
            self._end(slot)
        if failure is not None:
            raise team.verdict(failure)

    def share(self, run: Run, detached: Detached, allowed: Lanes, grace: float) -> None:
        """Run the nodes of a dataflow by sharing them out. The first error wins, and is raised once all work has ended.

        detached: the detached nodes.   allowed: how many workers and threads may run nodes at once.
        """
        assert self._transport is not None
        self._run = run
        lanes = {}
        for slot in sorted(self._up)[: allowed.most]:
            lanes[slot] = self._lanes.setdefault(slot, Lane(self._processes[slot].pid))
            lanes[slot].begin()
        number, transport = next(self._numbers), self._transport

        def hire(frontier: Frontier, refusals: Refusals, where: Allowed) -> Workers:
            return Workers(run, frontier, refusals, where, transport, number, lanes, self._again, self._revive)

        seconds = Estimate(run.flow, {}).seconds
        cores, most = allowed.own_cpus(), allowed.most
        sharing = Sharing(run, run.flow, transport, hire, cores, seconds, self._miss, detached, most)
        run.wakers.append(sharing.wake)
        try:
            sharing.carry_out(grace)
        finally:
            if sharing.workers.loading:
                self._up -= sharing.workers.loading
                self._since = monotonic()
            self._up.update(lanes)
            self._deaths = 0 if lanes else self._deaths
            for slot in {*sharing.workers.gone, *sharing.late}:
                self._end(slot)

    def _miss(self, seconds: float, to_come: float) -> None:
        """Take note of work of a run that workers could have done, and start them once they would pay.

        Each takes its time to start, and about as long again to import what the functions need.
        """
        share = 1 / (2 * self._wanted)
        if not self._processes and self.are_worth_starting(share * seconds, share * to_come):
            self._fill(self._wanted + 1)

    def _again(self, slot: int) -> None:
        """Replace the worker of a slot after it died in a run."""
        self._end(slot)
        self._fill(slot + 1)

    def _revive(self, up: Iterable[int]) -> bool:
        """Replace workers that have died while starting. up: the slots of the others. True once too many have died."""
        for slot in self._processes.keys() - set(up):
            if not self._processes[slot].is_alive:
                self._deaths += 1
                self._again(slot)
        return self._deaths >= _DEATHS

    def _rest(self, team: Team, grace: float) -> None:
        """Tell all workers to stop, wait, and kill those that have not stopped within `grace` seconds."""
        team.stop_all()
        team.rest(grace)
        for slot in team.left:
            self._end(slot)
        team.rest(_KILLED_WITHIN, detached=False)
        if team.forgotten:
            for known in self._programs.values():
                known.clear()


class Threads:
    """What a run gets that can do without local workers, while another run has them."""

    def share(self, run: Run, detached: Detached, allowed: Lanes, grace: float) -> None:
        """Run the nodes of a dataflow in threads alone, else as `LocalWorkers.share` does."""
        nobody: Any = _Nobody()

        def hire(frontier: Frontier, refusals: Refusals, where: Allowed) -> Workers:
            return Workers(run, frontier, refusals, where, nobody, 0, {}, _nothing, _nothing)

        seconds = Estimate(run.flow, {}).seconds
        cores, most = allowed.own_cpus(), allowed.most
        sharing = Sharing(run, run.flow, nobody, hire, cores, seconds, _nothing, detached, most)
        run.wakers.append(sharing.wake)
        sharing.carry_out(grace)

    def give_back(self) -> None:
        """Do nothing."""


class _Nobody:
    """A transport to nobody."""

    def __init__(self):
        self._woken = threading.Event()

    def next(self, seconds: float | None) -> None:
        """Wait for up to `seconds`, or until `wake` is called."""
        self._woken.wait(seconds)
        self._woken.clear()

    def wake(self) -> None:
        """Make `next` return."""
        self._woken.set()


def _nothing(*_: Any) -> Any:
    """There is no worker to start."""


def local_workers() -> LocalWorkers:
    """The local workers of this program; a forked child has its own."""
    return _of_process(os.getpid())


@functools.lru_cache(maxsize=1)
def _of_process(pid: int) -> LocalWorkers:
    return LocalWorkers()


def _leave(transport: Transport, folder: str, processes: dict[int, LocalProcess], pid: int) -> None:
    if os.getpid() == pid:  # not in a forked child
        transport.close()
        for process in list(processes.values()):  # a run in the background may be starting one
            process.end()
        shutil.rmtree(folder, ignore_errors=True)
