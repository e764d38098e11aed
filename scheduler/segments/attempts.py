"""Attempts: segments running in other processes, with their time limits, and the times at which they are late.

copy     a second, speculative attempt at a segment that is far behind. The first reply counts
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
"""How soon the start of a call with a time limit is noticed: after this fraction of the limit, within these bounds
(seconds)."""


@dataclass(eq=False)
class Attempt:
    """A segment running, or about to run, in another process."""

    segment: Segment
    handle: Handle
    token: str
    """The name under which it reports where it runs, and when a call with a time limit begins."""
    link: ActorLink | None = None
    """The link to the actor that runs it."""
    sent: Sent = HERE
    """When and how it was sent."""
    since: float = field(default_factory=monotonic)
    copy: Attempt | None = None
    word: Word = Word()
    """Its last report."""
    expires: float | None = None
    """When the time limit of the running call expires."""
    looks_at: float | None = None
    """When its report is read next; None if none of its calls has a time limit."""

    def __post_init__(self) -> None:
        if self.limit is not None:
            self.looks_at = self.since

    @property
    def limit(self) -> float | None:
        """The shortest time limit of a call in it, or None."""
        return self.segment.need.timeout if self.segment.need else None

    def look(self, now: float) -> bool:
        """Read its report, if that is due. True once a call has exceeded its time limit."""
        assert self.looks_at is not None
        if now >= self.looks_at:
            before, self.word = self.word, backend.word(self.handle.life, self.token)
            if self.word != before:  # a call has begun or ended since: the new one gets its full time
                self.expires = now + self.word.limit if self.word.limit else None
            self.looks_at = now + min(_LOOKS_WITHIN, max(_LOOKS_AFTER, _PRECISION * self.limit))  # type: ignore[operator]
        return self.expires is not None and now >= self.expires

    @property
    def may_have_said(self) -> bool:
        """True if it may have sent a report: it has a time limit, or has taken long."""
        return self.looks_at is not None or monotonic() - self.since > LATE_AFTER / 2

    def late_at(self, plan: Plan) -> float | None:
        """When it becomes a straggler; None if it has a copy already, or must not run twice."""
        segment = self.segment
        if self.copy is not None or self.link is not None or not segment.seconds:
            return None
        if any([plan.flow.ops[node].kind is Kind.FUNCTION for node in segment.nodes]):
            return None
        return self.since + max(LATE_AFTER, FAR_LONGER * segment.seconds)
