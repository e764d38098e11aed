"""Hooks that most training programs need: stopping, logging, checking the loss. See also `saving_hooks`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from weftwork.graph import nest, stacks
from weftwork.graph.errors import OutOfRangeError
from weftwork.graph.training.steps import get_or_create_global_step_read
from weftwork.scheduler.training.hooks import SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues

log = logging.getLogger("weftwork")


def needed_global_step(hook: SessionRunHook) -> Any:
    """The graph's global step, as read before a run. Raises RuntimeError if there is none."""
    step = get_or_create_global_step_read()
    if step is None:
        raise RuntimeError(f"Global step should be created to use {type(hook).__name__}.")
    return step


class SecondOrStepTimer:
    """Tells when something is due that happens every `every_secs` seconds or every `every_steps` steps.

    Raises ValueError unless exactly one of them is given.
    """

    def __init__(self, every_secs: float | None = None, every_steps: int | None = None):
        if every_secs is None and every_steps is None:
            raise ValueError("Either every_secs or every_steps should be provided.")
        if every_secs is not None and every_steps is not None:
            raise ValueError("Can not provide both every_secs and every_steps.")
        self._every_secs, self._every_steps = every_secs, every_steps
        self.reset()

    def reset(self) -> None:
        """Start over, as if it had never been due."""
        self._last_triggered_time: float | None = None
        self._last_triggered_step: int | None = None

    def should_trigger_for_step(self, step: int) -> bool:
        """Whether it is due at this step. True for the first step, and at most once per step."""
        if self._last_triggered_step is None:
            return True
        if step == self._last_triggered_step:
            return False
        if self._every_secs is not None:
            return time.monotonic() >= self._last_triggered_time + self._every_secs  # type: ignore[operator]
        return step >= self._last_triggered_step + self._every_steps  # type: ignore[operator]

    def update_last_triggered_step(self, step: int) -> tuple[float | None, int | None]:
        """Note that it happened at this step. Returns seconds and steps since the last time, or (None, None)."""
        now = time.monotonic()
        since, before = self._last_triggered_time, self._last_triggered_step
        self._last_triggered_time, self._last_triggered_step = now, step
        return (None, None) if since is None or before is None else (now - since, step - before)

    def last_triggered_step(self) -> int | None:
        """The step at which it last happened."""
        return self._last_triggered_step


class StopAtStepHook(SessionRunHook):
    """Stops after `num_steps` further steps, or once the global step is `last_step`.

    Raises ValueError unless exactly one of them is given.
    """

    def __init__(self, num_steps: int | None = None, last_step: int | None = None):
        if num_steps is None and last_step is None:
            raise ValueError("One of num_steps or last_step must be specified.")
        if num_steps is not None and last_step is not None:
            raise ValueError("Only one of num_steps or last_step can be specified.")
        self._num_steps, self._last_step = num_steps, last_step

    def begin(self) -> None:
        """Find the global step."""
        self._global_step_tensor = needed_global_step(self)

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Compute the last step. A session that is made again does not change it."""
        if self._last_step is None:
            self._last_step = int(session.run(self._global_step_tensor)) + self._num_steps  # type: ignore[operator]

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        """Fetch the global step."""
        return SessionRunArgs(self._global_step_tensor)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Check the global step. The fetched value may be from before the step, so it is read again near the end."""
        assert self._last_step is not None
        if run_values.results + 1 >= self._last_step:
            if int(run_context.session.run(self._global_step_tensor)) >= self._last_step:
                run_context.request_stop()


class NanLossDuringTrainingError(RuntimeError):
    """The loss is NaN."""

    def __str__(self) -> str:
        return "NaN loss during training."


