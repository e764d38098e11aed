"""Batches: calls of an executor that run as one graph.

node      a call, or a chunk: several short calls of one function, which are made one after another
edge      from a call to another call of the batch that has its future as an argument
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol

from weftwork.graph.cores import usable_cores
from weftwork.graph.errors import UnavailableError
from weftwork.graph.function import Op
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.python.forks import fresh
from weftwork.scheduler.doors.calls import Done, Draws, Input, Raised, Start, call_chunk, call_node
from weftwork.scheduler.doors.futures import Call, Callee, finish, start
from weftwork.scheduler.doors.held import Held
from weftwork.scheduler.doors.pace import PACES, belongs_beside
from weftwork.scheduler.doors.running import BrokenPoolError, run_graph, staying
from weftwork.scheduler.machines.inventory import machine_count
from weftwork.scheduler.plan.collector import collecting_later
from weftwork.scheduler.session.session import Session
from weftwork.scheduler.sharing.gates import Gates

_SHORT = 1e-3
"""Calls of at most so many seconds are put into chunks."""
_CHUNK, _MOST = 5e-3, 1000
"""Seconds of work in a chunk, and the maximum number of calls in one."""
_CHUNKS = 8
"""Minimum number of chunks for each slot. At the end, a slot waits for at most one chunk of another slot."""
_LATE = 0.05
"""Seconds after which a chunk ends early, because its calls take longer than they used to."""


class Owner(Protocol):
    """What a batch needs from its executor."""

    start: Start
    most: int
    """How many calls may run at once."""

    def done_with(self, batch: Batch) -> None:
        """Note that a node of the batch is done, and let it have more calls."""

    def to_come(self) -> float:
        """How many seconds of work are in no batch yet, as far as that is known. Takes no lock."""
        ...

    def has_begun(self, batch: Batch) -> None:
        """Let calls join a batch that have come while it was prepared."""

    def again(self, calls: list[Call], alone: bool) -> None:
        """Take back calls that a chunk did not get to.   alone: each will be a node of its own."""

    def broken(self, error: BaseException) -> None:
        """Note a call's exception, which may be that of the initializer."""


