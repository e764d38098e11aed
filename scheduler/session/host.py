"""Host: an engine shared by several sessions, in a process of its own; and the sessions' side of it.

host        holds variables, locks and plans, and executes what sessions request. So several writers are no harder than
            several threads of one session, and sessions may come and go
session     sends its graph when the graph has grown, and otherwise only names of fetches and feeds. It may be in any
            process of the cluster
generation  a number that grows when the host is reset; sessions of earlier generations are closed by that

Variables are shared by name, even between different graphs, and live as long as the host.
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
from weftwork.scheduler.core.ending import cancel_at_end
from weftwork.scheduler.core.engine import CLOSED, Engine
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import Stream
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines import host_actors as hosts
from weftwork.scheduler.machines.helpers import borrow
from weftwork.scheduler.plan.explain import Explanation
from weftwork.scheduler.plan.signatures import Signature, Signatures
from weftwork.scheduler.request.fetches import Fetches
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.waiting import Waiting
from weftwork.scheduler.session.cluster import ClusterSpec, Task, place_state
from weftwork.scheduler.session.far_events import HostListener, PackedEvents, RemoteRun, packed_events
from weftwork.scheduler.state.mirror import Mirror
from weftwork.scheduler.views.metadata import Metadata, Wanted

_GRACE, _BOUND = 1.0, 30.0
Reports = tuple[PackedEvents | None, Metadata | None]


class HostRequest(NamedTuple):
    """A session's request to its host: the names of fetches and feeds, and the packed values of the feeds.

    graph, version, flat: the graph's id, its number of operations, and the graph itself if the host may not have it.
    run: an id for the run, used to cancel it.   timeout: seconds, or None.   wanted: what the run should report.
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
    task_options: tuple[Task, bool] | None = None
    """The session's task of the cluster, and whether its nodes are placed softly."""
    heard: tuple[bool, bool] = (False, False)
    """Whether the session's events have a listener, and whether one wants those of single nodes."""


