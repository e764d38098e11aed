"""The default graph and the default session of a thread.

Both are stacks, one of each for each thread: `with graph.as_default()`, `with session.as_default()`. A thread that has
not entered a graph gets a fresh one of its own on request; a thread that has not entered a session has none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from weftwork.graph.python.forks import fresh
from weftwork.graph.seams import seams

if TYPE_CHECKING:
    from weftwork.graph.graph import Graph


_OUTSIDE = -1


class _Graphs(list["Graph"]):
    """The graphs that a thread has entered.

    level: while the thread runs nodes, the number of graphs when it began. Until a node's function enters a graph
    itself, an op that it calls on values computes at once.
    """

    __slots__ = ("level",)

    def __init__(self):
        self.level = 0 if _working else _OUTSIDE


class _Stacks(threading.local):
    """tracing: what records new nodes while this thread traces a function; None otherwise."""

    tracing: Any = None

    def __init__(self):
        self.graphs = _Graphs()
        self.sessions: list[Any] = []
        self.fallback: Graph | None = None


class _Program:
    """The main thread's fallback graph, which other threads may request."""

    graph: Graph | None = None
    lock = fresh(threading.Lock())


_working = 0
"""How many programs run in this process for a remote session. A thread started meanwhile belongs to a node."""
local = _Stacks()
"""This thread's stacks."""


@contextmanager
def working() -> Iterator[None]:
    """A context manager: this process runs nodes for a remote session, and nothing else."""
    global _working
    _working += 1
    try:
        yield
    finally:
        _working -= 1


def inside_node() -> bool:
    """True in a node's function that has entered no graph itself: ops called there add no nodes to a graph."""
    graphs = local.graphs
    return graphs.level == len(graphs)


@contextmanager
def _pushed(stack: list[Any], thing: Any) -> Iterator[Any]:
    stack.append(thing)
    try:
        yield thing
    finally:
        if stack:  # it is empty after `leave_graphs`
            if stack[-1] is not thing:
                raise AssertionError(f"Nesting violated for default stack of {type(thing)} objects")
            stack.pop()


def graph_scope(graph: Graph):
    """A context manager that makes `graph` the thread's default."""
    return _pushed(local.graphs, graph)


def session_scope(session: Any):
    """A context manager that makes `session` the thread's default."""
    return _pushed(local.sessions, session)


def push_session(session: Any) -> None:
    """Make `session` the default until `remove_session`, without nesting: for interactive use."""
    local.sessions.append(session)


def remove_session(session: Any) -> None:
    """Remove `session` from anywhere on this thread's stack."""
    if session in local.sessions:
        local.sessions.remove(session)


def push_graph(graph: Graph) -> None:
    """Make `graph` the default until `remove_graph`, without nesting: for interactive use."""
    local.graphs.append(graph)


def remove_graph(graph: Graph) -> None:
    """Remove `graph` from anywhere on this thread's stack."""
    if graph in local.graphs:
        local.graphs.remove(graph)


def get_default_graph() -> Graph:
    """The innermost graph that this thread has entered, else the thread's own fallback graph."""
    if local.graphs:
        return local.graphs[-1]
    if local.fallback is None:
        local.fallback = program_graph() if _in_main() else seams.new_graph()
    assert local.fallback is not None
    return local.fallback


def _in_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def program_graph() -> Graph:
    """The main thread's own graph, from any thread: it contains the nodes of a plain program."""
    graph = _Program.graph
    if graph is None:
        with _Program.lock:
            graph = _Program.graph = _Program.graph or seams.new_graph()
    return graph


def entered_graph() -> Graph | None:
    """The innermost graph that the thread's own code has entered, rather than the code that runs a node in it."""
    return local.graphs[-1] if local.graphs and not inside_node() else None


def reset_default_graph() -> None:
    """Replace this thread's fallback graph with a new one. Raises AssertionError inside `with graph.as_default()`."""
    if local.graphs:
        raise AssertionError(
            "Do not use tf.reset_default_graph() to clear nested graphs. If you need a cleared graph, exit the nesting "
            "and create a new graph."
        )
    local.fallback = seams.new_graph()
    if _in_main():
        _Program.graph = local.fallback


def leave_graphs() -> None:
    """Leave all graphs that this thread has entered, as a program does that goes on after a failure inside of one."""
    local.graphs.clear()


def get_default_session() -> Any:
    """The innermost session that this thread has entered, or None."""
    return local.sessions[-1] if local.sessions else None


def session_for(graph: Graph, session: Any, action: str, method: str) -> Any:
    """`session`, or the default session. Raises ValueError if there is none or it has another graph.

    action, method: words for the error message, e.g. "evaluate tensor", "eval".
    """
    if session is None:
        session = get_default_session()
        if session is None:
            raise ValueError(
                f"Cannot {action} using `{method}()`: No default session is registered. Use `with sess.as_default()` "
                f"or pass an explicit session to `{method}(session=sess)`"
            )
        if session.graph is not graph:
            owner = "tensor" if method == "eval" else "operation"
            raise ValueError(
                f"Cannot use the default session to {action}: the {owner}'s graph is different from the session's "
                f"graph. Pass an explicit session to `{method}(session=sess)`."
            )
    elif session.graph is not graph:
        owner = "tensor" if method == "eval" else "operation"
        raise ValueError(
            f"Cannot use the given session to {action}: the {owner}'s graph is different from the session's graph."
        )
    return session
