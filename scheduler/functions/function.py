"""Functions: `@weftwork.function`, a plain Python function that is traced into a graph once for each kind of call.

trace      the nodes that one kind of call makes, and how they are run: fed with the call's data, planned once
state      what a function keeps: its traces, its variables. A method is a function of its own for each object
stale      a trace is, once something that the function refers to has changed: it is made again

A call is traced into the program's graph, and run in the session of that (`runtime`).
"""

from __future__ import annotations

import functools
import inspect
import logging
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload
from weakref import WeakKeyDictionary

from weftwork.graph import nest, stacks
from weftwork.graph.build import as_tensor, graph_of, placeholder
from weftwork.graph.callables import bound, is_async, named
from weftwork.graph.captured import Captured
from weftwork.graph.errors import FailedPreconditionError
from weftwork.graph.forks import fresh
from weftwork.graph.function import Op
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.operators import Operators
from weftwork.graph.ops.flow import identity
from weftwork.graph.variables.sharing import variable_scope
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.variable_scopes import AUTO_REUSE
from weftwork.scheduler.functions.arguments import Symbolic, Whole, datum_of, declared, describe, filled, text_of
from weftwork.scheduler.functions.runtime import initialize, session_of
from weftwork.scheduler.functions.tracing import Tracing
from weftwork.scheduler.request.feeds import convert_feed
from weftwork.scheduler.request.fetches import conversion_of
from weftwork.scheduler.session.session import BaseSession

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
_LOG = logging.getLogger("weftwork")
_MANY = (5, 10, 20, 40, 80)
"""Traces of a function of which its program is warned."""
_ADVICE = (
    "Each trace takes time and memory. What differs from call to call should be data, as numbers and arrays are, and "
    "arguments that are named in traced=(...); what the function refers to should not change."
)
_WHOLE = (Op, Operation, Operators, Graph, BaseSession)
"""What a function may refer to that is the same as long as it is the same object."""
_tracing = fresh(threading.RLock())
"""Held by the thread that traces."""
_NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD


class Trace:
    """The nodes of one kind of call.

    graph: where they are.   inputs: the tensors that are fed.   outputs: the tensors of what the function returned.
    """

    def __init__(self, graph: Graph, inputs: list[Tensor], feeds: list[tuple], template: Any, outputs: list[Tensor],
                 effects: list[Operation]):  # fmt: skip
        """feeds: of each input, the number of its datum and what makes of that what is fed, or None.

        template: what the function returned, with slots for the outputs.
        """
        self.graph, self.inputs, self.outputs = graph, inputs, outputs
        self._feeds, self._template = feeds, template
        self.elements: list[Tensor | Operation] = [*outputs, *effects]
        """All that a call runs."""
        self._single = type(template) is nest.Slot
        self._prepared: tuple[Any, Callable] = (None, list)

    def feeds(self, data: Sequence[Any]) -> list:
        """What is fed for the inputs."""
        return [data[at] if convert is None else convert(data[at]) for at, convert in self._feeds]

    def run(self, session: Any, data: Sequence[Any]) -> Any:
        """What the function returns for these data."""
        prepared = self._prepared
        if prepared[0] is not session:
            prepared = self._prepared = session, self._prepare(session)
        values = prepared[1](self.feeds(data))
        return values[0] if self._single else nest.fill(self._template, values)

    def _prepare(self, session: Any) -> Callable:
        """What runs it in a session. A variable without a value gets its initial one."""
        if not self.elements:
            return list
        run = session.prepare(self.elements, self.inputs)
        ops = [element.op if isinstance(element, Tensor) else element for element in self.elements]

        def call(fed: list) -> list:
            try:
                return run(fed)
            except FailedPreconditionError:  # nothing has run: a run begins with the variables' values
                if not initialize(session, ops, dict(zip(self.inputs, fed, strict=True))):
                    raise
            return run(fed)

        return call


class _State:
    """What one function keeps of one graph."""

    def __init__(self, graph: Graph, seen: int):
        self.graph, self.seen = graph, seen
        """seen: the version of what it refers to that its traces were made with."""
        self.traces: dict[tuple, Trace] = {}
        self.count = 0
        self.lines: list[str] = []
        """The arguments of the last trace, for a reader."""
        self.variables: list[Variable] = []


