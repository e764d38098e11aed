"""Functions: `@weftwork.function`, which traces a plain Python function into a graph once for each kind of call.

trace      the nodes of one kind of call; planned once, and fed with the data of each call
state      what a function keeps for one graph: its traces and variables. Each object has its own function for a method
stale      said of a trace once something that the function refers to has changed; it is then traced again

Calls are traced into the program's graph, and run in its session (`runtime`).
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload
from weakref import WeakKeyDictionary

from weftwork.graph import nest, stacks
from weftwork.graph.build import as_tensor, graph_of
from weftwork.graph.function import Op
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.operators import Operators
from weftwork.graph.ops.flow import identity
from weftwork.graph.python.amounts import count_of
from weftwork.graph.python.callables import bound, is_async, named
from weftwork.graph.python.captured import Captured
from weftwork.graph.python.forks import fresh
from weftwork.graph.variables.scoping import variable_scope
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.variable_scopes import AUTO_REUSE
from weftwork.scheduler.functions.arguments import Symbolic, Whole, declared, describe, text_of
from weftwork.scheduler.functions.inputs import Inputs, mapped, output_of, plain, tensor_or_none, word
from weftwork.scheduler.functions.runtime import session_of
from weftwork.scheduler.functions.trace import State, Trace
from weftwork.scheduler.functions.tracing import Tracing
from weftwork.scheduler.session.session import BaseSession

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
_LOG = logging.getLogger("weftwork")
_MANY = (5, 10, 20, 40, 80)
"""Numbers of traces of a function at which a warning is logged."""
_ADVICE = (
    "Each trace takes time and memory. Pass what differs from call to call as data: numbers, arrays, or arguments "
    "named in traced=(...). Do not change what the function refers to."
)
_WHOLE = (Op, Operation, Operators, Graph, BaseSession)
"""Types of objects that a function may refer to and that count as unchanged."""
_tracing = fresh(threading.RLock())
"""Held by the thread that is tracing."""
_NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD


class Function(Generic[P, R]):
    """A function that is traced once for each kind of call, then runs as a graph. `f.function` is the original one."""

    def __init__(self, function: Callable, static: tuple, traced: tuple, shapes: Any, max_traces: int):
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self._options = static, traced, shapes, max_traces
        self._exact, self._shapes, self._max_traces = shapes is True, declared(shapes), max_traces
        self._signature = inspect.signature(function)
        self._names = list(self._signature.parameters)
        whole = {**dict.fromkeys(traced, False), **dict.fromkeys(static, True)}
        for name in (*whole, *self._shapes):
            if name not in self._names:
                raise ValueError(f"{named(function)} has no argument {name!r}; it has {', '.join(self._names)}.")
        self._whole = [(self._names.index(name), name, is_static) for name, is_static in whole.items()]
        self._owner: type | None = None
        """The class of which it is a method."""
        self._is_method = self._names[:1] in (["self"], ["cls"]) and _is_in_class(function)
        """Whether a class defines it. If a decorator wraps it there, nothing else tells."""
        self._captured = Captured(function, _WHOLE)
        self._lock = fresh(threading.RLock())
        """Protects the state of this object."""
        self._home = stacks.entered_graph()
        """The graph that was entered when it was made, if any."""
        self._scopes: WeakKeyDictionary[Graph, Any] = WeakKeyDictionary()
        """The scope of its variables in each graph in which it was traced."""
        self._state = State(self._graph(), self._captured.version)

    # Calls

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute what the function returns; or add nodes, if tensors of a graph under construction are given.

        A call inside a function that is being traced becomes part of that trace.
        """
        if stacks.local.tracing is not None:
            return self._inline(stacks.local.tracing, args, kwargs)
        if args and (self._is_method or (self._owner is not None and isinstance(args[0], self._owner))):
            instance: Any = args[0]  # called through the class, or by a decorator
            method: Any = self.__get__(instance)
            return method(*args[1:], **kwargs)
        if kwargs or self._whole:
            settled: Any = self._settled(args, kwargs)
            args, kwargs = settled
        data: list = []
        try:
            trace = self._find(args, kwargs, data)
        except Symbolic:
            return self._in_graph(*plain(args, kwargs))
        return trace.run(session_of(trace.graph), data)

    def trace(self, /, *args: Any, **kwargs: Any) -> Trace:
        """The trace for a call with such arguments, with its `graph`, `inputs` and `outputs`. Runs nothing.

        Raises TypeError if a tensor is among the arguments.
        """
        try:
            return self._find(*self._settled(args, kwargs), [])
        except Symbolic:
            raise TypeError(f"{named(self)}.trace takes values, not tensors.") from None

    def explain(self, /, *args: Any, **kwargs: Any) -> Any:
        """Explain the plan of such a call, as `Session.explain` does. May trace the function, but runs nothing."""
        data: list = []
        trace = self._find(*self._settled(args, kwargs), data)
        feeds = dict(zip(trace.inputs, trace.feeds(data), strict=True))
        return session_of(trace.graph).explain(trace.elements, feeds)

    @property
    def trace_count(self) -> int:
        """How often it has been traced."""
        return self._state.count

    @property
    def variables(self) -> list[Variable]:
        """The variables that it has made."""
        return list(self._state.variables)

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Function[P, R]: ...
    @overload
    def __get__(self: Function[Concatenate[Any, Q], R], instance: object, owner: Any = None) -> Function[Q, R]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        function = bound(self.function, instance, owner)
        if function is self.function:
            return self
        if instance is None:
            return Function(function, *self._options)
        methods = _methods(instance)
        method = methods.get(self)
        if method is None:
            method = methods.setdefault(self, Function(function, *self._options))
        return method

    def __reduce__(self):
        return Function, (self.function, *self._options)

    def __repr__(self) -> str:
        return f"<weftwork.function {named(self.function)}{self._signature}>"

    # Traces

    def _settled(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """The arguments, by position if possible, with a mark on single data."""
        if kwargs:
            try:
                found = self._signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{named(self.function)}(): {error}") from None
            args, kwargs = found.args, found.kwargs
        if self._whole:
            listed = list(args)
            for at, name, is_static in self._whole:
                if at < len(listed):
                    listed[at] = Whole(listed[at], is_static)
                elif name in kwargs:
                    kwargs = {**kwargs, name: Whole(kwargs[name], is_static)}
            args = tuple(listed)
        return args, kwargs

    def _find(self, args: tuple, kwargs: dict, data: list) -> Trace:
        """The trace for some arguments, made if needed; their data is added to `data`."""
        key: list = []
        try:
            for value in args:
                describe(value, key, data, self._exact)
            for name in kwargs:
                key.append(name)
                describe(kwargs[name], key, data, self._exact)
        except RecursionError:
            raise ValueError(f"An argument of {named(self)} contains itself or is too deep: use traced=.") from None
        state = self._state
        if self._look() != state.seen or state.graph is not self._graph():
            state = self._refreshed_state()
        try:
            trace = state.traces.get(tuple(key))
        except TypeError as error:
            raise self._unhashable(args, kwargs, error) from None
        return trace or self._trace(state, tuple(key), args, kwargs)

    def _look(self) -> int:
        """The version of the function's captured state."""
        with self._lock:
            return self._captured.look()

    def _graph(self) -> Graph:
        """The graph of a call: the one its thread has entered, or the one the function was made in."""
        return stacks.entered_graph() or self._home or stacks.program_graph()

    def _refreshed_state(self) -> State:
        """Forget traces if something that the function refers to has changed, or the graph is another one."""
        with _tracing:
            state, version, graph = self._state, self._look(), self._graph()
            if state.graph is not graph:
                state = self._state = State(graph, version)
            elif version != state.seen:
                if state.traces:
                    _LOG.info(
                        "%s is traced again, because something that it refers to has changed", named(self.function)
                    )
                state.traces, state.seen = {}, version
            return state

    def _unhashable(self, args: tuple, kwargs: dict, error: TypeError) -> TypeError:
        for name, value in self._named(args, kwargs):
            key: list = []
            describe(value, key, [], self._exact)
            try:
                hash(tuple(key))
            except TypeError as found:
                value = value.value if type(value) is Whole else value
                return TypeError(
                    f"The argument {name!r} of {named(self.function)} is static: each value makes a trace of its own, "
                    f"so it must be hashable, but {value!r} is not ({found}). Pass a tuple or a frozen dataclass, or "
                    "leave the argument out of static=."
                )
        return error

    def _named(self, args: tuple, kwargs: dict) -> Iterable[tuple[str, Any]]:
        """The arguments with their names."""
        parameters = self._signature.parameters
        single = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        rest = next((name for name, p in parameters.items() if p.kind is p.VAR_POSITIONAL), "argument")
        yield from zip(single, args, strict=False)
        yield from [(f"{rest}_{number}", value) for number, value in enumerate(args[len(single) :])]
        yield from kwargs.items()

    def _trace(self, state: State, key: tuple, args: tuple, kwargs: dict) -> Trace:
        with _tracing:
            known = state.traces.get(key)
            if known is not None:
                return known
            self._report_trace(state, args, kwargs)
            graph = state.graph
            graph.forget()
            graph.switch_to_thread_local()
            outer, graph.variable_scope = graph.variable_scope, None
            try:
                with graph.as_default(), graph.name_scope(None), graph.device(None):
                    with graph.control_dependencies(None):
                        trace = self._made(state, graph, args, kwargs)
            finally:
                graph.variable_scope = outer
            state.count += 1
            state.seen = self._look()  # changes made by the tracing itself do not count
            state.traces[key] = trace
            return trace

    def _made(self, state: State, graph: Graph, args: tuple, kwargs: dict) -> Trace:
        with Tracing(graph) as tracing, self._opened(state, tracing):
            inputs = Inputs(tracing, self._exact, self._shapes)
            given = [inputs.enter(name, value) for name, value in self._named(args, {})]
            named_ones = {name: inputs.enter(name, value) for name, value in kwargs.items()}
            result = output_of(self.function(*given, **named_ones), tracing)
            found: list[Tensor] = []
            template = nest.lift(result, found, tensor_or_none)
            effects = tracing.effects()
        return Trace(graph, *inputs.taken(found), template, found, effects, tracing.places())

    def _report_trace(self, state: State, args: tuple, kwargs: dict) -> None:
        """Log that it is traced again, and why. Raises RuntimeError beyond `max_traces`."""
        lines, name = [], named(self.function)
        for argument, value in self._named(args, kwargs):
            key: list = []
            describe(value, key, [], self._exact)
            lines.append(f"{argument}: {', '.join(map(text_of, key))}")
        before, state.lines = state.lines, lines
        new = [line for line in lines if line not in before] or ["what it refers to has changed"]
        if state.count >= self._max_traces:
            raise RuntimeError(
                f"{name} was traced {state.count} times, the limit set by max_traces. {_ADVICE} "
                f"The last call differs from the one before by: {'; '.join(new)}."
            )
        if state.count:
            _LOG.info("%s is traced again (trace %d), for %s", name, state.count + 1, "; ".join(new))
        if state.count + 1 in _MANY:
            _LOG.warning("%s was traced %d times. %s The last one: %s", name, state.count + 1, _ADVICE, "; ".join(new))

    # Calls in a graph under construction

    def _inline(self, tracing: Tracing, args: tuple, kwargs: dict) -> Any:
        with self._opened(self._state, tracing):
            return self.function(*args, **kwargs)

    def _in_graph(self, args: tuple, kwargs: dict) -> Any:
        """Add the nodes of a call. Fetching its results runs its effects, too."""
        found: list[Tensor] = []
        nest.lift_call(args, kwargs, found, as_tensor)
        graph = graph_of(found)
        with graph.as_default(), Tracing(graph) as tracing, self._opened(self._state, tracing):
            result = output_of(self.function(*args, **kwargs), tracing)
            effects = tracing.effects()
        if not effects:
            return result
        with graph.as_default(), graph.control_dependencies(effects):
            return mapped(result, identity)

    @contextmanager
    def _opened(self, state: State, tracing: Tracing) -> Iterator[None]:
        """The scope of the function's names and variables. Its traces share the variables of `get_variable`."""
        graph = tracing.graph
        scope = self._scopes.get(graph)
        opened: Any = (None, word(named(self.function))) if scope is None else (scope,)

        def made(variable: Variable | None) -> None:
            if variable is not None:
                state.variables.append(variable)
            elif scope is not None:
                raise ValueError(
                    f"{named(self.function)} makes a variable in a later trace. A function makes its variables once, "
                    "in its first trace: make them outside of it, or only if they do not exist yet "
                    "(`if self.w is None: self.w = weftwork.shared(0)`)."
                )

        reuse = None if scope is None else AUTO_REUSE
        with tracing.watched_variables(made), variable_scope(*opened, reuse=reuse) as entered:
            yield
        self._scopes.setdefault(graph, entered)


def _is_in_class(function: Callable) -> bool:
    """Whether the body of a class defines a function."""
    around = function.__qualname__.rpartition(".")[0] if isinstance(function, FunctionType) else ""
    return around != "" and not around.endswith("<locals>")


class _Methods(dict):
    """The traced methods of one object, stored in it. A copy of the object starts with none."""

    def __init__(self, owner: Any = None):
        super().__init__()
        self.owner = None if owner is None else weakref.ref(owner)

    def __reduce__(self):
        return _Methods, ()

    def __deepcopy__(self, memo: dict) -> _Methods:
        return _Methods()


_ATTRIBUTE = "_weftwork_functions"
_slotted: dict[int, tuple[Any, _Methods]] = {}
"""The methods of objects that cannot store them."""


def _methods(instance: Any) -> _Methods:
    space = getattr(instance, "__dict__", None)
    if space is None:
        return _slotted.setdefault(id(instance), (instance, _Methods()))[1]
    known = space.get(_ATTRIBUTE)
    if type(known) is not _Methods or known.owner is None or known.owner() is not instance:
        known = _Methods(instance)
        if isinstance(instance, type):
            type.__setattr__(instance, _ATTRIBUTE, known)
        else:
            space[_ATTRIBUTE] = known
    return known


def _names(given: Any, word: str) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    if not all([isinstance(name, str) for name in names]):
        raise TypeError(f"{word} must be the name of an argument, or several names, not {given!r}.")
    return names


@overload
def function(function: Callable[P, R], /) -> Function[P, R]: ...
@overload
def function(
    *,
    static: str | Sequence[str] = ...,
    traced: str | Sequence[str] = ...,
    shapes: bool | Mapping[str, Any] = ...,
    max_traces: int = ...,
) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def function(
    function: Callable[..., Any] | None = None,
    /,
    *,
    static: str | Sequence[str] = (),
    traced: str | Sequence[str] = (),
    shapes: bool | Mapping[str, Any] = False,
    max_traces: int = 128,
) -> Any:
    """Let a plain Python function run as a graph: its body is traced once for each kind of call, and then replayed.

    While it is traced, its arguments are tensors, and calls of `@op` functions and of the library make nodes. The kind
    of a call is the structure of its arguments and the types of their data. Numbers, arrays and other objects are data;
    None, bools, text, Enum members, functions and classes are static: each value needs another trace.

    static: names of further static arguments, whose values must be hashable.
    traced: names of arguments that are a single datum each, such as a string or a long list.
    shapes: True to trace again for other array shapes, or the shapes of arguments by name: {"x": (None, 784)}.
    max_traces: how often the function may be traced; beyond that, a call raises RuntimeError.
    Raises TypeError for an `async def` or a generator, which cannot be traced. docs/plain_programs.md has the rules.

        @weftwork.function
        def step(x, rate):
            total.add(x * rate)
            return total
    """
    names = _names(static, "static"), _names(traced, "traced")
    max_traces = count_of("max_traces", max_traces)
    if not isinstance(shapes, (bool, Mapping)):
        raise TypeError(f"shapes is True, False or a mapping of names to shapes, not {shapes!r}.")

    def made(function: Callable) -> Function:
        _check(function)
        return Function(function, *names, shapes, max_traces)

    return made if function is None else made(function)


def _check(function: Any) -> None:
    if not callable(function):
        raise TypeError(f"weftwork.function takes a function, not {function!r}. Pass options by name.")
    if isinstance(function, (type, Op)):
        raise TypeError(f"weftwork.function takes a plain function, not {function!r}.")
    if is_async(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{named(function)} is an `async def` or a generator, which cannot be traced. Make it an @op, "
            "and call it from a plain function."
        )
