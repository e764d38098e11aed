"""Hooks: what a training program does around each run of a monitored session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from weftwork.scheduler.input.coordinator import Coordinator
from weftwork.scheduler.request.config import RunMetadata, RunOptions


class SessionRunArgs(NamedTuple):
    """A hook's additions to a run: fetches in any structure, feeds, options."""

    fetches: Any
    feed_dict: Mapping | None = None
    options: RunOptions | None = None


class SessionRunValues(NamedTuple):
    """A hook's results of a run: the values of its fetches in their structure, the options, the metadata."""

    results: Any
    options: RunOptions
    run_metadata: RunMetadata


class SessionRunContext:
    """A run, as its hooks see it.

    original_args: what the caller requested.   session: the session, for runs of the hook's own.
    """

    def __init__(self, original_args: SessionRunArgs, session: Any):
        self._original_args, self._session = original_args, session
        self._stop_requested = False

    @property
    def original_args(self) -> SessionRunArgs:
        """What the caller requested."""
        return self._original_args

    @property
    def session(self) -> Any:
        """The session of the run."""
        return self._session

    @property
    def stop_requested(self) -> bool:
        """Whether a hook has asked to stop."""
        return self._stop_requested

    def request_stop(self) -> None:
        """Ask that no runs follow after this one."""
        self._stop_requested = True


class SessionRunHook:
    """The base class of hooks. Override the methods that you need."""

    def begin(self) -> None:
        """Called once, before the graph is finalized. You may add operations."""

    def after_create_session(self, session: Any, coord: Coordinator) -> None:
        """Called for each session, including those made after a failure. The graph is finalized."""

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs | None:
        """Called before each run. Returns additions to the run, or None."""

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Called after each run that has succeeded."""

    def end(self, session: Any) -> None:
        """Called at the end, unless the program ends with an exception."""
