"""Dask's graphs: a scheduler for `dask.compute(..., scheduler=weftwork.dask.get)`.

Each task is a node of a graph. Dask says itself how a task is called (`Task.__call__`), what a graph of the older form
means, and what its callbacks see: where there are any, tasks come in Dask's own order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from weftwork.graph.build import placeholder
from weftwork.graph.callables import named
from weftwork.graph.default_scopes import control_dependencies
from weftwork.graph.errors import OpError
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Tensor
from weftwork.graph.ownership import is_atom
from weftwork.scheduler.doors.held import Held
from weftwork.scheduler.doors.running import changes_given, op_of, run_graph, staying
from weftwork.scheduler.plan.collector import collecting_later

try:
    from dask import config
    from dask._task_spec import DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
    from dask.callbacks import local_callbacks, unpack_callbacks
    from dask.core import flatten, literal
    from dask.local import finish_task, get_sync, nested_get, start_state_from_dask
    from dask.order import order
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
    """Compute keys of a Dask graph: their values, in nested tuples as `keys` is in nested lists.

    dsk: a graph of Dask's, or what has one.   cache: values by key that are known already.
    num_workers: tasks that run at a time, else that of Dask's configuration, else as many as there are CPUs.
    pool: only its number of workers counts.   callbacks: Dask's, beside those that are registered.
    rerun_exceptions_locally: run all again in this thread, where a debugger can be, once a task has failed.
    Raises what a task raised, KeyError or ValueError for a key that is not there, RuntimeError for a cycle.
    """
    if not isinstance(dsk, Mapping):
        dsk = dsk.__dask_graph__()
    dsk = convert_legacy_graph(dsk)
    wanted = set(flatten(keys)) if isinstance(keys, list) else {keys}
    pool = pool or config.get("pool", None)
    most = num_workers or config.get("num_workers", None) or getattr(pool, "_max_workers", None)
    with local_callbacks(callbacks) as active:
        computation = _Told(dsk, wanted, cache, active) if active else _Computation(dsk, wanted, cache)
        try:
            values = computation.run(most)
        except OpError as error:
            if rerun_exceptions_locally or config.get("rerun_exceptions_locally", False):
                return get_sync(dsk, keys)
            if error.__cause__ is None:  # it is no task's
                raise
            raise error.__cause__ from error.__cause__.__cause__
    return nested_get(keys, values)


class _Computation:
    """One computation: the nodes of its tasks.   known: values that are there, by key; the data of the graph are."""

    def __init__(self, dsk: Mapping, wanted: set, cache: Any):
        self.dsk, self.wanted, self.cache = dsk, wanted, cache
        self.known: dict[Hashable, Any] = dict(cache or {})
        self._ops: dict = {}
        self._tensors: dict[Hashable, Tensor] = {}
        self._feeds: dict[Tensor, Held] = {}

    def run(self, most: int | None) -> Mapping:
        """The values of the wanted keys. Raises KeyError for one that is not there."""
        for key in self.wanted:
            self.dsk[key]
        return self._computed(self._sequence(), most)

    def _sequence(self) -> list[tuple[Hashable, GraphNode, list]]:
        """The tasks that are needed, each after its dependencies, and as soon as these are there, with their keys.

        The data of the graph become known.
        """
        place = {key: number for number, key in enumerate(self.dsk)}
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
        """A key is missing, or there is a cycle. Dask says which."""
        start_state_from_dask(self.dsk, self.cache, order(self.dsk).get, list(self.wanted))
        raise RuntimeError("Dask finds nothing wrong with a graph that cannot be ordered")

    def _computed(self, needed: Iterable[tuple], most: int | None) -> Mapping:
        with Graph().as_default() as graph:
            with collecting_later():
                for key, task, dependencies in needed:
                    inputs = [self._tensors[n] if n in self._tensors else self._fed(n) for n in dependencies]
                    self._tensors[key] = self._node(graph, key, task, tuple(dependencies), inputs)
            fetches = {key: self._tensors[key] for key in self.wanted if key not in self.known}
            made = run_graph(graph, fetches, self._feeds, most) if fetches else {}
        return self.known | {key: held.value for key, held in made.items()}

    def _fed(self, name: Hashable) -> Tensor:
        tensor = self._tensors[name] = placeholder(object)
        self._feeds[tensor] = Held(self.known[name])
        return tensor

    def _node(self, graph: Graph, key: Hashable, task: GraphNode, names: tuple, inputs: list) -> Tensor:
        functions = tuple({id(each): each for each in _functions(task)}.values())
        stays = any(map(changes_given, functions)) and not is_atom(tuple(self._given(task, names)))
        make = op_of(call_task, functions, named((*functions, call_task)[0]), stays, self._ops)
        return make.of_atoms(graph, (Held((task, names)), *inputs))

    def _given(self, task: GraphNode, names: Iterable[Hashable]) -> Iterator[Any]:
        """What a task gets of the program's own: the data of the graph, and constants in it."""
        yield from [self.known[name] for name in names if name in self.known]
        yield from [self.dsk[name]() for name in names if _is_data(self.dsk.get(name))]
        yield from [part.value if isinstance(part, DataNode) else part for part in _parts(task) if not _is_task(part)]


