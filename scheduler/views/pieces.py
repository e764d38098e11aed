"""Pieces: what ran in a run, made of its events, and what each piece waited for.

piece     what ran in one lane without a break: a node where nodes were told, else a segment
arrival   the moment at which the caller, or who takes a piece's values, had them
busy      how much of a time a lane had something else to do

No piece that only waits for others is among them: a nested operation is what runs inside it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from weftwork.scheduler.events.event import Event, Lane

_LOOKED_THROUGH = 64
"""Nodes without a piece of their own that are looked through for who made a piece ready."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What ran in one lane: see `Event`, whose words these are.

    ready, sent: 0.0 where nothing is known of it, or it did not travel.   came: when the lane began with what it was
    sent.   back: never before `end`.
    """

    ops: tuple[Any, ...]
    lane: Lane
    start: float
    end: float
    back: float
    ready: float = 0.0
    sent: float = 0.0
    came: float = 0.0
    packing: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return self.end - self.start

    def arrival(self, lane: Lane) -> float:
        """When a lane had what it made."""
        return self.end if lane == self.lane else self.back


def pieces(events: Sequence[Event]) -> tuple[list[Piece], list[Piece]]:
    """The pieces of a run by their end, so each stands behind what it needs; and the nested operations around some."""
    nodes = [event for event in events if event.kind == "node"]
    segments = [event for event in events if event.kind == "segment"]
    told = {op for event in nodes for op in event.ops}
    around_of = {op: event for event in segments for op in event.ops}
    found = [_piece(node, around_of.get(node.ops[0], node)) for node in nodes if node.ops]
    found += [_piece(segment, segment) for segment in segments if not told.intersection(segment.ops)]
    starts = sorted([piece.start for piece in found if piece.lane.place != "nested"])
    around = [piece for piece in found if piece.lane.place == "nested" and _holds_any(piece, starts)]
    kept = {id(piece) for piece in around}
    return sorted([p for p in found if id(p) not in kept], key=lambda piece: (piece.end, piece.start)), around


def _holds_any(piece: Piece, starts: Sequence[float]) -> bool:
    """True if others began in the time of a piece."""
    return bisect_left(starts, piece.start) < bisect_right(starts, piece.end)


def _piece(event: Event, segment: Event) -> Piece:
    """A piece of an event, with the ways of the segment that it is, or is a node of."""
    start, end = event.start, event.end
    return Piece(
        event.ops,
        event.lane,
        start,
        end,
        back=max(event.back or segment.back, end),
        ready=min(event.ready or segment.ready, start),
        sent=min(event.sent or segment.sent, start),
        came=min(segment.start, start),
        packing=segment.packing if event.ops[:1] == segment.ops[:1] else 0.0,
        bytes_in=event.bytes_in,
        bytes_out=event.bytes_out,
    )


class Waits:
    """What each piece waited for.   around: the nested operations: what runs last inside makes what they make."""

    def __init__(self, found: Sequence[Piece], around: Sequence[Piece] = ()):
        self._pieces = found
        self._ends = [piece.end for piece in found]
        self._makers: dict[Any, int] = {}
        self._lanes: dict[Lane, list[Piece]] = {}
        for number, piece in enumerate(found):
            for op in piece.ops:
                self._makers[op] = self._makers[op.listed] = number
        for piece in around:
            last = bisect_right(self._ends, piece.end) - 1
            if last >= 0 and found[last].start >= piece.start:
                self._makers.update(dict.fromkeys(piece.ops, last))
        for piece in sorted(found, key=lambda piece: piece.start):
            self._lanes.setdefault(piece.lane, []).append(piece)
        self._starts = {lane: [piece.start for piece in its] for lane, its in self._lanes.items()}

    def before(self, number: int) -> tuple[int, bool] | None:
        """The piece that was the last to bring what this one needs, and True. None if it needed none of the others.

        What a branch or an iteration is given comes from no node of its own: then the last piece before, and False.
        Either stands before this one in the list, so whoever goes on asking comes to an end.
        """
        piece = self._pieces[number]
        made = [maker for maker in self._makers_for(piece) if maker < number]
        if made:
            return max(made, key=lambda maker: self._pieces[maker].arrival(piece.lane)), True
        if all([op.section is None for op in piece.ops]):
            return None
        earlier = min(bisect_right(self._ends, piece.ready or piece.sent or piece.start), number) - 1
        return (earlier, False) if earlier >= 0 else None

    def chain(self) -> float:
        """The seconds of the longest chain of pieces of which each needs the one before."""
        until: list[float] = []
        for number, piece in enumerate(self._pieces):
            before = max([until[maker] for maker in self._makers_for(piece) if maker < number], default=0.0)
            until.append(before + piece.seconds)
        return max(until, default=0.0)

    def _makers_for(self, piece: Piece) -> Iterator[int]:
        """The pieces that made what a piece needs. Nodes that did not run, being merged, say, are looked through."""
        left, seen = deque(piece.ops), set[Any](piece.ops)
        for _ in range(len(left) + _LOOKED_THROUGH):
            if not left:
                return
            op = left.popleft()
            for other in (*[tensor.op for tensor in op.inputs], *op.controls):
                if other in self._makers:
                    yield self._makers[other]
                elif other not in seen:
                    seen.add(other)
                    left.append(other)

    def busy(self, piece: Piece, start: float, end: float) -> float:
        """Seconds between two moments in which the lane of a piece ran others, as an upper bound within the time."""
        lane, starts = self._lanes[piece.lane], self._starts[piece.lane]
        place, seconds, free = max(0, bisect_left(starts, start) - 1), 0.0, start
        while place < len(lane) and lane[place].start < end:
            other = lane[place]
            if other is not piece and other.end > free:
                seconds += min(other.end, end) - max(other.start, free)
                free = min(other.end, end)
            place += 1
        return max(0.0, min(seconds, end - start))
