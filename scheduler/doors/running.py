"""What all doors use to run calls of the user's functions as nodes of a graph.

Each run has a session of its own. Sessions share the program's local workers and what was measured, so a new one takes
at most a millisecond.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, TypeVar

import numpy as np

from weftwork.graph.cores import usable_cores
from weftwork.graph.errors import OpError, UnavailableError
from weftwork.graph.function import Op, op
from weftwork.graph.graph import Graph
from weftwork.graph.python.codes import changes_arguments
from weftwork.graph.python.ownership import is_atom
from weftwork.graph.source import Source, is_ours
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.session.session import Session

T = TypeVar("T")
_BESIDE = "beside"
"""The limit of a session that counts the calls in threads beside the others."""
_SINGLE: set[Callable] = set()
"""The doors' own functions of which a process makes one call at a time."""
_KEPT = 512
"""The number of functions whose ops are kept, with what was measured of them."""


class BrokenPoolError(UnavailableError, BrokenProcessPool):
    """The processes that made a call have died. It is both the library's error and that of Python's pools."""


def one_at_a_time(function: Callable) -> Callable:
    """Let a process make one call of a door's own function at a time, because it changes state of the process."""
    _SINGLE.add(function)
    return function


def session_for(graph: Graph, most: int | None) -> Session:
    """A session for a graph of a door.   most: how many nodes may run at once; None stands for the number of CPUs."""
    limits = {_BESIDE: most or usable_cores()}
    return Session(graph=graph, config=ConfigProto(inter_op_parallelism_threads=most or 0, copy=False, limits=limits))


def run_graph(
    graph: Graph, fetches: Any, feeds: Mapping, most: int | None = None, opened: Callable[[Session], None] | None = None
) -> Any:
    """Run a graph, which runs only this once. Returns what `Session.run` does, without copies.

    most: how many nodes may run at once.   opened: called with the session, whose `close` cancels the run.
    """
    graph.once = True
    with session_for(graph, most) as session:
        if opened is not None:
            opened(session)
        return session.run(fetches, feeds)


def plainly(call: Callable[[], T]) -> T:
    """The result of `call`. The error of a task is raised as it was, without the session's error around it.

    It is raised outside of `except`, where Python would replace its context by the session's error.
    """
    try:
        return call()
    except OpError as error:
        failure = error.__cause__
        if failure is None:
            raise
    try:
        raise failure
    finally:
        del failure  # it refers to this frame


def op_of(
    runner: Callable,
    functions: tuple[Callable, ...],
    name: str,
    stays: bool = False,
    kept: dict | None = None,
    beside: bool = False,
    shown: Callable | None = None,
) -> Op:
    """The op for nodes that call `runner`, which in turn calls the user's functions.

    The functions are bound to the runner, because the node's costs, and the state that it refers to, are theirs.
    name: how errors call the node.   shown: the function where errors say that it was defined; by default the first.
    stays: it runs in this process.   beside: in a thread that takes no core there.
    kept: keeps the ops of functions that must not outlive the caller, see `holds_nothing`.
    """
    try:
        if all(map(holds_nothing, functions)):
            return _kept(runner, functions, name, stays, beside, shown)
        kept = {} if kept is None else kept
        key = functions, name, runner, stays, beside
        made = kept.get(key)
        if made is None:
            made = kept[key] = _op(runner, functions, name, stays, beside, shown)
        return made
    except TypeError:  # one cannot be hashed
        return _op(runner, functions, name, stays, beside, shown)


def _op(
    runner: Callable, functions: tuple[Callable, ...], name: str, stays: bool, beside: bool, shown: Callable | None
) -> Op:
    bound = functools.partial(runner, *functions)
    bound.__name__ = name  # type: ignore[attr-defined]
    if beside:
        made = op(bound, limits={_BESIDE: 1})
        made.kernel.unordered = made.kernel.sees_to_draws = True  # at once, they share the program's generators
    else:
        made = staying(bound, silent=False) if stays else op(bound)
    made.source = _source_of(functions if shown is None else (shown, *functions))
    made.kernel.threadsafe = not _SINGLE.intersection(functions)
    made.kernel.reads  # look now, or it would count as time of the first call  # noqa: B018
    return made


_kept = functools.lru_cache(_KEPT)(_op)


def _source_of(functions: tuple[Callable, ...]) -> Source | None:
    """Where the program defines the first of these functions that it defines. Doors make nodes in threads of theirs."""
    codes = [code for code in map(code_of, functions) if isinstance(code, CodeType)]
    return next((Source(code, 0) for code in codes if not is_ours(code.co_filename)), None)


def holds_nothing(function: Any) -> bool:
    """Whether a function may be kept, because it keeps no object of the program alive.

    True for functions without a closure, for functions and classes in C, and for whatever a module calls by its name.
    """
    if isinstance(function, FunctionType) and function.__closure__ is None and not function.__dict__:
        bound = (function.__defaults__, *(function.__kwdefaults__ or {}).values())
        if is_atom(bound):
            return True
    return in_c(function) or _is_global(function)


def in_c(function: Any) -> bool:
    """True for a class, a ufunc, and a C function that is not bound to an object."""
    if isinstance(function, BuiltinFunctionType):
        return isinstance(function.__self__, ModuleType) or function.__self__ is None
    return isinstance(function, (type, np.ufunc))


def _is_global(function: Any) -> bool:
    module, name = getattr(function, "__module__", None), getattr(function, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module not in sys.modules:
        return False
    return vars(sys.modules[module]).get(name) is function


def changes_given(function: Callable) -> bool:
    """True for a Python function whose code shows that it changes an argument in place."""
    function = getattr(function, "func", function)  # of a partial
    return isinstance(function, FunctionType) and changes_arguments(function.__code__)


def staying(function: Callable, silent: bool = True) -> Op:
    """The op of a function that runs in this process as soon as its inputs are there, in no particular order.

    silent: it is the door's own, so no event tells of it.
    """
    made = op(function)
    made.kernel.unordered = made.kernel.threadsafe = True
    made.kernel.silent = silent
    HISTORY.let_stay(made.kernel)
    return made


def code_of(function: Any) -> Any:
    """The key under which a function's duration is remembered: its code or its type, which keep no object of the
    program alive."""
    while True:
        inner = getattr(function, "func", None) or getattr(function, "__func__", None)
        if inner is None:
            break
        function = inner
    code = getattr(function, "__code__", None)
    return code if code is not None else function if in_c(function) else type(function)
