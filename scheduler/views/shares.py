"""Shares: where the time of a run went.

span      an interval in which the end of the run waited for one thing
path      all spans from the start of the run to its end: its critical path. They have no gaps and do not overlap, so
          the shares add up to the wall time, whatever the events say

The path is followed backward from the end of the run: to the piece whose values arrived last, through its transfer
back, its work and its transfer there, to the time it became ready, then to the piece that made it ready, and so on. If
the clock of another process is slightly off, that only moves the border between two spans.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence, Set
from math import inf
from operator import attrgetter
from typing import NamedTuple

from weftwork.scheduler.events.event import Event, Lane
from weftwork.scheduler.views.pieces import Piece, Waits, pieces

SHARES = {
    "work": "functions of the critical path ran",
    "waiting for a core": "nodes were ready, and had to wait for a free thread or process",
    "pickling": "values were pickled and unpickled on the way",
    "hop": "values and messages crossed between threads and processes",
    "Ray": "the same, by way of Ray",
    "lock": "another run wrote the same variables",
    "planning": "the graph was compiled, and plans were made",
    "starting": "Ray, its processes or local workers were being started or loaded functions, or were another run's",
    "queue": "a queue was empty or full",
    "lost": "work that was lost with the process that did it",
    "rest": "no event covers it: mostly Python's own work in the caller",
}
"""The shares, and what each one means."""
_OVERHEADS = {"locked": "lock", "compiled": "planning", "planned": "planning", "started": "starting"}
"""Events during which the run, or a lane of another process, did nothing else, and their shares."""
_THROUGH_RAY = ("task", "actor")
_HERE = ("caller", "thread")


class Span(NamedTuple):
    """An interval of the run, in seconds since the epoch, and its share. piece: the piece it belongs to, if any."""

    share: str
    start: float
    end: float
    piece: Piece | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


def bounds(events: Sequence[Event]) -> tuple[float, float]:
    """The start and end of a run; an active run ends with its last event. Raises ValueError without events."""
    if not events:
        raise ValueError("There are no events of this run.")
    ended = next((event for event in events if event.kind == "ended"), None)
    if ended is not None:
        return ended.start, ended.end
    return min(event.start for event in events), max(max(event.end, event.back) for event in events)


def critical_path(events: Sequence[Event]) -> list[Span]:
    """The spans of a run, from its start to its end, without gaps.

    events: those of one run. Raises ValueError if there are none.
    """
    begin, end = bounds(events)
    found, around = pieces(events)
    waits = Waits(found, around)
    walk = _BackwardWalk(events, {piece.lane for piece in found}, begin, end)
    number = max(range(len(found)), key=lambda number: (found[number].back, number), default=None)
    arrival = found[number].back if number is not None else begin
    while number is not None:
        piece, crossed = found[number], False
        ready = piece.ready or piece.sent or begin
        walk.rest(arrival)
        before = waits.before(number)
        if before is not None:
            maker = found[before[0]]
            arrival, crossed = maker.arrival(piece.lane), before[1] and maker.lane != piece.lane
            if before[1] or not piece.ready:  # a batch reports when the last of its nodes was ready
                ready = arrival
        walk.through(piece, min(ready, piece.start), crossed, waits)
        number = before[0] if before is not None else None
    walk.rest(begin)
    return walk.spans[::-1]


def shares(path: Sequence[Span]) -> dict[str, float]:
    """The seconds of each share that is not 0, in the order of `SHARES`."""
    found = dict.fromkeys(SHARES, 0.0)
    for span in path:
        found[span.share] += span.seconds
    return {share: seconds for share, seconds in found.items() if seconds > 0.0}


class _BackwardWalk:
    """The walk backward from the end of a run. now: the time reached so far.

    lanes: those of its pieces. A process whose work was too short to be reported has none: its start counts where
    nothing else is known.
    """

    def __init__(self, events: Sequence[Event], lanes: Set[Lane], begin: float, end: float):
        self.now, self.spans = end, list[Span]()
        self._begin = begin
        spans = [event for event in events if event.kind in _OVERHEADS]
        run = [_interval_of(event) for event in spans if event.lane.place in _HERE]
        self._overheads = _disjoint(run)
        silent = [event for event in spans if event.lane.place not in _HERE and event.lane not in lanes]
        self._between = _disjoint([*run, *map(_interval_of, silent)])
        self._starts: dict[Lane, list[_Interval]] = {}
        for event in sorted([event for event in spans if event.lane.place not in _HERE], key=attrgetter("start")):
            self._starts.setdefault(event.lane, []).append(_interval_of(event))
        self._of_lane = {lane: _disjoint([*run, *its]) for lane, its in self._starts.items()}
        self._lost = [event for event in events if event.kind == "lost"]

    def cut(self, share: str, until: float, piece: Piece | None = None) -> None:
        """Walk back to a time and add a span. An empty interval, or one before the run, adds none."""
        until = max(until, self._begin)
        if until < self.now:
            self.spans.append(Span(share, until, self.now, piece))
            self.now = until

    def rest(self, until: float, share: str = "rest", piece: Piece | None = None) -> None:
        """Walk back to a time through an interval in which only waits and planning are known."""
        known = self._between if piece is None else self._of_lane.get(piece.lane, self._overheads)
        self._around(known, until, share, piece)

    def hop(self, until: float, share: str, piece: Piece) -> None:
        """Walk back to a time through the transfer of a piece to its lane, whose process may have been starting."""
        self._around(self._starts.get(piece.lane, ()), until, share, piece)

    def _around(self, spans: Sequence[_Interval], until: float, share: str, piece: Piece | None) -> None:
        last = bisect_left(spans, (self.now,)) - 1
        while last >= 0 and spans[last][1] > until:
            start, end, word = spans[last]
            self.cut(share, max(end, until), piece)
            self.cut(word, max(start, until), piece)
            last -= 1
        self.cut(share, until, piece)

    def through(self, piece: Piece, ready: float, crossed: bool, waits: Waits) -> None:
        """Walk back through a piece: its transfer back, its work, its transfer there, and its wait for a free lane.

        crossed: the value that made it ready came from another lane.
        """
        start = min(piece.start, self.now)
        sent = min(max(piece.sent or start, ready), start)
        hop = "Ray" if piece.lane.place in _THROUGH_RAY else "hop"
        behind = waits.busy(piece, sent, start)
        home = max(0.0, self.now - max(piece.end, start))
        back = min(piece.packing, home)
        there = min(piece.packing - back, max(0.0, start - sent - behind))
        before = min(piece.packing - back - there, max(0.0, sent - ready))
        self.cut(hop, self.now - home + back, piece)
        self.cut("pickling", self.now - back, piece)
        self.cut("queue" if piece.lane.place == "queue" else "work", start, piece)
        self.cut("pickling", start - there, piece)
        if piece.sent >= ready:  # it was sent as a whole: time beyond its batch's transfer is a wait
            self.cut("waiting for a core", min(start - there - behind, max(piece.came, sent)), piece)
            self.hop(sent, hop, piece)
        else:
            self.cut("waiting for a core", start - there - behind, piece)
            self.hop(sent, hop if crossed else "rest", piece)
        self.cut("pickling", sent - before, piece)
        self._wait(piece, ready, waits)

    def _wait(self, piece: Piece, ready: float, waits: Waits) -> None:
        """Walk back to the time when a piece became ready: it waited for a lane, or was lost with one."""
        lost = [event.end for event in self._lost if event.end <= self.now and not set(event.ops).isdisjoint(piece.ops)]
        if lost:
            self.rest(max(max(lost), ready), "waiting for a core", piece)
            self.cut("lost", ready, piece)
        if not (piece.ready or piece.sent):  # nothing was reported: only other work in the lane is known
            self.cut("waiting for a core", self.now - waits.busy(piece, ready, self.now), piece)
            self.rest(ready)
        self.rest(ready, "waiting for a core", piece)


_Interval = tuple[float, float, str]
"""An interval (start, end), and its share."""


def _interval_of(event: Event) -> _Interval:
    return event.start, event.end, _OVERHEADS[event.kind]


def _disjoint(times: Iterable[_Interval]) -> list[_Interval]:
    """Intervals without overlaps: where two overlap, the one that began last counts."""
    found: list[_Interval] = []
    open_: list[_Interval] = []
    now = -inf
    for time in [*sorted(times), (inf, inf, "")]:
        while open_ and open_[-1][1] <= time[0]:
            _, end, share = open_.pop()
            if end > now:
                found.append((now, end, share))
                now = end
        if open_ and time[0] > now:
            found.append((now, time[0], open_[-1][2]))
        now = max(now, time[0])
        open_.append(time)
    return found
