"""LocalWorkers: processes of the program that run the programs of a plan beside each other, and beside the caller.

slot     the caller is slot 0, each resident another one; each runs one program, and they exchange values

Worth it for code that holds the GIL where the grain is too fine for Ray: a run costs each resident one message, and a
value crosses in tens of microseconds, for it goes through a socket of this machine. All sessions share them. They are
processes that the program starts itself, so Ray need not run, and they end with it.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from glob import glob
from itertools import count
from time import monotonic

from weftwork.actors.processes.exchange import ProcessExchange, Unsendable
from weftwork.actors.processes.messages import Request, described, pack, pack_parts, unpack_parts
from weftwork.actors.processes.transport import Gone, Transport, is_left
from weftwork.actors.programs.program import Stopped
from weftwork.graph.errors import InvalidArgumentError, OpError
from weftwork.scheduler.machines import objects
from weftwork.scheduler.machines.folders import socket_folder
from weftwork.scheduler.machines.local_processes import LocalProcess
from weftwork.scheduler.plan.plan import Plan, Segment, found_writing
from weftwork.scheduler.plan.policy import WORKER_START
from weftwork.scheduler.run.apart import Apart
from weftwork.scheduler.run.failures import call_told, is_of_the_place, lost, node_error
from weftwork.scheduler.run.lane import Lane
from weftwork.scheduler.run.run import Restart, Run
from weftwork.scheduler.run.sharing import Sharing
from weftwork.scheduler.run.telling import Sent, resident

_UP_WITHIN = 60.0
"""Seconds that a resident may take to start; then the program does without."""
_DEATHS, _AGAIN_AFTER = 4, 60.0
"""Workers that die in a row before they are up until they are given up, and the seconds for which they are."""
_PREFIX = "weftwork-residents-"
"""Of the names of the folders in which they meet."""
_PATIENCE = 1.0
"""Seconds for which a run that shares its work waits for another one that has the workers."""
_ASKED_EVERY = 0.2
"""Seconds between two looks whether one that starts has died."""
_FAILED = "failed"
_KILLED_WITHIN = 10.0
"""Seconds for which the end of one that was killed is waited for."""


class Unfit(Restart):
    """A plan for residents cannot be run by them: a value or a function does not pickle."""


class LocalWorkers:
    """The residents of this program. They work for one run at a time."""

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
        """The run that has them."""
        self._deaths = 0
        """How many have died in a row before they were up."""
        self._given_up = 0.0
        """Until when nobody need ask again: they do not come up here."""

    @property
    def failed(self) -> bool:
        """True while they do not come up here: this is tried again after a while."""
        return monotonic() < self._given_up

    def _give_up(self) -> None:
        self._deaths, self._given_up = 0, monotonic() + _AGAIN_AFTER

    @property
    def is_up(self) -> bool:
        """Some are, as far as is known."""
        return bool(self._up)

    def are_worth_starting(self, seconds: float) -> bool:
        """A run could share so many seconds of work with them. True once such runs would have paid for their start."""
        self._missed += seconds
        return self._missed > WORKER_START

    def borrow(self, slots: int, seconds: float = 0.0, patience: float | None = None, stop: Sequence = ()) -> bool:
        """Take the residents of slots 1 to `slots` - 1, if they are up and free; `give_back` follows.

        Those that are not there are started. They are waited for `seconds` at most, or until `stop`
        fills up; a run that has them already is waited for `patience` seconds.
        """
        end = monotonic() + seconds
        if self.failed or not self._lock.acquire(timeout=seconds if patience is None else patience):
            return False
        up = False
        try:
            while not self.failed:
                self._fill(slots)
                up = self._are_up(slots, end - monotonic())
                if up or stop or monotonic() >= end:
                    break
        except OSError:  # no sockets here
            self._give_up()
        finally:
            if not up:
                self._lock.release()
        return up

    def borrow_some(self, count: int, stop: Sequence) -> bool:
        """Take those of slots 1 to `count` that are up and free, one at least; `give_back` follows.

        The others are started, and the first one is waited for, until `stop` fills up. A run that has them already is
        waited for a second. None are started where there is no CPU for any.
        """
        if not count or not self.borrow(2, _UP_WITHIN, patience=_PATIENCE, stop=stop):
            return False
        self._fill(count + 1)
        self._are_up(count + 1, 0.0)
        return True

    def give_back(self) -> None:
        """The run is over."""
        self._run = None
        self._lock.release()

    def leave(self, run: Run) -> None:
        """A run is over, but its thread does not come back: if it has them, the program takes others from now on."""
        having = self._run
        while having is not None and having is not run:
            having = having.outer
        if having is run:
            _of_process.cache_clear()
            for process in list(self._processes.values()):
                process.end()

    def _fill(self, slots: int) -> None:
        """Start those that are not there."""
        if self._transport is None:
            for folder in glob(os.path.join(socket_folder(), f"{_PREFIX}*")):
                if is_left(folder):  # by a program that died
                    shutil.rmtree(folder, ignore_errors=True)
            self._folder = tempfile.mkdtemp(prefix=_PREFIX, dir=socket_folder())  # nobody else can enter it
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
        if late:  # they hang, or nobody took in that they are up
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

    # While they are borrowed

    def run(self, run: Run, plan: Plan, measure: bool, grace: float) -> None:
        """Run a plan that was made for residents. The first error wins, once all have come to rest.

        Raises Unfit when the plan is not for them, and Restart when one has died.
        """
        assert self._transport is not None
        self._run = run
        pids = {slot: process.pid for slot, process in self._processes.items()}
        team = _Team(run, plan, self._transport, next(self._numbers), measure, self._up, pids)
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

    def share(self, run: Run, seconds: Sequence[float | None], apart: Apart, most: int | None, grace: float) -> None:
        """Run the nodes of a dataflow by sharing them out. The first error wins, once all have come to rest.

        seconds: that each node is predicted to take, or None.   apart: nodes that other ways run.
        most: how many nodes may run at a time, or None.
        """
        assert self._transport is not None
        self._run = run
        lanes = {}
        for slot in sorted(self._up)[:most]:
            lanes[slot] = self._lanes.setdefault(slot, Lane(self._processes[slot].pid))
            lanes[slot].begin()
        sharing = Sharing(run, run.flow, self._transport, next(self._numbers), lanes, seconds, self._again, apart, most)
        run.wakers.append(self._transport.wake)
        late: list[int] = []
        try:
            sharing.execute()
        except BaseException as error:
            late = sharing.rest(grace)
            if isinstance(error, Stopped):
                raise run.stopped() from None
            raise
        finally:
            self._up.update(sharing.lanes)
            sharing.let_go()
            for slot in {*sharing.gone, *late}:
                self._end(slot)

    def _again(self, slot: int) -> None:
        """The worker of a slot has died in a run: another one takes its place."""
        self._end(slot)
        self._fill(slot + 1)

    def _rest(self, team: _Team, grace: float) -> None:
        """Tell all to stop and wait for it; who has not within `grace` seconds is ended."""
        team.stop_all()
        team.rest(grace)
        for slot in team.left:
            self._end(slot)
        team.rest(_KILLED_WITHIN)
        if team.forgotten:
            for known in self._programs.values():
                known.clear()


def local_workers() -> LocalWorkers:
    """Those of this program; a forked child has its own."""
    return _of_process(os.getpid())


@functools.lru_cache(maxsize=1)
def _of_process(pid: int) -> LocalWorkers:
    return LocalWorkers()


def _leave(transport: Transport, folder: str, processes: dict[int, LocalProcess], pid: int) -> None:
    if os.getpid() == pid:  # else it was forked off
        transport.close()
        for process in processes.values():
            process.end()
        shutil.rmtree(folder, ignore_errors=True)


class _Team(ProcessExchange):
    """One run of one plan by the caller and residents: the caller's end of their exchange."""

    def __init__(
        self,
        run: Run,
        plan: Plan,
        transport: Transport,
        number: int,
        measure: bool,
        up: set[int],
        pids: Mapping[int, int],
    ):
        super().__init__(transport, number, run.stop, run)
        self.plan, self.measure, self.up, self.pids = plan, measure, up, pids
        self.left: dict[int, Segment] = {}
        """What residents have not done yet, by slot."""
        self.sent: dict[int, Sent] = {}
        self.began = monotonic()
        self.gone: set[int] = set()
        self.error: BaseException | None = None
        """The first one that came from another process."""
        self.forgotten = False
        """Some have dropped a program that they were believed to have."""

    def begin(self, segment: Segment, known: set[str]) -> None:
        """Send a segment to its resident, which knows some programs."""
        packs = monotonic()
        try:
            code = objects.code_of(segment.program)
            new = [block for block in code.blocks if code.name not in known and block.key not in known]
            text, data = None, []
            if code.name not in known:
                text = code.text if code.text is not None else objects.fetch(code.reference).tobytes()
                data = [memoryview(objects.fetch(block.reference)) for block in new]
            inputs = pack_parts([self.run.local(value) for value in segment.inputs[1:]])
        except OpError:
            raise
        except Exception as error:  # what pickling raises may be anything
            raise self._unfit(error) from error
        blocks = () if text is None else code.blocks
        request = Request(
            code.name,
            text,
            measure=self.measure,
            blocks=tuple([block.key for block in blocks]),
            beside=tuple([block in new for block in blocks]),
            around=self.run.around(known),
        )
        self.left[segment.slot] = segment
        now = monotonic()
        self.sent[segment.slot] = Sent(self.began, now, now - packs)
        self.run.here[segment.slot] = (segment, now, 0)
        self.transport.send(segment.slot, [pack(["run", self.number, request]), *data, *inputs], self.stop)
        known.update([code.name, *[block.key for block in blocks]])

    def told(self, slot: int, message: list | None) -> None:
        """A resident has answered, or died; one that has no part in the run may do so too, or come up."""
        if message is None:
            self.gone.add(slot)
            self.left.pop(slot, None)
            if slot < len(self.plan.segments):
                pid = self.pids.get(slot, 0)
                self.run.lost(self.plan.segments[slot].nodes, resident(pid), "a local worker has died")
                self._fail(self._lost(self.plan.segments[slot], "a resident has died"))
            return
        kind, number, *rest = message
        if kind == "up":
            self.up.add(slot)
            return
        if kind == "said":
            if number == self.number and slot in self.left:
                self.run.heard(self._ops(self.left[slot]), rest[0], self.left[slot].owners)
            return
        if (
            number is None
        ):  # a value of some run has come there that cannot be read: it waits for it, and is told to stop
            if slot in self.left:
                self._fail(self._unfit(described(*rest)))
            return
        segment = self.left.pop(slot, None) if number == self.number else None
        if segment is None:
            return
        del self.run.here[slot]
        if kind == "done":
            outputs, told, *costs = rest
            for value, made in zip(segment.outputs, outputs, strict=True):
                self.run.values[value] = made
            nodes = self.run.learn(self.plan, segment, costs) if costs else []
            self.run.ran_there("resident", segment.nodes, nodes, self.sent[slot], told, monotonic())
            self.run.count("resident", len(segment.nodes))
        elif kind == "failed":
            error, text, step, told = rest
            cause = described(error, text)
            if is_of_the_place(cause):
                self._fail(self._unfit(cause))
                return
            call = call_told(self.run, segment, step, told)
            self._fail(node_error(self.plan.flow.ops[segment.owners[step]], cause, text, call))
        elif kind == "wrote":
            found_writing(self.plan.flow, segment.nodes, rest[0])
            self._fail(self._lost(segment, "a function changes captured state"))
        elif kind == "unfit":
            self._fail(self._unfit(described(*rest[:2])))
        elif kind == "missing":
            self.forgotten = True
            self._fail(self._lost(segment, "a resident has forgotten its program"))
        else:  # it has stopped: it was told to, or another one has gone
            self._fail(self._lost(segment, "a resident has died"))

    def finish(self) -> None:
        """Wait for all residents' replies. Raises Stopped when the run is to end first."""
        while self.left and not self.stop:
            self.look(None)
        if self.stop:
            raise Stopped

    def stop_all(self) -> None:
        """Tell all who still work to stop."""
        for slot in list(self.left):
            try:
                self.transport.send(slot, pack_parts(["stop", self.number]), [_FAILED])
            except (Gone, Stopped):
                self.gone.add(slot)
                self.left.pop(slot)

    def rest(self, seconds: float) -> None:
        """Wait until no resident works on the run, so many seconds at most."""
        end = monotonic() + seconds
        while self.left and (left := end - monotonic()) > 0:
            self.look(left)

    def verdict(self, error: BaseException) -> BaseException:
        """What a run that failed with `error` here raises."""
        cause = error.__cause__ if isinstance(error, OpError) else error
        if isinstance(cause, Unsendable):
            return self._unfit(cause)
        if not isinstance(cause, (Stopped, Gone)):
            return error
        if self.error is None and isinstance(cause, Stopped) and self.stop[0] != _FAILED:
            return self.run.stopped()
        return self.error or self._lost(self.plan.segments[-1], str(cause))

    def _fail(self, error: BaseException) -> None:
        """Something has gone wrong elsewhere: if nothing has before, that is what the run fails with."""
        if not self.stop:
            self.error = error
            self.stop.append(_FAILED)

    def _lost(self, segment: Segment, reason: str) -> Restart:
        return Restart(lost(self._ops(segment), 1, reason))

    def _unfit(self, cause: BaseException) -> Unfit:
        ops = self._ops(self.plan.segments[-1])
        return Unfit(InvalidArgumentError(None, ops[0] if ops else None, str(cause)))

    def _ops(self, segment: Segment) -> list:
        return [self.plan.flow.ops[node] for node in segment.nodes]
