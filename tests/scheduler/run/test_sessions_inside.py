"""Sessions inside of functions: they find a CPU, however many of these functions wait for one."""

from __future__ import annotations

import weftwork as tf


def inside(k):
    """A function that opens a session, which needs a worker of its own."""
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(tf.op(isolated=True)(lambda n: n + 1)(k))


def test_more_sessions_inside_of_functions_than_there_are_cpus_all_come_to_an_end(ray_session, graph):
    outer = [tf.op(isolated=True)(inside)(k) for k in range(6)]
    with tf.Session() as session:
        assert session.run(outer, options=tf.RunOptions(timeout_in_ms=100_000)) == [1, 2, 3, 4, 5, 6]
