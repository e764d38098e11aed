"""Running: how a door runs the graph it has built, in a session that ends with the run.

Sessions share the program's local workers and the learned costs, so a new one costs at most a millisecond.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from weftwork.graph.function import Op, op
from weftwork.graph.graph import Graph
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.session.session import Session

_KEPT = 512
"""Functions whose ops are cached, and with them the learned costs."""


def run_graph(
    graph: Graph, fetches: Any, feeds: Mapping, most: int | None = None, opened: Callable[[Session], None] | None = None
) -> Any:
    """Run a graph once. Returns what `Session.run` returns, without copies.

    most: nodes that run at once; None for the number of CPUs.   opened: called with the session, whose `close` cancels
    the run.
    """
    with Session(graph=graph, config=ConfigProto(inter_op_parallelism_threads=most or 0)) as session:
        if opened is not None:
            opened(session)
        return session.run(fetches, feeds, copy=False)


def op_of(runner: Callable, functions: tuple[Callable, ...], name: str) -> Op:
    """The op that makes nodes of `runner`, which calls user functions.   name: that of one of them, for errors.

    The functions are bound to it, so that the node gets their costs, their captured state and their places.
    """
    try:
        return _kept(runner, functions, name)
    except TypeError:  # one is not hashable
        return _op(runner, functions, name)


def _op(runner: Callable, functions: tuple[Callable, ...], name: str) -> Op:
    bound = functools.partial(runner, *functions)
    bound.__name__ = name  # type: ignore[attr-defined]
    return op(bound)


_kept = functools.lru_cache(_KEPT)(_op)


def staying(function: Callable) -> Op:
    """The op of a function that is called in this process as soon as its inputs exist, in no particular order."""
    made = op(function)
    HISTORY.let_stay(made.kernel)
    return made
