"""MonitoredSession: a session for training that initializes or restores variables, calls hooks, and survives
failures."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from weftwork.graph import stacks
from weftwork.graph.errors import OutOfRangeError
from weftwork.graph.graph import Graph
from weftwork.scheduler.request.config import ConfigProto, RunMetadata, RunOptions
from weftwork.scheduler.session.session import Session
from weftwork.scheduler.training.creators import ChiefSessionCreator, SessionCreator, WorkerSessionCreator
from weftwork.scheduler.training.hooks import SessionRunHook
from weftwork.scheduler.training.saving_hooks import CheckpointSaverHook, StepCounterHook, SummarySaverHook
from weftwork.scheduler.training.scaffold import Scaffold
from weftwork.scheduler.training.session_layers import LayerCreator, Plain, Recoverable, StepContext

log = logging.getLogger("weftwork")

USE_DEFAULT = object()


class _Monitored:
    """The common base of MonitoredSession and SingularMonitoredSession."""

    def __init__(
        self,
        creator: SessionCreator | None,
        hooks: Iterable[SessionRunHook] | None,
        recovers: bool,
        stop_grace_period_secs: float,
    ):
        self._graph = stacks.get_default_graph()
        self._was_final = self._graph.finalized
        self._hooks = list(hooks or ())
        for hook in self._hooks:
            hook.begin()
        self._coordinated_creator = LayerCreator(creator or ChiefSessionCreator(), self._hooks, stop_grace_period_secs)
        layers = Recoverable if recovers else Plain
        try:
            self._sess: Recoverable | Plain | None = layers(self._coordinated_creator)
        except BaseException:
            self._unfinalize()
            raise

    StepContext = StepContext

    @property
    def graph(self) -> Graph | None:
        """The session's graph; None after `close`."""
        return None if self._sess is None else self._graph

    def run(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: RunOptions | None = None,
        run_metadata: RunMetadata | None = None,
    ) -> Any:
        """Like `Session.run`, with the hooks around it.

        Raises RuntimeError after a stop was requested, or after `close`.
        """
        return self._open().run(fetches, feed_dict, options, run_metadata)

    def run_step_fn(self, step_fn: Callable[..., Any]) -> Any:
        """Call step_fn(step_context) for a step of several runs, and return its result. If the session is lost, start
        over.

        Raises ValueError if `step_fn` does not take a `step_context`.
        """
        names = tuple(inspect.signature(step_fn).parameters)
        if names != ("step_context",):
            raise ValueError(
                "`step_fn` may either have one `step_context` argument, or `self` and `step_context` arguments if it's "
                f"an instance method. Got {names} instead."
            )
        session = self._open()
        return session.run_step_fn(step_fn, lambda *a, **k: session.coordinated().hooked.run(*a, **k))

    def should_stop(self) -> bool:
        """Whether a hook or a thread has asked to stop, or the session is closed."""
        return self._sess is None or self._sess.should_stop()

    def _is_closed(self) -> bool:
        return self._coordinated_creator.tf_sess is None

    def _tf_sess(self) -> Session | None:
        return self._coordinated_creator.tf_sess

    def _open(self) -> Recoverable | Plain:
        if self._sess is None:
            raise RuntimeError("Session is already closed.")
        return self._sess

    def close(self) -> None:
        """Call the hooks' `end`, stop the threads, and close the session.

        Raises RuntimeError if it is closed already.
        """
        self._close(None)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type | None, value: Any, traceback: Any) -> bool:
        if kind in (OutOfRangeError, StopIteration):
            kind = None
        self._close(kind)
        return kind is None

    def _close(self, kind: type | None) -> None:
        session = self._open()
        try:
            if kind is None:
                for hook in self._hooks:
                    hook.end(session.coordinated().hooked.session)
        finally:
            self._sess = None
            try:
                session.close()
            finally:
                self._coordinated_creator.forget()
                self._unfinalize()

    def _unfinalize(self) -> None:
        if not self._was_final:
            self._graph._unsafe_unfinalize()


