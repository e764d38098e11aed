"""Timelines: what ran where and when, in the format of chrome://tracing and Perfetto; and TensorFlow 1's `tf.timeline`.

Lanes are tracks, and what ran in them slices. Arrows show where values cross, and where work leaves the caller and
comes back. What takes no lane is drawn outside of them: a node in a queue, a branch or a loop whose bodies are runs.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from weftwork.graph.drawing.words import listed, place_text
from weftwork.graph.operation import Operation
from weftwork.scheduler.events.event import IDLE, Event, Lane
from weftwork.scheduler.request.config import StepStats
from weftwork.scheduler.views.costs import write_text
from weftwork.scheduler.views.trace_events import Trace

_PROCESSES = ("resident", "task", "actor")
"""Lanes of other processes."""
_MOMENTS = ("retried", "lost", "repaired", "copied", "stayed", "spilled", "committed")
"""Kinds of events without a duration."""


# Of events


def write_timeline(events: Sequence[Event], path: Any) -> None:
    """Write events as a timeline. Raises an OpError if the file cannot be written."""
    write_text(os.fspath(path), timeline_of(events).to_json())


def timeline_of(events: Sequence[Event]) -> Trace:
    """A timeline of events. A segment of a single node is left out if the node is included."""
    trace = Trace(min([event.sent or event.start for event in events], default=0.0))
    tracks = _Tracks(trace, events)
    ran: dict[tuple[int, Operation], list[Event]] = {}
    nodes = {event.run for event in events if event.kind == "node"}
    alone = {(event.run, event.ops) for event in events if event.kind == "segment" and len(event.ops) == 1}
    fetches = {event.run: event.text for event in events if event.kind == "began"}
    callers: dict[int, tuple[int, int]] = {}
    for event in events:
        if event.kind == "ended":
            callers[event.run] = tracks.of(event.lane)
            name = f"run {event.run}: {fetches[event.run]}" if fetches.get(event.run) else f"run {event.run}"
            trace.slice(callers[event.run], "run", name, trace.at(event.start), 1e6 * event.seconds, _arguments(event))
    for event in events:
        where = tracks.of(event.lane)
        if event.kind in ("segment", "node", "failed"):
            is_alone, is_node = (event.run, event.ops[:1]) in alone, event.kind != "segment"
            if is_node == (event.run in nodes) and not _is_outside(event.lane):  # no slice, so no end of an arrow
                for op in event.ops:
                    ran.setdefault((event.run, op), []).append(event)
            if is_alone and not is_node and event.run in nodes:
                continue
            _show(trace, where, event)
            if event.sent and event.run in callers and is_node == (is_alone and event.run in nodes):
                _show_way(trace, callers[event.run], where, event)
        elif event.kind in ("compiled", "planned", "started", "locked") and event.seconds:
            trace.slice(where, event.kind, event.kind, trace.at(event.start), 1e6 * event.seconds, _arguments(event))
        elif event.kind in _MOMENTS:
            trace.moment(where, event.kind, event.kind, trace.at(event.start), _arguments(event))
    _show_values(trace, tracks, events, ran)
    return trace


def _is_outside(lane: Lane) -> bool:
    """True for what takes no lane, and for what was stopped in a process that has not told its number."""
    return lane.place in IDLE or not lane.pid


def _show(trace: Trace, where: tuple[int, int], event: Event) -> None:
    """Add a segment or a node."""
    show = trace.wait if _is_outside(event.lane) else trace.slice
    title = listed(event.ops, attrgetter("name"))
    show(where, event.kind, title, trace.at(event.start), 1e6 * event.seconds, _arguments(event))


def _arguments(event: Event) -> dict:
    """The details of an event, shown when it is clicked."""
    arguments: dict[str, Any] = {"run": event.run}
    if event.text:
        arguments["text"] = event.text
    if event.ops:
        arguments["nodes"] = len(event.ops)
        arguments["defined at"] = event.ops[0].defined_at
        arguments["op"] = event.ops[0].type
    if event.ready:
        arguments["waited for a lane (ms)"] = round(1e3 * max(0.0, event.start - event.ready), 3)
    if event.packing:
        arguments["packing (ms)"] = round(1e3 * event.packing, 3)
    if event.bytes_in or event.bytes_out:
        arguments["bytes in"], arguments["bytes out"] = event.bytes_in, event.bytes_out
    if event.attempt > 1:
        arguments["attempt"] = event.attempt
    return arguments


def _show_way(trace: Trace, caller: tuple[int, int], where: tuple[int, int], event: Event) -> None:
    """Add arrows for a segment that was sent by the caller, and for its results."""
    if where == caller or _is_outside(event.lane):
        return
    trace.flow("sent", (caller, trace.at(event.sent)), (where, trace.at(event.start)))
    if event.back:
        trace.flow("back", (where, _last(trace, event)), (caller, trace.at(event.back)))


def _last(trace: Trace, event: Event) -> float:
    """A time just before the end of its slice: an arrow that starts at the very end belongs to no slice."""
    return trace.at(max(event.start, event.end - 1e-6))


def _show_values(
    trace: Trace, tracks: _Tracks, events: Sequence[Event], ran: dict[tuple[int, Operation], list[Event]]
) -> None:
    """Add arrows for values passed between lanes."""
    taken = _Inputs(events)
    seen = set()
    for some in ran.values():
        some.sort(key=_start)
    for (run, op), takers in ran.items():
        for other in taken.of(run, op):
            for taker, maker in _pairs(takers, ran.get((run, other), [])):
                key = (id(maker), id(taker))
                if maker.lane != taker.lane and key not in seen:
                    seen.add(key)
                    start = (tracks.of(maker.lane), _last(trace, maker))
                    trace.flow(other.name, start, (tracks.of(taker.lane), trace.at(taker.start)))


_start = attrgetter("start")


def _pairs(takers: Sequence[Event], makers: Sequence[Event]) -> Iterator[tuple[Event, Event]]:
    """Pair each reader with the last maker before it, since a node in a loop runs many times."""
    for taker in takers:
        before = bisect_right(makers, taker.start, key=_start)
        if before:
            yield taker, makers[before - 1]


class _Inputs:
    """The operations whose outputs a node reads: by the plan if there is one, else by the graph."""

    def __init__(self, events: Iterable[Event]):
        self._planned: dict[tuple[int, Operation], tuple[Any, int]] = {}
        for event in events:
            if event.kind == "planned" and event.plan is not None:
                flow = event.plan.flow
                self._planned.update([((event.run, op), (flow, node)) for node, op in enumerate(flow.ops)])

    def of(self, run: int, op: Operation) -> list[Operation]:
        """The operations that a node reads, each once."""
        known = self._planned.get((run, op))
        if known is None:
            return list(dict.fromkeys([tensor.op for tensor in op.inputs]))
        flow, node = known
        made = [flow.producer[value] for value in flow.inputs[node]]
        return list(dict.fromkeys([flow.ops[maker] for maker in made if maker >= 0]))


class _Tracks:
    """The processes and threads of a timeline, with the system's numbers unless two machines share one."""

    def __init__(self, trace: Trace, events: Sequence[Event]):
        self._trace = trace
        self._processes: dict[tuple[str, int], int] = {}
        self._threads: set[tuple[int, int]] = set()
        places: dict[tuple[str, int], set[str]] = {}
        for event in events:
            if event.lane.pid or event.kind in ("failed", "lost"):  # these may have been in a process not known here
                places.setdefault((event.lane.machine, event.lane.pid), set()).add(event.lane.place)
        for (machine, pid), found in sorted(places.items(), key=lambda item: (_rank(item[1]), item[0])):
            number = pid
            while number in self._processes.values():
                number += 1 << 22  # above the numbers that systems use
            self._processes[machine, pid] = number
            trace.process(number, _process_name(machine, found))

    def of(self, lane: Lane) -> tuple[int, int]:
        """The process and the thread of a lane."""
        pid = self._processes.get((lane.machine, lane.pid), 0)
        thread = 0 if lane.place in IDLE else lane.thread
        if (pid, thread) not in self._threads and thread:
            self._threads.add((pid, thread))
            name = lane.place if lane.place not in _PROCESSES else "main thread" if thread == lane.pid else "thread"
            self._trace.thread(pid, thread, place_text(name))
        return pid, thread