class Function(Generic[P, R]):
    """A Python function that is traced once for each kind of call, and run from its graph. Made by `function`.

    `f.function` is the plain function.
    """

    def __init__(self, function: Callable, static: tuple, traced: tuple, shapes: Any, max_traces: int):
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self._options = static, traced, shapes, max_traces
        self._exact, self._shapes, self._most = shapes is True, declared(shapes), max_traces
        self._signature = inspect.signature(function)
        self._names = list(self._signature.parameters)
        whole = {**dict.fromkeys(traced, False), **dict.fromkeys(static, True)}
        for name in (*whole, *self._shapes):
            if name not in self._names:
                raise ValueError(f"{named(function)} has no argument {name!r}; it has {', '.join(self._names)}.")
        self._whole = [(self._names.index(name), name, is_static) for name, is_static in whole.items()]
        self._owner: type | None = None
        """The class whose method it is."""
        self._captured = Captured(function, _WHOLE)
        self._lock = fresh(threading.RLock())
        """Held while that is looked at."""
        self._home = stacks.entered_graph()
        """The graph that it was made in, if one was entered then."""
        self._scopes: WeakKeyDictionary[Graph, Any] = WeakKeyDictionary()
        """Of the graphs in which it was traced, the scope of its variables."""
        self._state = _State(self._graph(), self._captured.version)

    # Calls

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function returns, computed now. With tensors of a graph that is being made: its nodes.

        A call in a function that is traced is a part of that one's trace.
        """
        if stacks.local.tracing is not None:
            return self._inline(stacks.local.tracing, args, kwargs)
        if self._owner is not None and args and isinstance(args[0], self._owner):  # it was asked of the class
            return self.__get__(args[0])(*args[1:], **kwargs)
        if kwargs or self._whole:
            args, kwargs = self._settled(args, kwargs)
        data: list = []
        try:
            trace = self._find(args, kwargs, data)
        except Symbolic:
            return self._in_graph(*_plain(args, kwargs))
        return trace.run(session_of(trace.graph), data)

    def trace(self, /, *args: Any, **kwargs: Any) -> Trace:
        """What a call with such arguments runs: its `graph`, `inputs` and `outputs`. Nothing is run.

        Raises TypeError for tensors among the arguments.
        """
        try:
            return self._find(*self._settled(args, kwargs), [])
        except Symbolic:
            raise TypeError(f"{named(self)}.trace takes values, not tensors.") from None

    def explain(self, /, *args: Any, **kwargs: Any) -> Any:
        """The plan of such a call, for a reader: see `Session.explain`. Nothing is run but the tracing."""
        data: list = []
        trace = self._find(*self._settled(args, kwargs), data)
        feeds = dict(zip(trace.inputs, trace.feeds(data), strict=True))
        return session_of(trace.graph).explain(trace.elements, feeds)

    @property
    def trace_count(self) -> int:
        """How often it was traced so far."""
        return self._state.count

    @property
    def variables(self) -> list[Variable]:
        """The variables that were made in it."""
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

    # Its traces

    def _settled(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """The arguments by position as far as they have one, and those that are one piece marked."""
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
        """The trace for some arguments, made if it is not there yet; `data` gets their data."""
        key: list = []
        for value in args:
            describe(value, key, data, self._exact)
        for name in kwargs:
            key.append(name)
            describe(kwargs[name], key, data, self._exact)
        state = self._state
        if self._look() != state.seen or state.graph is not self._graph():
            state = self._look_again()
        try:
            trace = state.traces.get(tuple(key))
        except TypeError as error:
            raise self._unhashable(args, kwargs, error) from None
        return trace or self._trace(state, tuple(key), args, kwargs)

    def _look(self) -> int:
        """The version of what the function refers to."""
        with self._lock:
            return self._captured.look()

    def _graph(self) -> Graph:
        """The graph that a call belongs to: what was entered by its thread, or where the function was made."""
        return stacks.entered_graph() or self._home or stacks.program_graph()

    def _look_again(self) -> _State:
        """Something that the function refers to has changed, or it is in another graph: traces are no good any more."""
        with _tracing:
            state, version, graph = self._state, self._look(), self._graph()
            if state.graph is not graph:
                state = self._state = _State(graph, version)
            elif version != state.seen:
                if state.traces:
                    _LOG.info("What %s refers to has changed: it is traced again", named(self.function))
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
                    f"The argument {name!r} of {named(self.function)} is static: a value of it makes a trace, which is "
                    f"found by its hash, but {value!r} has none ({found}). Pass a tuple or a frozen dataclass, say, or "
                    "let it be data."
                )
        return error

    def _named(self, args: tuple, kwargs: dict) -> Iterable[tuple[str, Any]]:
        """Each argument with its name."""
        parameters = self._signature.parameters
        single = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        rest = next((name for name, p in parameters.items() if p.kind is p.VAR_POSITIONAL), "argument")
        yield from zip(single, args, strict=False)
        yield from [(f"{rest}_{number}", value) for number, value in enumerate(args[len(single) :])]
        yield from kwargs.items()

    def _trace(self, state: _State, key: tuple, args: tuple, kwargs: dict) -> Trace:
        with _tracing:
            known = state.traces.get(key)
            if known is not None:
                return known
            self._tell(state, args, kwargs)
            graph = state.graph
            graph.switch_to_thread_local()
            outer, graph.variable_scope = graph.variable_scope, None
            try:
                with graph.as_default(), graph.name_scope(None), graph.in_section(None), graph.device(None):
                    with graph.control_dependencies(None):
                        trace = self._made(state, graph, args, kwargs)
            finally:
                graph.variable_scope = outer
            state.count += 1
            state.seen = self._look()  # what tracing itself has changed does not count
            state.traces[key] = trace
            return trace

    def _made(self, state: _State, graph: Graph, args: tuple, kwargs: dict) -> Trace:
        with Tracing(graph) as tracing, self._opened(state, tracing):
            inputs = _Inputs(tracing, self._exact, self._shapes)
            given = [inputs.enter(name, value) for name, value in self._named(args, {})]
            named_ones = {name: inputs.enter(name, value) for name, value in kwargs.items()}
            result = _output(self.function(*given, **named_ones), tracing)
            found: list[Tensor] = []
            template = nest.lift(result, found, _tensor)
            effects = tracing.effects()
        return Trace(graph, *inputs.taken(found), template, found, effects)

    def _tell(self, state: _State, args: tuple, kwargs: dict) -> None:
        """Say that it is traced, and why. Raises RuntimeError once it was traced as often as it may be."""
        lines, name = [], named(self.function)
        for argument, value in self._named(args, kwargs):
            key: list = []
            describe(value, key, [], self._exact)
            lines.append(f"{argument}: {', '.join(map(text_of, key))}")
        before, state.lines = state.lines, lines
        new = [line for line in lines if line not in before] or ["what it refers to has changed"]
        if state.count >= self._most:
            raise RuntimeError(
                f"{name} was traced {state.count} times, which is the most that it may (max_traces). {_ADVICE} "
                f"The last call differs from the one before by: {'; '.join(new)}."
            )
        if state.count:
            _LOG.info("%s is traced again, the %d. time, for %s", name, state.count + 1, "; ".join(new))
        if state.count + 1 in _MANY:
            _LOG.warning("%s was traced %d times. %s The last one: %s", name, state.count + 1, _ADVICE, "; ".join(new))

    # In a graph that is being made

    def _inline(self, tracing: Tracing, args: tuple, kwargs: dict) -> Any:
        with self._opened(self._state, tracing):
            return self.function(*args, **kwargs)

    def _in_graph(self, args: tuple, kwargs: dict) -> Any:
        """The nodes of a call; who fetches its results gets its effects, too."""
        found: list[Tensor] = []
        nest.lift_call(args, kwargs, found, as_tensor)
        graph = graph_of(found)
        with graph.as_default(), Tracing(graph) as tracing, self._opened(self._state, tracing):
            result = _output(self.function(*args, **kwargs), tracing)
            effects = tracing.effects()
        if not effects:
            return result
        with graph.as_default(), graph.control_dependencies(effects):
            return _mapped(result, identity)

    @contextmanager
    def _opened(self, state: _State, tracing: Tracing) -> Iterator[None]:
        """The scope of the function's names and variables: those of `get_variable` are shared by its traces."""
        graph = tracing.graph
        scope = self._scopes.get(graph)
        opened = (None, _word(named(self.function))) if scope is None else (scope,)

        def made(variable: Variable | None) -> None:
            if variable is not None:
                state.variables.append(variable)
            elif scope is not None:
                raise ValueError(
                    f"{named(self.function)} makes a variable, though it was traced before. A function makes its "
                    "variables once, when it is first traced: make them outside of it, or only where they are not "
                    "there yet (`if self.w is None: self.w = weftwork.shared(0)`)."
                )

        with tracing.making(made), variable_scope(*opened, reuse=None if scope is None else AUTO_REUSE) as entered:
            yield
        self._scopes.setdefault(graph, entered)


