"""Host: an engine shared by several sessions, in a process of its own. Their side of it is in `shared_engine`.

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
from time import time
from typing import Any, NamedTuple

from weftwork.actors.processes.code import BlockMissing, unpack_code
from weftwork.actors.processes.messages import describe, pack, pack_values, unpack
from weftwork.graph.graph import Graph
from weftwork.scheduler.compile.needs import missing_devices
from weftwork.scheduler.core.engine import Engine
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.plan.signatures import Signature
from weftwork.scheduler.request.fetches import Fetches
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.waiting import Waiting
from weftwork.scheduler.session.cluster import ClusterSpec, Task, place_state
from weftwork.scheduler.session.far_events import HostListener, PackedEvents, packed_events
from weftwork.scheduler.session.sendable import check_values
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
        engine = Engine(self._config, uuid.uuid4().int & ((1 << 63) - 1))
        engine.check = lambda signature, fetched: check_values(signature.fetches.elements, fetched, "fetched from")
        return engine

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