class Host:
    """The engine of a shared session. It is independent of Ray; `host_actors` makes an actor of it."""

    def __init__(self, config: bytes):
        self._config = pickle.loads(config)
        self._engine = self._new()
        self._graphs: dict[str, tuple[int, Graph]] = {}
        self._runs: dict[str, tuple[str, Any]] = {}
        self._listeners: dict[str, HostListener] = {}
        """The listeners of the active runs."""
        self._doomed: set[str] = set()
        """Runs that were cancelled before their requests arrived."""
        self._over: dict[str, None] = {}
        """The most recent runs that have ended."""
        self._lock = threading.Lock()
        self.generation = 0

    def _new(self) -> Engine:
        return Engine(self._config, uuid.uuid4().int & ((1 << 63) - 1))

    def hello(self) -> int:
        """The generation that a new session belongs to."""
        return self.generation

    def pid(self) -> int:
        """The id of the host's process."""
        return os.getpid()

    def run(self, message: bytes) -> bytes:
        """Execute a request. Returns ("done", what ran where, reports, *values), or one of the following.

        ("failed", error, traceback text, reports).   ("graph",): the graph must be sent again.   ("reset",): the host
        was reset. The reports are the run's events, and its metadata if requested.
        """
        came = time()
        asked: HostRequest = unpack(message)
        graph, refusal = self._entered(asked)
        if graph is None:
            return pack((refusal,))
        metadata = Metadata(asked.wanted) if any(asked.wanted) else None
        listener = HostListener(metadata, *asked.heard) if metadata is not None or asked.heard[0] else None
        active: list[Run] = []

        def reports() -> Reports:
            events = listener.events if listener is not None and asked.heard[0] else self._always_recorded(active)
            return packed_events(events, 0, came) if events else None, metadata

        try:
            if listener is not None:
                self._listeners[asked.run] = listener
            signature = self._signature(asked, graph)
            started = self._starting(asked.client, asked.run, active)
            fetched = self._engine.execute(signature, unpack(asked.values), asked.timeout, listener, started)
        except Exception as error:
            bare, text = describe(error)
            return pack(("failed", bare, text, reports()))
        finally:
            with self._lock:
                self._listeners.pop(asked.run, None)
                self._runs.pop(asked.run, None)
                self._doomed.discard(asked.run)
                self._over[asked.run] = None
                if len(self._over) > 1000:
                    del self._over[next(iter(self._over))]
        ran = [(place, *counts) for place, counts in active[-1].ran.items()] if active else []
        return pack_values(["done", ran, pack(found) if any(found := reports()) else None, *fetched])

    def _always_recorded(self, active: Sequence[Run]) -> Sequence[Event]:
        """The events of a run without listeners: those that are always recorded."""
        telling = active[-1].telling if active else None
        return () if telling is None else self._engine.events.recent(telling.number)

    def events_since(self, run: str, first: int) -> bytes | None:
        """The events of an active run from number `first` on, packed. None if there are none."""
        came, listener = time(), self._listeners.get(run)
        return (
            pack(packed_events(listener.events, first, came))
            if listener is not None and len(listener.events) > first
            else None
        )

    def explain(self, message: bytes) -> bytes:
        """The plan for a request: ("done", explanation), or as in `run`."""
        asked: HostRequest = unpack(message)
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

    def _entered(self, asked: HostRequest) -> tuple[Graph | None, str]:
        """The graph of a request, or None and why not."""
        if asked.generation != self.generation:
            return None, "reset"
        return self._graph(asked), "graph"

    def _graph(self, asked: HostRequest) -> Graph | None:
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
            if asked.task_options is not None:
                self._adapt(graph, *asked.task_options)
            self._graphs[asked.graph] = (asked.version, graph)
            return graph

    def _adapt(self, graph: Graph, task: Task, soft: bool) -> None:
        """Adapt a graph to its session's task. Nobody else uses the graph in this process."""
        missing = missing_devices(graph, self._config) if soft else ()
        for op in graph.operations if missing else ():
            if op.device in missing:
                op.device = ""
        for device in missing:
            del graph.devices[device]
        place_state(graph, task, ClusterSpec(self._config.cluster_def))

    def _signature(self, asked: HostRequest, graph: Graph) -> Signature:
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
                to_cancel = run in self._doomed
            if to_cancel:
                active.cancel()

        return started

    def cancel(self, client: str, run: str = "") -> bool:
        """Cancel one run of a session, or all. Returns False if it is over or already commits."""
        with self._lock:
            if run in self._over:
                return False
            if len(self._doomed) > 1000:
                self._doomed.clear()
            if run and run not in self._runs:
                self._doomed.add(run)
            found = [active for name, (owner, active) in self._runs.items() if owner == client and run in ("", name)]
        return all([active.cancel() for active in found])

    def reset(self, containers: Sequence[str] | None) -> None:
        """Delete the variables of some containers, or all of them, and close every session."""
        self.generation += 1
        self._engine.cancel_all(_GRACE, _BOUND)
        old, self._engine = self._engine, self._new()
        if containers is not None:
            containers = [name for name in containers if name]  # "" means no container, which cannot be reset
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
        """Write the last checkpoint, and end the actors."""
        self._engine.cancel_all(_GRACE, _BOUND)
        self._engine.close()


class _Remote:
    """A run that the host executes, for those who may cancel it."""

    def __init__(self, ask: Callable[[], bool]):
        self._ask = ask

    def cancel(self) -> bool:
        """Cancel, like `Run.cancel`. If the host is gone, the run counts as cancelled."""
        try:
            return self._ask()
        except backend.WorkerLost:
            return True


class _HostedSignatures(Signatures):
    """The signatures of a shared session. The host prepares them, so nothing is done here."""

    may_finish = False

    def __init__(self):
        super().__init__(Mirror(), None)

    def _prepare(self, signature: Signature, lasting: bool) -> None:
        """Do nothing."""


