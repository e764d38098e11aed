"""Dask graphs: `get`, a scheduler for `dask.compute(..., scheduler=weftwork.dask.get)`.

step      a task that has to run, which becomes a node: its key, the keys of its inputs, and the op of its functions

Dask itself calls a task (`Task.__call__`), converts graphs of the older form, and keeps the state that its callbacks
see. If there are callbacks, tasks run in Dask's own order. Graphs of the same form are planned once (`dask_plans`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.pool import Pool
from time import perf_counter, thread_time
from typing import Any, NoReturn

from weftwork.actors.processes.pickling import use_reducers
from weftwork.graph.cores import usable_cores
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.errors import OpError
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Tensor
from weftwork.graph.python.amounts import count_of
from weftwork.graph.python.callables import named
from weftwork.graph.python.captured_kinds import given
from weftwork.graph.python.ownership import is_atom
from weftwork.scheduler.doors.dask_plans import Spec, Step, compute
from weftwork.scheduler.doors.held import Held
from weftwork.scheduler.doors.pace import PACES, belongs_beside
from weftwork.scheduler.doors.running import changes_given, code_of, holds_nothing, op_of, plainly, staying

try:
    from dask import config
    from dask._task_spec import DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
    from dask.callbacks import local_callbacks, unpack_callbacks
    from dask.core import flatten, literal
    from dask.local import finish_task, get_sync, nested_get, start_state_from_dask
    from dask.order import order
    from toolz.functoolz import Compose
except ImportError as missing:
    raise ImportError("weftwork.dask needs Dask 2024.12 or later: pip install 'weftwork[dask]'") from missing


def get(
    dsk: Any,
    keys: Any,
    cache: Any = None,
    num_workers: int | None = None,
    pool: Any = None,
    callbacks: Any = None,
    rerun_exceptions_locally: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Compute keys of a Dask graph. Returns their values, in tuples nested as the lists of `keys` are.

    dsk: a Dask graph, or a collection that has one.   cache: a dict of values that are known already, by key.
    The wanted values, and data in the graph, are added.
    num_workers: how many tasks may run at once; by default what Dask's configuration says, else the number of CPUs.
    pool: only its number of workers is used.   callbacks: Dask callbacks, in addition to those that are registered.
    rerun_exceptions_locally: if a task fails, run everything again in this thread, where a debugger can look.
    Raises what a task raised, KeyError or ValueError for a missing key, RuntimeError for a cycle, and TypeError or
    ValueError for invalid arguments.
    """
    if not isinstance(dsk, Mapping):
        if not hasattr(dsk, "__dask_graph__"):
            raise TypeError(f"get takes a Dask graph, or a collection that has one, not {dsk!r}.")
        dsk = dsk.__dask_graph__()
    dsk = convert_legacy_graph(dsk)
    wanted = set(flatten(keys)) if isinstance(keys, list) else {keys}
    most = num_workers or config.get("num_workers", None) or _workers(pool or config.get("pool", None))
    if most is not None:
        most = count_of("num_workers", most)
    with local_callbacks(callbacks) as active:
        computation = _Watched(dsk, wanted, cache, active) if active else _Computation(dsk, wanted, cache)
        run = functools.partial(computation.run, most)
        if rerun_exceptions_locally or config.get("rerun_exceptions_locally", False):
            with suppress(OpError):
                return nested_get(keys, run())
            return get_sync(dsk, keys)
        return nested_get(keys, plainly(run))


def _workers(pool: Any) -> Any:
    """The number of workers of an executor or of a pool of `multiprocessing`; None without one."""
    if pool is None:
        return None
    count = getattr(pool, "_processes" if isinstance(pool, Pool) else "_max_workers", None)
    if count is None:
        raise TypeError(f"pool must be an executor or a pool, not {pool!r}.")
    return count


