"""Progress: how many nodes of a run are done, of which functions, and how many seconds are left.

left      seconds until the end, by what each node is known to cost (`remaining`)
credit    the work done by nodes that are still running: observed in this process; elsewhere as much as the CPU time
  says that the run has used, or without it, as if they ran as predicted

It reads events, and a thread looks a few times a second. The run itself does nothing for it.
"""

from __future__ import annotations

import logging
import statistics
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, NamedTuple

from weftwork.actors.programs.stack import frames_of_threads, under_way
from weftwork.graph.drawing.boxes import function_of
from weftwork.graph.operation import Kind, Operation, Tensor
from weftwork.scheduler.compile.pruning import makers_of, prune
from weftwork.scheduler.events.event import Event, is_told
from weftwork.scheduler.events.stream import Stream
from weftwork.scheduler.machines import inventory
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.placement import Estimate
from weftwork.scheduler.run.waiting import Called
from weftwork.scheduler.views.cpu_clock import CpuClock
from weftwork.scheduler.views.remaining import Remaining, Work

_LOG = logging.getLogger("weftwork")
_EVERY = 0.2
"""Seconds between two updates."""
_SHARE = 20
"""The time to the next update is at least this many times what an update takes."""
_QUIET_EVERY = 10.0
"""Seconds between two lines if the output cannot overwrite a line."""
_RUNS_BEFORE, _COUNTED = 3, 5
"""Minimum number of earlier runs whose pace counts, and the maximum that is considered: the last ones."""
_NAMED = 3
"""Maximum number of functions that are named; those with the most work left."""
_RUNS = frozenset(set(Kind) - {Kind.CONSTANT, Kind.PLACEHOLDER, Kind.VARIABLE, Kind.READ, Kind.NOOP})
_DOUBT = 0.5
"""The nodes left are taken to need what was predicted as if this many nodes had shown it."""
_FASTEST = 0.2
"""Least part of the predicted time that nodes are taken to need."""
_NEARLY = 0.95
"""Maximum fraction of the predicted time of running work that counts as done."""

_shown = 0
"""The number of active `with` blocks in which all runs show their progress."""
_lock = threading.Lock()


@contextmanager
def progress() -> Iterator[None]:
    """A context in which every run of every session shows its progress, as `session.run(..., progress=True)` does."""
    global _shown
    with _lock:
        _shown += 1
    try:
        yield
    finally:
        with _lock:
            _shown -= 1


def is_shown() -> bool:
    """True inside a `with tf.progress():` block."""
    return _shown > 0


