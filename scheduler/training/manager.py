"""SessionManager: creates sessions whose model is ready, by restoring the last checkpoint or by initializing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from weftwork.graph import stacks
from weftwork.graph.errors import DeadlineExceededError, FailedPreconditionError
from weftwork.graph.graph import Graph
from weftwork.scheduler.request.config import ConfigProto, RunOptions
from weftwork.scheduler.session.session import Session
from weftwork.scheduler.state.checkpoint_state import get_checkpoint_state

log = logging.getLogger("weftwork")


class SessionManager:
    """Creates sessions, and makes their model ready.

    local_init_op, local_init_feed_dict, local_init_run_options: what each session runs for itself once the model is
    ready for that.   ready_op, ready_for_local_init_op: operations that return the names of variables without a value.
    graph: the model's graph; by default the default graph.   recovery_wait_secs: seconds between two checks.
    Raises ValueError for a ready_for_local_init_op without a local_init_op.
    """

    def __init__(
        self,
        local_init_op: Any = None,
        ready_op: Any = None,
        ready_for_local_init_op: Any = None,
        graph: Graph | None = None,
        recovery_wait_secs: float = 30,
        local_init_run_options: RunOptions | None = None,
        local_init_feed_dict: Mapping[Any, Any] | None = None,
    ):
        if ready_for_local_init_op is not None and local_init_op is None:
            raise ValueError(
                "If you pass a ready_for_local_init_op you must also pass a local_init_op , ready_for_local_init_op "
                f"[{ready_for_local_init_op}]"
            )
        self._local_init_op, self._ready_op = local_init_op, ready_op
        self._ready_for_local_init_op = ready_for_local_init_op
        self._graph = graph or stacks.get_default_graph()
        self._recovery_wait_secs = recovery_wait_secs
        self._local_options, self._local_feeds = local_init_run_options, local_init_feed_dict

    def prepare_session(
        self,
        master: str,
        init_op: Any = None,
        saver: Any = None,
        checkpoint_dir: str | None = None,
        checkpoint_filename_with_path: str | None = None,
        wait_for_checkpoint: bool = False,
        max_wait_secs: float = 7200,
        config: ConfigProto | None = None,
        init_feed_dict: Mapping[Any, Any] | None = None,
        init_fn: Callable[..., Any] | None = None,
    ) -> Session:
        """Create a session and make its model ready: restore a checkpoint if there is one, else initialize.

        master: the session's target.   init_fn: called with the session, after `init_op`.
        wait_for_checkpoint: wait up to `max_wait_secs` seconds for one. Raises RuntimeError if the model is not ready
        at the end.
        init_feed_dict: what `init_op` is fed.
        """
        session, restored = self._restored(
            master, saver, checkpoint_dir, checkpoint_filename_with_path, wait_for_checkpoint, max_wait_secs, config
        )
        try:
            if not restored:
                if init_op is None and init_fn is None and self._local_init_op is None:
                    raise RuntimeError("Model is not initialized and no init_op or init_fn or local_init_op was given")
                if init_op is not None:
                    session.run(init_op, init_feed_dict)
                if init_fn is not None:
                    init_fn(session)
            lacking = self._initialize_locally(session)
            name = _name(init_op)
            if lacking is not None:
                raise RuntimeError(
                    f"Init operations did not make model ready for local_init.  Init op: {name}, init fn: {init_fn}, "
                    f"error: {lacking}"
                )
            lacking = _lacking(session, self._ready_op)
            if lacking is not None:
                raise RuntimeError(
                    f"Init operations did not make model ready.  Init op: {name}, init fn: {init_fn}, "
                    f"local_init_op: {_name(self._local_init_op)}, error: {lacking}"
                )
        except BaseException:
            session.close()
            raise
        return session

    def recover_session(
        self,
        master: str,
        saver: Any = None,
        checkpoint_dir: str | None = None,
        checkpoint_filename_with_path: str | None = None,
        wait_for_checkpoint: bool = False,
        max_wait_secs: float = 7200,
        config: ConfigProto | None = None,
    ) -> tuple[Session, bool]:
        """Create a session, and restore a checkpoint if there is one. Returns it, and whether its model is ready."""
        session, restored = self._restored(
            master, saver, checkpoint_dir, checkpoint_filename_with_path, wait_for_checkpoint, max_wait_secs, config
        )
        lacking = self._initialize_locally(session)
        if not restored:
            return session, False
        source = checkpoint_dir or checkpoint_filename_with_path
        if lacking is not None:
            log.info("Restoring model from %s did not make model ready for local init: %s", source, lacking)
            return session, False
        lacking = _lacking(session, self._ready_op)
        if lacking is not None:
            log.info("Restoring model from %s did not make model ready: %s", source, lacking)
            return session, False
        log.info("Restored model from %s", source)
        return session, True

    def wait_for_session(
        self, master: str, config: ConfigProto | None = None, max_wait_secs: float = float("inf")
    ) -> Session:
        """Create a session and wait until another process has made the model ready. Raises DeadlineExceededError."""
        end = time.monotonic() + max_wait_secs
        while True:
            session = Session(master, graph=self._graph, config=config)
            lacking = self._initialize_locally(session)
            if lacking is None:
                lacking = _lacking(session, self._ready_op)
            if lacking is None:
                return session
            session.close()
            if time.monotonic() + self._recovery_wait_secs > end:
                text = f"Session was not ready after waiting {max_wait_secs:g} secs."
                raise DeadlineExceededError(None, None, text)
            log.info("Waiting for model to be ready: %s", lacking)
            time.sleep(self._recovery_wait_secs)

    def _restored(
        self,
        master: str,
        saver: Any,
        folder: str | None,
        filename: str | None,
        wait: bool,
        longest: float,
        config: ConfigProto | None,
    ) -> tuple[Session, bool]:
        if folder and filename:
            raise ValueError("Can not provide both checkpoint_dir and checkpoint_filename_with_path.")
        session = Session(master, graph=self._graph, config=config)
        if saver is None or not (folder or filename):
            return session, False
        if filename:
            saver.restore(session, filename)
            return session, True
        end = time.monotonic() + longest
        while True:
            state = get_checkpoint_state(folder)  # type: ignore[arg-type]
            if state is not None and state.model_checkpoint_path:
                break
            if not wait or time.monotonic() >= end:
                return session, False
            log.info("Waiting for checkpoint to be available.")
            time.sleep(min(self._recovery_wait_secs, max(0.0, end - time.monotonic())))
        saver.restore(session, state.model_checkpoint_path)
        saver.recover_last_checkpoints(state.all_model_checkpoint_paths)
        return session, True

    def _initialize_locally(self, session: Session) -> str | None:
        """Run the local operation. Returns what the model lacks for that, or None."""
        if self._local_init_op is None:
            return None
        lacking = _lacking(session, self._ready_for_local_init_op)
        if lacking is None:
            log.info("Running local_init_op.")
            session.run(self._local_init_op, self._local_feeds, self._local_options)
            log.info("Done running local_init_op.")
        return lacking


def _name(op: Any) -> str | None:
    return getattr(op, "name", None if op is None else str(op))


def _lacking(session: Session, op: Any) -> str | None:
    """What is missing according to a readiness operation; None if nothing is."""
    if op is None:
        return None
    try:
        names = session.run(op)
    except FailedPreconditionError as error:
        if "uninitialized" not in str(error):
            raise
        return str(error)
    if names is None or (names := np.asarray(names)).dtype.kind == "i" or names.size == 0:
        return None
    return "Variables not initialized: " + ", ".join([name.decode() for name in np.ravel(names)])