class _Inputs:
    """The placeholders for a call's data."""

    def __init__(self, tracing: Tracing, exact: bool, shapes: Mapping[str, Any]):
        self._tracing, self._exact, self._shapes = tracing, exact, shapes
        self._entered: list[tuple[Tensor, Callable | None]] = []

    def enter(self, name: str, value: Any) -> Any:
        """An argument as the function gets it while it is traced."""
        return filled(value, functools.partial(self._one, name))

    def _one(self, name: str, value: Any) -> Tensor:
        datum = datum_of(value, self._exact)
        shape, convert = datum.shape, datum.convert
        if name in self._shapes and datum.dtype.numpy.kind in "biufc":
            shape = self._shapes[name]
        tensor = placeholder(datum.dtype, shape, _word(name))
        if name in self._shapes:
            convert = functools.partial(convert_feed, tensor)
            convert(value)
        if datum.weak:
            tensor.op.graph.weak.add(tensor)
        if datum.kept:
            self._tracing.keep(tensor)
        self._entered.append((tensor, convert))
        return tensor

    def taken(self, outputs: Sequence[Tensor]) -> tuple[list[Tensor], list[tuple]]:
        """The placeholders that somebody takes, and of each the number of its datum and what converts it."""
        inputs, feeds = [], []
        for number, (tensor, convert) in enumerate(self._entered):
            for one, by in ((tensor, convert), (self._tracing.kept(tensor), None)):
                if one is not None and (one.op.graph.statistics.last[one.number] >= 0 or one in outputs):
                    inputs.append(one)
                    feeds.append((number, by))
        return inputs, feeds