class Meter:
    """The progress of one run. number: the run's, once it has begun; the thread that makes the Meter begins it."""

    def __init__(self, elements: Sequence[Tensor | Operation], fed: Sequence[Tensor], stream: Stream):
        self._stream = stream
        self._ops: tuple[Operation, ...] = ()
        self._usual: float | None = None
        """Seconds of earlier runs, 0.0 if too few are known; None until determined."""
        self.number: int | None = None
        self.text, self.error = "", ""
        self._todo: dict[Operation, float | None] = {}
        """The remaining nodes, with their predicted seconds."""
        self._done: dict[Operation, float | None] = {}
        self._kernels: dict[Operation, Any] = {}
        self._took = 0.0
        """Seconds that finished nodes have taken."""
        self._began = monotonic()
        self._since: float | None = None
        """When the first node started, if known."""
        self._remaining = Remaining()
        self._tasks = _Tasks()
        self._clock = CpuClock(stream)
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        needed = prune(makers_of(elements, fed), set(fed))
        self._expect({op: (op.kernel, None) for op in needed if op.kind in _RUNS})

    def _expect(self, nodes: dict[Operation, tuple[Any, float | None]]) -> None:
        """Set the nodes of the run, each with its kernel and, if predicted, its seconds."""
        with self._lock:
            self._kernels.update([(op, kernel) for op, (kernel, _) in nodes.items()])
            self._todo = {op: seconds for op, (_, seconds) in nodes.items() if op not in self._done}

    def take(self, event: Event) -> None:
        """Handle an event of the session."""
        if self.number is None and event.kind == "began" and threading.get_ident() == self._thread:
            self.number, self.text, self._ops = event.run, event.text, event.ops
        if event.run != self.number:
            return
        self._clock.take(event)
        if event.kind == "planned" and event.plan is not None:
            self._planned(event.plan.flow)
        elif event.kind == "segment":
            with self._lock:
                self._since = self._since or monotonic() - event.seconds
                if event.lane.place == "task":
                    self._tasks.ended()
                over = {op: self._todo.pop(op) for op in event.ops if op in self._todo}
                self._done.update(over)
                self._took += event.seconds * len(over) / max(1, len(event.ops))
        elif event.kind == "ended":
            self.error = event.text
            if not event.text:
                self._clock.end(self._ops, event.seconds)

    def _planned(self, flow: Any) -> None:
        """Take the nodes from the plan of the whole run, in which equal nodes are merged and constants folded."""
        nodes = [node for node, kernel in enumerate(flow.kernels) if kernel and is_told(flow.ops[node])]
        mine = [op for op in self._todo if op.traits.user] or list(self._todo)
        if 2 * len({flow.ops[node] for node in nodes}.intersection(mine)) >= len(mine):
            seconds = Estimate(flow, {}).seconds
            self._expect({flow.ops[node]: (flow.kernels[node], seconds[node]) for node in nodes})

    def look(self, runs: Iterable[Any] = ()) -> Look:
        """The progress at this moment.   runs: the session's active runs in this process."""
        now = monotonic()
        with self._lock:
            todo, done, kernels, since = dict(self._todo), dict(self._done), dict(self._kernels), self._since
            took = self._took
        work = _Work(kernels)
        pieces, rests = list(self._under_way(runs)), list[tuple[float, float]]()
        waiting, spent = set(todo), 0.0
        slow = self._slow(pieces, now, todo, took, work.of(done), work)
        for piece in pieces:
            since = since or piece.since
            over, more = piece.credit(now, todo, work, slow)
            ended = {op: todo.pop(op) for op in over if op in todo}
            done.update(ended)
            rest = work.of({op: todo[op] for op in piece.ops if op in todo})
            if rest:
                rests.append((rest, more))
                waiting.difference_update(piece.ops)
                spent += max(0.0, now - piece.since - slow * work.of(ended))
        left = None
        if since is not None and not work.unknown:
            finished, whole = work.of(done), work.of(done) + work.of(todo)
            credit, begun = sum([more for _, more in rests]), sum([rest for rest, _ in rests])
            if (used := self._used_part()) is not None:
                known = min(max(0.0, used * whole - finished), _NEARLY * begun)
                rests = [(rest, more * known / credit if credit else 0.0) for rest, more in rests]
                credit, spent, slow = known, known, 1.0
            running = [max(rest - more, (1 - _NEARLY) * rest) for rest, more in rests]
            to_come = [work.one(op, seconds) for op, seconds in todo.items() if op in waiting]
            if self._usual is None:
                self._usual = _usual_seconds(self._stream.recent(), self._ops)
            at = Work(finished, whole, credit, spent, running, to_come)
            left = self._remaining.left(now, since, at, slow, self._usual)
        ran, weights = Counter([function_of(op) for op in done]), Counter[str]()
        for op, seconds in todo.items():
            weights[function_of(op)] += max(work.one(op, seconds), 1e-9)  # type: ignore[assignment]
        whole = ran + Counter([function_of(op) for op in todo])
        functions = [(name, ran[name], whole[name]) for name, _ in weights.most_common(_NAMED)]
        return Look(len(done), len(done) + len(todo), now - self._began, left, functions)

    def _slow(
        self,
        pieces: list[_Piece],
        now: float,
        todo: dict[Operation, float | None],
        took: float,
        expected: float,
        work: _Work,
    ) -> float:
        """How many times as long as predicted nodes take in this run, as on a busy machine.

        took, expected: the seconds of the finished ones, and those predicted. Running ones count if they are late.
        """
        for piece in pieces:
            cost, elapsed = work.of({op: todo[op] for op in piece.ops if op in todo}), now - piece.since
            if not piece.seen and 0 < cost < elapsed:
                took, expected = took + elapsed, expected + cost
        if not expected:
            return 1.0
        doubt = _DOUBT * work.of(todo) / max(1, len(todo))  # few nodes say little about the others
        return max((took + doubt) / (expected + doubt), _FASTEST)

    def _used_part(self) -> float | None:
        """The part of the usual CPU time of such a run that was used by now; None if that is not known."""
        used, usual = self._clock.used(), self._clock.usual(self._ops)
        return None if used is None or usual is None else used / usual

    def _inside(self, runs: Iterable[Any]) -> Iterator[Any]:
        """This run among some, and those inside it."""
        for run in runs:
            if getattr(run, "telling", None) is not None and run.telling.number == self.number:
                yield run
                inner = [*[call.inner for call in list(run.calls)], *run.detached, run.cold and run.cold.inner]
                yield from self._inside([one for one in inner if one is not None])

    def _under_way(self, runs: Iterable[Any]) -> Iterator[_Piece]:
        """The running work of the run and its inner runs at this moment."""
        found = list(self._inside(runs))
        for run in found:
            for key, (segment, since, thread) in list(run.here.items()):
                if type(key) is Called:
                    yield _Piece([run.flow.ops[key.node]], since)
                elif segment is not None:
                    yield _Piece(run.ops_of(segment), since, thread, segment.owners, run.flow)
            if run.cold is not None:
                yield _Piece(run.cold.begun, run.began, seen=True)
            yield from [_Piece(run.ops_of(segment), call.since) for call, segment in list(run.calls.items())]
        attempts = {attempt: run for run in found for attempt in list(run.under_way.values())}
        for attempt, since in self._tasks.begun(list(attempts)):
            yield _Piece(attempts[attempt].ops_of(attempt.segment), since)