class Batch:
    """Calls that run as one graph.

    slots: how many nodes may run at once. left: how many are not done yet.   size: the number of calls at first.
    """

    def __init__(self, owner: Owner, calls: list[Call], slots: int):
        self.owner, self.size, self.slots = owner, len(calls), slots
        self.late = False
        """Whether it was waited for in vain."""
        self._needs = Counter([future for call in calls if call.needs for future in call.needs])
        """How often calls that are not done need each future."""
        self._lock = fresh(threading.Lock())
        self._given: list[Held] = []
        """What each node was given: arguments, until it is done. Then it is its outcome, in case the run begins again;
        but nothing here keeps a result alive that no other call needs."""
        self._needed: dict[Future, Held] = {}
        """What calls that others need were given."""
        self._outside: dict[int, list[Held]] = {}
        """For a node, the results that it needs of calls outside of the batch."""
        self._session: Session | None = None
        self._stopped = threading.Event()
        self.nodes = list(self._chunks(calls))
        """The calls of each node, until they are done."""
        self.left = len(self.nodes)
        self._callee = calls[0].callee
        self._gates = Gates(owner.to_come) if all(map(self._is_like, calls)) else None
        """If its calls are alike and are made singly, others may join them while it runs."""
        self.most = owner.most if len(calls) <= slots else slots
        """How many slots it can have."""
        self.has_begun = False

    def _chunks(self, calls: list[Call]) -> Iterator[list[Call]]:
        """The calls of each node."""
        chunk: list[Call] = []
        most = 1
        for call in calls:
            alone = call.needs or call.weight > 1 or call.alone or call in self._needs
            if chunk and (alone or len(chunk) >= most or not self._alike(call, chunk[0])):
                yield chunk
                chunk = []
            if not chunk:
                most = 1 if alone else self._most_of(call)
            chunk.append(call)
        if chunk:
            yield chunk

    def _alike(self, one: Call, other: Call) -> bool:
        return one.stays is other.stays and one.callee.is_like(other.callee)

    def _most_of(self, call: Call) -> int:
        """How many calls like this one make a chunk."""
        pace = PACES.of(call.callee.key)
        if pace is None or pace.seconds > _SHORT:
            return 1
        seconds = pace.seconds
        return max(1, min(_MOST, int(_CHUNK / max(seconds, 1e-7)), self.size // (_CHUNKS * self.slots)))

    def run(self) -> None:
        """Run the graph. A future is done as soon as its node is."""
        try:
            graph = Graph()
            operations = self._build(graph)
            run_graph(graph, operations, {}, self.slots if self._gates is None else self.most, self._opened)
        except UnavailableError as error:  # a worker has died again and again
            broken = BrokenPoolError(None, error.op, error.message)
            broken.__cause__ = error.__cause__
            self._finish(broken)
        except BaseException as error:
            self._finish(error)
        finally:
            self.has_begun = True

    def _build(self, graph: Graph) -> list:
        """Add the nodes. Returns the operations to run: they hand the outcome of each node to `_tell`."""
        made: dict[Future, Tensor] = {}
        tell = staying(self._tell)
        tell.kernel.at_once = True
        operations: list[Operation] = []
        with graph.as_default(), collecting_later():
            if self._gates is not None and not self._is_shared_out():
                self._gates = None
            for number, calls in enumerate(self.nodes):
                outcome = self._single(graph, calls[0], made) if len(calls) == 1 else self._chunk(graph, calls)
                operations.append(tell.of_atoms(graph, (number, outcome)).op)
                if self._gates is not None:
                    self._gates.add((outcome.op, operations[-1]), True)
            if self._gates is not None:
                self._add_spare(graph, tell, operations)
        return operations

    def _is_shared_out(self) -> bool:
        """Whether its calls are shared out among threads and local workers: only then can others join."""
        _, beside = self._op(call_node, self._callee, False)
        return not beside and machine_count() == 1

    def _add_spare(self, graph: Graph, tell: Op, operations: list[Operation]) -> None:
        """Add nodes for calls that come while others run: as many as it may have at once, and one that is being told
        of."""
        assert self._gates is not None
        graph.gates = self._gates
        begun = staying(self._begun)
        begun.kernel.at_once = True
        operations.append(begun.of_atoms(graph, ()).op)
        op, _ = self._op(call_node, self._callee, False)
        for number in range(self.left, 2 * min(self.owner.most, usable_cores()) + 1):
            self.nodes.append([])
            outcome = op.of_atoms(graph, [self._held(Done(None))])
            operations.append(tell.of_atoms(graph, (number, outcome)).op)
            self._gates.add((outcome.op, operations[-1]), False)

    def takes(self, call: Call) -> bool:
        """Whether a call may join those of it."""
        return self._gates is not None and self._is_like(call)

    def _is_like(self, call: Call) -> bool:
        return _may_join(call) and call.callee.is_like(self._callee)

    def add(self, call: Call) -> bool:
        """Let a call join. False if there is no room, or if it is over. Call it under the lock of its owner."""

        def prepare(number: int) -> None:
            if start([call]):  # else it was cancelled
                self.nodes[number], self.left = [call], self.left + 1
                self._given[number].value = self.owner.start, call.args, call.kwargs, call.draws

        return self._gates is not None and not self._stopped.is_set() and self._gates.open(prepare)

    def withdraw(self) -> list[Call]:
        """Take back the calls that have not begun. Call it under the lock of its owner."""
        calls = []
        for number in self._gates.withdraw() if self._gates is not None else ():
            calls += self.nodes[number]
            self.nodes[number], self.left = [], self.left - 1
            self._given[number].value = Done(None)
        return calls

    def _opened(self, session: Session) -> None:
        self._session = session
        if self._stopped.is_set():
            session.close()

    def stop(self) -> None:
        """Cancel the run. Futures are done at once, although a function may take a while to notice."""
        self._stopped.set()
        self._finish(CancelledError())
        if self._session is not None:
            self._session.close()

    def _finish(self, error: BaseException) -> None:
        """Let the calls that are not done raise an error."""
        calls = [call for node in list(self.nodes) for call in node]
        finish(calls, [Raised(error)] * len(calls))

    def _single(self, graph: Graph, call: Call, made: dict[Future, Tensor]) -> Tensor:
        inputs: list = []
        outside: list[Held] = []

        def filled(argument: Any) -> Any:
            if not isinstance(argument, Future):
                return argument
            if argument not in made:
                outside.append(Held(_outcome(argument)))
            inputs.append(made[argument] if argument in made else outside[-1])
            return Input(len(inputs) - 1)

        op, beside = self._op(call_node, call.callee, call.stays)
        args, kwargs, draws = call.args, call.kwargs, call.draws
        if beside:  # at once, they share the program's generators
            draws = None
            args = tuple([None if type(each) is Draws else each for each in args])
        if call.needs:
            args = tuple(map(filled, args))
            kwargs = {key: filled(value) for key, value in (kwargs or {}).items()}
            self._outside[len(self._given)] = outside
        held = self._held((self.owner.start, args, kwargs, draws))
        if call in self._needs:
            self._needed[call] = held
        made[call] = node = op.of_atoms(graph, [held, *inputs])
        return node

    def _chunk(self, graph: Graph, calls: list[Call]) -> Tensor:
        op, beside = self._op(call_chunk, calls[0].callee, calls[0].stays)
        given = [(call.args, call.kwargs, None if beside else call.draws) for call in calls]
        return op.of_atoms(graph, [self._held((self.owner.start, given, _LATE))])

    def _held(self, given: Any) -> Held:
        self._given.append(Held(given))
        return self._given[-1]

    def _op(self, runner: Callable, callee: Callee, stays: bool) -> tuple[Op, bool]:
        """The op that makes calls of a function, and whether it runs beside the others."""
        initializer = self.owner.start.function
        made = callee.op(runner, initializer, stays)
        pace, most = PACES.of(callee.key), self.owner.most
        beside = belongs_beside(made.kernel.captured, stays, pace, most, not callee.also)
        return callee.op(runner, initializer, stays, True) if beside else made, beside

    def _begun(self) -> None:
        """Let calls join that have come meanwhile. Runs as a node."""
        self.has_begun = True
        self.owner.has_begun(self)

    def _tell(self, number: int, outcome: Done) -> None:
        """Finish the calls of a node that is done. Runs in this process, as a node."""
        given = self._given[number]
        if self._stopped.is_set() or type(given.value) is Done:
            return
        calls, self.nodes[number] = self.nodes[number], []
        given.value = outcome if calls[0] in self._needs else Done(None)
        if needs := calls[0].needs:
            self._drop(number, needs)
        weight = calls[0].weight
        PACES.learn(calls[0].callee.key, outcome.seconds / weight, outcome.busy / weight)
        self.owner.done_with(self)
        outcomes = [outcome.value] if len(calls) == 1 else outcome.value
        self.owner.again(calls[len(outcomes) :], alone=outcome.seconds > _SHORT)
        for value in outcomes:
            if type(value) is Raised:
                self.owner.broken(value.error)
        finish(calls[: len(outcomes)], outcomes)

    def _drop(self, number: int, needs: Iterable[Future]) -> None:
        """Keep nothing alive that only a node needed that is done."""
        for held in self._outside.pop(number):
            held.value = None
        with self._lock:
            self._needs.subtract(needs)
            for future in set(needs):
                if not self._needs[future]:
                    del self._needs[future]
                    if future in self._needed:
                        self._needed.pop(future).value = Done(None)


def _may_join(call: Call) -> bool:
    """Whether a call may join others that run: it has a node of its own, and waits for nothing.

    One that was submitted by a call may not: that may wait for it, and for so long its place is another's.
    """
    if call.needs or call.stays or call.inner:
        return False
    pace = PACES.of(call.callee.key)
    return pace is None or pace.seconds > _SHORT


def _outcome(future: Future) -> Any:
    """The result of a future that is done, or Raised."""
    try:
        error = future.exception(0)
    except CancelledError as cancelled:
        error = cancelled
    return future.result(0) if error is None else Raised(error)


def results(futures: Iterable[Future], seconds_left: Callable[[], float | None]) -> Iterator:
    """The results of the chunks of `map`, one by one. Cancels the rest if the caller stops early, or at an error."""
    left = list(futures)[::-1]
    try:
        while left:
            chunk = left[-1].result(seconds_left())
            left.pop()
            chunk.reverse()
            while chunk:
                if type(chunk[-1]) is Raised:
                    raise chunk[-1].error
                yield chunk.pop()  # so that nothing here keeps the result alive
    finally:
        for future in left:
            future.cancel()
