"""Scarcity: warns about work that cannot begin for lack of a CPU, or another resource that it asks for."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from time import monotonic

from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.plan.plan import Plan
from weftwork.scheduler.segments.attempts import Attempt

_LOG = logging.getLogger("weftwork")
_WARN_AFTER = 5.0
"""Seconds without progress in a run before it warns."""
_NAMED = 10


class Scarcity:
    """Watches the attempts of one run, and warns once."""

    def __init__(self):
        self._since: float | None = None
        """When progress was last seen."""
        self._warned = False

    def looks_at(self, waits: bool) -> float | None:
        """When to check next whether the attempts have begun; None for never. waits: there are attempts."""
        if self._warned or not waits:
            return None
        self._since = self._since or monotonic()
        return self._since + _WARN_AFTER

    def goes_on(self) -> None:
        """Note that the run makes progress: some work has ended."""
        self._since = None

    def look(self, attempts: Iterable[Attempt], plan: Plan) -> None:
        """Warn if none of these has begun for a while: what they wait for, what is free, and what may hold the rest."""
        now = monotonic()
        if self._warned or self._since is None or now < self._since + _WARN_AFTER:
            return
        waiting = [a for a in attempts if a.link is None]
        if not waiting or any([backend.word(a.handle.life, a.token).machine for a in waiting]):
            self._since = now
            return
        self._warned = True
        segment = waiting[0].segment
        asked = dict(segment.need.resources) if segment.need is not None and segment.need.resources else {"CPU": 1.0}
        free = {name: inventory.free(name, "") for name in asked}
        held = inventory.holders()
        who = f"These actors are running: {', '.join(held[:_NAMED])}" + ", ..." * (len(held) > _NAMED)
        _LOG.warning(
            "%s has been waiting to start for %.0f s: it needs %s, and %s is free. %s. It keeps waiting: "
            "`session.waiting()` shows for what, and a time limit would end it.",
            plan.flow.ops[segment.nodes[0]].defined_at,
            now - waiting[0].since,
            _text(asked),
            _text(free),
            who if held else "Tasks use the rest",
        )


def _text(amounts: dict[str, float]) -> str:
    return ", ".join([f"{amount:g} {name}" for name, amount in amounts.items()])
