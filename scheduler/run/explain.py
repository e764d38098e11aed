"""Descriptions of plans and runs for a reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from time import monotonic
from typing import Any

from weftwork.graph.drawing.html import marked, table
from weftwork.graph.drawing.words import listed, time_text
from weftwork.scheduler.compile.needs import ANYWHERE
from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.plan.placement import Estimate, Place
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.run.run import Called

_SHOWN = 50
"""Most segments that a notebook lists."""
_NAMED = 3
"""Most nodes of a segment that are named."""


@dataclass(frozen=True)
class SegmentReport:
    """One segment: its nodes' names, where it runs and why, predicted and measured seconds (None: not measured).

    inside: the plans of its branches or iterations, if these are planned separately.
    """

    nodes: tuple[str, ...]
    place: str
    why: str
    predicted: float
    measured: float | None
    slot: int = 0
    inside: tuple[Explanation, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """A description of a plan; str() gives a table.

    critical_path: names of the nodes on the longest path, which takes `critical_seconds`.
    work: predicted seconds of all segments.   bound: what limits the speed of the run.
    ways: (name, predicted seconds, median of the measured seconds) of the competing strategies.
    last: where the time of the last run of the same fetches went, or "" if none is remembered.
    """

    segments: tuple[SegmentReport, ...]
    critical_path: tuple[str, ...]
    critical_seconds: float
    work: float
    bound: str
    runs: int
    ways: tuple[tuple[str, float, float | None], ...] = field(default=())
    last: str = ""

    @classmethod
    def of(cls, autotuner: Any, runs: int, inside: Callable[[Any], tuple[Explanation, ...]]) -> Explanation:
        """Explain the plan that an autotuner would run next.

        inside: returns the explanations of the bodies of an operation that is planned separately.
        """
        plan: Plan = autotuner.current.plan
        work = sum(s.seconds for s in plan.segments)
        segments = [_report(plan, segment, inside) for segment in plan.segments]
        if plan.is_dynamic:  # what is known by now: the plan stays the same, whatever nodes cost
            seconds = [cost or 0.0 for cost in Estimate(plan.flow, {}).seconds]
            work = sum(seconds)
            segments = [replace(report, predicted=work) for report in segments]
            names, longest = _chain(plan.flow, seconds)
        else:
            path = _critical(plan)
            longest = sum(s.seconds for s in path)
            names = tuple([name for segment in path for name in _names(plan, segment)])
        return cls(
            tuple(segments),
            names,
            longest,
            work,
            _bound(plan, work, longest),
            runs,
            tuple([(c.name, c.predicted, c.typical if c.took else None) for c in autotuner.candidates]),
        )

    def __str__(self) -> str:
        count = len(self.segments)
        times = {0: "not run yet", 1: "run once so far"}.get(self.runs, f"run {self.runs} times so far")
        lines = [f"{count} segment{'s' * (count != 1)}, {time_text(self.work)} of work, {times}"]
        for number, s in enumerate(self.segments):
            took = f" (took {time_text(s.measured)})" if s.measured is not None else ""
            took = " (in all lanes together)" if s.place == Place.DYNAMIC.value else took
            lines.append(f"  {number:3d} {s.place:8s} {time_text(s.predicted):>9s}{took}  {listed(s.nodes)}: {s.why}")
            lines += [f"      | {line}" for item in s.inside for line in str(item).splitlines()]
        lines.append(f"critical path: {time_text(self.critical_seconds)}: {listed(self.critical_path)}")
        lines.append(f"bound: {self.bound}")
        for name, predicted, best in self.ways:
            measured = "not tried" if best is None else f"took {time_text(best)}"
            lines.append(f"way {name}: predicted {time_text(predicted)}, {measured}")
        if self.last:
            lines.append(f"last run: {self.last}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [
            (listed(s.nodes), s.place, time_text(s.predicted), time_text(s.measured) if s.measured else "", s.why)
            for s in self.segments[:_SHOWN]
        ]
        if len(self.segments) > _SHOWN:
            rows.append((f"and {len(self.segments) - _SHOWN:,} more", "", "", "", ""))
        heads = ("nodes", "place", "predicted", "took", "why")
        head, *below = [line for line in str(self).splitlines() if not line.startswith(" ")]
        return (
            f"<p>{marked(head)}</p>{table(heads, [[escape(cell) for cell in row] for row in rows], (2, 3))}"
            + "".join([f"<p>{marked(line)}</p>" for line in below])
        )


@dataclass(frozen=True)
class Waiting:
    """Nodes that a run waits for, the kind of place they run in, and the seconds since they were sent there.

    machine: Ray's id of the machine that runs them, or "" if unknown; a worker reports it after a second.
    """

    nodes: tuple[str, ...]
    place: str
    seconds: float
    machine: str = ""

    def _repr_html_(self) -> str:
        row = (escape(listed(self.nodes)), self.place, time_text(self.seconds), escape(self.machine))
        return table(("waits for", "place", "since", "machine"), [row], (2,))


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
    return found


def _all_names(run: Any, segment: Segment) -> tuple[str, ...]:
    return tuple([run.flow.ops[node].defined_at for node in segment.nodes[:_NAMED]])


def _names(plan: Plan, segment: Segment) -> tuple[str, ...]:
    return tuple([plan.flow.ops[node].name for node in segment.nodes])


def _report(plan: Plan, segment: Segment, inside: Callable) -> SegmentReport:
    return SegmentReport(
        _names(plan, segment),
        segment.place.value,
        _why(plan, segment),
        segment.seconds,
        segment.measured,
        segment.slot,
        inside(plan.flow.ops[segment.nodes[0]]) if segment.place is Place.NESTED else (),
    )


def _why(plan: Plan, segment: Segment) -> str:
    ops = [plan.flow.ops[node] for node in segment.nodes]
    need = segment.need
    if need is not None and need.alone:
        asked = ", ".join(
            [f"{name}={amount:g}" for name, amount in need.resources] + [f"{k}={v}" for k, v in need.labels]
        )
        return f"asks for a worker{f' with {asked}' if asked else ''}{_at(segment)}"
    if segment.home != ANYWHERE:
        return f"its device is{_at(segment)}"
    if segment.place is Place.DYNAMIC:
        return "idle lanes take what is ready"
    if segment.place is Place.ACTOR:
        return "its variables or large inputs lie there"
    if segment.place is Place.QUEUE:
        return "may wait in a queue of the session"
    if segment.place is Place.LOOP:
        limits = ", ".join([f"{name}={amount}" for name, amount in ops[0].traits.limits])
        return f"waits without a lane{f', with limits {limits}' if limits else ''}"
    if segment.place is Place.NESTED:
        return "its branches or iterations are planned by themselves"
    if segment.place is Place.THREAD:
        return f"beside others, in thread {segment.slot}"
    if segment.place is Place.RESIDENT:
        return f"beside others, in process {segment.slot}" if segment.slot else "beside others, in the caller"
    if segment.place is Place.TASK:
        unseen = any(op.traits.user for op in ops) and segment.seconds == 0.0
        return "never seen: tried in a worker" if unseen else "worth a process of its own"
    return "under the write locks" if segment.locked else "cheapest here"


def _at(segment: Segment) -> str:
    """A text that names its home, or "" if it has none."""
    machine, gpu = segment.home
    return f"{f' on machine {machine[:8]}' if machine else ''}{'' if gpu is None else f', GPU {gpu}'}"


def _critical(plan: Plan) -> list[Segment]:
    """The segments on the longest path."""
    if not plan.segments:
        return []
    path = [max(plan.segments, key=lambda s: s.priority)]
    while path[-1].next:
        path.append(max(path[-1].next, key=lambda s: s.priority))
    return path


def _chain(flow: Any, seconds: Sequence[float]) -> tuple[tuple[str, ...], float]:
    """The longest chain of nodes that need each other, and its seconds."""
    until: list[float] = []
    before: list[int | None] = []
    for node, own in enumerate(seconds):
        makers = [flow.producer[value] for value in flow.inputs[node] if flow.producer[value] >= 0]
        last = max([*makers, *flow.after.get(node, ())], key=until.__getitem__, default=None)
        before.append(last)
        until.append(own + (0.0 if last is None else until[last]))
    node, names = max(range(len(until)), key=until.__getitem__, default=None), []
    longest = 0.0 if node is None else until[node]
    while node is not None:
        names.append(flow.ops[node].name)
        node = before[node]
    return tuple(names[::-1]), longest


def _bound(plan: Plan, work: float, longest: float) -> str:
    if plan.is_dynamic and longest <= 0.8 * work:
        return f"the lanes: {time_text(work)} of work is shared among all that are idle"
    if len(plan.segments) <= 1 and not plan.is_dynamic:
        return "one segment: its own work"
    if longest > 0.8 * work:
        return "the critical path: most of the work cannot run beside other work"
    workers = plan.slots if plan.slots > 1 else sum(s.place is Place.TASK for s in plan.segments)
    return f"the workers: {time_text(work)} of work over {workers} of them at most"
