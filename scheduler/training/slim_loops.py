"""The loops of contrib's slim and training: training, and evaluating checkpoints as they appear."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.graph import GraphKeys
from weftwork.graph.ops import math_ops
from weftwork.graph.ops.flow import group
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.training.steps import get_or_create_global_step
from weftwork.graph.variables.collected import global_variables, local_variables_initializer
from weftwork.graph.variables.sharing import get_variable
from weftwork.graph.variables.variable import Variable
from weftwork.scheduler.saving.saver import Saver
from weftwork.scheduler.training.basic_hooks import FeedFnHook
from weftwork.scheduler.training.creators import ChiefSessionCreator
from weftwork.scheduler.training.hooks import SessionRunArgs, SessionRunHook
from weftwork.scheduler.training.loops import checkpoints_iterator
from weftwork.scheduler.training.monitored_session import MonitoredSession, MonitoredTrainingSession
from weftwork.scheduler.training.scaffold import Scaffold
from weftwork.scheduler.training.supervisor import Supervisor

log = logging.getLogger("weftwork")


# Training


def train_step(sess: Any, train_op: Any, global_step: Any, train_step_kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    """Run one training step. Returns the loss, and whether this was the last step.

    train_step_kwargs: optional tensors `should_stop` and `should_log`.
    """
    begun = time.monotonic()
    loss, step = sess.run([train_op, global_step])
    if "should_log" in train_step_kwargs and sess.run(train_step_kwargs["should_log"]):
        log.info("global step %d: loss = %.4f (%.3f sec/step)", step, loss, time.monotonic() - begun)
    stop = train_step_kwargs.get("should_stop")
    return loss, bool(sess.run(stop)) if stop is not None else False


def train(
    train_op: Any,
    logdir: str | None,
    train_step_fn: Callable[..., Any] = train_step,
    train_step_kwargs: Any = None,
    log_every_n_steps: int = 1,
    graph: Any = None,
    master: str = "",
    is_chief: bool = True,
    global_step: Any = None,
    number_of_steps: int | None = None,
    init_op: Any = None,
    init_feed_dict: Mapping[Any, Any] | None = None,
    local_init_op: Any = None,
    init_fn: Callable[..., Any] | None = None,
    ready_op: Any = None,
    summary_op: Any = None,
    save_summaries_secs: float = 600,
    summary_writer: Any = None,
    startup_delay_steps: int = 0,
    saver: Any = None,
    save_interval_secs: float = 600,
    sync_optimizer: Any = None,
    session_config: Any = None,
    session_wrapper: Callable[..., Any] | None = None,
    trace_every_n_steps: int | None = None,
    ignore_live_threads: bool = False,
) -> Any:
    """Train for `number_of_steps`, or until an input ends. Returns the last loss. `create_train_op` makes train_op.

    logdir: folder for checkpoints and summaries, None for neither. Training continues from its last checkpoint.
    train_step_fn(session, train_op, global_step, train_step_kwargs): replaces the training step.   init_fn(session):
    called at the beginning, for example to restore other variables.
    summary_writer, startup_delay_steps, sync_optimizer, trace_every_n_steps, ignore_live_threads: without effect.
    Raises ValueError for invalid arguments.
    """
    _check(train_op, number_of_steps)
    with (graph or get_default_graph()).as_default() as graph:
        step: Any = get_or_create_global_step() if global_step is None else global_step
        saver = saver or Saver()
        asked = _stops(step, number_of_steps, log_every_n_steps) if train_step_kwargs is None else train_step_kwargs
        chosen = _given(init_op=init_op, local_init_op=local_init_op, ready_op=ready_op)
        supervisor = Supervisor(
            graph=graph, is_chief=is_chief, logdir=logdir, init_feed_dict=init_feed_dict, saver=saver,
            global_step=step, save_summaries_secs=int(save_summaries_secs), save_model_secs=int(save_interval_secs),
            init_fn=init_fn, summary_op=None if logdir is None else summary_op or Supervisor.USE_DEFAULT, **chosen,
        )  # fmt: skip
        loss = None
        with supervisor.managed_session(master, config=session_config, start_standard_services=False) as session:
            used = session if session_wrapper is None else session_wrapper(session)
            if is_chief and logdir is not None:
                supervisor.start_standard_services(session)
            supervisor.start_queue_runners(session)
            while not supervisor.should_stop():
                loss, last = train_step_fn(used, train_op, step, asked)
                if last:
                    supervisor.request_stop()
            if is_chief and logdir is not None:
                saver.save(session, supervisor.save_path, global_step=step)
    return loss


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _check(train_op: Any, number_of_steps: int | None) -> None:
    if train_op is None:
        raise ValueError("train_op cannot be None.")
    if number_of_steps is not None and number_of_steps <= 0:
        raise ValueError("`number_of_steps` must be either None or a positive number.")


def _stops(step: Any, number_of_steps: int | None, log_every_n_steps: int) -> dict[str, Any]:
    """The tensors that `train_step` needs."""
    options = {}
    if number_of_steps is not None:
        options["should_stop"] = math_ops.greater_equal(step, np.asarray(number_of_steps, step.dtype.base_dtype.numpy))
    if log_every_n_steps > 0:
        every = np.asarray(log_every_n_steps, step.dtype.base_dtype.numpy)
        options["should_log"] = math_ops.equal(math_ops.mod(step, every), 0)
    return options


def train_with_hooks(
    train_op: Any,
    logdir: str | None,
    master: str = "",
    is_chief: bool = True,
    scaffold: Any = None,
    hooks: Any = None,
    chief_only_hooks: Any = None,
    save_checkpoint_secs: float = 600,
    save_summaries_steps: int = 100,
    config: Any = None,
    max_wait_secs: float = 7200,
) -> Any:
    """Run `train_op` in a MonitoredTrainingSession until a hook stops it. Returns the last loss.

    Raises ValueError if something must be saved and logdir is None.
    """
    if logdir is None and is_chief and save_summaries_steps:
        raise ValueError("logdir cannot be None when save_summaries_steps is not None")
    loss = None
    with MonitoredTrainingSession(
        master, is_chief, logdir, scaffold, hooks, chief_only_hooks, save_checkpoint_secs,
        save_summaries_steps=save_summaries_steps, config=config, max_wait_secs=max_wait_secs,
    ) as session:  # fmt: skip
        while not session.should_stop():
            loss = session.run(train_op)
    return loss


# Evaluation


def get_or_create_eval_step() -> Variable:
    """The local variable that counts the steps of an evaluation."""
    graph = get_default_graph()
    known = graph.get_collection(GraphKeys.EVAL_STEP)
    if known:
        return known[0]
    collections = [GraphKeys.LOCAL_VARIABLES, GraphKeys.EVAL_STEP]
    return get_variable("eval_step", [], dtypes.int64, initializer=_zero, trainable=False, collections=collections)


def _zero(shape: Any, dtype: Any = None, **_: Any) -> Any:
    return np.int64(0)


class StopAfterNEvalsHook(SessionRunHook):
    """Stops after `num_evals` runs."""

    def __init__(self, num_evals: int | None, log_progress: bool = True):
        self._num_evals, self._done = num_evals, 0

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._done = 0

    def before_run(self, run_context: Any) -> SessionRunArgs | None:
        return None

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self._done += 1
        if self._num_evals is not None and self._done >= self._num_evals:
            run_context.request_stop()


def evaluate_once(
    checkpoint_path: str,
    master: str = "",
    scaffold: Any = None,
    eval_ops: Any = None,
    feed_dict: Mapping[Any, Any] | None = None,
    final_ops: Any = None,
    final_ops_feed_dict: Mapping[Any, Any] | None = None,
    hooks: Iterable[SessionRunHook] | None = None,
    config: Any = None,
) -> Any:
    """Run `eval_ops` on a checkpoint until a hook stops it or an input ends. Returns the values of `final_ops`."""
    final: list[Any] = [None]

    class _Final(SessionRunHook):
        def end(self, session: Any) -> None:
            final[0] = None if final_ops is None else session.run(final_ops, final_ops_feed_dict)

    feeds = [FeedFnHook(lambda: feed_dict)] if feed_dict else []
    creator = ChiefSessionCreator(scaffold, master, config, checkpoint_filename_with_path=checkpoint_path)
    with MonitoredSession(creator, [*(hooks or ()), *feeds, _Final()]) as session:
        while eval_ops is not None and not session.should_stop():
            session.run(eval_ops)
    return final[0]


def evaluate_checkpoint(
    master: str,
    checkpoint_path: str,
    logdir: str | None,
    num_evals: int = 1,
    initial_op: Any = None,
    initial_op_feed_dict: Mapping[Any, Any] | None = None,
    eval_op: Any = None,
    eval_op_feed_dict: Mapping[Any, Any] | None = None,
    final_op: Any = None,
    final_op_feed_dict: Mapping[Any, Any] | None = None,
    summary_op: Any = None,
    summary_op_feed_dict: Mapping[Any, Any] | None = None,
    variables_to_restore: Any = None,
    session_config: Any = None,
    hooks: Any = None,
) -> Any:
    """Slim's `evaluate_once`: run eval_op num_evals times on a checkpoint. Returns the values of final_op.

    logdir, summary_op: accepted, without effect.
    """
    first = [local_variables_initializer(), *([] if initial_op is None else [initial_op])]
    saver = Saver(variables_to_restore if variables_to_restore is not None else global_variables())
    scaffold = Scaffold(local_init_op=group(*first), saver=saver)
    stop = StopAfterNEvalsHook(num_evals)
    return evaluate_once(
        checkpoint_path, master, scaffold, eval_op, eval_op_feed_dict, final_op, final_op_feed_dict,
        [stop, *(hooks or ())], session_config,
    )  # fmt: skip


def evaluation_loop(
    master: str,
    checkpoint_dir: str,
    logdir: str | None,
    num_evals: int = 1,
    *args: Any,
    eval_interval_secs: float = 60,
    max_number_of_evaluations: int | None = None,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
    **kwargs: Any,
) -> Any:
    """Slim's `evaluate_once` for each checkpoint as it appears, at most once in eval_interval_secs. Returns the last
    result.

    max_number_of_evaluations, timeout: end after this many evaluations, or this many seconds without a new checkpoint.
    """
    last, graph = None, get_default_graph()
    for number, path in enumerate(checkpoints_iterator(checkpoint_dir, eval_interval_secs, timeout, timeout_fn)):
        with graph.as_default():
            last = evaluate_checkpoint(master, path, logdir, num_evals, *args, **kwargs)
        if max_number_of_evaluations is not None and number + 1 >= max_number_of_evaluations:
            break
    return last