class Look:
    """The progress of a run at one moment.

    done, total: nodes.   seconds: since it began.   left: seconds until its end, None while unknown.
    functions: (name, nodes done, all nodes) of those with the most work left.
    """

    def __init__(self, done: int, total: int, seconds: float, left: float | None, functions: list[tuple]):
        self.done, self.total, self.seconds, self.left, self.functions = done, total, seconds, left, functions

    def __str__(self) -> str:
        named = ", ".join([f"{name} {done}/{total}" for name, done, total in self.functions])
        left = "" if self.left is None else f"{_time(self.left)} left"
        return "; ".join([text for text in (left, named) if text])


class _Work:
    """Estimated seconds of nodes. unknown: True if no user function among them has a known cost yet."""

    def __init__(self, kernels: Mapping[Operation, Any]):
        self._kernels = kernels
        self._means: dict[Any, float | None] = {}
        for kernel in set(kernels.values()):
            record = None if kernel is None else COSTS.find(kernel, 0)
            self._means[kernel] = None if record is None else record.seconds
        users = [self._means[kernel] for kernel in {kernel for op, kernel in kernels.items() if op.traits.user}]
        known = [mean for mean in users if mean is not None]
        self.unknown = bool(users) and not known
        self._usual = sum(known) / len(known) if known else 1e-6
        """The estimate for a function that was never seen: the mean of the others."""

    def one(self, op: Operation, seconds: float | None) -> float:
        """The seconds of one node."""
        if seconds is not None:
            return seconds
        mean = self._means.get(self._kernels.get(op))
        return self._usual if mean is None else mean

    def of(self, ops: dict[Operation, float | None]) -> float:
        """The seconds of some nodes."""
        return sum([self.one(op, seconds) for op, seconds in ops.items()])


def _usual_seconds(events: Iterable[Event], fetched: tuple[Operation, ...]) -> float:
    """Seconds of earlier runs of the same fetches, without planning and starting."""
    fetches: dict[int, tuple] = {}
    overhead, took = Counter[int](), list[float]()
    for event in events:
        if event.kind == "began":
            fetches[event.run] = event.ops
        elif event.kind in ("planned", "started") and event.lane.place == "caller":
            overhead[event.run] += event.seconds  # type: ignore[assignment]
        elif event.kind == "ended" and not event.text and fetches.get(event.run) == fetched:
            took.append(max(0.0, event.seconds - overhead[event.run]))
    return statistics.median(took[-_COUNTED:]) if len(took) >= _RUNS_BEFORE else 0.0


# Running work


class _Piece(NamedTuple):
    """Nodes that are running one after another. thread: the thread that runs them, 0 if in another process."""

    ops: list[Operation]
    since: float
    thread: int = 0
    owners: Sequence[int] = ()
    """The node of each step of their program, as an index into the operations of its dataflow."""
    flow: Any = None
    seen: bool = False
    """True if all but the last one are known to be done."""

    def credit(
        self, now: float, todo: dict[Operation, float | None], work: _Work, slow: float
    ) -> tuple[list[Operation], float]:
        """The nodes that are done by now, and the estimated seconds done of the next one.

        slow: how many times as long as predicted nodes take in this run, as on a busy machine.
        """
        if self.seen:
            return self.ops[:-1], 0.0
        over, ops, seconds = list[Operation](), self.ops, (now - self.since) / slow
        step = under_way(frames_of_threads().get(self.thread))[0] if self.thread and self.owners else None
        if step is not None:
            over = [self.flow.ops[node] for node in self.owners[:step] if node >= 0]
            ops = [self.flow.ops[node] for node in self.owners[step : step + 1] if node >= 0]
            seconds = max(0.0, seconds - work.of({op: todo.get(op) for op in over}))
        for op in ops:
            cost = work.one(op, todo.get(op))
            if seconds < cost or op is ops[-1]:
                return over, min(seconds, _NEARLY * cost) if op in todo else 0.0
            seconds -= cost
            over.append(op)
        return over, 0.0


