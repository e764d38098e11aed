"""The layers around the session of a monitored session.

hooked        calls the hooks around each run
coordinated   stops its threads when it is closed, and raises what stopped them
recoverable   makes a new session, from the last checkpoint, when a process or machine was lost (AbortedError,
              UnavailableError), and repeats the run
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from weftwork.graph.errors import AbortedError, UnavailableError
from weftwork.graph.graph import GraphKeys
from weftwork.scheduler.input.coordinator import Coordinator
from weftwork.scheduler.input.queue_runner import start_queue_runners
from weftwork.scheduler.request.config import RunMetadata, RunOptions
from weftwork.scheduler.session.session import Session
from weftwork.scheduler.training.creators import SessionCreator
from weftwork.scheduler.training.hooks import SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues

log = logging.getLogger("weftwork")

LOST = (AbortedError, UnavailableError)
"""Errors after which a new session is made."""


class StepContext:
    """The argument of a `step_fn`: the session, and a way to run with the hooks.

    run_with_hooks: called for a run with the hooks.
    """

    def __init__(self, session: Session, run_with_hooks: Callable):
        self._session, self._run = session, run_with_hooks

    @property
    def session(self) -> Session:
        """The session, for runs without hooks."""
        return self._session

    def run_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        """Like `MonitoredSession.run`."""
        return self._run(*args, **kwargs)

    def request_stop(self) -> None:
        """End the loop, by raising StopIteration."""
        raise StopIteration("step_fn has requested the iterations to stop.")


class Hooked:
    """A session with hooks around its runs."""

    def __init__(self, session: Session, hooks: list[SessionRunHook]):
        self.session, self._hooks = session, hooks
        self.should_stop = False

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        if self.should_stop:
            raise RuntimeError("Run called even after should_stop requested.")
        context = SessionRunContext(SessionRunArgs(fetches, feed_dict), self.session)
        merged = RunOptions()
        if options is not None:
            merged.CopyFrom(options)
        metadata = run_metadata if run_metadata is not None else RunMetadata()
        wanted, feeds = self._before(context, fetches, feed_dict, merged)
        results = self.session.run(wanted, feeds, merged, metadata)
        for number, hook in enumerate(self._hooks):
            hook.after_run(context, SessionRunValues(results.get(number), merged, metadata))
        self.should_stop = self.should_stop or context.stop_requested
        return results["caller"]

    def _before(self, context: SessionRunContext, fetches: Any, given: Any, options: RunOptions) -> tuple[dict, Any]:
        """Merge the fetches and feeds of the caller and the hooks. The hooks' options are merged into `options`."""
        wanted: dict[Any, Any] = {"caller": fetches}
        feeds: dict = {}
        for number, hook in enumerate(self._hooks):
            asked = hook.before_run(context)
            if asked is None:
                continue
            if asked.fetches is not None:
                wanted[number] = asked.fetches
            if asked.feed_dict:
                _check_disjoint(feeds, asked.feed_dict, "Same tensor is fed by two hooks.")
                feeds.update(asked.feed_dict)
            if asked.options is not None:
                _merge(options, asked.options)
        if not feeds:
            return wanted, given
        if given:
            _check_disjoint(given, feeds, "Same tensor is fed by a SessionRunHook and user.")
            feeds.update(given)
        return wanted, feeds


def _check_disjoint(one: Mapping, two: Mapping, message: str) -> None:
    both = set(one) & set(two)
    if both:
        raise RuntimeError(f"{message} Conflict(s): {list(both)}")


def _merge(options: RunOptions, more: RunOptions) -> None:
    for name in ("trace_level", "timeout_in_ms", "inter_op_thread_pool"):
        setattr(options, name, max(getattr(options, name), getattr(more, name)))
    for name in ("output_partition_graphs", "report_tensor_allocations_upon_oom"):
        setattr(options, name, getattr(options, name) or getattr(more, name))
    options.debug_options.debug_tensor_watch_opts.extend(more.debug_options.debug_tensor_watch_opts)


