"""Calling kernels in this process: a whole plan, or single nodes, from any of its threads."""

from __future__ import annotations

from threading import get_ident
from time import monotonic, perf_counter
from typing import Any, NamedTuple

from weftwork.actors.processes.ticker import TICKER, Reading
from weftwork.actors.programs.bodies import Control
from weftwork.actors.programs.float_errors import quiet, turn
from weftwork.actors.programs.program import Stopped, is_from_outside, spread
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.python.lending import all_lent
from weftwork.scheduler.compile.emit import is_users, users_function
from weftwork.scheduler.machines.backend import Reference
from weftwork.scheduler.plan.plan import Plan
from weftwork.scheduler.plan.policy import LONGEST_TURN
from weftwork.scheduler.run.inputs import inputs_here
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.run.waiting import Called

Cost = tuple[float, float, int, int]
"""The cost of a call: its start, its seconds, and the bytes of its inputs and outputs."""


class Call(NamedTuple):
    """A node that was called.   read: shows whether it has computed, or waited for the GIL; None if nobody watched."""

    node: int
    cost: Cost
    read: Reading | None


def run_locally(run: Run, plan: Plan, measure: bool) -> None:
    """Run a plan that is entirely in the caller, one segment after another."""
    try:
        if len(plan.segments) <= 1:
            for segment in plan.segments:
                run.run_here(plan, segment, measure)
            return
        with quiet():  # once for all segments: it takes 1 us
            for segment in plan.segments:
                run.run_here(plan, segment, measure, quieted=True)
    except Stopped:
        raise run.stopped() from None


def call_at_once(run: Run, node: int) -> None:
    """Call a node that passes on what others have made, and keeps to itself what it does."""
    flow, values = run.flow, run.values
    kernel: Any = flow.kernels[node]
    values[flow.outputs[node][0]] = kernel(*[run.local(number) for number in flow.inputs[node]], **flow.attrs[node])


def call_nodes(run: Run, todo: list[int], called: list[Call], watched: bool = False) -> None:
    """Call nodes, from the last of `todo` on, and store their outputs in the run's values.

    A node that is done goes from `todo` to `called`. At least one is called. The rest stays in `todo` if the run stops,
    or once a turn has lasted long enough. Call it inside a `float_errors` context. Raises what the last node of `todo`
    raises, or Stopped.   watched: whether to measure more than seconds and bytes, see `Call`.
    """
    flow, values = run.flow, run.values
    kernels, inputs, outputs, attrs = flow.kernels, flow.inputs, flow.outputs, flow.attrs
    current = Called(todo[-1])
    run.here[current] = (None, monotonic(), get_ident())
    end = perf_counter() + LONGEST_TURN
    start = seconds = 0.0
    before = read = None
    mapped: list = []
    try:
        while todo and not (called and (run.stop or start + seconds > end)):
            node = current.node = todo[-1]
            kernel: Any = kernels[node]
            users = is_users(kernel)
            args = [values[number] for number in inputs[node]]
            if Reference in map(type, args):
                args = inputs_here(run, inputs[node], users, mapped)
            if args and users:
                args = all_lent(args, users_function(kernel).reads)
            taken = sum(map(size_of, args))
            if isinstance(kernels[node], Control):
                args.insert(0, run.stop)
            turn(users)
            if watched:
                before = TICKER.read()
            start = perf_counter()
            result = kernel(*args, **attrs[node])
            seconds = perf_counter() - start
            if before is not None:
                read = TICKER.read().since(before)
            del args
            mapped.clear()
            if len(outputs[node]) == 1:
                values[outputs[node][0]] = result
            else:
                spread(values, outputs[node], result)
            called.append(Call(node, (start, seconds, taken, size_of(result)), read))
            del result
            todo.pop()
    except BaseException as error:
        if run.is_cancelled and not is_from_outside(error):
            raise Stopped from error  # the function has turned the Interrupted raised in it into another error
        raise
    finally:
        run.here.pop(current)  # a method call, so a pending strike arrives now at the latest
