"""Session: runs a graph, or parts of it, and holds its state. Any number of sessions may use the same graph.

Variables belong to the session, so two sessions on one graph share nothing. Any number of threads may run at once.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from weftwork.graph import stacks
from weftwork.graph.errors import NotFoundError
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.python.forks import fresh
from weftwork.graph.seams import seams
from weftwork.scheduler.core.engine import CLOSED
from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.machines import host_actors as hosts
from weftwork.scheduler.machines.devices import check_packages
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.request.fetches import parse_fetches
from weftwork.scheduler.run.limits import listen
from weftwork.scheduler.session.partial import PartialRuns
from weftwork.scheduler.session.placement_log import PlacementLog
from weftwork.scheduler.session.running import Running
from weftwork.scheduler.session.targets import _hosted, connect, engine_of, host_named
from weftwork.scheduler.views.costs import remember
from weftwork.scheduler.views.log import LISTENING as LISTENING
from weftwork.scheduler.views.serving import Serving
from weftwork.scheduler.views.stats import Counting

_CLOSE_BOUND = 30.0
"""Maximum number of seconds that closing a session takes."""


class BaseSession(Running):
    """The common base of Session and InteractiveSession."""

    def __init__(self, target: Any = "", graph: Graph | None = None, config: ConfigProto | None = None):
        if graph is None:
            graph = stacks.get_default_graph()
        elif not isinstance(graph, Graph):
            raise TypeError(f"graph must be a tf.Graph, but got {type(graph)}")
        if target is None:
            target = ""
        if not isinstance(target, (str, bytes)):
            hint = ""
            if isinstance(target, ConfigProto):
                hint = '. Did you do "Session(config)" instead of "Session(config=config)"?'
            raise TypeError(f"target must be a string, but got {type(target)}{hint}")
        if config is not None and not isinstance(config, ConfigProto):
            raise TypeError(f"config must be a tf.ConfigProto, but got {type(config)}")
        self._graph = graph
        self._target = target if isinstance(target, bytes) else target.encode()
        self._config = ConfigProto()
        if config is not None:
            self._config.CopyFrom(config)
        listen()
        connect(self._target.decode(), self._config)
        if backend.is_running():
            check_packages(inventory.cluster())
        self._closed = False
        self._closing = fresh(threading.Lock())
        self._engine, self._cluster = engine_of(self._target.decode(), self._config, graph)
        self._partial = PartialRuns()
        self._counting = Counting(self._engine.events)
        self._pages: list[Serving] = []
        remember(graph, self._engine.events)
        graph.keepers.add(self._engine.events)
        self._finalizer = weakref.finalize(self, _end, self._engine, self._pages)
        self._placed = PlacementLog() if self._config.log_device_placement else None

    # Properties

    @property
    def graph(self) -> Graph:
        """The graph of the session."""
        return self._graph

    @property
    def graph_def(self) -> Any:
        """The graph as a GraphDef, a protocol buffer. See `Graph.as_graph_def`."""
        return self._graph.as_graph_def(add_shapes=self._config.graph_options.infer_shapes)

    @property
    def sess_str(self) -> bytes:
        """The target that the session was made with."""
        return self._target

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def partial_run_setup(self, fetches: Any, feeds: Any = None) -> str:
        """Set up a run that is fed and fetched in parts. Returns a handle for `partial_run`.

        Each of `feeds` may be fed once and each of `fetches` fetched once, in any order that the graph allows. Raises
        InvalidArgumentError for a tensor that is in both.
        """
        self._check_open()
        self._make_ready()
        return self._partial.setup(self._graph, fetches, feeds)

    def partial_run(self, handle: str, fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Any:
        """Continue a run of `partial_run_setup`. What earlier parts computed is not computed again.

        handle: what `partial_run_setup` returned.
        """
        self._check_open()
        return self._partial.run(self._graph, handle, fetches, feed_dict, self._run_part, self._config.copy)

    def _run_part(self, elements: Sequence, values: Mapping[Tensor, Any], ran: frozenset[Operation]) -> list:
        signatures, known = self._engine.signatures, tuple(values)
        key = ("partial", tuple(elements), known, ran)
        signature = signatures.find(key) or signatures.add(key, parse_fetches(self._graph, list(elements)), known, ran)
        return self._run(signature, list(values.values()), copy=False)

    def _make_ready(self) -> None:
        """Close the loops of the graph that were made by hand.

        Raises RuntimeError if the graph is empty, InvalidArgumentError if it contains a cycle.
        """
        graph = self._graph
        if graph.cycles:
            seams.refuse_cycles(graph)
        if graph.back_edges:
            seams.close_loops(graph)
        if graph.version == 0:
            raise RuntimeError("The Session graph is empty.  Add operations to the graph before calling run().")

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(CLOSED)

    # Lifetime

    def close(self) -> None:
        """End the session. Active runs may finish within moments, and are then cancelled; its processes end."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        grace = self._config.cancel_grace_in_ms / 1000
        self._engine.cancel_all(grace, _CLOSE_BOUND)
        self._partial.clear()
        self._finalizer()

    @staticmethod
    def reset(target: Any, containers: Sequence[Any] | None = None, config: ConfigProto | None = None) -> None:
        """Delete the variables that sessions share at `target`, or under `config.name`, and close these sessions.

        containers: delete only variables in these containers; None means all, and also ends a detached session of that
        name. Raises NotFoundError if there is no such session or server.
        """
        config = config or ConfigProto()
        if not isinstance(target, (str, bytes)):
            raise TypeError(f"target must be a string, but got {type(target)}")
        text = target.decode() if isinstance(target, bytes) else target
        if not text and not config.name:  # sessions in this process share nothing
            return
        connect(text, config)
        name = _hosted(config) if config.name else text
        host = host_named(name, config)
        if host is None:
            raise NotFoundError(None, None, f"There is no shared session or server {name!r} to reset.")
        try:
            hosts.ask(host, "reset", containers)
        except backend.WorkerLost:  # it was just ending
            raise NotFoundError(None, None, f"There is no shared session or server {name!r} to reset.") from None
        if config.name and containers is None:
            hosts.end_host(host)

    def as_default(self):
        """A context manager that makes this the thread's default session. It does not close the session at the end."""
        return stacks.session_scope(self)

    def __repr__(self) -> str:
        return f"<tf.{type(self).__name__}{' (closed)' if self._closed else ''} of {self._graph!r}>"


