"""Hooks that write checkpoints, summaries, and the number of steps per second.

Event files need TensorBoard. Without it, the hooks do their other work, and log that once.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterable
from typing import Any

from weftwork.graph import stacks
from weftwork.graph.graph import GraphKeys
from weftwork.graph.protos import protos
from weftwork.scheduler.request.config import RunOptions
from weftwork.scheduler.saving.meta_graph import export_meta_graph
from weftwork.scheduler.saving.saver import Saver
from weftwork.scheduler.training.basic_hooks import SecondOrStepTimer, needed_global_step
from weftwork.scheduler.training.event_files import FileWriter, FileWriterCache, write_graph_text
from weftwork.scheduler.training.hooks import SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues
from weftwork.scheduler.training.scaffold import Scaffold
from weftwork.scheduler.views.timeline import Timeline

log = logging.getLogger("weftwork")


def writer_in(folder: str | None) -> FileWriter | None:
    """The writer of event files in a folder; None without TensorBoard."""
    if folder is None:
        return None
    if importlib.util.find_spec("tensorboard") is None:
        log.info("No event files in %s: they need TensorBoard (pip install weftwork[tensorboard]).", folder)
        return None
    return FileWriterCache.get(folder)


class _Counted(SessionRunHook):
    """The base of hooks that do something every N global steps."""

    _timer: SecondOrStepTimer
    _steps_per_run = 1

    def begin(self) -> None:
        """Find the global step."""
        self._global_step_tensor = needed_global_step(self)

    def _set_steps_per_run(self, steps_per_run: int) -> None:
        """A run makes this many steps, so that what is due during a run is noticed after it."""
        self._steps_per_run = steps_per_run

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        """Fetch the global step."""
        return SessionRunArgs(self._global_step_tensor)

    def _due(self, run_context: SessionRunContext, run_values: SessionRunValues) -> int | None:
        """The global step if something is due, else None.

        Reads it again, because a run fetches the value before its steps.
        """
        if not self._timer.should_trigger_for_step(int(run_values.results) + self._steps_per_run):
            return None
        step = int(run_context.session.run(self._global_step_tensor))
        return step if self._timer.should_trigger_for_step(step) else None


class CheckpointSaverListener:
    """What to do around each checkpoint. Override the methods that you need."""

    def begin(self) -> None:
        """Called once, before the graph is finalized."""

    def before_save(self, session: Any, global_step_value: int) -> None:
        """Called before each checkpoint.

        global_step_value: the step, an int.
        """

    def after_save(self, session: Any, global_step_value: int) -> bool | None:
        """Called after each checkpoint. Return True to ask for a stop.

        global_step_value: the step, an int.
        """

    def end(self, session: Any, global_step_value: int) -> None:
        """Called at the end, after the last checkpoint.

        global_step_value: the step, an int.
        """


class CheckpointSaverHook(_Counted):
    """Saves a checkpoint at the beginning, every `save_secs` seconds or `save_steps` steps, and at the end.

    saver or scaffold: provides the saver; by default the only saver in the graph's collection.
    checkpoint_basename: the name of the files.   listeners: CheckpointSaverListeners to be called.
    Raises ValueError if both are given, or not exactly one of save_secs and save_steps.
    """

    def __init__(
        self,
        checkpoint_dir: str,
        save_secs: float | None = None,
        save_steps: int | None = None,
        saver: Saver | None = None,
        checkpoint_basename: str = "model.ckpt",
        scaffold: Scaffold | None = None,
        listeners: Iterable[CheckpointSaverListener] | None = None,
    ):
        log.info("Create CheckpointSaverHook.")
        if saver is not None and scaffold is not None:
            raise ValueError("You cannot provide both saver and scaffold.")
        self._checkpoint_dir, self._saver, self._scaffold = checkpoint_dir, saver, scaffold
        self._save_path = os.path.join(checkpoint_dir, checkpoint_basename)
        self._timer = SecondOrStepTimer(save_secs, save_steps)
        self._listeners = list(listeners or ())

    def begin(self) -> None:
        """Find the global step."""
        self._summary_writer = writer_in(self._checkpoint_dir)
        super().begin()
        for listener in self._listeners:
            listener.begin()

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Save the initial state."""
        step = int(session.run(self._global_step_tensor))
        os.makedirs(self._checkpoint_dir, exist_ok=True)
        if self._summary_writer is not None:
            self._summary_writer.add_graph(session.graph)
            saver_def = self._get_saver().saver_def
            self._summary_writer.add_meta_graph(export_meta_graph(graph=session.graph, saver_def=saver_def))
        write_graph_text(self._checkpoint_dir, session.graph)
        self._save(session, step)
        self._timer.update_last_triggered_step(step)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Save if a checkpoint is due."""
        step = self._due(run_context, run_values)
        if step is not None:
            self._timer.update_last_triggered_step(step)
            if self._save(run_context.session, step):
                run_context.request_stop()

    def end(self, session: Any) -> None:
        """Save unless the last step has been saved."""
        step = int(session.run(self._global_step_tensor))
        if step != self._timer.last_triggered_step():
            self._save(session, step)
        for listener in self._listeners:
            listener.end(session, step)

    def _save(self, session: Any, step: int) -> bool:
        log.info("Saving checkpoints for %d into %s.", step, self._save_path)
        for listener in self._listeners:
            listener.before_save(session, step)
        self._get_saver().save(session, self._save_path, global_step=step)
        if self._summary_writer is not None:
            entry = protos("event").SessionLog
            self._summary_writer.add_session_log(entry(status=entry.CHECKPOINT, checkpoint_path=self._save_path), step)
        return any([listener.after_save(session, step) for listener in self._listeners])

    def _get_saver(self) -> Saver:
        if self._saver is None:
            self._saver = self._scaffold.saver if self._scaffold is not None else _only_saver()
        assert self._saver is not None
        return self._saver


def _only_saver() -> Saver:
    found = stacks.get_default_graph().get_collection(GraphKeys.SAVERS)
    if not found:
        raise RuntimeError(
            f"No items in collection {GraphKeys.SAVERS}. Please add a saver to the collection or provide a saver or "
            "scaffold."
        )
    if len(found) > 1:
        raise RuntimeError(
            f"More than one item in collection {GraphKeys.SAVERS}. Please indicate which one to use by passing it to "
            "the constructor."
        )
    return found[0]


class StepCounterHook(_Counted):
    """Logs the number of steps per second, and writes it as a summary.

    output_dir, summary_writer: where to write.   Raises ValueError unless exactly one of every_n_steps and every_n_secs
    is given.
    """

    def __init__(
        self,
        every_n_steps: int | None = 100,
        every_n_secs: float | None = None,
        output_dir: str | None = None,
        summary_writer: FileWriter | None = None,
    ):
        if (every_n_steps is None) == (every_n_secs is None):
            raise ValueError("exactly one of every_n_steps and every_n_secs should be provided.")
        self._timer = SecondOrStepTimer(every_n_secs, every_n_steps)
        self._output_dir, self._summary_writer = output_dir, summary_writer

    def begin(self) -> None:
        """Find the global step."""
        if self._summary_writer is None:
            self._summary_writer = writer_in(self._output_dir)
        self._last_global_step: int | None = None
        super().begin()

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Report if it is due."""
        step = self._due(run_context, run_values)
        if step is not None:
            seconds, steps = self._timer.update_last_triggered_step(step)
            if seconds:
                self._report(steps / seconds, step)  # type: ignore[operator]
        if run_values.results == self._last_global_step:
            log.warning(
                "It seems that global step (tf.train.get_global_step) has not been increased. Current value (could be "
                "stable): %s vs previous value: %s. You could increase the global step by passing "
                "tf.train.get_global_step() to Optimizer.apply_gradients or Optimizer.minimize.",
                run_values.results, self._last_global_step,
            )  # fmt: skip
        self._last_global_step = run_values.results

    def _report(self, rate: float, step: int) -> None:
        tag = f"{self._global_step_tensor.op.name.partition('/')[0]}/sec"
        if self._summary_writer is not None:
            summary = protos("summary").Summary
            self._summary_writer.add_summary(summary(value=[summary.Value(tag=tag, simple_value=rate)]), step)
        log.info("%s: %g", tag, rate)