class _Computation:
    """One computation.   known: values by key: those given, and the data in the graph once it was walked."""

    def __init__(self, dsk: Mapping, wanted: set, cache: Any):
        self.dsk, self.wanted, self.cache = dsk, wanted, cache
        self.known: dict[Hashable, Any] = dict(cache or {})
        self._ops: dict = {}
        self._lasting: dict[int, bool] = {}
        self._cores = self._most = usable_cores()

    def run(self, most: int | None) -> Mapping:
        """The values of the wanted keys. Raises KeyError for one that is missing."""
        self._find_wanted()
        values = self._computed(most)
        if self.cache is not None:
            self.cache.update(values)
        return values

    def _find_wanted(self) -> None:
        for key in self.wanted.difference(self.known):
            self.dsk[key]

    def _sequence(self) -> list[tuple[Hashable, GraphNode, list]]:
        """The tasks to run with their keys and dependencies, each as soon as its dependencies are there.

        Data in the graph become known.
        """
        place = {key: number for number, key in enumerate(dict.fromkeys(itertools.chain(self.dsk, self.known)))}
        begun: set[Hashable] = set()
        done = set(self.known)
        needed: list[tuple] = []
        left: list[Any] = [(key, None) for key in sorted(self.wanted, key=place.__getitem__, reverse=True)]
        while left:
            key, dependencies = left[-1]
            task: Any = self.dsk.get(key)
            if key in done:
                left.pop()
            elif dependencies is not None:
                left.pop()
                done.add(key)
                needed.append((key, task, dependencies))
            elif _is_data(task):
                done.add(key)
                self.known[key] = task()
            else:
                if task is None or key in begun or not place.keys() >= task.dependencies:
                    self._refuse()
                begun.add(key)
                dependencies = sorted(task.dependencies, key=place.__getitem__)
                left[-1] = key, dependencies
                left += [(each, None) for each in reversed(dependencies) if each not in done]
        return needed

    def _refuse(self) -> NoReturn:
        """Let Dask report the missing key or the cycle."""
        start_state_from_dask(self.dsk, self.cache, order(self.dsk).get, list(self.wanted))
        raise RuntimeError("Dask finds nothing wrong with a graph that cannot be ordered")

    def _computed(self, most: int | None) -> Mapping:
        self._most = most or self._cores
        steps = [self._step(*each) for each in self._sequence()]
        wanted = self.wanted.difference(self.known)
        lasting = all(self._lasting.values())
        return self.known | compute(steps, wanted, self.known, most, self._node, lasting) if wanted else self.known

    def _step(self, key: Hashable, task: GraphNode, names: list) -> Step:
        functions = tuple({id(each): each for each in _functions(task)}.values())
        for each in functions:
            if id(each) not in self._lasting:
                self._lasting[id(each)] = holds_nothing(each)
                if type(each).__name__ == "maybe_buffered_partd":
                    _keep_buffers_here()
        stays = any(map(changes_given, functions)) and not is_atom(tuple(self._given(task, names)))
        name = named((*functions, call_task)[0])
        make = op_of(call_task, functions, name, stays, self._ops)
        if self._most > 1 and (stays or self._most > self._cores or make.kernel.captured.writes):
            pace = PACES.of(tuple(map(code_of, functions)))
            if belongs_beside(make.kernel.captured, stays, pace, self._most):
                make = op_of(call_and_learn, functions, name, stays, self._ops, beside=True)
        return Step(key, Spec(task, names), make)

    def _node(self, graph: Graph, step: Step, spec: Any, inputs: list) -> Tensor:
        """Add the node of a task.   spec: the Spec, or the tensor that is fed with it."""
        return step.make.of_atoms(graph, (spec, *inputs))

    def _given(self, task: GraphNode, names: Iterable[Hashable]) -> Iterator[Any]:
        """The objects of the program that a task gets: data of the graph, and constants in the task."""
        yield from [self.known[name] for name in names if name in self.known]
        yield from [self.dsk[name]() for name in names if _is_data(self.dsk.get(name))]
        yield from [part.value if isinstance(part, DataNode) else part for part in _parts(task) if not _is_task(part)]


