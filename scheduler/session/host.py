"""Host: an engine that several sessions share, in a process of its own; and those sessions' view of it.

host        holds variables, locks and plans, and runs what its sessions ask for: so several writers are no harder than
            several threads of one session, and a session may come and go
session     sends its graph when that has grown, then the names of fetches and feeds; any process of the cluster may
generation  goes up when the host is reset: sessions from before are closed by it

Variables are shared by name, also between different graphs, and last as long as the host.
"""

from __future__ import annotations

import os
import pickle
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import time
from typing import Any, NamedTuple

from weftwork.actors.processes.code import BlockMissing, pack_code, unpack_code
from weftwork.actors.processes.messages import describe, described, pack, pack_values, unpack
from weftwork.graph.errors import AbortedError, CancelledError, OpError, UnavailableError
from weftwork.graph.graph import Graph
from weftwork.scheduler.compile.needs import missing_devices
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import Stream
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines import host_actors as hosts
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.signatures import Signature, Signatures
from weftwork.scheduler.request.fetches import Fetches
from weftwork.scheduler.run.ending import cancel_at_end
from weftwork.scheduler.run.engine import CLOSED, Engine
from weftwork.scheduler.run.explain import Explanation, Waiting
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.session.cluster import ClusterSpec, Task, place_state
from weftwork.scheduler.session.far_events import Carried, Ear, FarRun, carried
from weftwork.scheduler.state.mirror import Mirror
from weftwork.scheduler.views.metadata import Metadata, Wanted

_GRACE = 1.0
_BOUND = 30.0


class Asked(NamedTuple):
    """What a session asks its host for: fetches and feeds by their names, and the values that are fed, packed.

    graph, version, flat: which graph, how many operations it has, and, where the host may not know these, the graph.
    run: a name for the run, to cancel it by.   timeout: seconds, or None.   wanted: what it is to tell about itself.
    """

    client: str
    generation: int
    graph: str
    fetches: tuple[str, ...]
    feeds: tuple[str, ...]
    values: bytes
    version: int = 0
    flat: tuple[bytes, list[str], list[bytes | None]] | None = None
    run: str = ""
    timeout: float | None = None
    wanted: Wanted = Wanted()
    ran: tuple[str, ...] = ()
    """Operations that earlier parts of a partial run have run."""
    seat: tuple[Task, bool] | None = None
    """The session's task of the cluster, and whether its nodes are placed softly."""
    heard: tuple[bool, bool] = (False, False)
    """Whether somebody listens to the session's events, and to single nodes."""


