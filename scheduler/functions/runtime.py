"""Runtime: the session of a plain program, which `run`, `shared` and traced functions use, made on first use.

program's graph   the graph that the thread has entered, or else the main thread's default graph; each has one session

A variable without a value gets its initial value when a run first needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from weftwork.graph import dtypes, nest, stacks
from weftwork.graph.build import as_tensor, constant, placeholder
from weftwork.graph.dtypes import as_dtype
from weftwork.graph.errors import FailedPreconditionError
from weftwork.graph.graph import Graph, GraphKeys
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.graph.python.forks import fresh, in_child
from weftwork.graph.sections import sections_of
from weftwork.graph.values import to_value
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.writes import is_variable_initialized
from weftwork.graph.weak import members
from weftwork.scheduler.compile.pruning import prune
from weftwork.scheduler.functions.arguments import INT64
from weftwork.scheduler.session.session import BaseSession, Session, take_values

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    K = TypeVar("K", default=Any)
    T = TypeVar("T", default=Any)
    U = TypeVar("U", default=Any)
    V = TypeVar("V", default=Any)
_making = fresh(threading.RLock())
_ELEMENTS = Tensor, Operation, Variable
_made: WeakSet[Session] = WeakSet()
"""The sessions made here: a forked child gets others in their place."""
_left: WeakKeyDictionary[Graph, Session] = WeakKeyDictionary()
"""In a forked child: the parent's session of a graph, for the values that its variables had at the fork."""


def get_session() -> Any:
    """Return the session behind traced functions, `run` and `shared`, for example to use a Saver or `explain`.

    It is the default session that the thread has entered, or else the session of the graph that it has entered, or else
    that of the main thread's default graph. Use `with session.graph.as_default()` to add nodes to that graph.
    """
    return stacks.get_default_session() or session_of(graph_of_program())


def graph_of_program() -> Graph:
    """The graph that this thread has entered, or else the main thread's default graph."""
    return stacks.entered_graph() or stacks.program_graph()


def set_session(session: BaseSession) -> None:
    """Make traced functions, `run` and `shared` use this session, such as one with a config or a cluster.

    session: a session of the program's graph, like that of `Session()` in the main thread. Variables have no values in
    it yet, and get their initial ones. The previous session is not closed.
    Raises TypeError if it is not a session, and ValueError if it is a session of another graph.
    """
    if not isinstance(session, BaseSession):
        raise TypeError(f"set_session takes a session, not {session!r}.")
    if session.graph is not graph_of_program():
        raise ValueError(
            "This session belongs to another graph. Create it with graph=weftwork.get_session().graph, or "
            "without a graph in the main thread."
        )
    session.graph.runtime = session


def session_of(graph: Graph) -> Any:
    """The session in which plain programs run a graph: this thread's default session, if it has that graph."""
    entered = stacks.local.sessions
    if entered and entered[-1].graph is graph:
        return entered[-1]
    session = graph.runtime
    if session is None or session.closed:
        with _making:
            session = graph.runtime
            if session is None or session.closed:
                graph.switch_to_thread_local()
                session = Session(graph=graph)
                if (left := _left.pop(graph, None)) is not None:
                    take_values(session, left)
                graph.runtime = session
                _made.add(session)
    return session


@in_child
def _after_fork() -> None:
    for session in members(_made):
        if session.graph.runtime is session and not session.closed:
            session.graph.runtime = None
            _left[session.graph] = session
    _made.clear()


