"""LocalWorkers: processes on this machine that run parts of a plan beside each other and beside the caller.

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
from collections.abc import Iterable, Mapping, Sequence
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
_FAILED = "failed"
_KILLED_WITHIN = 10.0
"""Seconds to wait for the end of a killed worker."""


class Unfit(Restart):
    """Raised if residents cannot run a plan because a value or a function does not pickle."""


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
        self._deaths = 0
        """How many have died in a row while starting."""
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

    def are_worth_starting(self, seconds: float) -> bool:
        """Add seconds of work that a run could share with them. True once the sum would pay for their start."""
        self._missed += seconds
        return self._missed > WORKER_START

    def borrow(self, slots: int, seconds: float = 0.0, patience: float | None = None, stop: Sequence = ()) -> bool:
        """Borrow the residents of slots 1 to `slots` - 1, if they are up and free; call `give_back` afterwards.

        Missing ones are started, and awaited for up to `seconds`, or until `stop` is filled. Another run that has them
        is awaited for up to `patience` seconds.
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
        except OSError:  # no sockets on this machine
            self._give_up()
        finally:
            if not up:
                self._lock.release()
        return up

    def borrow_some(self, count: int, stop: Sequence) -> bool:
        """Borrow those of slots 1 to `count` that are up, at least one; call `give_back` afterwards.

        The others are started, and the first one is awaited until `stop` is filled. Another run that has them is
        awaited for a second. None are started if there is no CPU for them.
        """
        if not count or not self.borrow(2, _UP_WITHIN, patience=_PATIENCE, stop=stop):
            return False
        self._fill(count + 1)
        self._are_up(count + 1, 0.0)
        return True

    def give_back(self) -> None:
        """Note that the run is over."""
        self._run = None
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

    def run(self, run: Run, plan: Plan, measure: bool, grace: float) -> None:
        """Run a plan made for residents. The first error wins, and is raised once all work has ended.

        Raises Unfit if residents cannot run the plan, and Restart if one has died.
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
        """Run the nodes of a dataflow by sharing them out. The first error wins, and is raised once all work has ended.

        seconds: the predicted seconds of each node, or None.   apart: nodes that run apart.
        most: the number of nodes that may run at once, or None.
        """
        assert self._transport is not None
        self._run = run
        lanes = {}
        for slot in sorted(self._up)[:most]:
            lanes[slot] = self._lanes.setdefault(slot, Lane(self._processes[slot].pid))
            lanes[slot].begin()
        number, again, revive = next(self._numbers), self._again, self._revive
        sharing = Sharing(run, run.flow, self._transport, number, lanes, seconds, again, revive, apart, most)
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
            self._deaths = 0 if sharing.lanes else self._deaths
            sharing.let_go()
            for slot in {*sharing.gone, *late}:
                self._end(slot)

    def _again(self, slot: int) -> None:
        """Replace the worker of a slot after it died in a run."""
        self._end(slot)
        self._fill(slot + 1)

    def _revive(self, up: Iterable[int]) -> bool:
        """Replace workers that have died while starting. up: the slots of the others. False once it gives up."""
        for slot in self._processes.keys() - set(up):
            if not self._processes[slot].is_alive:
                self._deaths += 1
                if self._deaths >= _DEATHS:
                    self._give_up()
                    return False
                self._again(slot)
        return not self.failed

    def _rest(self, team: _Team, grace: float) -> None:
        """Tell all workers to stop, wait, and kill those that have not stopped within `grace` seconds."""
        team.stop_all()
        team.rest(grace)
        for slot in team.left:
            self._end(slot)
        team.rest(_KILLED_WITHIN)
        if team.forgotten:
            for known in self._programs.values():
                known.clear()


def local_workers() -> LocalWorkers:
    """The local workers of this program; a forked child has its own."""
    return _of_process(os.getpid())


@functools.lru_cache(maxsize=1)
def _of_process(pid: int) -> LocalWorkers:
    return LocalWorkers()


def _leave(transport: Transport, folder: str, processes: dict[int, LocalProcess], pid: int) -> None:
    if os.getpid() == pid:  # not in a forked child
        transport.close()
        for process in processes.values():
            process.end()
        shutil.rmtree(folder, ignore_errors=True)


class _Team(ProcessExchange):
    """The caller's end of the exchange with residents, during one run of one plan."""

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
        """The segments that residents have not finished, by slot."""
        self.sent: dict[int, Sent] = {}
        self.began = monotonic()
        self.gone: set[int] = set()
        self.error: BaseException | None = None
        """The first error from another process."""
        self.forgotten = False
        """True if a resident has dropped a program that it was thought to have."""

    def begin(self, segment: Segment, known: set[str]) -> None:
        """Send a segment to its resident, which has the programs in `known` already."""
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
        except Exception as error:  # pickling may raise anything
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
        """Handle a message of a resident, or its death. Residents without a part in the run may also come up or die."""
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
        if number is None:  # it cannot read a value that arrived, for which it waits: stop it
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
        else:  # it has stopped because it was told to, or because another one died
            self._fail(self._lost(segment, "a resident has died"))

    def finish(self) -> None:
        """Wait for the replies of all residents. Raises Stopped if the run must stop first."""
        while self.left and not self.stop:
            self.look(None)
        if self.stop:
            raise Stopped

    def stop_all(self) -> None:
        """Tell all residents that still work to stop."""
        for slot in list(self.left):
            try:
                self.transport.send(slot, pack_parts(["stop", self.number]), [_FAILED])
            except (Gone, Stopped):
                self.gone.add(slot)
                self.left.pop(slot)

    def rest(self, seconds: float) -> None:
        """Wait up to `seconds` until no resident works on the run."""
        end = monotonic() + seconds
        while self.left and (left := end - monotonic()) > 0:
            self.look(left)

    def verdict(self, error: BaseException) -> BaseException:
        """The error to raise for a run that failed with `error` in this process."""
        cause = error.__cause__ if isinstance(error, OpError) else error
        if isinstance(cause, Unsendable):
            return self._unfit(cause)
        if not isinstance(cause, (Stopped, Gone)):
            return error
        if self.error is None and isinstance(cause, Stopped) and self.stop[0] != _FAILED:
            return self.run.stopped()
        return self.error or self._lost(self.plan.segments[-1], str(cause))

    def _fail(self, error: BaseException) -> None:
        """Note an error from another process. The first one fails the run."""
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