class NanTensorHook(SessionRunHook):
    """Checks the loss. If it is NaN, raises NanLossDuringTrainingError, or stops if `fail_on_nan_loss` is False.

    loss_tensor: a scalar tensor.   fail_on_nan_loss: False stops the loop instead of raising.
    """

    def __init__(self, loss_tensor: Any, fail_on_nan_loss: bool = True):
        self._loss_tensor, self._fail_on_nan_loss = loss_tensor, fail_on_nan_loss

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        """Fetch the loss."""
        return SessionRunArgs(self._loss_tensor)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Check the loss. Raises NanLossDuringTrainingError, or requests a stop, if it is not a number."""
        if np.isnan(run_values.results):
            if self._fail_on_nan_loss:
                log.error("Model diverged with loss = NaN.")
                raise NanLossDuringTrainingError
            log.warning("Model diverged with loss = NaN.")
            run_context.request_stop()


def _element(item: Any) -> Any:
    """A tensor, or the tensor of that name in the default graph; the name of an operation means its only output.

    Raises ValueError for a tensor of another graph, and for an operation with several outputs; KeyError for a name that
    is not in the graph.
    """
    graph = stacks.get_default_graph()
    if not isinstance(item, str):
        if getattr(item, "graph", None) is not graph:
            raise ValueError(f"Passed {item} should have graph attribute that is equal to current graph {graph}.")
        return item
    if ":" in item:
        return graph.as_graph_element(item)
    if len(graph.get_operation_by_name(item).outputs) > 1:
        raise ValueError(f"Name {item} is ambiguous, as this `Operation` has multiple outputs (at least 2).")
    return graph.as_graph_element(f"{item}:0")


class LoggingTensorHook(SessionRunHook):
    """Logs the values of tensors to the logger "weftwork": every `every_n_iter` runs or `every_n_secs` seconds, or at
    the end.

    tensors: a list of tensors or names, or a dict from labels to them.
    formatter: builds the text from a dict of values.
    Raises ValueError unless at_end is set, or exactly one of the intervals is given.
    """

    def __init__(
        self,
        tensors: Any,
        every_n_iter: int | None = None,
        every_n_secs: float | None = None,
        at_end: bool = False,
        formatter: Callable[[dict[Any, Any]], str] | None = None,
    ):
        only_at_end = at_end and every_n_iter is None and every_n_secs is None
        if not only_at_end and (every_n_iter is None) == (every_n_secs is None):
            raise ValueError("either at_end and/or exactly one of every_n_iter and every_n_secs must be provided.")
        if every_n_iter is not None and every_n_iter <= 0:
            raise ValueError(f"invalid every_n_iter={every_n_iter}.")
        self._tag_order = sorted(tensors) if isinstance(tensors, dict) else nest.flatten(tensors)
        self._tensors = tensors if isinstance(tensors, dict) else {tensor: tensor for tensor in self._tag_order}
        self._formatter, self._log_at_end = formatter, at_end
        self._timer = None if only_at_end else SecondOrStepTimer(every_n_secs, every_n_iter)

    def begin(self) -> None:
        """Resolve names to tensors."""
        if self._timer is not None:
            self._timer.reset()
        self._iter_count = 0
        self._current_tensors = {tag: _element(tensor) for tag, tensor in self._tensors.items()}

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs | None:
        """Fetch the tensors if they are due."""
        self._should_trigger = self._timer is not None and self._timer.should_trigger_for_step(self._iter_count)
        return SessionRunArgs(self._current_tensors) if self._should_trigger else None

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Log the values."""
        if self._should_trigger:
            self._log(run_values.results)
        self._iter_count += 1

    def end(self, session: Any) -> None:
        """Log the values at the end."""
        if self._log_at_end:
            self._log(session.run(self._current_tensors))

    def _log(self, values: dict) -> None:
        seconds = None if self._timer is None else self._timer.update_last_triggered_step(self._iter_count)[0]
        if self._formatter is not None:
            log.info(self._formatter(values))
            return
        text = ", ".join([f"{tag} = {values[tag]}" for tag in self._tag_order])
        log.info("%s%s", text, "" if seconds is None else f" ({seconds:.3f} sec)")


class GlobalStepWaiterHook(SessionRunHook):
    """Delays a worker until the global step is `wait_until_step`, so that workers that join later disturb less."""

    def __init__(self, wait_until_step: int):
        self._wait_until_step = wait_until_step
        self._worker_is_started = wait_until_step <= 0

    def begin(self) -> None:
        """Find the global step."""
        self._global_step_tensor = needed_global_step(self)

    def before_run(self, run_context: SessionRunContext) -> None:
        """Read the global step twice a second until it is reached."""
        if self._worker_is_started:
            return
        log.info("Waiting for global step %d before starting training.", self._wait_until_step)
        while int(run_context.session.run(self._global_step_tensor)) < self._wait_until_step:
            time.sleep(0.5)
        self._worker_is_started = True


class FinalOpsHook(SessionRunHook):
    """Evaluates fetches at the end; their values are `final_ops_values`.

    final_ops: what to fetch.   final_ops_feed_dict: what to feed then.
    """

    def __init__(self, final_ops: Any, final_ops_feed_dict: Mapping[Any, Any] | None = None):
        self._final_ops, self._final_ops_feed_dict = final_ops, final_ops_feed_dict
        self._final_ops_values: Any = None

    @property
    def final_ops_values(self) -> Any:
        """The values, once the session has ended."""
        return self._final_ops_values

    def end(self, session: Any) -> None:
        """Evaluate the fetches."""
        if self._final_ops is None:
            return
        try:
            self._final_ops_values = session.run(self._final_ops, feed_dict=self._final_ops_feed_dict)
        except (OutOfRangeError, StopIteration):
            log.warning(
                "An OutOfRangeError or StopIteration exception is raised by the code in FinalOpsHook. This typically "
                "means the Ops running by the FinalOpsHook have a dependency back to some input source, which should "
                "not happen: let them read variables only."
            )
            raise


class FeedFnHook(SessionRunHook):
    """Feeds each run with the result of `feed_fn()`."""

    def __init__(self, feed_fn: Callable[[], Mapping[Any, Any]]):
        self.feed_fn = feed_fn

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        """Feed the run."""
        return SessionRunArgs(fetches=None, feed_dict=self.feed_fn())
