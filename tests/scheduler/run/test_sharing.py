"""Runs that are shared out among local workers while they go on."""

from __future__ import annotations

import time

import pytest

import weftwork as tf
from weftwork.actors.processes.local_worker import FLOWS


@pytest.fixture
def session(graph, ray_session):
    """A session whose runs are all shared out."""
    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as opened:
        yield opened


@tf.op
def slow(k):
    """A function that is worth a message."""
    time.sleep(0.002)
    return k


def test_what_has_no_kernel_may_be_in_a_row_of_any_length(session):
    first = slow(1)
    last = first.op
    for _ in range(3000):
        with tf.control_dependencies([last]):
            last = tf.no_op()
    with tf.control_dependencies([last]):
        assert session.run([first, slow(2)]) == [1, 2]


def test_workers_keep_the_rows_of_the_kinds_of_run_that_came_last_and_are_sent_the_others_again(session):
    nodes = [slow(k) for k in range(FLOWS + 4)]
    for _ in range(2):
        assert [session.run([node])[0] for node in nodes] == list(range(FLOWS + 4))


def test_one_node_that_asks_for_a_cpu_does_not_keep_the_others_out_of_the_workers(session):
    bound = tf.op(num_cpus=1)(slow.function)(1)
    assert session.run([bound, *[slow(k) for k in range(12)]]) == [1, *range(12)]
    assert session.placements["task"][1] == 1
    assert session.placements["resident"][1] > 0
