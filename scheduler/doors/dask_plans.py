"""Plans of Dask graphs, which are kept for later graphs of the same form.

form      which op each step has, which steps its inputs come from, and which results are wanted
kept      a graph, with a session that has planned it. Its tasks are fed, because their keys and data differ

Programs compute the same expressions again and again, in a loop over files, say. A form is kept when it occurs for the
second time, so a form that occurs only once costs no more than its hash.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

from weftwork.actors.programs.lru import Lru
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.build import placeholder
from weftwork.graph.function import Op
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Tensor
from weftwork.graph.python.forks import fresh, in_child
from weftwork.graph.python.ownership import add_atoms
from weftwork.scheduler.doors.held import Held
from weftwork.scheduler.doors.running import run_graph, session_for
from weftwork.scheduler.plan.collector import collecting_later

_FORMS, _SEEN = 16, 256
"""How many forms are kept, and how many are remembered as having occurred once."""
_MOST = 50_000
"""Maximum number of steps of a form that is kept."""
_SMALL = frozenset([int, float, bool, str, type(None), slice, type, FunctionType, BuiltinFunctionType])
_FEW = 100
"""Kinds of arguments that hold no data, and the parts of a container in a task that are all looked at."""


class Spec(Held):
    """A task with the keys of its inputs. It passes through a graph unchanged."""

    __slots__ = ("_nbytes",)

    def __init__(self, task: Any, names: Sequence[Hashable]):
        super().__init__((task, names))
        self._nbytes = -1

    @property
    def nbytes(self) -> int:
        """The size of the data in the task, in bytes; the task itself counts as small.

        The engine asks several times in a run, and a fused task has tens of parts: they are looked at once.
        """
        if self._nbytes < 0:
            self._nbytes = _bytes_in(self.value[0])
        return self._nbytes


def _bytes_in(task: Any) -> int:
    """The size of the data among the arguments of a task, and of the tasks in it, in bytes."""
    total, left = 64, [task]
    for part in left:
        kind = type(part)
        if kind in _SMALL:
            continue
        if kind.__module__ == "dask._task_spec":
            left.extend(getattr(part, "args", None) or ())
            left.extend((getattr(part, "kwargs", None) or {}).values())
            left.append(getattr(part, "value", None))
        elif kind in (tuple, list, dict) and len(part) <= _FEW:
            left.extend(part.values() if kind is dict else part)
        else:
            total += size_of(part)
    return total


add_atoms(Spec)


class Step(NamedTuple):
    """A task to run.   spec: the task.   make: the op of its node."""

    key: Hashable
    spec: Spec
    make: Op


Node = Callable[[Graph, Step, Any, list], Tensor]
"""Adds the node of a step, for its spec and its inputs."""


class _Kept:
    """A form that is kept. Any number of threads may use it."""

    def __init__(self, steps: Sequence[Step], sources: Sequence[Sequence[int]], wanted: list[int], known: int,
                 most: int | None, node: Node):  # fmt: skip
        with Graph().as_default() as graph, collecting_later():
            specs = [placeholder(object) for _ in steps]
            data = [placeholder(object) for _ in range(known)]
            made: list[Tensor] = []
            for step, spec, places in zip(steps, specs, sources, strict=True):
                made.append(node(graph, step, spec, [made[at] if at >= 0 else data[-1 - at] for at in places]))
            self._session = session_for(graph, most)
            self.run = self._session.prepare([made[at] for at in wanted], [*specs, *data])


_kept: Lru[tuple, _Kept] = Lru(_FORMS)
_seen: Lru[int, bool] = Lru(_SEEN)
_lock = fresh(threading.Lock())


@in_child
def _forget() -> None:
    """The sessions belong to the parent."""
    _kept.clear()


def compute(
    steps: Sequence[Step], wanted: Collection, known: Mapping, most: int | None, node: Node, lasting: bool
) -> dict:
    """The values of the wanted keys.

    steps: in an order in which they can run.   known: values of the other keys.   most: steps that may run at once.
    node: adds a node.   lasting: whether the ops may be kept.
    """
    place: dict[Hashable, int] = {step.key: number for number, step in enumerate(steps)}
    data: list[Held] = []
    sources = []
    for step in steps:
        for name in step.spec.value[1]:
            if name not in place:
                data.append(Held(known[name]))
                place[name] = -len(data)
        sources.append([place[name] for name in step.spec.value[1]])
    places = sorted([place[key] for key in wanted])
    kept = _find(steps, sources, places, len(data), most, node) if lasting and len(steps) <= _MOST else None
    if kept is not None:
        values = kept.run([*[step.spec for step in steps], *data])
    else:
        values = _once(steps, sources, places, data, most, node)
    return {steps[at].key: held.value for at, held in zip(places, values, strict=True)}


def _find(steps: Sequence[Step], sources: list, wanted: list, known: int, most: int | None, node: Node) -> _Kept | None:
    """The kept form of some steps, or None if it occurs for the first time."""
    form = (most, known, *wanted, *[each for step, at in zip(steps, sources, strict=True) for each in (step.make, *at)])
    with _lock:
        kept = _kept.find(form)
        if kept is None and _seen.find(hash(form)):
            kept = _kept.keep(form, _Kept(steps, sources, wanted, known, most, node))
        _seen.keep(hash(form), True)
    return kept


def _once(steps: Sequence[Step], sources: list, wanted: list, data: list, most: int | None, node: Node) -> list:
    """Run a graph in which the tasks are constants."""
    feeds: dict[Tensor, Held] = {}
    with Graph().as_default() as graph, collecting_later():
        for value in data:
            feeds[placeholder(object)] = value
        fed = list(feeds)
        made: list[Tensor] = []
        for step, places in zip(steps, sources, strict=True):
            made.append(node(graph, step, step.spec, [made[at] if at >= 0 else fed[-1 - at] for at in places]))
    return run_graph(graph, [made[at] for at in wanted], feeds, most)