class Host:
    """The engine of a shared session, free of Ray: `backend` makes an actor of it."""

    def __init__(self, config: bytes):
        self._config = pickle.loads(config)
        self._engine = self._new()
        self._graphs: dict[str, tuple[int, Graph]] = {}
        self._runs: dict[str, tuple[str, Any]] = {}
        self._ears: dict[str, Ear] = {}
        """What listens to the runs."""
        self._doomed: set[str] = set()
        """Runs that were cancelled before they came here."""
        self._over: dict[str, None] = {}
        """The last runs that came to their end."""
        self._lock = threading.Lock()
        self.generation = 0

    def _new(self) -> Engine:
        return Engine(self._config, uuid.uuid4().int & ((1 << 63) - 1))

    def hello(self) -> int:
        """The generation that a new session belongs to."""
        return self.generation

    def pid(self) -> int:
        """The process that it lives in."""
        return os.getpid()

    def run(self, message: bytes) -> bytes:
        """Run what a session asks for: ("done", what ran where, what it tells, *values), or a refusal.

        ("failed", error, its text, what it tells): so it ended.   ("graph",): send the graph again.   ("reset",): it
        was reset. What it tells are its events, and the metadata that are wanted.
        """
        came = time()
        asked: Asked = unpack(message)
        graph, refusal = self._entered(asked)
        if graph is None:
            return pack((refusal,))
        metadata = Metadata(asked.wanted) if any(asked.wanted) else None
        ear = Ear(metadata, *asked.heard) if metadata is not None or asked.heard[0] else None
        active: list[Run] = []

        def told() -> tuple[Carried | None, Metadata | None]:
            events = ear.events if ear is not None and asked.heard[0] else self._kept(active)
            return carried(events, 0, came) if events else None, metadata

        try:
            if ear is not None:
                self._ears[asked.run] = ear
            signature = self._signature(asked, graph)
            started = self._starting(asked.client, asked.run, active)
            fetched = self._engine.execute(signature, unpack(asked.values), asked.timeout, ear, started)
        except Exception as error:
            bare, text = describe(error)
            return pack(("failed", bare, text, told()))
        finally:
            with self._lock:
                self._ears.pop(asked.run, None)
                self._runs.pop(asked.run, None)
                self._doomed.discard(asked.run)
                self._over[asked.run] = None
                if len(self._over) > 1000:
                    del self._over[next(iter(self._over))]
        ran = [(place, *counts) for place, counts in active[-1].ran.items()] if active else []
        return pack_values(["done", ran, pack(said) if any(said := told()) else None, *fetched])

    def _kept(self, active: Sequence[Run]) -> Sequence[Event]:
        """The events of a run to which nobody listens: those that are always told."""
        telling = active[-1].telling if active else None
        return () if telling is None else self._engine.events.recent(telling.number)

    def told(self, run: str, first: int) -> bytes | None:
        """What a run that is on its way has told, from its `first` event on; None where that is nothing."""
        came, ear = time(), self._ears.get(run)
        return pack(carried(ear.events, first, came)) if ear is not None and len(ear.events) > first else None

    def explain(self, message: bytes) -> bytes:
        """The plan of a run that a session asks for: ("done", explanation), or as `run`."""
        asked: Asked = unpack(message)
        graph, refusal = self._entered(asked)
        if graph is None:
            return pack((refusal,))
        try:
            return pack(("done", self._engine.explain(self._signature(asked, graph), unpack(asked.values))))
        except Exception as error:
            return pack(("failed", *describe(error), None))

    def waiting(self, client: str) -> list[Waiting]:
        """What the runs of a session wait for."""
        with self._lock:
            mine = {active for owner, active in self._runs.values() if owner == client}
        return self._engine.waiting(mine)

    def _entered(self, asked: Asked) -> tuple[Graph | None, str]:
        """The graph of what is asked for, or None and why not."""
        if asked.generation != self.generation:
            return None, "reset"
        return self._graph(asked), "graph"

    def _graph(self, asked: Asked) -> Graph | None:
        with self._lock:
            known = self._graphs.get(asked.graph)
            if known is not None and known[0] >= asked.version:
                return known[1]
            if asked.flat is None:
                return None
            try:
                graph = unpack_code(*asked.flat)
            except BlockMissing:
                return None
            if asked.seat is not None:
                self._seat(graph, *asked.seat)
            self._graphs[asked.graph] = (asked.version, graph)
            return graph

    def _seat(self, graph: Graph, task: Task, soft: bool) -> None:
        """Make a session's graph one of its task's: this process has it to itself."""
        missing = missing_devices(graph, self._config) if soft else ()
        for op in graph.operations if missing else ():
            if op.device in missing:
                op.device = ""
        for device in missing:
            del graph.devices[device]
        place_state(graph, task, ClusterSpec(self._config.cluster_def))

    def _signature(self, asked: Asked, graph: Graph) -> Signature:
        key = (asked.graph, asked.fetches, asked.feeds, asked.ran)
        signature = self._engine.signatures.find(key)
        if signature is None:
            elements = tuple([graph.as_graph_element(name) for name in asked.fetches])
            fed = [graph.as_graph_element(name) for name in asked.feeds]
            ran = frozenset([graph.get_operation_by_name(name) for name in asked.ran])
            signature = self._engine.signatures.add(key, Fetches(elements, list), fed, ran)
        return signature

    def _starting(self, client: str, run: str, begun: list[Run]) -> Callable[[Run], None]:
        def started(active: Run) -> None:
            begun.append(active)
            with self._lock:
                self._runs[run] = (client, active)
                doomed = run in self._doomed
            if doomed:
                active.cancel()

        return started

    def cancel(self, client: str, run: str = "") -> bool:
        """Cancel one run of a session, or all of them. False for one that is over, or commits already."""
        with self._lock:
            if run in self._over:
                return False
            if len(self._doomed) > 1000:
                self._doomed.clear()
            if run and run not in self._runs:
                self._doomed.add(run)
            doomed = [active for name, (owner, active) in self._runs.items() if owner == client and run in ("", name)]
        return all([active.cancel() for active in doomed])

    def reset(self, containers: Sequence[str] | None) -> None:
        """Forget the variables of some containers, or all, and close every session."""
        self.generation += 1
        self._engine.cancel_all(_GRACE, _BOUND)
        old, self._engine = self._engine, self._new()
        if containers is not None:
            containers = [name for name in containers if name]  # what is in none is in no container that has a name
            inside = {
                op.attrs.get("_variable", op.name)
                for _, graph in self._graphs.values()
                for op in graph.get_operations()
                if op.container in containers
            }
            for cell in old.mirror.cells():
                if cell.name not in inside and cell.version:
                    self._engine.mirror.put({self._engine.mirror.cell(cell.name): (cell.value, cell.version)})
            self._engine.queues.take_over(old.queues, containers)
        old.close()

    def close(self) -> None:
        """End everything: the last checkpoint is written, the actors end."""
        self._engine.cancel_all(_GRACE, _BOUND)
        self._engine.close()


