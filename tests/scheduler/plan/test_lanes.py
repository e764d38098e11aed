"""`inter_op_parallelism_threads` bounds how many nodes of a run are executed at a time."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

import weftwork as tf


@tf.op
def nap(k):
    """When it began and ended, and where it was; the clock is that of the whole machine."""
    began = time.monotonic()
    time.sleep(0.03)
    return began, time.monotonic(), os.getpid(), threading.get_ident()


def most_at_once(calls):
    """How many of these calls were running at one moment."""
    return max(sum(one[0] <= other[0] < one[1] for one in calls) for other in calls)


def session_of(threads, **options):
    """A session with so many threads."""
    return tf.Session(config=tf.ConfigProto(inter_op_parallelism_threads=threads, **options))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("placement", ["auto", "task", "mixed"])
def test_no_more_nodes_run_at_a_time_than_the_session_allows(ray_session, graph, threads, placement):
    naps = [nap(k) for k in range(6)]
    with session_of(threads, placement=placement) as session:
        seen = [most_at_once(session.run(naps)) for _ in range(7 if placement == "auto" else 2)]
        assert all(s.slot < threads for s in session.explain(naps).segments)
    assert max(seen) <= threads


def test_a_bound_of_two_is_made_use_of(ray_session, graph):
    naps = [nap(k) for k in range(6)]
    with session_of(2, placement="task") as session:
        assert any(most_at_once(session.run(naps)) == 2 for _ in range(20))


def test_iterations_of_a_loop_keep_to_the_bound_too(ray_session, graph):
    @tf.op(dtype=tf.float64, shape=[2])
    def times(k):
        return np.array(nap.function(k)[:2])

    spans = [tf.map_fn(times, tf.range(4, dtype=tf.float64)) for _ in range(2)]
    with session_of(1) as session:
        for _ in range(3):
            got = session.run(spans)
            assert most_at_once([tuple(span) for each in got for span in each]) == 1


def test_a_negative_number_is_the_caller_s_thread(ray_session, graph):
    naps = [nap(k) for k in range(3)]
    elsewhere = tf.op(num_cpus=1)(os.getpid)()
    with session_of(-1) as session:
        for _ in range(3):
            calls, pid = session.run((naps, elsewhere))
            assert {call[2:] for call in calls} == {(os.getpid(), threading.get_ident())}
            assert pid != os.getpid()  # it asks for a worker
