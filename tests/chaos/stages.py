"""The stages of a run: which one it is in, and kills at the beginning of a chosen one.

Totals of the kills of this test run are kept by stage; `conftest` prints them at its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from weftwork.scheduler.core.engine import Engine
from weftwork.scheduler.machines import backend, objects
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.state.mirror import Mirror

BETWEEN = "between runs"
STAGES = (
    "before the first message",
    "while a worker works",
    "before the reply is read",
    "between stage and commit",
    "after the commit, before the reply",
)
"""In the order in which a run that needs a worker comes through them."""
COPIES = "while copies are made"
"""A stage of runs with replicas, between the last reply and the commit."""
KILLS: Counter[str] = Counter()
"""Kills so far, by stage."""


class Stages:
    """Follows the runs of this process while it is entered. One run at a time."""

    def __init__(self):
        self.now = BETWEEN
        self._armed: tuple[str, Callable[[], Any]] | None = None
        self._patches = ExitStack()

    def arm(self, stage: str, kill: Callable[[], Any]) -> None:
        """Call `kill` when a run comes to `stage`; once."""
        self._armed = (stage, kill)

    @property
    def armed(self) -> bool:
        """True until the armed kill has been done."""
        return self._armed is not None

    def _come(self, stage: str) -> None:
        self.now = stage
        if self._armed is not None and self._armed[0] == stage:
            kill, self._armed = self._armed[1], None
            kill()
            KILLS[stage] += 1

    def _follow(self, where: Any, name: str, before: str | None = None, after: str | None = None) -> None:
        real = getattr(where, name)

        def followed(*args, **kwargs):
            if before:
                self._come(before)
            try:
                return real(*args, **kwargs)
            finally:
                if after:
                    self._come(after)

        self._patches.enter_context(patch.object(where, name, followed))

    def __enter__(self) -> Stages:
        first, works, reply, commit, end = STAGES
        self._follow(Engine, "execute", before=first, after=BETWEEN)
        self._follow(backend, "on_done", after=works)
        self._follow(backend, "result", before=reply)
        self._follow(Run, "commit", before=commit)
        self._follow(objects, "copies", before=COPIES)
        self._follow(Mirror, "commit", after=end)
        return self

    def __exit__(self, *error) -> None:
        self._patches.close()
