"""SyncReplicasOptimizer: workers train one model together, and wait for each other's gradients.

accumulator   for each variable, averages the gradients of a step, whichever workers they come from
token         the number of the step to work on next; after giving its gradients, a worker takes a token from a queue,
              which has tokens once the variables have been updated
chief         the worker whose queue runner updates the variables and adds the tokens
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from weftwork.graph import shapes
from weftwork.graph.graph import GraphKeys
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.accumulators import ConditionalAccumulator, SparseConditionalAccumulator
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.filling import fill
from weftwork.graph.ops.flow import group, no_op
from weftwork.graph.ops.queues import FIFOQueue
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.training.optimizer import Optimizer
from weftwork.graph.variables.collected import global_variables, report_uninitialized_variables
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.writes import assign
from weftwork.scheduler.input.queue_runner import QueueRunner
from weftwork.scheduler.training.hooks import SessionRunHook


class SyncReplicasOptimizer(Optimizer):
    """Wraps the optimizer `opt`; each step applies the mean of the gradients of `replicas_to_aggregate` workers.

    total_num_replicas: number of workers, by default the same; any more are spares.
    variable_averages, variables_to_average: an ExponentialMovingAverage of variables, updated after each step.
    All workers need the hook of `make_session_run_hook`. Gradients that come after the end of their step are dropped.
    """

    def __init__(
        self,
        opt: Optimizer,
        replicas_to_aggregate: int,
        total_num_replicas: int | None = None,
        variable_averages: Any = None,
        variables_to_average: Any = None,
        use_locking: bool = False,
        name: str = "sync_replicas",
    ):
        super().__init__(use_locking, name)
        self._opt, self._replicas_to_aggregate = opt, replicas_to_aggregate
        self._total_num_replicas = replicas_to_aggregate if total_num_replicas is None else total_num_replicas
        self._tokens_per_step = max(self._total_num_replicas, replicas_to_aggregate)
        self._averages, self._averaged = variable_averages, variables_to_average
        self._runner: QueueRunner | None = None
        self.local_step_init_op: Any = None
        self.chief_init_op: Any = None
        self.ready_for_local_init_op: Any = None

    # Delegation

    def compute_gradients(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Compute gradients like `opt`."""
        return self._opt.compute_gradients(*args, **kwargs)

    def get_slot(self, var: Any, name: str) -> Variable | None:
        """A slot of `opt`."""
        return self._opt.get_slot(var, name)

    def get_slot_names(self) -> list[str]:
        """The names of `opt`'s slots."""
        return self._opt.get_slot_names()

    def variables(self) -> list[Variable]:
        """The variables of `opt`."""
        return self._opt.variables()

    # A step

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[Any, Variable]], global_step: Any = None, name: str | None = None
    ) -> Operation:
        """An operation that contributes a worker's gradients, and waits until the variables are updated.

        Raises ValueError without gradients, or without a global step.
        """
        pairs = list(grads_and_vars or ())
        if not pairs:
            raise ValueError("Must supply at least one variable")
        if global_step is None:
            raise ValueError("Global step is required to check staleness")
        self._step_variable = global_step
        with get_default_graph().control_dependencies(None):
            local = Variable(
                global_step.dtype.base_dtype.numpy.type(0),
                trainable=False,
                collections=[GraphKeys.LOCAL_VARIABLES],
                name="sync_rep_local_step",
            )
            self.local_step_init_op = assign(local, global_step).op
        self.ready_for_local_init_op = report_uninitialized_variables(global_variables())
        with name_scope(None, self._name):
            given, means, accumulators = self._accumulate(pairs, local)
            update = self._opt.apply_gradients(means, global_step)
            self._tokens = self._queue("sync_token_q")
            with get_default_graph().control_dependencies(given):
                train_op = assign(local, self._tokens.dequeue())
            self._runner = _Updates(self._queue("dummy_queue"), [self._released(update)])
            with get_default_graph().control_dependencies(None):
                steps = [held.set_global_step(global_step.read_value()) for held in accumulators]
                self.chief_init_op = group(self.local_step_init_op, *steps, name="chief_init_op")
        return train_op

    def _queue(self, name: str) -> FIFOQueue:
        kind = self._step_variable.dtype.base_dtype
        return FIFOQueue(-1, [kind], shapes=[()], name=name, shared_name=name)

    def _accumulate(self, pairs: list, local: Variable) -> tuple[list, list, list]:
        """Operations that contribute gradients, (mean gradient, variable) pairs, and the accumulators."""
        given: list[Operation] = []
        means: list[tuple[Any, Variable]] = []
        accumulators: list[Any] = []
        for grad, variable in pairs:
            if grad is None:
                means.append((None, variable))
                continue
            kind = SparseConditionalAccumulator if isinstance(grad, IndexedSlices) else ConditionalAccumulator
            shape = shapes.TensorShape(variable.shape)
            with variable.graph.colocate_with(variable.op):
                held: Any = kind(grad.dtype.base_dtype, shape, shared_name=f"{variable.name}/grad_accum")
                if isinstance(grad, IndexedSlices):
                    given.append(held.apply_indexed_slices_grad(grad, local.read_value()))
                    mean: Any = held.take_indexed_slices_grad(self._replicas_to_aggregate)
                else:
                    given.append(held.apply_grad(grad, local.read_value()))
                    mean = held.take_grad(self._replicas_to_aggregate)
            means.append((mean, variable))
            accumulators.append(held)
        return given, means, accumulators

    def _released(self, update: Operation) -> Operation:
        """An operation that adds the tokens of the next step, after an update."""
        with get_default_graph().control_dependencies([update]):
            tokens = fill([self._tokens_per_step], self._step_variable.read_value())
            released = self._tokens.enqueue_many([tokens])
        if self._averages is None:
            return released
        with get_default_graph().control_dependencies([released]):
            return self._averages.apply(self._averaged)

    # The chief's part

    def get_chief_queue_runner(self) -> QueueRunner:
        """The runner that the chief starts. Raises ValueError before `apply_gradients`."""
        if self._runner is None:
            raise ValueError("Should be called after apply_gradients().")
        return self._runner

    def get_init_tokens_op(self, num_tokens: int = -1) -> Operation:
        """An operation that adds the tokens of the first step; by default as many as gradients are needed.

        num_tokens: how many; -1 for the default.
        Raises ValueError before `apply_gradients`, or if the workers need more tokens to proceed.
        """
        if self._runner is None:
            raise ValueError("get_init_tokens_op() should be called after apply_gradients().")
        needed = self._replicas_to_aggregate - self._total_num_replicas
        count = self._replicas_to_aggregate if num_tokens == -1 else num_tokens
        if count < needed:
            raise ValueError(f"Too few tokens to finish the first step: {count} (given) vs {needed} (needed)")
        if count <= 0:
            return no_op(name="no_init_tokens")
        with get_default_graph().control_dependencies(None):
            return self._tokens.enqueue_many([fill([count], self._step_variable.read_value())])

    def make_session_run_hook(self, is_chief: bool, num_tokens: int = -1) -> SessionRunHook:
        """The hook that each worker's session needs.

        is_chief: whether this worker fills the queue of tokens.   num_tokens: as in `get_init_tokens_op`.
        """
        return _SyncReplicasOptimizerHook(self, is_chief, num_tokens)