class _Watched(_Computation):
    """A computation with Dask callbacks."""

    def __init__(self, dsk: Mapping, wanted: set, cache: Any, callbacks: Iterable):
        super().__init__(dsk, wanted, cache)
        self.callbacks = callbacks
        self.state: dict[str, Any] = {}
        _, _, self._before, self._after, _ = unpack_callbacks(callbacks)
        self._rank: Callable[[Hashable], int] = {}.get  # type: ignore[assignment]

    def run(self, most: int | None) -> Mapping:
        """The values of the wanted keys. Callbacks are called at the start, and at the end even if a task fails."""
        begun: list = []
        failed = True
        try:
            for callback in self.callbacks:
                if callback[0]:
                    callback[0](self.dsk)
                begun.append(callback)
            self._find_wanted()
            self._rank = order(self.dsk).get  # type: ignore[assignment]
            self.state = start_state_from_dask(self.dsk, self.cache, self._rank, list(self.wanted))
            for callback in self.callbacks:
                if callback[1]:
                    callback[1](self.dsk, self.state)
            self.known = dict(self.state["cache"])
            values = self._computed(most)
            failed = False
            return values
        finally:
            for callback in begun:
                if callback[4]:
                    callback[4](self.dsk, self.state, failed)

    def _sequence(self) -> list[tuple[Hashable, GraphNode, list]]:
        """The tasks to run, in Dask's order."""
        needs = self.state["dependencies"]
        keys = [key for key in needs if key in self.dsk and key not in self.known]
        return [(key, self.dsk[key], list(needs[key])) for key in sorted(keys, key=self._rank)]

    def _step(self, key: Hashable, task: GraphNode, names: list) -> Step:
        if self._before or self._after:
            self._lasting[0] = False  # its nodes call this object
        return super()._step(key, task, names)

    def _node(self, graph: Graph, step: Step, spec: Any, inputs: list) -> Tensor:
        if not (self._before or self._after):
            return super()._node(graph, step, spec, inputs)
        with control_dependencies([staying(self._started)(Held(step.key), *inputs)]):
            value = super()._node(graph, step, spec, inputs)
        with control_dependencies([value]):
            return staying(self._finished)(Held(step.key), value)

    def _started(self, key: Held, *inputs: Held) -> None:
        """Call the callbacks of a task that is about to begin. Runs as a node."""
        self.state["ready"].remove(key.value)
        self.state["running"].add(key.value)
        for callback in self._before:
            callback(key.value, self.dsk, self.state)

    def _finished(self, key: Held, value: Held) -> Held:
        """Call the callbacks of a task that is done, and pass on its value. Runs as a node."""
        self.state["cache"][key.value] = value.value
        finish_task(self.dsk, key.value, self.state, self.wanted, self._rank)
        for callback in self._after:
            callback(key.value, value.value, self.dsk, self.state, None)
        return value


@functools.cache
def _keep_buffers_here() -> None:
    """Let the buffers of a shuffle stay in this process, and with them the tasks that write into them and read them.

    A pickled buffer is a copy: what a task in another process writes into it would be lost.
    """
    import partd

    def refuse(buffer: Any) -> NoReturn:
        raise TypeError(f"cannot pickle a partd.{type(buffer).__name__}: it exists once, in this process")

    use_reducers({partd.Buffer: refuse, partd.Dict: refuse})


def _is_data(task: Any) -> bool:
    """True for a task that only returns a value of the program."""
    return isinstance(task, DataNode) or (isinstance(task, Task) and isinstance(task.func, literal))


def _is_task(part: Any) -> bool:
    return isinstance(part, (GraphNode, TaskRef)) and not isinstance(part, DataNode)


def _parts(task: Any) -> list[Any]:
    """A task and its arguments, and those of the tasks among them."""
    left = [task]
    for item in left:
        if isinstance(item, GraphNode):
            left.extend(getattr(item, "args", None) or ())
            left.extend((getattr(item, "kwargs", None) or {}).values())
        elif isinstance(item, Mapping):  # a graph inside a task
            left.extend([part for part in item.values() if isinstance(part, GraphNode)])
        elif type(item) in (list, tuple):
            left.extend([part for part in item if isinstance(part, GraphNode)])
    return left


def _functions(task: Any) -> Iterator[Callable]:
    """The functions that a task calls, including those of tasks among its arguments, and those of the program that it
    is given."""
    for part in _parts(task):
        if not isinstance(part, GraphNode):
            yield from given([part]) if callable(part) else []
        elif callable(function := getattr(part, "func", None)):
            yield from _inside(function)


def _inside(function: Any) -> list[Callable]:
    """A function; or the functions that it was composed of, because each computation composes them anew."""
    if type(function) is functools.partial:
        bound = [*function.args, *function.keywords.values()]
        parts = [function.func, *[each for each in bound if not _is_plain(each)]]
    elif isinstance(function, Compose):
        parts = [function.first, *function.funcs]
    else:
        return [function]
    found = [inner for part in parts for inner in _inside(part)]
    return found if all(map(holds_nothing, found)) else [function]


def _is_plain(value: Any) -> bool:
    """True for atoms, and for lists and dicts of them."""
    if type(value) is dict:
        value = (*value, *value.values())
    return all(map(_is_plain, value)) if type(value) is list else is_atom(value)


def call_task(*bound: Any) -> Held:
    """Call a task. Runs as a node.

    bound: the functions of the task, its Spec, and a Held for each of its inputs.
    """
    at = next(place for place, item in enumerate(bound) if isinstance(item, Held))
    (task, names), *values = [held.value for held in bound[at:]]
    return Held(task(dict(zip(names, values, strict=True))))


def call_and_learn(*bound: Any) -> Held:
    """As `call_task`, in a thread beside the others: learn how long the task takes."""
    began, before = perf_counter(), thread_time()
    held = call_task(*bound)
    functions = itertools.takewhile(lambda item: not isinstance(item, Held), bound)
    PACES.learn(tuple(map(code_of, functions)), perf_counter() - began, thread_time() - before)
    return held
