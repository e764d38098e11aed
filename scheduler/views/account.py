"""Account: a summary of one run: what it did, how long it took, and where the time went.

label     the name of a piece: its functions. Nodes that ran as one segment are one piece, unless a listener asked for
          nodes
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

from weftwork.graph.drawing.boxes import function_of
from weftwork.graph.drawing.words import listed
from weftwork.scheduler.events.event import IDLE, Event
from weftwork.scheduler.views.pieces import Piece, Waits, pieces
from weftwork.scheduler.views.shares import Span, bounds, critical_path, shares

_NAMED = 2
"""Maximum number of functions that a label names."""
_SHOWN = 3
"""Maximum number of functions that a sentence names."""
_CELL = re.compile(r"^<ipython-input|/ipykernel_\d+/")
"""Matches the file names that IPython and Jupyter give to notebook cells."""
_LEAST = 0.01
"""Minimum fraction of the run for a share to be mentioned in a sentence."""


@dataclass
class Total:
    """All calls of one function, or of functions that run together.

    line: where its first node was made.   seconds: of all its pieces.   waited: those of them on the critical path.
    longest: the longest call; calls that ran as one segment count with their mean.
    """

    label: str
    line: str
    calls: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    longest: float = 0.0
    bytes_out: int = 0
    places: dict[str, float] = field(default_factory=dict)


class Account:
    """One run, summarized from its events."""

    def __init__(self, events: Sequence[Event]):
        self.events = sorted(events, key=lambda event: event.start)
        self.start, self.end = bounds(self.events)
        self.run = self.events[0].run

    @property
    def seconds(self) -> float:
        """The wall time of the run, so far or in total."""
        return self.end - self.start

    @property
    def over(self) -> bool:
        """True once the run has ended."""
        return self._first("ended") is not None

    @property
    def error(self) -> str:
        """Its error, or ""."""
        ended = self._first("ended")
        return ended.text if ended is not None else ""

    @property
    def fetches(self) -> str:
        """The names of its fetches."""
        began = self._first("began")
        return began.text if began is not None else ""

    @property
    def fetched(self) -> set[Any]:
        """The fetched operations."""
        began = self._first("began")
        return set(began.ops) if began is not None else set()

    @property
    def way(self) -> str:
        """The chosen strategy, and the reason."""
        planned = self._first("planned")
        return planned.text if planned is not None else ""

    @cached_property
    def pieces(self) -> list[Piece]:
        """The pieces that ran, by their ends."""
        return pieces(self.events)[0]

    @cached_property
    def path(self) -> list[Span]:
        """The critical path, which accounts for each moment of the run."""
        return critical_path(self.events)

    @cached_property
    def shares(self) -> dict[str, float]:
        """The seconds of each share, which add up to those of the run."""
        return shares(self.path)

    @cached_property
    def totals(self) -> list[Total]:
        """The functions that ran, the one that the run waited for longest first."""
        found: dict[str, Total] = {}
        for piece in self.pieces:
            total = found.setdefault(label(piece.ops), Total(label(piece.ops), line(piece.ops)))
            total.calls += len(piece.ops)
            total.seconds += piece.seconds
            total.bytes_out += piece.bytes_out
            total.longest = max(total.longest, piece.seconds / max(1, len(piece.ops)))
            total.places[piece.lane.place] = total.places.get(piece.lane.place, 0.0) + piece.seconds
        for span in self.path:
            if span.share == "work" and span.piece is not None:
                found[label(span.piece.ops)].waited += span.seconds
        return sorted(found.values(), key=lambda total: (-total.waited, -total.seconds))

    @cached_property
    def chain(self) -> float:
        """Seconds of the longest chain of dependent nodes: no number of cores makes the run shorter."""
        found, around = pieces(self.events)
        return min(Waits(found, around).chain(), self.seconds)

    @cached_property
    def at_work(self) -> tuple[float, int]:
        """How many nodes ran at once: on average over the run, and at most."""
        found = [piece for piece in self.pieces if piece.lane.place not in IDLE]
        edges = sorted([edge for piece in found for edge in ((piece.start, 1), (piece.end, -1))])
        most = max(accumulate([step for _, step in edges]), default=0)
        return sum([piece.seconds for piece in found]) / (self.seconds or 1.0), most

    def of_kinds(self, *kinds: str) -> list[Event]:
        """Its events of some kinds."""
        return [event for event in self.events if event.kind in kinds]

    def _first(self, kind: str) -> Event | None:
        return next((event for event in self.events if event.kind == kind), None)


def label(ops: Sequence[Any]) -> str:
    """The names of the functions of some nodes: `load`, or `load`, `parse` and 3 more."""
    return listed(list(dict.fromkeys([f"`{function_of(op)}`" for op in ops])), most=_NAMED)


def line(ops: Sequence[Any]) -> str:
    """FILE:LINE where the first of some nodes was made, without the folder. For a notebook cell, without the file."""
    if not ops:
        return ""
    file, _, number = ops[0].source.text.replace("\\", "/").rpartition(":")
    return f"{'cell' if _CELL.search(file) else file.rpartition('/')[2]}:{number}"


def summary(account: Account) -> str:
    """Where the time of a run went: of 7.4 s: 5.1 in `load` (etl.py:12), 1.2 waiting for a core, 0.3 Ray."""
    unit, scale = next((u, s) for u, s in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)) if account.seconds >= s or s == 1e-6)
    parts = [(total.waited, f"in {total.label} ({total.line})") for total in account.totals[:_SHOWN]]
    others = account.shares.get("work", 0.0) - sum(seconds for seconds, _ in parts)
    parts += [(others, "in other functions")]
    parts += sorted([(seconds, share) for share, seconds in account.shares.items() if share != "work"], reverse=True)
    spent = [f"{_figure(seconds / scale)} {what}" for seconds, what in parts if seconds > _LEAST * account.seconds]
    return f"of {_figure(account.seconds / scale)} {unit}: {', '.join(spent) or 'nothing'}"


def _figure(amount: float) -> str:
    """Format a number with its significant digits: 610, 12, 5.1, 0.34."""
    return f"{amount:.0f}" if amount >= 10 else f"{amount:.2g}"


def accounts(events: Iterable[Event]) -> list[Account]:
    """An account of each run in some events, the oldest first."""
    by_run: dict[int, list[Event]] = {}
    for event in events:
        by_run.setdefault(event.run, []).append(event)
    return [Account(by_run[run]) for run in sorted(by_run)]