def _rank(places: set[str]) -> int:
    """The order of processes: the program first, then its workers."""
    order = ["caller", "thread", *IDLE, "resident", "actor", "task"]
    return min([order.index(place) for place in places])


def _process_name(machine: str, places: set[str]) -> str:
    """The name of a process, to which viewers add its number."""
    kinds = [place_text(place) for place in sorted(places) if place in _PROCESSES]
    return f"{kinds[0] if kinds else 'program'}{f' on {machine}' if machine else ''}"


# TensorFlow 1's


class StepStatsAnalysis(NamedTuple):
    """The result of `Timeline.analyze_step_stats`. allocator_maximums: by allocator, the maximum number of bytes alive
    at a time."""

    chrome_trace: Trace
    allocator_maximums: dict[str, AllocationMaximum]


class AllocationMaximum(NamedTuple):
    """The most bytes of live tensors: the time (microseconds), their number, and the nodes."""

    timestamp: int
    num_bytes: int
    tensors: set[str]


_LABEL = re.compile(r"(.*) = (.*)\((.*)\)", re.DOTALL)


class _Slice(NamedTuple):
    """A node of a StepStats, and where it is shown. stats: the given entry."""

    name: str
    kind: str
    inputs: list[str]
    where: tuple[int, int]
    stats: Any

    @property
    def start(self) -> int:
        """Microseconds since the epoch."""
        return self.stats.all_start_micros

    @property
    def took(self) -> int:
        """Microseconds."""
        return self.stats.all_end_rel_micros


