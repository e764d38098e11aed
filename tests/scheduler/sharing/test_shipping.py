"""The record of what a local worker was sent, so that it is sent once, and again when it has changed."""

from __future__ import annotations

import operator
import os
import weakref

import numpy as np

import weftwork as tf
from weftwork.actors.processes.batches import FLOWS
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.doors.held import Held
from weftwork.scheduler.sharing.lane import Lane
from weftwork.scheduler.sharing.shipping import key_of, shipped, token_of

FACTOR = 2


def by_factor(x):
    return x * FACTOR


def test_a_kernel_has_one_token_until_what_it_refers_to_changes():
    global FACTOR
    kernel = tf.op(by_factor).kernel
    first = token_of(kernel)
    assert token_of(kernel) == first != token_of(operator.add) == token_of(operator.add)
    FACTOR = 3
    kernel.captured.look()
    assert token_of(kernel) != first


def test_a_dataflow_has_one_key_and_no_other_one_the_same(graph):
    one, other = lower([tf.constant(1) + tf.constant(2)], ()), lower([tf.constant(1)], ())
    assert key_of(one) == key_of(one) != key_of(other)


def test_a_run_that_begins_finds_no_values_but_what_was_sent_before():
    lane = Lane()
    lane.held, lane.dropped, lane.large, lane.tokens = {1, 2}, [3], True, {7}
    lane.rows.keep("flow", {1})
    lane.begin()
    assert (lane.held, lane.dropped, lane.large, lane.batches) == (set(), [], False, {})
    assert lane.tokens == {7}
    assert lane.rows.find("flow") == {1}
    assert not lane.clear


def test_a_worker_that_was_sent_very_many_kernels_begins_anew():
    lane = Lane()
    lane.tokens = set(range(100_000))
    lane.begin()
    assert (lane.tokens, lane.clear) == (set(), True)


def test_asking_what_a_worker_has_does_not_change_what_is_dropped():
    lane = Lane()
    for number in range(FLOWS):
        lane.rows.keep(str(number), {~7})
    assert lane.has(7, "0")
    assert not lane.has(8, "0")
    assert not lane.has(7, None)
    lane.rows.keep("another", set())
    assert not lane.has(7, "0")


def test_worker_and_lane_drop_the_rows_of_the_same_dataflows():
    lane = Lane()
    for number in range(FLOWS + 1):
        lane.rows.keep(str(number), {number})
    assert lane.rows.find("0") is None
    assert lane.rows.find(str(FLOWS)) == {FLOWS}


def test_a_block_of_data_goes_with_the_first_kernel_that_needs_it_and_never_again():
    table = np.arange(200_000)
    one, other = tf.op(lambda k: table[k]).kernel, tf.op(lambda k: table[-k]).kernel
    (first, second), keys = shipped([one, other], (), {})
    assert [key for key in first[2]] == [key for key in second[2]] == list(keys)
    assert [block is None for block in first[3]] == [False]
    assert [block is None for block in second[3]] == [True]
    (again,), _ = shipped([one], keys, {})
    assert [block is None for block in again[3]] == [True]
    assert first[0] == again[0] != second[0]


class Argument(Held):
    """Counts those that there are in this process."""

    __slots__ = ("__weakref__",)
    there: weakref.WeakSet = weakref.WeakSet()

    def __init__(self, value):
        super().__init__(value)
        self.there.add(self)

    def __reduce__(self):
        return Argument, (self.value,)


def how_many(argument):
    return os.getpid(), len(argument.there)


def test_workers_do_not_keep_what_functions_were_given_in_graphs_that_run_once():
    ran = []
    for number in range(4):
        graph = tf.Graph()
        graph.once = True
        made = tf.op(how_many).of_atoms(graph, [Argument(number)])
        with tf.Session(graph=graph, config=tf.ConfigProto(placement="dynamic")) as session:
            ran.append(session.run(made))
    assert {there for pid, there in ran if pid != os.getpid()} == {1}
