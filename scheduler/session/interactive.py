"""InteractiveSession, for shells and notebooks."""

from __future__ import annotations

import threading
import warnings
from typing import Any

from weftwork.graph import stacks
from weftwork.graph.graph import Graph
from weftwork.graph.python.forks import fresh
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.session.session import BaseSession


class InteractiveSession(BaseSession):
    """A session that makes itself the default when it is created, for shells and notebooks. Close it with `close()`."""

    _alive = 0
    _count_lock = fresh(threading.Lock())

    def __init__(self, target: Any = "", graph: Graph | None = None, config: ConfigProto | None = None):
        super().__init__(target, graph, config)
        self._config.graph_options.place_pruned_graph = True
        with InteractiveSession._count_lock:
            if InteractiveSession._alive:
                warnings.warn(
                    "An interactive session is already active. This can cause out-of-memory errors in some cases. You "
                    "must explicitly call `InteractiveSession.close()` to release resources held by the other "
                    "session(s).",
                    stacklevel=2,
                )
            InteractiveSession._alive += 1
        self._explicit_graph = graph
        if graph is not None:
            stacks.push_graph(graph)
        stacks.push_session(self)

    def close(self) -> None:
        """End the session, which is then no longer the default."""
        if self._closed:
            return
        super().close()
        with InteractiveSession._count_lock:
            InteractiveSession._alive -= 1
        stacks.remove_session(self)
        if self._explicit_graph is not None:
            stacks.remove_graph(self._explicit_graph)