class MonitoredSession(_Monitored):
    """A session with hooks, which is made again when it is lost.

    session_creator: by default a ChiefSessionCreator.   hooks: see SessionRunHook.
    stop_grace_period_secs: seconds within which threads must end at `close`.
    """

    def __init__(
        self,
        session_creator: SessionCreator | None = None,
        hooks: Iterable[SessionRunHook] | None = None,
        stop_grace_period_secs: float = 120,
    ):
        super().__init__(session_creator, hooks, True, stop_grace_period_secs)


class SingularMonitoredSession(_Monitored):
    """A session with hooks that raises an error when it is lost. It gives access to its `raw_session`."""

    def __init__(
        self,
        hooks: Iterable[SessionRunHook] | None = None,
        scaffold: Scaffold | None = None,
        master: str = "",
        config: ConfigProto | None = None,
        checkpoint_dir: str | None = None,
        stop_grace_period_secs: float = 120,
        checkpoint_filename_with_path: str | None = None,
    ):
        creator = ChiefSessionCreator(scaffold, master, config, checkpoint_dir, checkpoint_filename_with_path)
        super().__init__(creator, hooks, False, stop_grace_period_secs)

    def raw_session(self) -> Session | None:
        """The underlying session; None after `close`."""
        return None if self._sess is None else self._tf_sess()


def MonitoredTrainingSession(
    master: str = "",
    is_chief: bool = True,
    checkpoint_dir: str | None = None,
    scaffold: Scaffold | None = None,
    hooks: Iterable[SessionRunHook] | None = None,
    chief_only_hooks: Iterable[SessionRunHook] | None = None,
    save_checkpoint_secs: Any = USE_DEFAULT,
    save_summaries_steps: Any = USE_DEFAULT,
    save_summaries_secs: Any = USE_DEFAULT,
    config: ConfigProto | None = None,
    stop_grace_period_secs: float = 120,
    log_step_count_steps: int | None = 100,
    max_wait_secs: float = 7200,
    save_checkpoint_steps: Any = USE_DEFAULT,
    summary_dir: str | None = None,
) -> MonitoredSession:
    """A MonitoredSession with the usual hooks: checkpoints (every 600 s), summaries (every 100 steps), steps per
    second.

    is_chief: a worker that is not the chief waits until the chief has initialized the model, and saves nothing.
    checkpoint_dir: where to save and to restore from. Without it nothing is saved.   None or 0 turns a hook off.
    chief_only_hooks: hooks for the chief alone.
    save_checkpoint_secs, save_checkpoint_steps, save_summaries_steps, save_summaries_secs, log_step_count_steps: how
        often.
    summary_dir: by default checkpoint_dir.

        hooks = [tf.train.StopAtStepHook(last_step=1000)]
        with tf.train.MonitoredTrainingSession(checkpoint_dir="/tmp/run", hooks=hooks) as session:
            while not session.should_stop():
                session.run(train)
    """
    scaffold = scaffold or Scaffold()
    if not is_chief:
        creator: SessionCreator = WorkerSessionCreator(scaffold, master, config, max_wait_secs)
        return MonitoredSession(creator, hooks, stop_grace_period_secs)
    summary_steps, summary_secs = _every(save_summaries_steps, save_summaries_secs, 100, None)
    saved_steps, saved_secs = _every(save_checkpoint_steps, save_checkpoint_secs, None, 600)
    every = list(chief_only_hooks or ())
    folder = summary_dir or checkpoint_dir
    if folder:
        if log_step_count_steps:
            every.append(StepCounterHook(log_step_count_steps, output_dir=folder))
        if summary_steps or summary_secs:
            every.append(SummarySaverHook(summary_steps, summary_secs, folder, scaffold=scaffold))
    if checkpoint_dir and (saved_steps or saved_secs):
        every.append(CheckpointSaverHook(checkpoint_dir, saved_secs, saved_steps, scaffold=scaffold))
    creator = ChiefSessionCreator(scaffold, master, config, checkpoint_dir)
    return MonitoredSession(creator, [*every, *(hooks or ())], stop_grace_period_secs)


def _every(steps: Any, seconds: Any, default_steps: int | None, default_seconds: float | None) -> tuple[Any, Any]:
    """The interval that was given, else the default."""
    if steps is USE_DEFAULT and seconds is USE_DEFAULT:
        return default_steps, default_seconds
    return (None if steps is USE_DEFAULT else steps) or None, (None if seconds is USE_DEFAULT else seconds) or None
