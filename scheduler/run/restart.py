"""Restart: what a run raises that has to begin again."""

from __future__ import annotations

from weftwork.graph.errors import UnavailableError
from weftwork.scheduler.machines import backend


class Restart(Exception):
    """Raised if a run has lost values with a dead process. It may start again; if not, `cause` is raised."""

    def __init__(self, cause: Exception):
        super().__init__(str(cause))
        self.cause = cause


class Moved(Restart):
    """Raised if the cluster no longer matches the plan. The run may start again."""


def cause_of(lost: Restart | backend.ValueLost) -> Exception:
    """The error of a run that has lost a value, and may not start again."""
    return lost.cause if isinstance(lost, Restart) else UnavailableError(None, None, str(lost))
