"""Pieces: what a run executed, derived from its events, and what each piece waited for.

piece     work in one lane without a break: a node if nodes were reported, else a segment
arrival   the time at which the caller, or the reader of a piece's values, received them
busy      the part of an interval in which a lane did other work

An operation that only waits for others has no piece: a nested operation consists of the pieces inside it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from weftwork.scheduler.events.event import Event, Lane

_LOOKED_THROUGH = 64
"""Maximum number of nodes without a piece that are searched for the piece that made another one ready."""
_RIGHT_BEFORE = 1e-3
"""Most seconds from the end of a piece until the one that it made way for is ready."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Work in one lane. The fields are those of `Event`.

    error: why its last node did not finish, or "".
    ready, sent: 0.0 if unknown, or not sent.   came: when the lane began with what it was sent.   back: at least `end`.
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
    error: str = ""

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.end - self.start

    def arrival(self, lane: Lane) -> float:
        """When a lane received its values."""
        return self.end if lane == self.lane else self.back


def pieces(events: Sequence[Event]) -> tuple[list[Piece], list[Piece]]:
    """The pieces of a run by their ends, so that each follows those it needs; and the nested operations around them."""
    nodes = [event for event in events if event.kind == "node"]
    segments = [event for event in events if event.kind in ("segment", "failed")]
    reported = {op for event in nodes for op in event.ops}
    around_of = {op: event for event in segments for op in event.ops}
    found = [_piece(node, around_of.get(node.ops[0], node)) for node in nodes if node.ops]
    found += [_piece(segment, segment) for segment in segments if not reported.intersection(segment.ops)]
    starts = sorted([piece.start for piece in found if piece.lane.place != "nested"])
    around = [piece for piece in found if piece.lane.place == "nested" and _holds_any(piece, starts)]
    kept = {id(piece) for piece in around}
    return sorted([p for p in found if id(p) not in kept], key=lambda piece: (piece.end, piece.start)), around


def _holds_any(piece: Piece, starts: Sequence[float]) -> bool:
    """True if others started during a piece."""
    return bisect_left(starts, piece.start) < bisect_right(starts, piece.end)


def _piece(event: Event, segment: Event) -> Piece:
    """The piece of an event. Its transfer times are those of its segment."""
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
        error=event.text,
    )


class Waits:
    """Finds what each piece waited for. around: the nested operations; the last piece inside makes their outputs."""

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
        """The piece that delivered an input of this one last, and True. None if it needed no other piece.

        The inputs of a branch or an iteration come from no node of its own, and functions that must run in the caller
        take turns. The result is then the last piece before it, or the one that ended right before it became ready, and
        False. Each of these precedes this piece in the list, so repeated calls come to an end.
        """
        piece = self._pieces[number]
        made = [maker for maker in self._makers_for(piece) if maker < number]
        if made:
            return max(made, key=lambda maker: self._pieces[maker].arrival(piece.lane)), True
        ready = piece.ready or piece.sent or piece.start
        earlier = min(bisect_right(self._ends, ready), number) - 1
        if earlier < 0:
            return None
        took_turns = piece.ready and ready - self._ends[earlier] < _RIGHT_BEFORE
        return (earlier, False) if took_turns or any([op.section is not None for op in piece.ops]) else None

    def chain(self) -> float:
        """The seconds of the longest chain of pieces in which each one needs the previous one."""
        until: list[float] = []
        for number, piece in enumerate(self._pieces):
            before = max([until[maker] for maker in self._makers_for(piece) if maker < number], default=0.0)
            until.append(before + piece.seconds)
        return max(until, default=0.0)

    def _makers_for(self, piece: Piece) -> Iterator[int]:
        """The pieces that made the inputs of a piece, looking past nodes that did not run, such as merged ones."""
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
        """Seconds between two times in which the lane of a piece ran other pieces; an upper bound."""
        lane, starts = self._lanes[piece.lane], self._starts[piece.lane]
        place, seconds, free = max(0, bisect_left(starts, start) - 1), 0.0, start
        while place < len(lane) and lane[place].start < end:
            other = lane[place]
            if other is not piece and other.end > free:
                seconds += min(other.end, end) - max(other.start, free)
                free = min(other.end, end)
            place += 1
        return max(0.0, min(seconds, end - start))