def take_values(session: BaseSession, other: BaseSession) -> None:
    """Give a session's variables the values that they have in another one; both have engines of their own.

    other: it may belong to the process that this one was forked off.
    """
    mirror = session._engine.mirror
    mirror.put({mirror.cell(cell.name): (cell.value, cell.version) for cell in other._engine.mirror.cells()})


def _end(engine: Any, pages: list[Serving]) -> None:
    """Release what belongs to a session that was closed, or that nobody holds any more."""
    for page in pages:
        page.close()
    engine.close()


class Session(BaseSession):
    """A session. As a context manager, it makes itself and its graph the defaults, and is closed at the end.

    target: "" for this machine (Ray is joined if the program runs it already, else started when first needed), or
        "auto", "HOST:PORT" or "ray://HOST:PORT" for a cluster.
    graph: the graph to run; by default the current default graph.   config: a ConfigProto.
    Raises TypeError for arguments of other types, NotFoundError for a target that does not exist, and
    FailedPreconditionError if a machine of the cluster lacks a package.

        with tf.Session() as session:
            print(session.run(x + y, {x: 1.0, y: 2.0}))  # 3.0
    """

    def __init__(self, target: Any = "", graph: Graph | None = None, config: ConfigProto | None = None):
        super().__init__(target, graph, config)
        self._contexts: list = []

    def __enter__(self) -> Session:
        if self._contexts:
            raise RuntimeError(
                "Session context managers are not re-entrant. Use `Session.as_default()` if you want to enter a "
                "session multiple times."
            )
        self._contexts = [self._graph.as_default(), self.as_default()]
        for context in self._contexts:
            context.__enter__()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        contexts, self._contexts = self._contexts, []
        for context in reversed(contexts):
            context.__exit__(None, None, None)
        if error is None:
            self.close()
        else:  # the error must get out even if closing hangs
            closer = threading.Thread(name="SessionCloseThread", target=self.close, daemon=True)
            closer.start()
            closer.join(_CLOSE_BOUND)