class SummarySaverHook(SessionRunHook):
    """Writes summaries every `save_steps` steps or `save_secs` seconds.

    output_dir, summary_writer: where to write.   scaffold or summary_op: provides the summaries.
    Raises ValueError unless exactly one of scaffold and summary_op is given.
    """

    def __init__(
        self,
        save_steps: int | None = None,
        save_secs: float | None = None,
        output_dir: str | None = None,
        summary_writer: FileWriter | None = None,
        scaffold: Scaffold | None = None,
        summary_op: Any = None,
    ):
        if (scaffold is None) == (summary_op is None):
            raise ValueError("Exactly one of scaffold or summary_op must be provided.")
        self._scaffold, self._summary_op = scaffold, summary_op
        self._output_dir, self._summary_writer = output_dir, summary_writer
        self._timer = SecondOrStepTimer(save_secs, save_steps)

    def begin(self) -> None:
        """Find the global step."""
        if self._summary_writer is None:
            self._summary_writer = writer_in(self._output_dir)
        self._next_step: int | None = None
        self._global_step_tensor = needed_global_step(self)

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        """Fetch the summaries if they are due."""
        self._request_summary = self._next_step is None or self._timer.should_trigger_for_step(self._next_step)
        wanted: dict[str, Any] = {"global_step": self._global_step_tensor}
        op = self._scaffold.summary_op if self._summary_op is None and self._scaffold is not None else self._summary_op
        if self._request_summary and op is not None and self._summary_writer is not None:
            wanted["summary"] = op if isinstance(op, list) else [op]
        return SessionRunArgs(wanted)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Write the summaries."""
        step = int(run_values.results["global_step"]) + 1
        if self._next_step is None and self._summary_writer is not None:
            entry = protos("event").SessionLog
            self._summary_writer.add_session_log(entry(status=entry.START), step)
        if self._request_summary:
            step = int(run_context.session.run(self._global_step_tensor))
            self._timer.update_last_triggered_step(step)
        for summary in run_values.results.get("summary", ()):
            assert self._summary_writer is not None
            self._summary_writer.add_summary(summary, step)
        self._next_step = step + 1

    def end(self, session: Any) -> None:
        """Flush the file."""
        if self._summary_writer is not None:
            self._summary_writer.flush()


class ProfilerHook(SessionRunHook):
    """Writes the timeline of a run every N steps or seconds: `timeline-STEP.json`, for chrome://tracing.

    show_dataflow, show_memory: as `tf.timeline.Timeline` has them.
    output_dir: the path of the folder that the timelines go to.
    Raises ValueError unless one of save_steps and save_secs is given.
    """

    def __init__(
        self,
        save_steps: int | None = None,
        save_secs: float | None = None,
        output_dir: str = "",
        show_dataflow: bool = True,
        show_memory: bool = False,
    ):
        self._timer = SecondOrStepTimer(save_secs, save_steps)
        self._folder, self._shown = output_dir, (show_dataflow, show_memory)

    def begin(self) -> None:
        """Find the global step."""
        self._next_step: int | None = None
        self._global_step_tensor = needed_global_step(self)
        self._summary_writer = writer_in(self._folder or ".")

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        """Ask for a trace when it is due."""
        self._due = self._next_step is not None and self._timer.should_trigger_for_step(self._next_step)
        options = RunOptions(trace_level=RunOptions.FULL_TRACE) if self._due else None
        return SessionRunArgs(self._global_step_tensor, options=options)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Write it."""
        before = int(run_values.results)
        if self._next_step is None:
            self._timer.update_last_triggered_step(before)
        step = before + 1
        if self._due:
            step = int(run_context.session.run(self._global_step_tensor))
            self._timer.update_last_triggered_step(step)
            self._save(step, run_values.run_metadata)
        self._next_step = step + 1

    def _save(self, step: int, metadata: Any) -> None:
        path = os.path.join(self._folder, f"timeline-{step}.json")
        log.info("Saving timeline for %d into '%s'.", step, path)
        os.makedirs(self._folder or ".", exist_ok=True)
        with open(path, "w") as file:
            file.write(Timeline(metadata.step_stats).generate_chrome_trace_format(*self._shown))
        if self._summary_writer is not None:
            self._summary_writer.add_run_metadata(metadata, f"step_{step}", step)