class SharedEngine:
    """The engine's interface for a session whose engine is a host in another process.

    ran: for each place, the number of segments and nodes of this session's runs.   ends: the host ends with this
    session.
    task_options: the session's task of the host's cluster, and whether its nodes are placed softly; or None.
    """

    def __init__(self, host: Any, graph: Graph, ends: bool, task_options: tuple[Task, bool] | None = None):
        self.signatures = _HostedSignatures()
        self.events = Stream()
        self.ran: dict[str, list[int]] = {}
        self.runs = 0
        self.closed = False
        self.host = host
        self._graph, self._ends, self._at = graph, ends, task_options
        self._id, self._graph_id = uuid.uuid4().hex, uuid.uuid4().hex
        self._generation = hosts.ask(host, "hello")
        self._sent = -1
        self._blocks: set[str] = set()
        """Keys of the graph's blocks that the host has."""
        self._asked: set[_Remote] = set()
        cancel_at_end(self)

    def under_way(self) -> list:
        """Like `Engine.under_way`."""
        return list(self._asked)

    def execute(
        self,
        signature: Signature,
        fed: Sequence[Any],
        timeout: float | None,
        listener: Metadata | None = None,
        started: Any = None,
    ) -> list:
        """Like `Engine.execute`. Raises UnavailableError if the host is gone, AbortedError if it was reset."""
        if self.closed:
            raise RuntimeError(CLOSED)
        run = uuid.uuid4().hex
        remote = _Remote(lambda: hosts.ask(self.host, "cancel", self._id, run))
        if started is not None:
            started(remote)
        wanted, sent = Wanted() if listener is None else listener.wanted, time()
        heard, far = (self.events.is_heard, self.events.wants_nodes), RemoteRun(self.events, self._graph)
        self._asked.add(remote)
        if heard[0]:
            borrow(1)[0].put(lambda: far.follow(lambda first: self._events_since(run, first)))
        try:
            error, rest = self._ask("run", signature, fed, run=run, timeout=timeout, wanted=wanted, heard=heard)
        finally:
            self._asked.discard(remote)
            far.end()
        if error is not None:
            _report(rest[0], sent, far, listener)
            raise error
        ran, reports, *fetched = rest
        self.runs += 1
        for place, *counts in ran:
            self.ran[place] = [a + b for a, b in zip(self.ran.get(place, (0, 0)), counts, strict=True)]
        if reports is not None:
            _report(unpack(reports), sent, far, listener)
        return fetched

    def _events_since(self, run: str, first: int) -> PackedEvents | None:
        """The events of an active run from number `first` on. Raises WorkerLost."""
        packed = hosts.ask(self.host, "events_since", run, first)
        return None if packed is None else unpack(packed)

    def explain(self, signature: Signature, fed: Sequence[Any]) -> Explanation:
        """The plan that the host would use. Raises like `execute`."""
        error, rest = self._ask("explain", signature, fed)
        if error is not None:
            raise error
        return rest[0]

    def waiting(self) -> list[Waiting]:
        """What this session's runs wait for at the host. Raises UnavailableError if the host is gone."""
        try:
            return hosts.ask(self.host, "waiting", self._id)
        except backend.WorkerLost as error:
            raise _gone(error) from error

    def _ask(self, method: str, signature: Signature, fed: Sequence[Any], **more: Any) -> tuple[Exception | None, list]:
        """Send a request to the host. Returns the error, if it failed, and the rest of the reply.

        The graph is sent along if it has grown.
        """
        names = tuple([element.name for element in signature.fetches.elements])
        asked = HostRequest(
            self._id,
            self._generation,
            self._graph_id,
            names,
            tuple([tensor.name for tensor in signature.fed]),
            pack_values(list(fed)),
            ran=tuple(sorted([op.name for op in signature.ran])),
            task_options=self._at,
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
            bare, text, reports = rest
            error: Any = described(bare, text)
            if self.closed and isinstance(error, CancelledError):
                error = CancelledError(None, None, "Step was cancelled by an explicit call to `Session::Close()`.")
            return self._with_operation(error), [reports]

    def _flat(self) -> tuple[bytes, list[str], list[bytes | None]]:
        """The graph as code, and its blocks. Each block is sent to the host once."""
        code, blocks = pack_code(self._graph)
        came = [None if key in self._blocks else bytes(data) for key, data in blocks]
        self._blocks.update([key for key, _ in blocks])
        return code, [key for key, _ in blocks], came

    def _with_operation(self, error: Exception) -> Exception:
        """Attach this process's operation to an error of the host's."""
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
        """Leave the host. If it was created for the lifetime of this session, end it."""
        if self._ends:
            hosts.end_host(self.host)


def _report(reports: Reports, sent: float, far: RemoteRun, listener: Metadata | None) -> None:
    """Report the events and metadata that came with the reply of a run."""
    events, metadata = reports
    if events is not None:
        far.take(events, sent)
    if listener is not None and metadata is not None:
        listener.take(metadata)


def _gone(error: backend.WorkerLost) -> UnavailableError:
    return UnavailableError(None, None, f"The process of the shared session is gone: {error}")
