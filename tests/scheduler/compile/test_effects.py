"""Which nodes share state with others, and so run in the caller, one after another."""

from __future__ import annotations

import pytest

import weftwork as tf
from weftwork.scheduler.compile.effects import bound_together, functions_of, settle_effects, take_turns
from weftwork.scheduler.compile.lowering import lower

COUNT, OTHER = [0], [0]


def writes():
    COUNT.append(1)


def reads():
    return len(COUNT)


def writes_other():
    OTHER.append(1)


def neither(x):
    return x + 1


def settled(*nodes):
    flow = lower(list(nodes), ())
    settle_effects(flow)
    return flow


def test_writers_and_readers_of_the_same_state_run_here_in_turn(graph):
    nodes = [tf.op(f)(*a) for f, a in ((writes, ()), (neither, (1,)), (reads, ()), (writes, ()))]
    flow = settled(*nodes)
    here = [flow.ops.index(nodes[k].op) for k in (0, 2, 3)]
    assert flow.here == set(here)
    assert [flow.after.get(node, ()) for node in here] == [(), (here[0],), (here[1],)]


def test_readers_of_state_that_the_run_does_not_write_may_run_anywhere(graph):
    flow = settled(tf.op(reads)(), tf.op(writes_other)())
    assert flow.here == {1}


def test_a_function_that_changes_the_surroundings_binds_all(graph):
    import os

    flow = settled(tf.op(lambda: os.chdir("."))(), tf.op(neither)(1))
    assert len(flow.here) == 2


def test_functions_of_branches_count_too(graph):
    node = tf.cond(tf.placeholder(tf.bool, []), lambda: tf.op(writes)(), lambda: tf.op(reads)())
    flow = lower([node], list({i for i in node.op.inputs}))
    assert {f.function for f in functions_of(flow.kernels)} == {writes, reads}
    assert len(bound_together(functions_of(flow.kernels))) == 2


def test_turns_keep_what_was_waited_for_before(graph):
    first, other = tf.op(neither)(1), tf.op(neither)(2)
    with tf.control_dependencies([other]):
        last = tf.op(neither)(3)
    flow = lower([first, other, last], ())
    take_turns(flow, [0, 2])
    assert set(flow.after[2]) == {0, 1}
    flow.check()


@pytest.mark.parametrize("waits", [True, False])
def test_a_node_that_waits_for_a_queue_delays_only_others_that_do(graph, waits):
    """Else each of the two might wait for the other."""
    queue = tf.FIFOQueue(1, [tf.int32], shapes=[[]])
    got = queue.dequeue()
    one, two = tf.op(neither)(got if waits else 1), tf.op(neither)(2)
    flow = lower([one, two, got], ())
    nodes = [flow.ops.index(one.op), flow.ops.index(two.op)]
    take_turns(flow, nodes)
    assert (nodes[0] in flow.after.get(nodes[1], ())) is not waits
