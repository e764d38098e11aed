"""Calling kernels in this process: a whole plan, or single nodes, from any of its threads."""

from __future__ import annotations

from functools import partial
from time import perf_counter, thread_time
from typing import NamedTuple

from weftwork.actors.processes.ticker import TICKER
from weftwork.actors.programs.bodies import Control
from weftwork.actors.programs.float_errors import quiet, turn
from weftwork.actors.programs.program import Stopped, is_from_outside, spread
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.lending import all_lent
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of, need_one_thread
from weftwork.scheduler.compile.emit import is_users, users_function
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.plan import Plan
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.waiting import Called

Cost = tuple[float, float, int, int]
"""The cost of a call: its start, its seconds, and the bytes of its inputs and outputs."""


class Call(NamedTuple):
    """A node that was called.   free: the seconds of it for which the GIL was free.   busy: its seconds of CPU time."""

    node: int
    cost: Cost
    free: float
    busy: float


def run_locally(run: Run, plan: Plan, measure: bool) -> None:
    """Run a plan that is entirely in the caller, one segment after another."""
    try:
        if len(plan.segments) == 1:
            run.run_here(plan, plan.segments[0], measure)
            return
        with quiet():  # once for all segments: it takes 0.7 us
            for segment in plan.segments:
                run.run_here(plan, segment, measure, quieted=True)
    except Stopped:
        raise run.stopped() from None


def call_node(run: Run, node: int) -> Cost:
    """Call a node, and store its outputs in the run's values.

    Call it inside a `float_errors` context. Raises what the node raises.
    """
    flow = run.flow
    kernel = flow.kernels[node]
    args = [run.local(number) for number in flow.inputs[node]]
    if args and is_users(kernel):
        args = all_lent(args, users_function(kernel).reads)
    taken = sum(map(size_of, args))
    turn(is_users(kernel))
    start = perf_counter()
    given = [run.stop, *args] if isinstance(kernel, Control) else args
    try:
        result = run.call_here(Called(node), partial(flow.kernels[node], *given, **flow.attrs[node]))
    except BaseException as error:
        if run.is_cancelled and not is_from_outside(error):
            raise Stopped from error  # the function has turned the Interrupted raised in it into another error
        raise
    seconds = perf_counter() - start
    outputs = flow.outputs[node]
    if len(outputs) == 1:
        run.values[outputs[0]] = result
    else:
        spread(run.values, outputs, result)
    return start, seconds, taken, size_of(result)


def timed_call(run: Run, node: int) -> Call:
    """`call_node`, with what shows whether the call has computed, or waited for the GIL."""
    busy, free = thread_time(), TICKER.free
    cost = call_node(run, node)
    return Call(node, cost, TICKER.free - free, thread_time() - busy)


def may_do_without(flow: Dataflow) -> bool:
    """Whether a dataflow may be shared out without local workers: this process may call all its functions."""
    functions = flow.functions
    return bool(functions) and all([f.threadsafe and not f.captured.ends and not COSTS.blocks(f) for f in functions])


def fits_a_thread(run: Run, node: int) -> bool:
    """True for a node that may run beside others in a thread of this process: it releases the GIL while it computes.

    A function that is `threadsafe` may try. False for functions that share their process's random generators, depend on
    their thread, or may end their process, and if the caller has other runs to serve.
    """
    flow = run.flow
    if flow.beside:
        return False
    kernel = flow.kernels[node]
    if not flow.ops[node].traits.user:
        return not isinstance(kernel, Control)
    holds = HISTORY.holds_gil(kernel)
    if holds or COSTS.blocks(kernel):
        return False
    functions = functions_of([kernel])
    return (holds is False or all([function.threadsafe for function in functions])) and not need_one_thread(functions)
