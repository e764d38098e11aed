"""Batches: calls of an executor that run as one graph.

node      one call, or a chunk: several short ones of one function, one after another in one place
edge      a future of the batch that is an argument of another call of it
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol

from weftwork.graph.callables import named
from weftwork.graph.function import Op
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Tensor
from weftwork.scheduler.doors.calls import Done, Input, Raised, Start, call_chunk, call_node
from weftwork.scheduler.doors.held import Held
from weftwork.scheduler.doors.running import in_c, op_of, run_graph, staying
from weftwork.scheduler.plan.collector import collecting_later
from weftwork.scheduler.session.session import Session

_SHORT = 1e-3
"""Seconds of a call up to which several are one node."""
_CHUNK, _MOST = 5e-3, 1000
"""Seconds that such a node is to take, and calls of it at most."""
_CHUNKS = 8
"""Nodes for each slot, at least: what is lost at the end is at most one of them."""
_LATE = 0.05
"""Seconds after which a chunk ends early: its calls are longer than they were."""


class Call:
    """A function, its arguments, and the future of what it gives.

    among: what functions it calls besides.   stays: it is called in this process.
    key: what its costs are known by.   weight: calls of that.
    """

    __slots__ = ("among", "args", "begun", "function", "future", "key", "kwargs", "needs", "stays", "weight")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[Any, Any],
        among: tuple[Callable[..., Any], ...] = (),
        stays: bool = False,
        key: Any = None,
        weight: int = 1,
    ):
        self.function, self.args, self.kwargs, self.among, self.stays = function, args, kwargs, among, stays
        self.key, self.weight = code_of(function) if key is None else key, weight
        self.future: Future = Future()
        self.needs = [a for a in (*args, *kwargs.values()) if isinstance(a, Future)]
        self.begun = False
        """Its future says that it runs."""

    def is_like(self, other: Call) -> bool:
        """True where both may be calls of one chunk."""
        return self.function is other.function and self.stays is other.stays and self.among == other.among


class Owner(Protocol):
    """What a batch tells its executor."""

    start: Start

    def seconds_of(self, key: Any) -> float | None:
        """What a call of a function takes, as far as is known."""

    def learn(self, key: Any, seconds: float) -> None:
        """A call of a function took so long."""

    def done_with(self, batch: Batch) -> None:
        """A node is done."""

    def again(self, calls: list[Call]) -> None:
        """Calls that were given to it are to be made by another batch."""

    def broken(self, error: BaseException) -> None:
        """The initializer has failed."""


class Batch:
    """Some calls that are run as one graph.   slots: nodes at a time.   left: nodes that are not done."""

    def __init__(self, owner: Owner, calls: list[Call], slots: int):
        self.owner, self.calls, self.slots = owner, calls, slots
        self.nodes = list(self._chunks())
        self.left = len(self.nodes)
        self._ops: dict[Any, Op] = {}
        self._session: Session | None = None
        self._stopped = threading.Event()

    def _chunks(self) -> Iterator[list[Call]]:
        """The calls of each node."""
        needed = {future for call in self.calls for future in call.needs}
        chunk: list[Call] = []
        most = 1
        for call in self.calls:
            if chunk and (len(chunk) >= most or call.needs or call.begun or not call.is_like(chunk[0])):
                yield chunk
                chunk = []
            if not chunk:
                alone = call.needs or call.begun or call.future in needed or call.weight > 1
                most = 1 if alone else self._most_of(call)
            elif call.future in needed:
                yield chunk
                chunk, most = [], 1
            chunk.append(call)
        if chunk:
            yield chunk

    def _most_of(self, call: Call) -> int:
        """How many calls like this one may be one node."""
        seconds = self.owner.seconds_of(call.key)
        if seconds is None or seconds > _SHORT:
            return 1
        return max(1, min(_MOST, int(_CHUNK / max(seconds, 1e-7)), len(self.calls) // (_CHUNKS * self.slots)))

    def run(self) -> None:
        """Run them: each future is done when its node is."""
        try:
            with Graph().as_default() as graph:
                made: dict[Future, Tensor] = {}
                tell = staying(self._tell)
                told = []
                with collecting_later():
                    for number, calls in enumerate(self.nodes):
                        outcome = self._single(graph, calls[0], made) if len(calls) == 1 else self._chunk(graph, calls)
                        told.append(tell.of_atoms(graph, (number, outcome)))
                run_graph(graph, [each.op for each in told], {}, self.slots, self._opened)
        except BaseException as error:  # a worker that died, again and again: it is the futures' to raise
            failure = CancelledError() if self._stopped.is_set() else error
            for call in self.calls:
                if not call.future.done():
                    call.future.set_exception(failure)

    def _opened(self, session: Session) -> None:
        self._session = session
        if self._stopped.is_set():
            session.close()

    def stop(self) -> None:
        """Cancel what is under way."""
        self._stopped.set()
        if self._session is not None:
            self._session.close()

    def _single(self, graph: Graph, call: Call, made: dict[Future, Tensor]) -> Tensor:
        inputs: list = []

        def filled(argument: Any) -> Any:
            if not isinstance(argument, Future):
                return argument
            inputs.append(made[argument] if argument in made else Held(_outcome(argument)))
            return Input(len(inputs) - 1)

        args = tuple(map(filled, call.args)) if call.needs else call.args
        kwargs = {key: filled(value) for key, value in call.kwargs.items()} if call.needs else call.kwargs
        made[call.future] = node = self._node(graph, call_node, call, [Held((self.owner.start, args, kwargs)), *inputs])
        return node

    def _chunk(self, graph: Graph, calls: list[Call]) -> Tensor:
        given = Held((self.owner.start, [(call.args, call.kwargs) for call in calls], _LATE))
        return self._node(graph, call_chunk, calls[0], [given])

    def _node(self, graph: Graph, runner: Callable, call: Call, args: list) -> Tensor:
        start = self.owner.start.function
        others = call.among if start is None else (*call.among, start)
        name = named((*call.among, call.function)[0])
        return op_of(runner, (call.function, *others), name, call.stays, self._ops).of_atoms(graph, args)

    def _tell(self, number: int, outcome: Done) -> None:
        """A node is done. Runs in this process, as a node."""
        calls, self.left = self.nodes[number], self.left - 1
        self.owner.learn(calls[0].key, outcome.seconds / calls[0].weight)
        self.owner.done_with(self)
        outcomes = [outcome.value] if len(calls) == 1 else outcome.value
        self.owner.again(calls[len(outcomes) :])
        for call, value in zip(calls, outcomes, strict=False):
            if type(value) is Raised:
                self.owner.broken(value.error)
                call.future.set_exception(value.error)
            else:
                call.future.set_result(value)


def code_of(function: Any) -> Any:
    """What a call of a function costs is known by this, which holds nothing of the program's: its code, or its type."""
    while True:
        inner = getattr(function, "func", None) or getattr(function, "__func__", None)
        if inner is None:
            break
        function = inner
    code = getattr(function, "__code__", None)
    return code if code is not None else function if in_c(function) else type(function)


def _outcome(future: Future) -> Any:
    """What a future that is done gives, or Raised."""
    try:
        error = future.exception(0)
    except CancelledError as cancelled:
        error = cancelled
    return future.result(0) if error is None else Raised(error)


def results(futures: Iterable[Future], seconds_left: Callable[[], float | None]) -> Iterator:
    """The results of chunks of `map`, one by one; what is not asked for any more is cancelled."""
    left = list(futures)[::-1]
    try:
        while left:
            chunk = left[-1].result(seconds_left())
            left.pop()
            chunk.reverse()
            while chunk:
                if type(chunk[-1]) is Raised:
                    raise chunk[-1].error
                yield chunk.pop()  # nothing here holds what was given
    finally:
        for future in left:
            future.cancel()
