"""Attempts: segments that are under way in other processes, their time limits, and when they are late.

copy     a speculative one: a second attempt at a segment that is far behind. The first reply counts
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from weftwork.graph.operation import Kind
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines.backend import Handle, Word
from weftwork.scheduler.plan.plan import Plan, Segment
from weftwork.scheduler.plan.policy import FAR_LONGER, LATE_AFTER
from weftwork.scheduler.run.telling import HERE, Sent
from weftwork.scheduler.state.actor_link import ActorLink

_PRECISION, _LOOKS_AFTER, _LOOKS_WITHIN = 0.1, 0.02, 1.0
"""Of a time limit: how long after its begin a call may be noticed; at least, and at most, so many seconds."""


@dataclass(eq=False)
class Attempt:
    """A segment on its way in another process."""

    segment: Segment
    handle: Handle
    token: str
    """The name under which it says where it runs, and when a call with a time limit begins."""
    link: ActorLink | None = None
    """To the actor that it runs in."""
    sent: Sent = HERE
    """How it left."""
    since: float = field(default_factory=monotonic)
    copy: Attempt | None = None
    word: Word = Word()
    """What it said last."""
    expires: float | None = None
    """When the call with a time limit that is running has had its time."""
    looks_at: float | None = None
    """When it is looked at next what it says; None where nothing has a limit of its own."""

    def __post_init__(self) -> None:
        if self.limit is not None:
            self.looks_at = self.since

    @property
    def limit(self) -> float | None:
        """The least seconds that any call in it may take, or None."""
        return self.segment.need.timeout if self.segment.need else None

    def look(self, now: float) -> bool:
        """Ask what it says, if that is due. True once a call with a time limit has had its time."""
        assert self.looks_at is not None
        if now >= self.looks_at:
            before, self.word = self.word, backend.word(self.token)
            if self.word != before:  # a call has begun or ended since the last look: it gets all of its time
                self.expires = now + self.word.limit if self.word.limit else None
            self.looks_at = now + min(_LOOKS_WITHIN, max(_LOOKS_AFTER, _PRECISION * self.limit))  # type: ignore[operator]
        return self.expires is not None and now >= self.expires

    @property
    def may_have_said(self) -> bool:
        """True when a word of it may have come: it has a limit, or took long."""
        return self.looks_at is not None or monotonic() - self.since > LATE_AFTER / 2

    def late_at(self, plan: Plan) -> float | None:
        """When it becomes a straggler; None where it has a copy, or may not be made twice."""
        segment = self.segment
        if self.copy is not None or self.link is not None or not segment.seconds:
            return None
        if any([plan.flow.ops[node].kind is Kind.FUNCTION for node in segment.nodes]):
            return None
        return self.since + max(LATE_AFTER, FAR_LONGER * segment.seconds)
