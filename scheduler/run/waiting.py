"""What an active run is waiting for, and the error of a run whose time limit has passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from time import monotonic
from typing import Any, NamedTuple

from weftwork.graph.drawing.html import table
from weftwork.graph.drawing.words import listed, place_text, time_text
from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Segment

_HEADS = ("waits for", "place", "since", "machine")
_NAMED = 3
"""Most nodes of a segment that are named."""


class Called:
    """The key in `Run.here` of a thread that calls nodes one after another.   node: the current one."""

    __slots__ = ("node",)

    def __init__(self, node: int):
        self.node = node


class Awaited(NamedTuple):
    """What the thread of a run waits for, other than a node, and since when.   names: what is to be reported."""

    place: str
    since: float
    names: Callable[[], tuple[str, ...]]


@dataclass(frozen=True)
class Waiting:
    """Nodes that a run waits for, the kind of place they run in, and the seconds since they were sent there.

    machine: Ray's id of the machine that runs them, or "" if unknown; a worker reports it after a second.
    """

    nodes: tuple[str, ...]
    place: str
    seconds: float
    machine: str = ""

    def row(self) -> tuple[str, ...]:
        """Its row of a table, as HTML."""
        return escape(listed(self.nodes)), place_text(self.place), time_text(self.seconds), escape(self.machine)

    def _repr_html_(self) -> str:
        return table(_HEADS, [self.row()], (2,))


class Waits(list[Waiting]):
    """What the active runs of a session wait for: a list, with a display for notebooks."""

    def _repr_html_(self) -> str:
        return table(_HEADS, [item.row() for item in self], (2,)) if self else "<p>Nothing is being waited for.</p>"


def parts(run: Any) -> Iterator[Any]:
    """An active run and the runs of its parts: branches, loops, what is planned of a cold run, detached nodes."""
    yield run
    inner = [call.inner for call in list(run.calls)] + list(run.detached) + [run.cold and run.cold.inner]
    for each in inner:
        if each is not None:
            yield from parts(each)


def waiting(run: Any) -> list[Waiting]:
    """What an active run waits for at this moment."""
    now = monotonic()
    attempts = list(run.under_way.values())
    found = [
        Waiting(
            _all_names(run, a.segment),
            a.segment.place.value,
            now - a.since,
            a.segment.home.machine or backend.word(a.handle.life, a.token).machine,
        )
        for a in attempts
    ]
    for key, (segment, since, _) in list(run.here.items()):
        if type(key) is Called:
            names, place = (run.flow.ops[key.node].defined_at,), "caller"
        elif segment is not None:  # if None, it is reported below
            names = _all_names(run, segment)
            place = "resident" if segment.place is Place.RESIDENT and segment.slot else "caller"
        else:
            continue
        found.append(Waiting(names, place, now - since, inventory.this_machine()))
    for call, segment in list(run.calls.items()):
        inner = waiting(call.inner) if call.inner is not None else []
        alone = Waiting(_all_names(run, segment), "nested", now - call.since, inventory.this_machine())
        found += inner or [alone]
    found += [item for inner in list(run.detached) for item in waiting(inner)]
    work = run.cold
    if work is not None and work.inner is not None:
        found += waiting(work.inner)
    elif work is not None and work.current is not None:
        found.append(Waiting((work.current.defined_at,), "caller", now - work.since, inventory.this_machine()))
    for wait, segment in list(run.waits.items()):
        found.append(Waiting(_all_names(run, segment), segment.place.value, now - wait.since, inventory.this_machine()))
    awaited = run.awaited
    if awaited is not None:
        found.append(Waiting(awaited.names(), awaited.place, now - awaited.since, inventory.this_machine()))
    return found


def _all_names(run: Any, segment: Segment) -> tuple[str, ...]:
    return _names(run, segment.nodes)


def _names(run: Any, nodes: Sequence[int]) -> tuple[str, ...]:
    return tuple([run.flow.ops[node].defined_at for node in nodes[:_NAMED]])


def awaiting_a_worker(run: Any, ready: Callable[[], Sequence[int]] | None = None) -> Awaited:
    """Nodes wait for a local worker, which is started.   ready: these nodes; by default those that need no others."""

    def names() -> tuple[str, ...]:
        flow = run.flow
        first = [n for n, before in enumerate(flow.neighbours()[0]) if not before and flow.kernels[n] is not None]
        return _names(run, first if ready is None else ready())

    return Awaited(Place.RESIDENT.value, monotonic(), names)


def limit_passed(run: Any) -> str:
    """The error text of a run whose time limit passes now: the limit, and the nodes that it is waiting for."""
    seconds = "" if run.deadline is None else f" of {run.deadline - run.began:.3g} s"
    limit = f"the run took longer than its limit{seconds}"
    nodes = list(dict.fromkeys([node for item in waiting(run) for node in item.nodes]))
    if not nodes:
        return f"{limit}."
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return f"{limit}, and is still waiting for {', '.join(nodes[:_NAMED])}{more}."