class _Tasks:
    """Estimates which tasks of a run have begun: at most one for each CPU; the others wait in Ray."""

    def __init__(self):
        self._began: dict[Any, float] = {}
        self._ends: list[float] = []

    def ended(self) -> None:
        """Note that a task is done, so another one may begin."""
        self._ends.append(monotonic())

    def begun(self, attempts: Sequence[Any]) -> Iterator[tuple[Any, float]]:
        """The unfinished tasks that have begun, and since when. Actors wait for no CPU."""
        yield from [(attempt, attempt.since) for attempt in attempts if attempt.link is not None]
        tasks = sorted([attempt for attempt in attempts if attempt.link is None], key=lambda attempt: attempt.since)
        cpus = inventory.cpus() if tasks else 0
        for number, attempt in enumerate(tasks[:cpus], len(self._ends) - cpus):
            since = attempt.since if number < 0 else max(attempt.since, self._ends[number])
            yield attempt, self._began.setdefault(attempt, since)


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


# Display


@contextmanager
def showing(stream: Stream, engine: Any, elements: Sequence, fed: Sequence[Tensor]) -> Iterator[Meter]:
    """A context that shows the progress of the run that this thread begins in it."""
    meter, over = Meter(elements, fed, stream), threading.Event()
    display = _display()

    def look() -> None:
        took = 0.0
        while not over.wait(max(_EVERY, _SHARE * took)):
            began = monotonic()
            try:
                display.show(meter, meter.look(engine.under_way()))
            except Exception:  # the run goes on
                _LOG.exception("The progress of a run cannot be shown")
                return
            took = monotonic() - began

    watching = threading.Thread(target=look, name="weftwork-progress", daemon=True)
    with stream.listen(meter.take):
        watching.start()
        try:
            yield meter
        finally:
            over.set()
            watching.join()
            display.end(meter, meter.look())


def _display() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Line()
    return _Bar(tqdm)


class _Bar:
    """A progress bar of tqdm, or in a notebook its widget."""

    def __init__(self, tqdm: Any):
        self._tqdm, self._bar = tqdm, None

    def show(self, meter: Meter, look: Look) -> None:
        """Draw the bar."""
        if self._bar is None:
            form = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
            self._bar = self._tqdm(total=look.total, desc=meter.text or "run", bar_format=form, dynamic_ncols=True)
            if not self._bar.disable:
                self._bar.start_t -= look.seconds
        bar = self._bar
        bar.total, bar.n = look.total, look.done
        bar.set_description_str(meter.text or "run", refresh=False)
        bar.set_postfix_str(str(look), refresh=False)
        bar.refresh()

    def end(self, meter: Meter, look: Look) -> None:
        """Show the final state."""
        whole = look.done if meter.error else look.total
        self.show(meter, Look(whole, look.total, look.seconds, None, look.functions if meter.error else []))
        if self._bar is not None:
            self._bar.close()


class _Line:
    """A line on standard error, overwritten if that is a terminal."""

    def __init__(self):
        self._over = sys.stderr.isatty()
        self._last = monotonic()

    def show(self, meter: Meter, look: Look) -> None:
        """Write the line."""
        if self._over:
            sys.stderr.write(f"\r\x1b[K{_line(meter, look)}")
            sys.stderr.flush()
        elif monotonic() - self._last >= _QUIET_EVERY:
            self._last = monotonic()
            print(_line(meter, look), file=sys.stderr, flush=True)

    def end(self, meter: Meter, look: Look) -> None:
        """Show the final state."""
        start = "\r\x1b[K" if self._over else ""
        how = f"failed: {meter.error.splitlines()[0]}" if meter.error else "done"
        print(f"{start}{meter.text or 'run'}: {how} after {_time(look.seconds)}", file=sys.stderr, flush=True)


def _line(meter: Meter, look: Look) -> str:
    return f"{meter.text or 'run'}: {look.done}/{look.total} nodes, {_time(look.seconds)}; {look}".rstrip("; ")