class Timeline:
    """A timeline of the `step_stats` of a traced run: TensorFlow 1's `tf.timeline.Timeline`.

    step_stats: from a RunMetadata, ours or TensorFlow's.   graph: not used; the nodes name their inputs.
    """

    def __init__(self, step_stats: StepStats, graph: Any = None):
        self._stats = step_stats

    def generate_chrome_trace_format(self, show_dataflow: bool = True, show_memory: bool = False) -> str:
        """The text of a file for chrome://tracing and Perfetto.

        show_dataflow: include arrows from each node to the readers of its outputs.   show_memory: include the bytes of
        live tensors, if nodes report their outputs.
        """
        return self.analyze_step_stats(show_dataflow, show_memory).chrome_trace.to_json(indent=4)

    def analyze_step_stats(self, show_dataflow: bool = True, show_memory: bool = True) -> StepStatsAnalysis:
        """The trace, and the peak memory use.

        show_dataflow, show_memory: draw arrows between nodes, and counters of memory.
        """
        trace = Trace()
        slices = self._slices(trace)
        for one in slices:
            args = {"name": one.name, "op": one.kind, **{f"input{n}": name for n, name in enumerate(one.inputs)}}
            trace.slice(one.where, "Op", one.kind, one.start, one.took, args)
        if show_dataflow:
            _show_dataflow(trace, slices)
        maximums = _memory(trace, self._stats, slices, show_memory)
        return StepStatsAnalysis(trace, maximums)

    def _slices(self, trace: Trace) -> list[_Slice]:
        """The nodes, in lanes without overlaps."""
        found = []
        for pid, device in enumerate(self._stats.dev_stats):
            trace.process(pid, f"{device.device} Compute")
            names, ends = dict(device.thread_names), {}
            for stats in sorted(device.node_stats, key=lambda stats: stats.all_start_micros):
                lane = _free_lane(ends, stats)
                name = names.get(stats.thread_id)
                if lane not in ends:
                    trace.thread(pid, lane, name or f"thread {lane}")
                ends[lane] = stats.all_start_micros + stats.all_end_rel_micros
                found.append(_Slice(*_parsed(stats), (pid, lane), stats))
        return found


def _free_lane(ends: dict[int, int], stats: Any) -> int:
    """The lane of a node: its thread, unless that is occupied at the time. ends: when each lane is free again."""
    lane = stats.thread_id
    while ends.get(lane, 0) > stats.all_start_micros:
        lane += 1 << 32  # above the numbers of threads
    return lane


def _parsed(stats: Any) -> tuple[str, str, list[str]]:
    """The name, type and inputs of a node, from its label `name = type(input, input)`."""
    match = _LABEL.match(stats.timeline_label)
    if match is None:
        return stats.node_name, stats.node_name, []
    name, kind, inputs = match.groups()
    return name, kind, inputs.split(", ") if inputs else []


def _show_dataflow(trace: Trace, slices: Sequence[_Slice]) -> None:
    """Add arrows from each node's inputs, as last computed before it."""
    made: dict[str, list[_Slice]] = {}
    for one in sorted(slices, key=_start):
        made.setdefault(one.name, []).append(one)
    for one in slices:
        for name in dict.fromkeys([_node_of(name) for name in one.inputs]):
            makers = made.get(name, [])
            before = bisect_right(makers, one.start, key=_start)
            if before and makers[before - 1].where != one.where:  # as TensorFlow does, only between tracks
                maker = makers[before - 1]
                trace.flow(name, (maker.where, maker.start + max(0, maker.took - 1)), (one.where, one.start))


def _node_of(text: str) -> str:
    """The node of an input: "x" for "x:1" and "^x"."""
    return text.removeprefix("^").partition(":")[0]


def _memory(trace: Trace, stats: Any, slices: Sequence[_Slice], shown: bool) -> dict[str, AllocationMaximum]:
    """By allocator, the most bytes live at a time. shown: add counters to the trace.

    A tensor lives from the end of its node to the end of its last reader.
    """
    last = {one.name: one.start + one.took for one in slices}
    for one in slices:
        for name in map(_node_of, one.inputs):
            if name in last:
                last[name] = max(last[name], one.start + one.took)
    changes: dict[str, list[tuple[int, int, str]]] = {}
    for one in slices:
        for allocator, size in _allocated(one.stats):
            end = one.start + one.took
            changes.setdefault(allocator, []).extend([(end, size, one.name), (last[one.name] + 1, -size, one.name)])
    group = len(stats.dev_stats)
    if shown and changes:
        trace.process(group, "Memory")
    found = {}
    for allocator, rows in changes.items():
        live, most, alive = 0, AllocationMaximum(0, 0, set()), set()
        for at, size, name in sorted(rows):
            live += size
            (alive.add if size > 0 else alive.discard)(name)
            if live > most.num_bytes:
                most = AllocationMaximum(at, live, set(alive))
            if shown:
                trace.counter(group, allocator, at, {"bytes": live})
        found[allocator] = most
    return found


def _allocated(stats: Any) -> Iterator[tuple[str, int]]:
    """The allocator and the bytes of each reported output of a node."""
    for output in getattr(stats, "output", ()):
        described = output.tensor_description.allocation_description
        if described.requested_bytes:
            yield described.allocator_name or "cpu", described.requested_bytes
