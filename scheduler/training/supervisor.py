"""Supervisor: a training program's session, checkpoints, summaries and threads; MonitoredTrainingSession's predecessor.

service    a thread that does something at intervals: saves, writes summaries, counts steps per second
chief      the one process that initializes, saves and writes; the others wait until the model is ready
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any

from weftwork.graph import stacks
from weftwork.graph.build import as_tensor
from weftwork.graph.graph import GraphKeys
from weftwork.graph.ops.flow import group
from weftwork.graph.protos import protos
from weftwork.graph.training.steps import get_global_step
from weftwork.graph.training.summaries import merge_all
from weftwork.graph.variables.collected import (
    global_variables_initializer,
    local_variables_initializer,
    report_uninitialized_variables,
)
from weftwork.scheduler.input.coordinator import Coordinator, LooperThread
from weftwork.scheduler.input.queue_runner import start_queue_runners
from weftwork.scheduler.saving.meta_graph import export_meta_graph
from weftwork.scheduler.saving.saver import Saver
from weftwork.scheduler.session.session import Session
from weftwork.scheduler.state.checkpoint_state import log
from weftwork.scheduler.training.event_files import FileWriter, write_graph_text
from weftwork.scheduler.training.manager import SessionManager


class SessionStatus(IntEnum):
    """What happened to a session, as numbered in event files."""

    START = 1
    STOP = 2
    CHECKPOINT = 3


class Supervisor:
    """What a training program needs around its loop. It finalizes the graph.

    ready_op, ready_for_local_init_op, init_op, local_init_op, saver, summary_op, global_step: taken from the graph if
    they are USE_DEFAULT; None does without.   init_feed_dict: feeds of init_op.
    is_chief: whether this process initializes and saves; if not, each variable needs a device.
    logdir: folder for checkpoints and summaries; None writes nothing.   checkpoint_basename: name of the checkpoints.
    save_summaries_secs, save_model_secs: intervals; 0 means never.   recovery_wait_secs: seconds between checks.
    stop_grace_secs: seconds that threads have to stop.   init_fn: called with the session after init_op.
    summary_writer: by default one in logdir.
    session_manager: a SessionManager.   local_init_run_options: RunOptions of local_init_op.
    """

    USE_DEFAULT = 0

    def __init__(
        self,
        graph: Any = None,
        ready_op: Any = USE_DEFAULT,
        ready_for_local_init_op: Any = USE_DEFAULT,
        is_chief: bool = True,
        init_op: Any = USE_DEFAULT,
        init_feed_dict: Any = None,
        local_init_op: Any = USE_DEFAULT,
        logdir: Any = None,
        summary_op: Any = USE_DEFAULT,
        saver: Any = USE_DEFAULT,
        global_step: Any = USE_DEFAULT,
        save_summaries_secs: float = 120,
        save_model_secs: float = 600,
        recovery_wait_secs: float = 30,
        stop_grace_secs: float = 120,
        checkpoint_basename: str = "model.ckpt",
        session_manager: SessionManager | None = None,
        summary_writer: Any = USE_DEFAULT,
        init_fn: Callable[..., Any] | None = None,
        local_init_run_options: Any = None,
    ):
        self._graph = graph or stacks.get_default_graph()
        self._is_chief, self._init_fn, self._init_feed_dict = is_chief, init_fn, init_feed_dict
        self._coord, self._recovery = Coordinator(), recovery_wait_secs
        self._save_summaries_secs, self._save_model_secs = save_summaries_secs, save_model_secs
        self._grace, self._is_drawn = stop_grace_secs, False
        with self._graph.as_default():
            keys = GraphKeys
            made: dict[str, tuple[Any, str, Callable]] = {
                "ready_op": (ready_op, keys.READY_OP, report_uninitialized_variables),
                "ready_for_local_init_op": (ready_for_local_init_op, keys.READY_FOR_LOCAL_INIT_OP, lambda: None),
                "init_op": (init_op, keys.INIT_OP, global_variables_initializer),
                "local_init_op": (local_init_op, keys.LOCAL_INIT_OP, self._local_init),
                "saver": (saver, keys.SAVERS, self._saver_of_graph),
                "summary_op": (summary_op, keys.SUMMARY_OP, merge_all),
                "global_step": (global_step, keys.GLOBAL_STEP, get_global_step),
            }
            for name, (given, key, default) in made.items():
                # `0 == USE_DEFAULT` would be a node if it were a tensor, so compare identities.
                is_default = as_tensor(given) is None and isinstance(given, int) and given == self.USE_DEFAULT
                setattr(self, name, self._of_graph(key, default) if is_default else given)
        self.ready_op: Any
        self.ready_for_local_init_op: Any
        self.init_op: Any
        self.local_init_op: Any
        self.saver: Any
        self.summary_op: Any
        self.global_step: Any
        self._logdir = os.fspath(logdir) if logdir and is_chief else None
        self.save_path = os.path.join(self._logdir, checkpoint_basename) if self._logdir else None
        self.summary_writer = self._writer(summary_writer)
        self._manager = session_manager or SessionManager(
            self.local_init_op, self.ready_op, self.ready_for_local_init_op, self._graph, recovery_wait_secs,
            local_init_run_options,
        )  # fmt: skip
        if not is_chief:
            self._check_devices()
        self._graph.finalize()

    def _check_devices(self) -> None:
        """Raise ValueError unless each variable has a device: without one, each process would have its own."""
        for op in self._graph.get_operations():
            if op.type in ("Variable", "VariableV2") and not op.device:
                raise ValueError(f"When using replicas, all Variables must have their device set: {op}")

    def _writer(self, given: Any) -> Any:
        if self._is_chief and given is not self.USE_DEFAULT:
            return given
        return FileWriter(self._logdir) if self._logdir else None

    def _of_graph(self, key: str, make: Callable) -> Any:
        """The first item of a collection; if it is empty, a new item, which is added to it."""
        known = self._graph.get_collection(key)
        if known:
            return known[0]
        made = make()
        if made is not None:
            self._graph.add_to_collection(key, made)
        return made

    def _local_init(self) -> Any:
        return group(local_variables_initializer(), *self._graph.get_collection(GraphKeys.TABLE_INITIALIZERS))

    def _saver_of_graph(self) -> Any:
        return Saver() if self._graph.get_collection(GraphKeys.GLOBAL_VARIABLES) else None

    # Properties

    @property
    def is_chief(self) -> bool:
        """Whether this process initializes and saves."""
        return self._is_chief

    @property
    def coord(self) -> Coordinator:
        """The coordinator of its threads."""
        return self._coord

    @property
    def init_feed_dict(self) -> Any:
        """What init_op is fed."""
        return self._init_feed_dict

    @property
    def session_manager(self) -> SessionManager:
        """The manager that creates its sessions."""
        return self._manager

    @property
    def save_summaries_secs(self) -> float:
        """Seconds between two summaries."""
        return self._save_summaries_secs

    @property
    def save_model_secs(self) -> float:
        """Seconds between two checkpoints."""
        return self._save_model_secs

    # Running

    @contextlib.contextmanager
    def managed_session(
        self,
        master: str = "",
        config: Any = None,
        start_standard_services: bool = True,
        close_summary_writer: bool = True,
    ) -> Iterator[Session]:
        """A context manager with a session whose model is ready, and running services. An exception inside stops them.

        The end of the data (OutOfRangeError) ends the block normally.
        """
        try:
            session = self.prepare_or_wait_for_session(master, config, start_standard_services=start_standard_services)
            yield session
        except Exception as error:
            self.request_stop(error)
        finally:
            try:
                # Raises what threads or the block have raised.
                self.stop(close_summary_writer=close_summary_writer)
            finally:
                with contextlib.suppress(Exception, UnboundLocalError):
                    session.close()

    def prepare_or_wait_for_session(
        self,
        master: str = "",
        config: Any = None,
        wait_for_checkpoint: bool = False,
        max_wait_secs: float = 7200,
        start_standard_services: bool = True,
    ) -> Session:
        """Create a session whose model is ready. The chief initializes or restores the model; others wait for it."""
        self._coord.clear_stop()
        if self.summary_writer is not None:
            self.summary_writer.reopen()
        if not self._is_chief:
            session = self._manager.wait_for_session(master, config=config, max_wait_secs=max_wait_secs)
        else:
            session = self._manager.prepare_session(
                master, self.init_op, self.saver, self._logdir, None, wait_for_checkpoint, max_wait_secs, config,
                self._init_feed_dict, self._init_fn,
            )  # fmt: skip
            self._write_graph()
            if start_standard_services:
                self.start_standard_services(session)
        if start_standard_services:
            self.start_queue_runners(session)
        return session

    PrepareSession = prepare_or_wait_for_session

    def _write_graph(self) -> None:
        if self._logdir is not None:
            write_graph_text(self._logdir, self._graph)
        if self.summary_writer is not None and not self._is_drawn:
            self._is_drawn = True
            self.summary_writer.add_graph(self._graph)
            saver_def = None if self.saver is None else self.saver.saver_def
            self.summary_writer.add_meta_graph(export_meta_graph(graph=self._graph, saver_def=saver_def))

    def start_standard_services(self, sess: Session) -> list[LooperThread] | None:
        """Start the threads that save and write summaries, and return them; None if there is no logdir.

        Raises RuntimeError unless it is the chief.
        """
        if not self._is_chief:
            raise RuntimeError("Only chief supervisor can start standard services. Because only chief supervisors can "
                               "write events.")  # fmt: skip
        if self._logdir is None:
            log.warning("Standard services need a 'logdir' passed to the SessionManager")
            return None
        if self.global_step is not None:
            self._note(SessionStatus.START, self._step(sess))
        threads = []
        if self.summary_op is not None and self.summary_writer is not None and self._save_summaries_secs:
            threads.append(self.loop(self._save_summaries_secs, self._summarize, args=(sess,)))
        if self.global_step is not None and self.summary_writer is not None and self._save_summaries_secs:
            since = [time.monotonic(), self._step(sess)]
            threads.append(self.loop(self._save_summaries_secs, self._count, args=(sess, since)))
        if self.saver is not None and self._save_model_secs:
            threads.append(self.loop(self._save_model_secs, self._save, args=(sess,)))
        return threads

    StartStandardServices = start_standard_services

    def start_queue_runners(self, sess: Session, queue_runners: Sequence[Any] | None = None) -> list[Any]:
        """Start the threads of queue runners, by default the graph's, and return them.

        queue_runners: a list of QueueRunners.
        """
        if queue_runners is None:
            return start_queue_runners(sess, self._coord)
        return [
            t for runner in queue_runners for t in runner.create_threads(sess, self._coord, daemon=True, start=True)
        ]

    StartQueueRunners = start_queue_runners

    def loop(
        self, timer_interval_secs: float | None, target: Callable[..., Any], args: Any = None, kwargs: Any = None
    ) -> LooperThread:
        """Start and return a thread that calls a function repeatedly, every `timer_interval_secs` seconds."""
        looper = LooperThread(self._coord, timer_interval_secs, target=target, args=args, kwargs=kwargs)
        looper.start()
        return looper

    Loop = loop

    def should_stop(self) -> bool:
        """Whether the threads should stop."""
        return self._coord.should_stop()

    ShouldStop = should_stop

    def request_stop(self, ex: Any = None) -> None:
        """Ask the threads to stop. `stop` will raise `ex`."""
        self._coord.request_stop(ex)

    RequestStop = request_stop

    def stop_on_exception(self) -> Any:
        """A context manager that asks the threads to stop when an exception is raised inside."""
        return self._coord.stop_on_exception()

    StopOnException = stop_on_exception

    def wait_for_stop(self) -> None:
        """Wait until the threads are asked to stop."""
        self._coord.wait_for_stop()

    WaitForStop = wait_for_stop

    def stop(
        self, threads: Sequence[Any] | None = None, close_summary_writer: bool = True, ignore_live_threads: bool = False
    ) -> None:
        """Stop the threads. Raises what they, or the block, have raised."""
        self._coord.request_stop()
        try:
            self._coord.join(threads, self._grace, ignore_live_threads)
        finally:
            if close_summary_writer and self.summary_writer is not None:
                self._note(SessionStatus.STOP)
                self.summary_writer.close()
                self._is_drawn = False

    Stop = stop

    def summary_computed(self, sess: Session, summary: Any, global_step: Any = None) -> None:
        """Write a summary that the program has computed. Raises RuntimeError without a writer."""
        if self.summary_writer is None:
            raise RuntimeError("Writing a summary requires a summary writer.")
        if global_step is None and self.global_step is not None:
            global_step = self._step(sess)
        self.summary_writer.add_summary(summary, global_step)

    SummaryComputed = summary_computed

    # Services

    def _step(self, sess: Session) -> int:
        return int(sess.run(self.global_step))

    def _note(self, status: int, step: int | None = None, path: str | None = None) -> None:
        """Note in the event file that the session has started, saved or stopped."""
        if self.summary_writer is not None:
            entry = protos("event").SessionLog(status=status, checkpoint_path=path)
            self.summary_writer.add_session_log(entry, step)

    def _summarize(self, sess: Session) -> None:
        if self.global_step is None:
            self.summary_writer.add_summary(sess.run(self.summary_op))
        else:
            self.summary_writer.add_summary(*sess.run([self.summary_op, self.global_step]))

    def _count(self, sess: Session, since: list) -> None:
        now, step = time.monotonic(), self._step(sess)
        tag, seconds = f"{self.global_step.op.name}/sec", now - since[0]
        rate = (step - since[1]) / seconds if seconds > 0 else float("inf")
        log.info("%s: %g", tag, rate)
        value = protos("summary").Summary.Value(tag=tag, simple_value=rate)
        self.summary_writer.add_summary(protos("summary").Summary(value=[value]), step)
        since[:] = [now, step]

    def _save(self, sess: Session) -> None:
        self.saver.save(sess, self.save_path, global_step=self.global_step)
        if self.global_step is not None:
            self._note(SessionStatus.CHECKPOINT, self._step(sess), self.save_path)