@overload
def run(fetches: Tensor[T], feed_dict: Mapping[Any, Any] | None = None) -> T: ...
@overload
def run(fetches: Operation, feed_dict: Mapping[Any, Any] | None = None) -> None: ...
@overload
def run(fetches: list[Tensor[T]], feed_dict: Mapping[Any, Any] | None = None) -> list[T]: ...
@overload
def run(fetches: dict[K, Tensor[T]], feed_dict: Mapping[Any, Any] | None = None) -> dict[K, T]: ...
@overload
def run(fetches: tuple[Tensor[T], Tensor[U]], feed_dict: Mapping[Any, Any] | None = None) -> tuple[T, U]: ...
@overload
def run(
    fetches: tuple[Tensor[T], Tensor[U], Tensor[V]], feed_dict: Mapping[Any, Any] | None = None
) -> tuple[T, U, V]: ...
@overload
def run(fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Any: ...
def run(fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Any:
    """Return the values of `fetches`, in the same structure: `weftwork.run(load(3))`, `weftwork.run({"a": x, "b": y})`.

    Like `Session.run`, in the program's session (`get_session`) or in that of the fetches' graph. Variables without a
    value get their initial value. Raises what `Session.run` raises. In a function that runs as a node, where a call of
    an op returns its value, values are returned as they are.
    """
    if stacks.inside_node() and not any([isinstance(leaf, _ELEMENTS) for leaf in nest.flatten(fetches)]):
        return fetches
    session = session_of(_graph_of(fetches))
    try:
        return session.run(fetches, feed_dict)
    except FailedPreconditionError:  # nothing has run: a run first reads the variables' values
        if not initialize(session, _elements(session, fetches), feed_dict or {}):
            raise
    return session.run(fetches, feed_dict)


def _graph_of(fetches: Any) -> Graph:
    for leaf in nest.flatten(fetches):
        if isinstance(leaf, _ELEMENTS):
            return leaf.graph
    return graph_of_program()


def _elements(session: Any, fetches: Any) -> list[Operation]:
    elements = [session.graph.as_graph_element(leaf) for leaf in nest.flatten(fetches)]
    return [element.op if isinstance(element, Tensor) else element for element in elements]


def initialize(session: Any, ops: Sequence[Operation], feeds: Mapping) -> bool:
    """Give initial values to those variables without a value that operations need. True if there were any.

    feeds: values that the initial values may depend on.
    """
    with _making:
        needed = _variables_of(ops)
        known: dict[Operation, Variable] = {}
        graph = session.graph
        for name in (GraphKeys.GLOBAL_VARIABLES, GraphKeys.LOCAL_VARIABLES):
            known.update({v.op: v for v in graph.get_collection(name) if isinstance(v, Variable)})
        found = [known[op] for op in needed if op in known]
        with graph.as_default(), graph.control_dependencies(None):
            asked = [_initialized_node(variable) for variable in found]
        missing = [v for v, has_one in zip(found, session.run(asked), strict=True) if not has_one]
        if missing:
            session.run([v.initializer for v in missing], dict(feeds))
        return bool(missing)


def _initialized_node(variable: Variable) -> Tensor:
    """The node that says whether a variable has a value; one for each variable."""
    made = vars(variable).get("_has_value")
    if made is None:
        made = variable._has_value = is_variable_initialized(variable)  # type: ignore[attr-defined]
    return made


def _variables_of(ops: Sequence[Operation]) -> list[Operation]:
    """The variables that operations need, including those in branches, in loops and in each other's initial values."""
    left, found = list(ops), {}
    while left:
        pruned = dict.fromkeys(prune(left, set()))
        left = []
        for op in pruned:
            if op.kind is Kind.VARIABLE:
                found[op] = None
            elif op.kind is Kind.CONTROL:
                stack = sections_of(op)
                for section in stack:
                    left += [t.op for inner in section.ops for t in inner.inputs if t.op.section is None]
                    stack += [s for inner in section.ops if inner.kind is Kind.CONTROL for s in sections_of(inner)]
        left = [op for op in left if op not in pruned]
    return list(found)


class Shared(Variable):
    """A value that a program's functions share and keep between calls. Made by `shared`."""

    def get(self) -> Any:
        """Return its value: now, or as of this line in a function being traced."""
        return self.value() if stacks.local.tracing is not None else run(self.value())

    def set(self, value: Any) -> Any:
        """Set its value, and return it."""
        return self._update("assign", value)

    def add(self, value: Any) -> Any:
        """Add to its value, and return the sum. No addition is lost, even with many threads."""
        return self._update("assign_add", value)

    def _update(self, how: str, value: Any) -> Any:
        """The new value: a tensor while a function is being traced. Otherwise, one node takes all values."""
        write = getattr(self, how)
        if stacks.local.tracing is not None:
            return write(value)
        if as_tensor(value) is not None:
            with self.graph.as_default():
                return run(write(value))
        with _making:
            kept = self.__dict__.setdefault("_writes", {})
            if how not in kept:
                with self.graph.as_default(), self.graph.control_dependencies(None), self.graph.in_section(None):
                    with self.graph.name_scope(None):
                        fed = placeholder(self.dtype.base_dtype, self.shape, f"{self.op.name}/{how}/value")
                        kept[how] = fed, write(fed)
        fed, node = kept[how]
        return run(node, {fed: to_value(value, fed.dtype)})


def shared(value: Any, dtype: Any = None, name: str | None = None) -> Shared:
    """Make a variable in the plain style: `total = weftwork.shared(0)`; `total.add(3)`; `total.get()`.

    value: the initial value. Whole numbers of 64 bits become int64 and floats float64, arrays keep their dtype, and
    anything else stays a Python object: a string, a list, a function, a data frame.   dtype: another dtype.
    name: the name of its node.
    It has its value at once, in the program's session (`get_session`). In a function being traced, it belongs to the
    function, and gets its value before the first call.
    """
    if dtype is None:
        dtype = _dtype_of(value)
    tracing = stacks.local.tracing
    graph = graph_of_program() if tracing is None else tracing.graph
    with graph.as_default():
        is_object = value is None or (callable(value) and as_dtype(dtype) is dtypes.object)  # not an initializer
        initial = constant(value, dtypes.object) if is_object else value
        made = Shared(initial, dtype=dtype, name=name or "shared", trainable=False)
    if tracing is None:
        session_of(graph).run(made.initializer)
    return made


def _dtype_of(value: Any) -> Any:
    if isinstance(value, (Tensor, Variable)):
        return value.dtype.base_dtype
    if isinstance(value, (np.ndarray, np.generic)) and dtypes.is_numeric(value.dtype):
        return value.dtype
    if type(value) is int and value not in INT64:
        return dtypes.object
    return {bool: dtypes.bool, int: dtypes.int64, float: dtypes.float64, complex: dtypes.complex128}.get(
        type(value), dtypes.object
    )
