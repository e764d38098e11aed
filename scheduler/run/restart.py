"""Restart: what a run raises that has to begin again."""

from __future__ import annotations


class Restart(Exception):
    """Raised if a run has lost values with a dead process. It may start again; if not, `cause` is raised."""

    def __init__(self, cause: Exception):
        super().__init__(str(cause))
        self.cause = cause


class Moved(Restart):
    """Raised if the cluster no longer matches the plan. The run may start again."""