class _Updates(QueueRunner):
    """A runner whose runs wait for gradients. They are cancelled when the coordinator stops it."""

    _run_now: Any = None

    def _caller(self, sess: Any, enqueue_op: Any) -> Callable[[], Any]:
        def run() -> None:
            self._run_now = sess.submit(enqueue_op)
            self._run_now.result()

        return run

    def _close_on_stop(self, sess: Any, coord: Any) -> None:
        super()._close_on_stop(sess, coord)
        while self.is_running(sess):  # it may have started another run in the meantime
            if self._run_now is not None:
                self._run_now.cancel()
            time.sleep(0.05)


class _SyncReplicasOptimizerHook(SessionRunHook):
    """Initializes a worker's local step, and starts the tokens and updates if it is the chief."""

    def __init__(self, optimizer: SyncReplicasOptimizer, is_chief: bool, num_tokens: int):
        self._optimizer, self._is_chief, self._num_tokens = optimizer, is_chief, num_tokens

    def begin(self) -> None:
        mine = self._optimizer
        if mine.ready_for_local_init_op is None:
            raise RuntimeError("SyncReplicasOptimizer's hook needs apply_gradients(), or minimize(), before it.")
        self._local: Any = mine.chief_init_op if self._is_chief else mine.local_step_init_op
        self._ready: Tensor = mine.ready_for_local_init_op
        self._runner = mine.get_chief_queue_runner() if self._is_chief else None
        self._tokens = mine.get_init_tokens_op(self._num_tokens) if self._is_chief else None

    def after_create_session(self, session: Any, coord: Any) -> None:
        lacking = session.run(self._ready)
        if len(lacking):
            names = ", ".join([name.decode() for name in lacking])
            raise RuntimeError(f"Init operations did not make model ready for local_init. Not initialized: {names}")
        session.run(self._local)
        if self._tokens is not None and self._runner is not None:
            session.run(self._tokens)
            self._runner.create_threads(session, coord=coord, daemon=True, start=True)