class _Remote:
    """A run on its way at the host, for those who may cancel it."""

    def __init__(self, ask: Callable[[], bool]):
        self._ask = ask

    def cancel(self) -> bool:
        """As Run's; what a host that is gone was running is cancelled."""
        try:
            return self._ask()
        except backend.WorkerLost:
            return True


class _HostedSignatures(Signatures):
    """The kinds of run that a session asks its host for: the host finds out how to run them."""

    may_finish = False

    def __init__(self):
        super().__init__(Mirror(), None)

    def _prepare(self, signature: Signature, lasting: bool) -> None:
        """Nothing is prepared here."""


class SharedEngine:
    """What a session asks of an engine, where it shares one: a host has it, in another process.

    ran: of each place how many segments and nodes of this session's runs.   ends: the host ends with this session.
    seat: the session's task of the host's cluster, and whether its nodes are placed softly; None where there is none.
    """

    def __init__(self, host: Any, graph: Graph, ends: bool, seat: tuple[Task, bool] | None = None):
        self.signatures = _HostedSignatures()
        self.events = Stream()
        self.ran: dict[str, list[int]] = {}
        self.runs = 0
        self.closed = False
        self.host = host
        self._graph, self._ends, self._at = graph, ends, seat
        self._id, self._graph_id = uuid.uuid4().hex, uuid.uuid4().hex
        self._generation = hosts.ask(host, "hello")
        self._sent = -1
        self._blocks: set[str] = set()
        """The large data in the graph that the host has got."""
        self._asked: set[_Remote] = set()
        cancel_at_end(self)

    def under_way(self) -> list:
        """As Engine's."""
        return list(self._asked)

    def execute(
        self,
        signature: Signature,
        fed: Sequence[Any],
        timeout: float | None,
        listener: Metadata | None = None,
        started: Any = None,
    ) -> list:
        """As Engine's. Raises UnavailableError when the host is gone, AbortedError when it was reset."""
        if self.closed:
            raise RuntimeError(CLOSED)
        run = uuid.uuid4().hex
        remote = _Remote(lambda: hosts.ask(self.host, "cancel", self._id, run))
        if started is not None:
            started(remote)
        wanted, sent = Wanted() if listener is None else listener.wanted, time()
        heard, far = (self.events.is_heard, self.events.wants_nodes), FarRun(self.events, self._graph)
        self._asked.add(remote)
        if heard[0]:
            borrow(1)[0].put(lambda: far.follow(lambda first: self._told_of(run, first)))
        try:
            error, rest = self._ask("run", signature, fed, run=run, timeout=timeout, wanted=wanted, heard=heard)
        finally:
            self._asked.discard(remote)
            far.end()
        if error is not None:
            _tell(rest[0], sent, far, listener)
            raise error
        ran, told, *fetched = rest
        self.runs += 1
        for place, *counts in ran:
            self.ran[place] = [a + b for a, b in zip(self.ran.get(place, (0, 0)), counts, strict=True)]
        if told is not None:
            _tell(unpack(told), sent, far, listener)
        return fetched

    def _told_of(self, run: str, first: int) -> Carried | None:
        """What a run that is on its way has told, from its `first` event on. Raises WorkerLost."""
        told = hosts.ask(self.host, "told", run, first)
        return None if told is None else unpack(told)

    def explain(self, signature: Signature, fed: Sequence[Any]) -> Explanation:
        """The plan that the host would use. Raises as `execute`."""
        error, rest = self._ask("explain", signature, fed)
        if error is not None:
            raise error
        return rest[0]

    def waiting(self) -> list[Waiting]:
        """What this session's runs at the host wait for. Raises UnavailableError when the host is gone."""
        try:
            return hosts.ask(self.host, "waiting", self._id)
        except backend.WorkerLost as error:
            raise _gone(error) from error

    def _ask(self, method: str, signature: Signature, fed: Sequence[Any], **more: Any) -> tuple[Exception | None, list]:
        """What the host says about a kind of run, with these feeds: its error, if it failed, and the rest.

        Sends the graph along when that has grown.
        """
        names = tuple([element.name for element in signature.fetches.elements])
        asked = Asked(
            self._id,
            self._generation,
            self._graph_id,
            names,
            tuple([tensor.name for tensor in signature.fed]),
            pack_values(list(fed)),
            ran=tuple(sorted([op.name for op in signature.ran])),
            seat=self._at,
            **more,
        )
        flat = None
        while True:
            version = self._graph.version
            if version > self._sent:
                flat = self._flat()
            message = pickle.dumps(asked._replace(version=version, flat=flat), protocol=5)
            try:
                kind, *rest = unpack(hosts.ask(self.host, method, message))
            except backend.WorkerLost as error:
                raise _gone(error) from error
            if kind == "graph":
                self._sent = -1
                self._blocks.clear()
                continue
            if kind == "reset":
                raise AbortedError(None, None, "The shared session was reset, which has closed this one.")
            self._sent = version
            if kind == "done":
                return None, rest
            bare, text, told = rest
            error: Any = described(bare, text)
            if self.closed and isinstance(error, CancelledError):
                error = CancelledError(None, None, "Step was cancelled by an explicit call to `Session::Close()`.")
            return self._located(error), [told]

    def _flat(self) -> tuple[bytes, list[str], list[bytes | None]]:
        """The graph as code, and its blocks: each goes to the host once."""
        code, blocks = pack_code(self._graph)
        came = [None if key in self._blocks else bytes(data) for key, data in blocks]
        self._blocks.update([key for key, _ in blocks])
        return code, [key for key, _ in blocks], came

    def _located(self, error: Exception) -> Exception:
        """An error of the host's, with the node of this process's graph."""
        name = getattr(getattr(error, "op", None), "name", None)
        if isinstance(error, OpError) and name is not None:
            with suppress(KeyError):  # it may be a part of an operation, which is in no graph
                error._op = self._graph.get_operation_by_name(name)
        return error

    def cancel_all(self, grace: float, bound: float) -> None:
        """Cancel this session's runs at the host."""
        self.closed = True
        hosts.tell(self.host, "cancel", self._id)

    def close(self) -> None:
        """Leave the host; the one who made it for as long as its session ends it."""
        if self._ends:
            hosts.end_host(self.host)


def _tell(told: tuple[Carried | None, Metadata | None], sent: float, far: FarRun, listener: Metadata | None) -> None:
    """Take in what the host has told of a run at its end."""
    events, metadata = told
    if events is not None:
        far.take(events, sent)
    if listener is not None and metadata is not None:
        listener.take(metadata)


def _gone(error: backend.WorkerLost) -> UnavailableError:
    return UnavailableError(None, None, f"The process of the shared session is gone: {error}")
