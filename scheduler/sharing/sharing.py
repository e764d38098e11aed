"""Sharing: shares the nodes of a run out among local workers and threads of this process, as the run goes on.

On several machines, Ray tasks take the part of workers and threads.

lane      a local worker or a task that takes part
batch     ready nodes that go to a lane at once
crew      the threads of this process that take part, the caller's among them: they run nodes that release the GIL

Costs need not be known: idle lanes and threads take more nodes. Known costs improve the order. A node runs in the
caller if it must, if it is shorter than a message, or if a worker turns out to be unable to run it: because its code,
an input or an output does not pickle, or it needs something only the caller has.

A run whose functions may all be called in this process waits for no worker to start: it begins with the crew. The
caller feeds the lanes, and joins the crew while no lane is at work. Whoever finishes a node takes note of it, so the
crew's monitor guards all of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from time import monotonic
from typing import Any

from weftwork.actors.processes.ticker import TICKER
from weftwork.actors.programs.float_errors import quiet
from weftwork.actors.programs.program import Stopped, is_from_outside
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.plan.grouping import after_locks
from weftwork.scheduler.plan.policy import (
    CALLS_BEFORE_HERE,
    LITTLE_WORK,
    LONGEST_HERE,
    LOOK_FOR_MESSAGES,
    LOOK_FOR_WORKERS,
    SHORT_FOR_A_THREAD,
    WORTH_A_THREAD,
)
from weftwork.scheduler.run.failures import call_in_run, is_of_the_place, node_error
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.said import speak_early
from weftwork.scheduler.run.telling import Node, Sent
from weftwork.scheduler.segments.background import Background
from weftwork.scheduler.segments.calling import Call, call_at_once, call_nodes
from weftwork.scheduler.segments.detached import Detached
from weftwork.scheduler.sharing.allowed import CALLER, LANES, THREADS, Allowed, is_at_once, may_do_without
from weftwork.scheduler.sharing.crew import Crew
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.gates import gates_of
from weftwork.scheduler.sharing.gil_watch import GilWatch
from weftwork.scheduler.sharing.lane import OF_WORKERS, Lengths
from weftwork.scheduler.sharing.refusals import Refusals
from weftwork.scheduler.sharing.resting import rest
from weftwork.scheduler.sharing.tasks import Tasks
from weftwork.scheduler.sharing.workers import Workers


class Sharing:
    """One run of one dataflow."""

    def __init__(
        self,
        run: Run,
        flow: Dataflow,
        transport: Any,
        hire: Callable[[Frontier, Refusals, Allowed], Any],
        cores: int,
        seconds: Sequence,
        missed: Callable[[float, float], None],
        detached: Detached,
        most: int | None,
        lengths: Lengths = OF_WORKERS,
        threads: bool = True,
    ):
        """transport: brings the messages of the lanes.   hire: returns those who run nodes, such as `Workers`.
        cores: for them and threads together.   seconds: the predicted seconds of each node; None if never seen.
        missed: takes note of seconds of work for which there was no worker, and of those to come; may start workers.
        most: the number of nodes that may run at once, or None.   lengths: of batches.   threads: whether threads of
        this process beside the caller's may take part.
        """
        self.run, self.flow, self.transport = run, flow, transport
        self.cores = cores if most is None else min(cores, most)
        self.frontier = Frontier(flow, seconds, self.cores, lengths)
        self.allowed = Allowed(flow, detached.nodes, threads)
        self.refusals = Refusals(run, flow, self.frontier, self.allowed)
        self.workers: Workers | Tasks = hire(self.frontier, self.refusals, self.allowed)
        self.crew = Crew(self._help)
        self.background = Background(self.wake)
        """The detached nodes."""
        self.detached, self.most, self.missed = detached, most, missed
        self.does_without = threads and may_do_without(flow)
        """Whether this process may call everything, so nothing waits for a worker to start."""
        self.locked, self.uses = after_locks(flow), flow.uses().copy()
        self.gil = GilWatch(flow, self.frontier)
        self.calling, self.listening = False, False
        """Whether the caller is calling a node, and whether it waits for a message."""
        self.looked = 0.0
        """When the caller last looked for messages."""
        self.failure: BaseException | None = None
        """The error that a helper's node has ended with."""
        self.gates = gates_of(flow)
        self.late: list[int] = []
        """The slots of workers that have not stopped in time."""

    def carry_out(self, grace: float) -> None:
        """Run all nodes. The first error is raised once all work has ended, or `grace` seconds have passed."""
        try:
            self.execute()
        except BaseException as error:
            self.late = rest(self, grace)
            if isinstance(error, Stopped):
                raise self.run.stopped() from None
            raise
        finally:
            self.let_go()

    def execute(self) -> None:
        """Run all nodes. Raises the first error; `rest` is to be called then."""
        frontier, lethal = self.frontier, 0
        with quiet(), self.crew.monitor, self.gil.watching(self.does_without):
            if self.gates is not None:
                self.gates.begin(self)
            self._ready(frontier.first())
            while frontier.left:
                if lethal != (lethal := len(self.allowed.lethal)):
                    self._sort_again()
                if self.run.stop:
                    raise Stopped
                if self.failure is not None:
                    raise self.failure
                mine = self._feed()
                if mine:
                    self._run_here(mine)
                elif frontier.here and (self.most is None or self._running() < self.most):
                    self._run_here(self._turn(frontier.here, len(frontier.here)))
                elif self._joins() and (nodes := self._next(self._running() + 1)):
                    self._run_here(nodes)
                elif self._takes_ready():
                    self._run_here(self._turn(frontier.ready, len(frontier.ready) // 2 or 1))
                elif frontier.left:
                    self._wait()

    def wake(self) -> None:
        """Wake the caller if it waits. May be called from any thread."""
        self.crew.wake()
        self.transport.wake()

    def _wait(self) -> None:
        """Let the caller wait for something to happen."""
        if not (self.frontier.ready or self.workers.busy):  # only a thread can make it happen
            self.crew.wait()
            self.background.take()
        elif self.workers.up:
            self._take(self.workers.until_room() if self.frontier.ready else None)
        else:
            alone = not (self.background.under_way or self.crew.helping)
            self._take(self.workers.until_one_is_up(alone))

    def _take(self, seconds: float | None) -> None:
        """Process messages of workers, waiting up to `seconds`, or without limit, for the first one."""
        self.listening, alone = True, not self.workers.up
        with self.crew.outside:
            came = self.transport.next(seconds)
        self.listening = False
        while came is not None:
            done, again = self.workers.take(*came)
            speak_early(self.run, self.crew.outside)
            self._ready([*again, *[other for node in done for other in self._done(node)]])
            came = self.transport.next(0)
        if alone and self.workers.up:
            self._sort_again()
        self.looked = monotonic()
        self.background.take()

    def _running(self) -> int:
        """The number of workers and threads that are running nodes."""
        return self.workers.busy + self.crew.helping + self.calling

    # Choosing

    def _ready(self, nodes: Iterable[int]) -> None:
        """Queue nodes that have become ready. Those without a kernel are done at once."""
        ready, now = list(nodes), monotonic()
        for node in ready:  # it grows meanwhile
            self.frontier.since[node] = now
            kernel = self.flow.kernels[node]
            if kernel is None or is_at_once(kernel):
                if kernel is not None:
                    self._call_at_once(node)
                ready.extend(self._done(node))
            elif node in self.detached.nodes:
                self.detached.start(node, self.background, partial(self._detached_done, node))
            else:
                self.frontier.push(self._heap_for(node), node)

    def _call_at_once(self, node: int) -> None:
        try:
            with self.crew.outside:
                call_at_once(self.run, node)
        except BaseException as error:
            self.failure = error

    def _detached_done(self, node: int, result: Any) -> None:
        if isinstance(result, BaseException):
            raise result
        for number, value in zip(self.flow.outputs[node], result, strict=True):
            self.run.values[number] = value
        self._ready(self._done(node))

    def _heap_for(self, node: int) -> list:
        """The heap for a ready node. One that needs locks gets to the threads once the caller has taken them."""
        where, frontier = self.allowed.where(node), self.frontier
        if where is CALLER:
            return frontier.here
        if where is LANES or (node in self.locked and not self.run.is_locked):
            waits = self.workers.up or not self.does_without or self.allowed.keeps_off(node)
            return frontier.ready if waits else frontier.here
        return frontier.here if self._is_short(node) else frontier.threads

    def _sort_again(self) -> None:
        """Choose heaps for all ready nodes anew: there is a worker now, or more is known about a function."""
        for node in self.frontier.take_back():
            self.frontier.push(self._heap_for(node), node)

    def _is_short(self, node: int) -> bool:
        """True for a node that is known not to be worth calling a thread."""
        known = self.frontier.known(node)
        return known.seconds is not None and known.seconds < SHORT_FOR_A_THREAD and known.calls >= CALLS_BEFORE_HERE

    def _feed(self) -> list[int]:
        """Give ready nodes to lanes with room, and to threads. Returns those that the caller had better run itself."""
        frontier, workers, mine = self.frontier, self.workers, list[int]()
        while frontier.ready:
            first = frontier.ready[0][1]
            if self.allowed.where(first) is THREADS and self.allowed.may_leave(first):
                frontier.move_first()
                self._lock_for([first])
                frontier.push(self._heap_for(first), first)
                continue
            for_threads = bool(frontier.threads and frontier.threads < frontier.ready)  # the next core is for a thread
            cores = self.cores - self._running() - self._takes_ready() - for_threads
            free = () if for_threads and cores < 0 else workers.free(cores)
            if not free:
                break
            if workers.are_copies_dear(first):
                frontier.move_first()
                frontier.push(frontier.here, first)
                continue
            batch = frontier.next_batch(workers.up, len(free), self.allowed.may_leave)
            if frontier.is_better_here(batch, workers.busy > 0) and not any(map(self.allowed.keeps_off, batch.nodes)):
                mine = batch.nodes
                break
            self._lock_for(batch.nodes)
            self._ready(workers.send(workers.idlest(free, self.flow.inputs[first]), batch, self.crew.outside))
        own = int(not mine and not frontier.here and self._joins())  # the caller is about to take one itself
        busy = int(bool(mine or own) or self._takes_ready())  # it is about to have a core
        self._recruit(len(frontier.threads) - own, self.cores - self._running() - busy)
        return mine

    def _takes_ready(self) -> bool:
        """Whether the caller takes the first ready node, as a lane does: it is short, so lanes need not wait long.

        If there is much work, lanes get long batches, for which the caller had better be free.
        """
        if not self.frontier.ready or self._running() >= self.cores or self.frontier.work > LITTLE_WORK:
            return False
        known, off = self.frontier.known(first := self.frontier.ready[0][1]), self.allowed.keeps_off(first)
        return not off and known.calls >= CALLS_BEFORE_HERE and known.seconds < LONGEST_HERE  # type: ignore[operator]

    # In threads of this process

    def _joins(self) -> bool:
        """Whether the caller, which feeds the lanes, may run the next node for threads itself.

        If nodes follow that only the caller may run, they must not wait for a long one.
        """
        if self.workers.busy:
            return False
        if not self.frontier.threads or all(map(self.frontier.is_done, self.allowed.staying)):
            return True
        seconds = self.frontier.known(self.frontier.threads[0][1]).seconds
        return seconds is not None and seconds < LONGEST_HERE

    def _recruit(self, wanted: int, room: int) -> None:
        """Call threads for some ready nodes, if that is worth it; it is if the caller cannot take them.

        room: for how many there are cores.
        """
        if wanted > 0 and room > 0:
            seconds = self.frontier.known(self.frontier.threads[0][1]).seconds
            if seconds is None or wanted * seconds >= WORTH_A_THREAD or not self._joins():
                self.crew.call(min(wanted, room))

    def _next(self, running: int) -> list[int]:
        """Take the next nodes for a thread, if there are any and a core for them. running: with this thread.

        The other threads are to find as many.
        """
        frontier = self.frontier
        if not frontier.threads or self.run.stop or running > self.cores:
            return []
        if frontier.ready and frontier.ready < frontier.threads and self.workers.some_idle:
            return []  # the core is for a lane
        share = max(1, len(frontier.threads) // (2 * self.cores))
        return self._turn(frontier.threads, share, frontier.gil_unknown)

    def _turn(self, heap: list, most: int, alone: Callable[[int], bool] = lambda node: False) -> list[int]:
        """Take nodes off a heap for a turn of a thread, and those that would follow them there."""

        def follows(node: int) -> bool:
            is_called = self.flow.kernels[node] is not None and node not in self.detached.nodes
            return is_called and self._heap_for(node) is heap

        return self.frontier.next_turn(heap, most, alone, follows)

    def _help(self) -> bool:
        """Run nodes in a helper of the crew. Returns False if there are none."""
        if nodes := self._next(self._running()):
            todo = nodes[::-1]
            try:
                self._call(todo, "thread")
                if todo:
                    self._ready(self.frontier.again(todo))
            except BaseException as error:
                self._failed(todo, error)
        self.rouse()
        return bool(nodes)

    def rouse(self) -> None:
        """Wake the caller if it waits, and there is something for it to do."""
        frontier = self.frontier
        if not self.calling and (frontier.ready or frontier.here or not frontier.left or self.failure is not None):
            self.crew.wake()
            if self.listening:
                self.transport.wake()

    def take_in(self, nodes: Iterable[int]) -> None:
        """Queue nodes that have become ready in any thread, and see to it that somebody takes them."""
        self._ready(nodes)
        self._recruit(len(self.frontier.threads), self.cores - self._running())
        self.rouse()

    @property
    def is_over(self) -> bool:
        """Whether no more nodes can be taken in."""
        return not self.frontier.left or self.crew.over or bool(self.run.stop) or self.failure is not None

    def _failed(self, todo: list[int], error: BaseException) -> None:
        """Handle the error of a helper's node, the last one of those it had to call."""
        if is_from_outside(error) or isinstance(error, Stopped):
            self.failure = error
        elif is_of_the_place(error):
            self.refusals.keep_here(todo[-1:], error)
            self._ready(self.frontier.again(todo))
        else:
            self.failure = self._error_of(todo[-1], error)

    def _run_here(self, nodes: list[int]) -> None:
        """Run nodes in the caller, and look for messages if that has taken long."""
        self._lock_for(nodes)
        self.calling, todo = True, nodes[::-1]
        try:
            self._call(todo, "caller")
        except BaseException as error:
            if is_from_outside(error) or isinstance(error, Stopped):
                raise
            raise self._error_of(todo[-1], error) from error
        finally:
            self.calling = False
        if todo:
            self._ready(self.frontier.again(todo))
        expects = self.workers.busy or self.background.under_way
        if monotonic() > self.looked + (LOOK_FOR_MESSAGES if expects else LOOK_FOR_WORKERS):
            self._take(0)

    def _error_of(self, node: int, error: BaseException) -> Exception:
        failure = node_error(self.flow.ops[node], error, call=call_in_run(self.run, node))
        failure.__cause__ = error
        return failure

    def _call(self, todo: list[int], place: str) -> None:
        """Call nodes in this thread, from the last one on, and then threads for what they have made ready.

        todo: what is not done is left in it, after an error or when the run stops.
        """
        called: list[Call] = []
        began, wants, alone = monotonic(), self.gil.wants(todo[-1]), self.crew.helping + self.calling < 2
        try:
            with self.crew.outside, TICKER.looking() if wants else nullcontext():
                call_nodes(self.run, todo, called, wants or not alone)
        except BaseException as error:
            since = sum(called[-1].cost[:2]) if called else began
            self.run.failed([self.flow.ops[node] for node in todo[-1:]], place, since, error)
            raise
        finally:
            if called and self.crew.over:
                self.run.ran_here([Node(self.flow.ops[call.node], *call.cost) for call in called], place)
            elif called:
                self._called(called, place, began, wants, alone)

    def _called(self, called: list[Call], place: str, began: float, wants: bool, alone: bool) -> None:
        """Take note of nodes that this thread has called, one after another since `began`.

        Their costs are what they take alone, without waiting for the GIL.   wants: whether it is to be learned if they
        hold it.   alone: nothing ran beside them.
        """
        first, frontier, missed = called[0], self.frontier, self.does_without and not self.workers.up
        reads = [(node, cost[1], read) for node, cost, read in called if read is not None]
        if any([self.gil.take(*each, wants, alone) for each in reads]):
            self._sort_again()
        since, rows, ready = frontier.since[first.node], [], []
        for node, cost, read in called:
            seconds = cost[1]
            if read is not None:
                seconds = self.gil.seconds_alone(node, seconds, read, self.crew.helping > 0)
            rows.append((node, cost, seconds))
            if missed and self.allowed.where(node) is LANES and self.allowed.may_leave(node):
                self.missed(seconds, frontier.work + (self.gates.to_come() if self.gates is not None else 0.0))
            frontier.took(node, seconds)
            ready += self._done(node)
        self._ready(ready)
        self._recruit(len(frontier.threads) - 1, self.cores - self._running())
        self.run.ran_here(self.run.learn_nodes(rows), place, Sent(since, began))
        self.run.count(place, len(rows))

    def _lock_for(self, nodes: list[int]) -> None:
        if not self.locked.isdisjoint(nodes):
            with self.crew.outside:
                self.run.lock()

    def _done(self, node: int) -> list[int]:
        """Note that a node is done, and drop values that nobody needs any more. Returns the nodes that become ready."""
        flow, uses = self.flow, self.uses
        for number in flow.inputs[node]:
            uses[number] -= 1
            if not uses[number] and flow.producer[number] >= 0:
                value, self.run.values[number] = self.run.values[number], None
                self.workers.drop(number, value)
        if self.gates is not None:
            self.gates.done(node)
        return self.frontier.done(node)

    # Ending

    def let_go(self) -> None:
        """Return the threads, and make workers drop the large values of the run."""
        with self.crew.monitor:
            self.crew.end()
        self.workers.let_go()
