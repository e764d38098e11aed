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
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from weftwork.actors.processes.messages import describe, pack, pack_values, unpack
from weftwork.graph.errors import AbortedError, OpError, UnavailableError, UnimplementedError
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation, Tensor
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines import host_actors as hosts
from weftwork.scheduler.plan.signatures import Entries, Entry
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.request.fetches import Fetches
from weftwork.scheduler.run.engine import CLOSED, Engine

_GRACE = 1.0
_BOUND = 30.0


class Host:
    """The engine of a shared session, free of Ray: `backend` makes an actor of it."""

    def __init__(self, config: bytes):
        self._config = pickle.loads(config)
        self._engine = self._new()
        self._graphs: dict[str, tuple[int, Graph]] = {}
        self._runs: dict[str, tuple[str, Any]] = {}
        self._doomed: set[str] = set()
        """Runs that were cancelled before they came here."""
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
        """Run what a session asks for: ("done", values), ("failed", error), ("graph",) or ("reset",)."""
        client, generation, run, graph_id, version, flat, fetches, feeds, values, timeout = unpack(message)
        if generation != self.generation:
            return pack(("reset",))
        graph = self._graph(graph_id, version, flat)
        if graph is None:
            return pack(("graph",))
        try:
            entry = self._entry(graph_id, graph, fetches, feeds)
            started = self._starting(client, run)
            fetched = self._engine.execute(entry, unpack(values), timeout, None, started)
        except Exception as error:
            bare, text = describe(error)
            return pack(("failed", bare, text))
        finally:
            with self._lock:
                self._runs.pop(run, None)
                self._doomed.discard(run)
        return pack_values(["done", *fetched])

    def _graph(self, graph_id: str, version: int, flat: bytes | None) -> Graph | None:
        with self._lock:
            known = self._graphs.get(graph_id)
            if known is not None and known[0] >= version:
                return known[1]
            if flat is None:
                return None
            graph = unpack(flat)
            self._graphs[graph_id] = (version, graph)
            return graph

    def _entry(self, graph_id: str, graph: Graph, fetches: tuple, feeds: tuple) -> Entry:
        key = (graph_id, fetches, feeds)
        entry = self._engine.entries.find(key)
        if entry is None:
            elements = tuple([graph.as_graph_element(name) for name in fetches])
            fed = [graph.as_graph_element(name) for name in feeds]
            entry = self._engine.entries.add(key, Fetches(elements, list), fed)
        return entry

    def _starting(self, client: str, run: str) -> Callable[[Any], None]:
        def started(active: Any) -> None:
            with self._lock:
                self._runs[run] = (client, active)
                doomed = run in self._doomed
            if doomed:
                active.cancel()

        return started

    def cancel(self, client: str, run: str = "") -> None:
        """Cancel one run of a session, or all of them."""
        with self._lock:
            if len(self._doomed) > 1000:
                self._doomed.clear()
            if run and run not in self._runs:
                self._doomed.add(run)
            doomed = [active for name, (owner, active) in self._runs.items() if owner == client and run in ("", name)]
        for active in doomed:
            active.cancel()

    def reset(self, containers: Sequence[str] | None) -> None:
        """Forget the variables of some containers, or all, and close every session."""
        self.generation += 1
        self._engine.cancel_all(_GRACE, _BOUND)
        old, self._engine = self._engine, self._new()
        if containers is not None:
            inside = {
                op.name
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

    def __init__(self, cancel: Callable[[], None]):
        self.cancel = cancel


class _SharedEntries(Entries):
    """The kinds of run that a session asks its host for."""

    def add(
        self, key: Hashable | None, fetches: Fetches, fed: Sequence[Tensor], ran: Collection[Operation] = frozenset()
    ) -> Entry:
        """As Entries'. Raises UnimplementedError for a part of a run."""
        if ran:
            raise UnimplementedError(None, None, "A shared session runs no partial runs: use a session of its own.")
        return super().add(key, fetches, fed)


class SharedEngine(Engine):
    """A session's engine that lets a host do the work."""

    def __init__(self, config: Any, host: Any, graph: Graph, ends: bool):
        own = ConfigProto()
        own.CopyFrom(config)
        own.checkpoint_dir = ""  # the host saves
        super().__init__(own, 0)
        self.entries = _SharedEntries(self.mirror, own)
        self._host, self._graph, self._ends = host, graph, ends
        self._id, self._graph_id = uuid.uuid4().hex, uuid.uuid4().hex
        self._generation = hosts.ask(host, "hello")
        self._sent = -1

    def execute(self, entry: Entry, fed: Sequence[Any], timeout: float | None, trace: Any, started: Any = None) -> list:
        """As Engine's. Raises UnavailableError when the host is gone, AbortedError when it was reset."""
        if self.closed:
            raise RuntimeError(CLOSED)
        run = uuid.uuid4().hex
        if started is not None:
            started(_Remote(lambda: hosts.tell(self._host, "cancel", self._id, run)))
        names = tuple([_name(element) for element in entry.fetches.elements])
        feeds = tuple([tensor.name for tensor in entry.fed])
        values = pack_values(list(fed))
        flat = None
        while True:
            version = self._graph.version
            if version > self._sent:
                flat = pack(self._graph)
            message = (
                self._id,
                self._generation,
                run,
                self._graph_id,
                version,
                flat,
                names,
                feeds,
                values,
                timeout,
            )
            try:
                kind, *rest = unpack(hosts.ask(self._host, "run", pickle.dumps(message, protocol=5)))
            except backend.WorkerLost as error:
                raise UnavailableError(None, None, f"The process of the shared session is gone: {error}") from error
            if kind == "graph":
                self._sent = -1
                continue
            self._sent = version
            if kind == "done":
                return rest
            if kind == "reset":
                raise AbortedError(None, None, "The shared session was reset, which has closed this one.")
            raise self._located(unpack(rest[0]))

    def _located(self, error: Exception) -> Exception:
        """An error of the host's, with the node of this process's graph."""
        name = getattr(getattr(error, "op", None), "name", None)
        if isinstance(error, OpError) and name in self._graph._by_name:
            error._op = self._graph._by_name[name]
        return error

    def cancel_all(self, grace: float, bound: float) -> None:
        """Cancel this session's runs at the host."""
        self.closed = True
        hosts.tell(self._host, "cancel", self._id)

    def close(self) -> None:
        """Leave the host; the one who made it for as long as its session ends it."""
        super().close()
        if self._ends:
            hosts.end_host(self._host)


def _name(element: Tensor | Operation) -> str:
    return element.name