class _Told(_Computation):
    """One of which callbacks of Dask's are told."""

    def __init__(self, dsk: Mapping, wanted: set, cache: Any, callbacks: Iterable):
        super().__init__(dsk, wanted, cache)
        self.callbacks = callbacks
        self.state: dict[str, Any] = {}
        _, _, self._before, self._after, _ = unpack_callbacks(callbacks)
        self._rank: Callable[[Hashable], int] = {}.get  # type: ignore[assignment]

    def run(self, most: int | None) -> Mapping:
        """The values of the wanted keys. The callbacks are told of the beginning and of the end, also of a bad one."""
        told: list = []
        failed = True
        try:
            for callback in self.callbacks:
                if callback[0]:
                    callback[0](self.dsk)
                told.append(callback)
            for key in self.wanted:
                self.dsk[key]  # else KeyError
            self._rank = order(self.dsk).get  # type: ignore[assignment]
            self.state = start_state_from_dask(self.dsk, self.cache, self._rank, list(self.wanted))
            for callback in self.callbacks:
                if callback[1]:
                    callback[1](self.dsk, self.state)
            self.known = dict(self.state["cache"])
            values = self._computed(self._sequence(), most)
            failed = False
            return values
        finally:
            for callback in told:
                if callback[4]:
                    callback[4](self.dsk, self.state, failed)

    def _sequence(self) -> list[tuple[Hashable, GraphNode, list]]:
        """As Dask orders them."""
        needs = self.state["dependencies"]
        keys = [key for key in sorted(needs, key=self._rank) if key in self.dsk and key not in self.known]
        return [(key, self.dsk[key], list(needs[key])) for key in keys]

    def _node(self, graph: Graph, key: Hashable, task: GraphNode, names: tuple, inputs: list) -> Tensor:
        if not (self._before or self._after):
            return super()._node(graph, key, task, names, inputs)
        with control_dependencies([staying(self._started)(Held(key), *inputs)]):
            value = super()._node(graph, key, task, names, inputs)
        with control_dependencies([value]):
            return staying(self._finished)(Held(key), value)

    def _started(self, key: Held, *inputs: Held) -> None:
        """A task is about to begin."""
        self.state["ready"].remove(key.value)
        self.state["running"].add(key.value)
        for callback in self._before:
            callback(key.value, self.dsk, self.state)

    def _finished(self, key: Held, value: Held) -> Held:
        self.state["cache"][key.value] = value.value
        finish_task(self.dsk, key.value, self.state, self.wanted, self._rank)
        for callback in self._after:
            callback(key.value, value.value, self.dsk, self.state, None)
        return value


def _is_data(task: Any) -> bool:
    """True for what holds a value of the program's, and gives that."""
    return isinstance(task, DataNode) or (isinstance(task, Task) and isinstance(task.func, literal))


def _is_task(part: Any) -> bool:
    return isinstance(part, (GraphNode, TaskRef)) and not isinstance(part, DataNode)


def _parts(task: Any) -> list[Any]:
    """A task, and what it holds: its arguments, and those of tasks among them."""
    left = [task]
    for item in left:
        if isinstance(item, GraphNode):
            left.extend(getattr(item, "args", None) or ())
            left.extend((getattr(item, "kwargs", None) or {}).values())
        elif isinstance(item, Mapping):  # a graph in a task
            left.extend([part for part in item.values() if isinstance(part, GraphNode)])
        elif type(item) in (list, tuple):
            left.extend([part for part in item if isinstance(part, GraphNode)])
    return left


def _functions(task: Any) -> Iterator[Callable]:
    """The functions that a task calls, also those of tasks among its arguments."""
    for part in _parts(task):
        if isinstance(part, GraphNode) and callable(function := getattr(part, "func", None)):
            yield function


def call_task(*bound: Any) -> Held:
    """Call a task of Dask's: bound are its functions, the task with the keys of its inputs, and these. Is a node."""
    at = next(place for place, item in enumerate(bound) if type(item) is Held)
    (task, names), *values = [held.value for held in bound[at:]]
    return Held(task(dict(zip(names, values, strict=True))))
