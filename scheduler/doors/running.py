"""How a door runs what it has built: an ordinary graph, in a session of its own that ends with the run.

Sessions share the program's local workers and what was learned of functions, so a new one costs a millisecond at most.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from weftwork.graph.codes import changes_arguments
from weftwork.graph.function import Op, op
from weftwork.graph.graph import Graph
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.session.session import Session

_KEPT = 512
"""Functions of which the node-making op is kept, and with it what was learned of their costs."""


def run_graph(
    graph: Graph, fetches: Any, feeds: Mapping, most: int | None = None, opened: Callable[[Session], None] | None = None
) -> Any:
    """Run a graph once: what `Session.run` returns, uncopied.

    most: nodes at a time; None is as many as CPUs.   opened: told of the session, whose `close` cancels the run.
    """
    with Session(graph=graph, config=ConfigProto(inter_op_parallelism_threads=most or 0)) as session:
        if opened is not None:
            opened(session)
        return session.run(fetches, feeds, copy=False)


def op_of(
    runner: Callable, functions: tuple[Callable, ...], name: str, stays: bool = False, kept: dict | None = None
) -> Op:
    """The op that makes nodes of `runner`, which calls functions of the user's.   name: of one of them, for errors.

    They are bound to it, so that the node is known by them: their costs, what state they refer to, where they can run.
    stays: it is called in this process.   kept: keeps those of functions that hold something of the program's.
    """
    try:
        if all(map(holds_nothing, functions)):
            return _kept(runner, functions, name, stays)
        kept = {} if kept is None else kept
        made = kept.get((functions, name, runner, stays))
        if made is None:
            made = kept[functions, name, runner, stays] = _op(runner, functions, name, stays)
        return made
    except TypeError:  # one cannot be hashed
        return _op(runner, functions, name, stays)


def _op(runner: Callable, functions: tuple[Callable, ...], name: str, stays: bool) -> Op:
    bound = functools.partial(runner, *functions)
    bound.__name__ = name  # type: ignore[attr-defined]
    made = staying(bound) if stays else op(bound)
    made.kernel.reads  # is found out now: else that counts as time of the first call  # noqa: B018
    return made


_kept = functools.lru_cache(_KEPT)(_op)


def holds_nothing(function: Any) -> bool:
    """True for a function without a closure, and for what C has: to keep it keeps no object of the program's alive."""
    if isinstance(function, FunctionType):
        return function.__closure__ is None and not function.__dict__
    return in_c(function)


def in_c(function: Any) -> bool:
    """True for a class, and for a function of C that is no method of an object."""
    if isinstance(function, BuiltinFunctionType):
        return isinstance(function.__self__, ModuleType) or function.__self__ is None
    return isinstance(function, type)


def changes_given(function: Callable) -> bool:
    """True for a function of Python's that shows by its code that it changes an argument in place."""
    function = getattr(function, "func", function)  # of a partial
    return isinstance(function, FunctionType) and changes_arguments(function.__code__)


def staying(function: Callable) -> Op:
    """The op of a function that is called in this process, at once when its inputs are there, in no set order."""
    made = op(function)
    made.kernel.unordered = True
    HISTORY.let_stay(made.kernel)
    return made
