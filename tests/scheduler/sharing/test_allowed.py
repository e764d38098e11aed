"""Where nodes may run, by what is known about their functions."""

from __future__ import annotations

import weftwork as tf
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.sharing.allowed import LANES, THREADS, Allowed


def test_a_function_goes_where_those_are_that_it_exchanges_values_with(graph):
    """Threads would run it as fast, but its values would travel between threads and workers."""
    first, then, alone = [tf.op(lambda x: x) for _ in range(3)]
    nodes = [then(first(1)), alone(1)]
    flow = lower(nodes, [])
    where = Allowed(flow, (), threads=True).where
    at = {function: flow.kernels.index(function.kernel) for function in (first, then, alone)}
    assert {where(node) for node in at.values()} == {LANES}
    for function in (first, alone):
        HISTORY.tell_gil(function.kernel, False)
    assert [where(node) for node in at.values()] == [LANES, LANES, THREADS]
    HISTORY.tell_gil(then.kernel, False)
    assert [where(node) for node in at.values()] == [THREADS] * 3
