"""Sessions inside of functions: they find a CPU, however many of these functions wait for one, and no run waits for the
lock of a run that waits for it."""

from __future__ import annotations

import threading

import pytest

import weftwork as tf
from tests.waiting import LONG, until


def inside(k):
    """A function that opens a session, which needs a worker of its own."""
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(tf.op(isolated=True)(lambda n: n + 1)(k))


def test_more_sessions_inside_of_functions_than_there_are_cpus_all_come_to_an_end(ray_session, graph):
    outer = [tf.op(isolated=True)(inside)(k) for k in range(6)]
    with tf.Session() as session:
        assert session.run(outer, options=tf.RunOptions(timeout_in_ms=100_000)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("limit", [0, 1000 * LONG])
@pytest.mark.parametrize("kind", ["variable", "section", "loop"])
def test_a_run_that_waits_for_a_lock_of_the_run_around_it_fails_at_once(graph, kind, limit):
    """It would wait for ever."""
    count = tf.Variable(0, name="count")
    add = count.assign_add(1) if kind != "section" else tf.CriticalSection().execute(lambda: count.assign_add(1))

    @tf.op(dtype=tf.int32, shape=[])
    def inside(x):
        return session.run(add, options=tf.RunOptions(timeout_in_ms=limit)) + x

    node = inside(add) if kind != "loop" else tf.while_loop(lambda i: i < 3, inside, [tf.identity(add)])
    with tf.Session() as session:
        session.run(count.initializer)
        name = "CriticalSection" if kind == "section" else "count"
        text = rf"its own run writes {name}, too[\s\S]*node {name} \(defined at"
        for run in (session.run, lambda fetches: session.submit(fetches).result(LONG)):
            with pytest.raises(tf.errors.FailedPreconditionError, match=text):
                run(node)
        assert session.run(count) == 0


def test_a_run_that_waits_for_a_lock_says_so(graph):
    count = tf.Variable(0, name="count")
    add = count.assign_add(1)
    began, went_on = threading.Event(), threading.Event()
    with tf.control_dependencies([add]):
        holds = tf.op(here=True)(lambda: (began.set(), went_on.wait(LONG))[1])()
    with tf.Session() as session:
        session.run(count.initializer)
        first = session.submit(holds)
        assert began.wait(LONG)
        with pytest.raises(tf.errors.DeadlineExceededError, match="still waiting for the lock of count"):
            session.run(add, options=tf.RunOptions(timeout_in_ms=50))
        second = session.submit(add)
        until(lambda: (("the lock of count",), "lock") in [(item.nodes, item.place) for item in session.waiting()])
        went_on.set()
        assert [first.result(LONG), second.result(LONG), session.run(count)] == [True, 2, 2]
