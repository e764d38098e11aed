"""Hooks: what a training program does around each run of a monitored session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from weftwork.scheduler.request.config import RunMetadata, RunOptions
from weftwork.scheduler.training.coordinator import Coordinator


class SessionRunArgs(NamedTuple):
    """What a hook adds to a run: fetches in any structure, feeds, options."""

    fetches: Any
    feed_dict: Mapping | None = None
    options: RunOptions | None = None


class SessionRunValues(NamedTuple):
    """What a hook gets after a run: the values of its fetches in their structure, the options, what was traced."""

    results: Any
    options: RunOptions
    run_metadata: RunMetadata


class SessionRunContext:
    """A run, for its hooks.

    original_args: what the caller asked for.   session: the session, for runs of the hook's own.
    """

    def __init__(self, original_args: SessionRunArgs, session: Any):
        self._args, self._session = original_args, session
        self._stop = False

    @property
    def original_args(self) -> SessionRunArgs:
        """What the caller asked for."""
        return self._args

    @property
    def session(self) -> Any:
        """The session of the run."""
        return self._session

    @property
    def stop_requested(self) -> bool:
        """True once a hook has asked to stop."""
        return self._stop

    def request_stop(self) -> None:
        """Ask for no more runs after this one."""
        self._stop = True


class SessionRunHook:
    """Override what is needed."""

    def begin(self) -> None:
        """Called once, before the graph is finalized: operations may be added."""

    def after_create_session(self, session: Any, coord: Coordinator) -> None:
        """Called for each session, also those that are made after a failure; the graph is finalized."""

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs | None:
        """Called before each run: what to add to it, or None."""

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Called after each run that has succeeded."""

    def end(self, session: Any) -> None:
        """Called at the end, unless the program ends by an exception."""