class Coordinated:
    """A hooked session, and the threads beside it."""

    def __init__(self, hooked: Hooked, coord: Coordinator, grace: float):
        self.hooked, self.coord, self._grace = hooked, coord, grace

    def should_stop(self) -> bool:
        self.coord.raise_requested_exception()
        return self.coord.should_stop() or self.hooked.should_stop

    def run(self, *args: Any, **kwargs: Any) -> Any:
        return self._or_cause(self.hooked.run, *args, **kwargs)

    def run_step_fn(self, step_fn: Callable, run: Callable) -> Any:
        return self._or_cause(step_fn, StepContext(self.hooked.session, run))

    def _or_cause(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Call a function. If it fails because of a loss that a thread has reported, the thread's error counts."""
        try:
            return function(*args, **kwargs)
        except LOST:
            raise
        except Exception:
            try:
                self.coord.raise_requested_exception()
            except LOST:
                raise
            except Exception:
                pass
            raise

    def close(self) -> None:
        self.coord.request_stop()
        try:
            self.coord.join(stop_grace_period_secs=self._grace, ignore_live_threads=True)
        finally:
            try:
                self.hooked.session.close()
            except Exception as error:
                log.info("Error while closing the session: %s", error)


class LayerCreator:
    """Creates coordinated sessions, and notifies the hooks.

    tf_sess, coord: the session and the coordinator that it has created last; None after `forget`.
    """

    def __init__(self, creator: SessionCreator, hooks: list[SessionRunHook], grace: float):
        self._creator, self._hooks, self._grace = creator, hooks, grace
        self.forget()

    def forget(self) -> None:
        """Let go of a session that is closed."""
        self.tf_sess: Session | None = None
        self.coord: Coordinator | None = None

    def create_session(self) -> Coordinated:
        self.tf_sess = session = self._creator.create_session()
        self.coord = coord = Coordinator(clean_stop_exception_types=[])
        made = Coordinated(Hooked(session, self._hooks), coord, self._grace)
        try:
            if session.graph.get_collection(GraphKeys.QUEUE_RUNNERS):
                start_queue_runners(sess=session, coord=coord)
            for hook in self._hooks:
                hook.after_create_session(session, coord)
        except BaseException:
            made.close()
            raise
        return made


class Recoverable:
    """A coordinated session that is replaced when it is lost."""

    def __init__(self, creator: LayerCreator):
        self._creator = creator
        self._made: Coordinated | None = None
        self.coordinated()

    def coordinated(self) -> Coordinated:
        """The session, a new one if the last one was lost."""
        while self._made is None:
            try:
                self._made = self._creator.create_session()
            except LOST as error:
                log.info(
                    "An error was raised while a session was being created. This may be due to a preemption of a "
                    "connected worker or parameter server. A new session will be created. Error: %s",
                    error,
                )
        return self._made

    def should_stop(self) -> bool:
        try:
            return self._made is None or self._made.should_stop()
        except LOST as error:
            self._lost(error)
            self.coordinated()
            return False
        except Exception:
            return True

    def run(self, *args: Any, **kwargs: Any) -> Any:
        return self._again(lambda made: made.run(*args, **kwargs))

    def run_step_fn(self, step_fn: Callable, run: Callable) -> Any:
        return self._again(lambda made: made.run_step_fn(step_fn, run))

    def _again(self, function: Callable[[Coordinated], Any]) -> Any:
        while True:
            try:
                return function(self.coordinated())
            except LOST as error:
                self._lost(error)

    def _lost(self, error: Exception) -> None:
        log.info(
            "An error was raised. This may be due to a preemption in a connected worker or parameter server. The "
            "current session will be closed and a new session will be created, from the last checkpoint if there is "
            "one. Error: %s",
            error,
        )
        try:
            self.close()
        except LOST:
            pass  # the threads saw the same loss

    def close(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            made.close()


class Plain:
    """A coordinated session that is not replaced."""

    def __init__(self, creator: LayerCreator):
        self._made = creator.create_session()
        self.should_stop, self.run, self.close = self._made.should_stop, self._made.run, self._made.close
        self.run_step_fn = self._made.run_step_fn

    def coordinated(self) -> Coordinated:
        return self._made
