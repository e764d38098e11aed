"""Descriptions of plans and runs for a reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from weftwork.graph.drawing.html import marked, table
from weftwork.graph.drawing.words import listed, time_text
from weftwork.scheduler.compile.needs import ANYWHERE
from weftwork.scheduler.plan.placement import Estimate, Place
from weftwork.scheduler.plan.plan import Plan, Segment

_SHOWN = 50
"""Most segments that a notebook lists."""


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
    new: names of functions that have never been called, so that nothing can be predicted yet.
    last: where the time of the last run of the same fetches went, or "" if none is remembered.
    """

    segments: tuple[SegmentReport, ...]
    critical_path: tuple[str, ...]
    critical_seconds: float
    work: float
    bound: str
    runs: int
    ways: tuple[tuple[str, float, float | None], ...] = field(default=())
    new: tuple[str, ...] = ()
    last: str = ""

    @classmethod
    def of(cls, autotuner: Any, runs: int, inside: Callable[[Any], tuple[Explanation, ...]]) -> Explanation:
        """Explain the plan that an autotuner would run next.

        inside: returns the explanations of the bodies of an operation that is planned separately.
        """
        plan: Plan = autotuner.current.plan
        work = sum(s.seconds for s in plan.segments)
        segments = [_report(plan, segment, inside) for segment in plan.segments]
        new = tuple(_new_functions(plan))
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
            _unknown(new) if new else _bound(plan, work, longest),
            runs,
            tuple([(c.name, c.predicted, c.typical if c.took else None) for c in autotuner.candidates]),
            new,
        )

    def __str__(self) -> str:
        count = len(self.segments)
        times = {0: "not run yet", 1: "run once so far"}.get(self.runs, f"run {self.runs} times so far")
        work = "" if self.new else f"{time_text(self.work)} of work, "
        lines = [f"{count} segment{'s' * (count != 1)}, {work}{times}"]
        for number, s in enumerate(self.segments):
            took = f" (took {time_text(s.measured)})" if s.measured is not None else ""
            took = " (in all lanes together)" if s.place == Place.DYNAMIC.value else took
            cost = "?" if self.new and not s.predicted else time_text(s.predicted)
            lines.append(f"  {number:3d} {s.place:8s} {cost:>9s}{took}  {listed(s.nodes)}: {s.why}")
            lines += [f"      | {line}" for item in s.inside for line in str(item).splitlines()]
        if not self.new:
            lines.append(f"critical path: {time_text(self.critical_seconds)}: {listed(self.critical_path)}")
        lines.append(f"bound: {self.bound}")
        for name, predicted, best in () if self.new else self.ways:
            measured = "not measured yet" if best is None else f"took {time_text(best)}"
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
        first = "first calls of functions in a worker; then " if _new_functions(plan) else ""
        return f"{first}idle lanes take what is ready"
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
        return "first calls, in a process of their own" if unseen else "worth a process of its own"
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


def _new_functions(plan: Plan) -> list[str]:
    """The names of the user functions that have never been called."""
    costs = zip(plan.flow.ops, plan.flow.kernels, Estimate(plan.flow, {}).seconds, strict=True)
    names = [kernel.__name__ for op, kernel, cost in costs if cost is None and op.traits.user and kernel is not None]
    return list(dict.fromkeys(names))


def _unknown(functions: Sequence[str]) -> str:
    return f"unknown until {listed(functions)} {'has' if len(functions) == 1 else 'have'} run once"


def _bound(plan: Plan, work: float, longest: float) -> str:
    if plan.is_dynamic and longest <= 0.8 * work:
        return f"the lanes: {time_text(work)} of work is shared among all that are idle"
    if len(plan.segments) <= 1 and not plan.is_dynamic:
        return "one segment: its own work"
    if longest > 0.8 * work:
        return "the critical path: most of the work cannot run beside other work"
    workers = plan.slots if plan.slots > 1 else sum(s.place is Place.TASK for s in plan.segments)
    return f"the workers: {time_text(work)} of work over {workers} of them at most"