def _output(value: Any, tracing: Tracing) -> Any:
    """What a function returned, with tensors for all that stands for one."""
    if isinstance(value, Operation):
        tracing.run_too(value)
        return None
    tensor = tracing.argument(value)
    if tensor is not None:
        return tensor
    known = conversion_of(value)
    if known is not None:  # a sparse tensor, say
        parts, contract = known[1](value)
        return contract(parts)
    return nest.rebuild(value, lambda item: _output(item, tracing))


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return change(value) if isinstance(value, Tensor) else nest.rebuild(value, lambda item: _mapped(item, change))


def _plain(args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Arguments without marks."""
    return (
        tuple([a.value if type(a) is Whole else a for a in args]),
        {name: a.value if type(a) is Whole else a for name, a in kwargs.items()},
    )


def _tensor(value: Any) -> Any:
    return value if isinstance(value, Tensor) else None


def _word(name: str) -> str:
    """A name as one that a node may have."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "function"


class _Methods(dict):
    """The methods of one object that are traced, kept with it. A copy of the object has none yet."""

    def __init__(self, owner: Any = None):
        super().__init__()
        self.owner = None if owner is None else weakref.ref(owner)

    def __reduce__(self):
        return _Methods, ()

    def __deepcopy__(self, memo: dict) -> _Methods:
        return _Methods()


_ATTRIBUTE = "_weftwork_functions"
_slotted: dict[int, tuple[Any, _Methods]] = {}
"""Of objects that can keep nothing."""


def _methods(instance: Any) -> _Methods:
    space = getattr(instance, "__dict__", None)
    if space is None:
        return _slotted.setdefault(id(instance), (instance, _Methods()))[1]
    known = space.get(_ATTRIBUTE)
    if type(known) is not _Methods or known.owner is None or known.owner() is not instance:
        known = space[_ATTRIBUTE] = _Methods(instance)
    return known


def _names(given: Any, word: str) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    if not all([isinstance(name, str) for name in names]):
        raise TypeError(f"{word} names arguments, by their names, but got {given!r}.")
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
    """Let a plain Python function run as a graph: its body is traced once for each kind of call, and replayed then.

    While it is traced, its arguments are tensors, and calls of `@op` functions and of the library make nodes. A kind of
    call is the structure of the arguments and the types of their data. Numbers, arrays and other objects are data;
    None, bools, text, Enum members, functions and classes are static: each value makes another trace.

    static: names of arguments that are static, too: their values must have a hash.
    traced: names of arguments that are one piece of data each: a text, or a long list.
    shapes: True: arrays of other shapes make other traces. Or the shapes of arguments, by name: {"x": (None, 784)}.
    max_traces: how often it may be traced. Raises RuntimeError then.
    Raises TypeError for what cannot be traced: an `async def`, a generator. docs/plain_programs.md has the rules.

        @weftwork.function
        def step(x, rate):
            total.add(x * rate)
            return total
    """
    names = _names(static, "static"), _names(traced, "traced")
    if not isinstance(max_traces, int) or max_traces < 1:
        raise ValueError(f"max_traces must be a whole number, 1 or more, not {max_traces!r}.")
    if not isinstance(shapes, (bool, Mapping)):
        raise TypeError(f"shapes is True, False or a mapping of names to shapes, not {shapes!r}.")

    def made(function: Callable) -> Function:
        _check(function)
        return Function(function, *names, shapes, max_traces)

    return made if function is None else made(function)


def _check(function: Any) -> None:
    if not callable(function):
        raise TypeError(f"weftwork.function takes a function, not {function!r}. Write options by name.")
    if isinstance(function, (type, Op)):
        raise TypeError(f"weftwork.function takes a plain function, not {function!r}.")
    if is_async(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{named(function)} is an `async def` or a generator, which cannot be traced. Let it be an @op, "
            "and call it in a plain function."
        )
