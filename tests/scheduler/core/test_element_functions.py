"""Functions of datasets: where they run, in which order, and what they see."""

from __future__ import annotations

import os

import numpy as np
import pytest

import weftwork as tf
from tests.actors.data.reading import drained, read

Dataset = tf.data.Dataset
pytestmark = pytest.mark.usefixtures("graph")


def process_of(number):
    sum(range(60_000))  # a millisecond, in which nobody else has the lock of this process's Python
    return number, os.getpid()


def test_parallel_calls_of_python_run_in_other_processes_and_keep_their_order():
    where = tf.op(outputs=2, dtype=[tf.int64, tf.int32], shape=[(), ()])(process_of)
    found = read(Dataset.range(60).map(where, num_parallel_calls=2))
    assert [number for number, _ in found] == list(range(60))
    assert {process for _, process in found} - {os.getpid()}


def test_a_stateless_py_func_goes_elsewhere_too_and_a_stateful_one_stays_in_order():
    def elsewhere(x):
        return tf.py_func(process_of, [x], [tf.int64, tf.int64], stateful=False)

    assert {process for _, process in read(Dataset.range(40).map(elsewhere, 2))} - {os.getpid()}
    seen = []

    def here(number):
        seen.append(int(number))
        return number, os.getpid()

    found = read(Dataset.range(40).map(lambda x: tf.py_func(here, [x], [tf.int64, tf.int64]), 4))
    assert {process for _, process in found} == {os.getpid()}
    assert seen == list(range(40))


def test_what_changes_captured_state_is_called_in_order_in_the_program():
    counts = {"calls": 0}

    @tf.op(dtype=tf.int64, shape=())
    def count(number):
        counts["calls"] += 1
        return counts["calls"]

    assert read(Dataset.range(30).map(count, num_parallel_calls=4)) == list(range(1, 31))
    assert counts["calls"] == 30


def test_results_of_any_kind_come_back_from_parallel_calls():
    @tf.op(outputs=4)
    def kinds(number):
        return np.full(number, 2.5), f"{number}".encode(), {"n": int(number)}, np.float32(number) / 2

    def plain(found):
        return [(a.tolist(), b, c, float(d), type(d)) for a, b, c, d in found]

    found = plain(read(Dataset.range(9).map(kinds, num_parallel_calls=2)))
    assert found == plain(read(Dataset.range(9).map(kinds)))
    assert found[2] == ([2.5, 2.5], b"2", {"n": 2}, 1.0, np.float32)


def test_parallel_calls_draw_what_calls_one_by_one_draw():
    def drawn(calls):
        with tf.Graph().as_default():
            tf.set_random_seed(5)
            return read(Dataset.range(30).map(lambda x: tf.random_uniform([]) + tf.random_normal([]), calls))

    first = drawn(None)
    assert drawn(4) == first
    assert len(set(first)) == 30


def test_parallel_calls_read_variables_and_what_was_captured():
    scale, fed = tf.get_variable("scale", initializer=tf.constant(2, tf.int64)), tf.placeholder(tf.int64, [])
    iterator = Dataset.range(9).map(lambda x: x * scale + fed, num_parallel_calls=3).make_initializable_iterator()
    element = iterator.get_next()
    with tf.Session() as session:
        session.run(iterator.initializer, {fed: 1})
        with pytest.raises(tf.errors.FailedPreconditionError, match="uninitialized value scale"):
            session.run(element)
        session.run(scale.initializer)
        session.run(iterator.initializer, {fed: 1})
        assert drained(session, element) == [2 * n + 1 for n in range(9)]


@pytest.mark.parametrize("calls", [None, 3])
def test_a_call_that_fails_names_its_line_and_the_others_are_not_lost(calls):
    @tf.op(dtype=tf.int64, shape=())
    def picky(number):
        if number == 5:
            raise ValueError("not five")
        return number

    element = Dataset.range(9).map(picky, num_parallel_calls=calls).make_one_shot_iterator().get_next()
    with tf.Session() as session:
        assert [session.run(element) for _ in range(5)] == list(range(5))
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"not five[^@]*node picky.*test_element_functions.py"):
            session.run(element)
        assert drained(session, element) == [6, 7, 8]


@pytest.mark.parametrize("calls", [None, 2])
def test_a_function_may_write_a_variable(calls):
    total = tf.get_variable("total", initializer=tf.constant(0, tf.int64), trainable=False)
    iterator = Dataset.range(5).map(lambda x: total.assign_add(x) * 1, calls).make_initializable_iterator()
    element = iterator.get_next()
    with tf.Session() as session:
        session.run([total.initializer])
        session.run([iterator.initializer])
        assert drained(session, element) == [0, 1, 3, 6, 10]
        assert session.run(total) == 10


def test_branches_and_loops_stand_in_functions():
    def collatz(x):
        small = tf.cond(x < 2, lambda: x, lambda: x * 10)
        return tf.while_loop(lambda n, y: n < 3, lambda n, y: (n + 1, y + 1), [0, small])[1]

    for calls in (None, 2):
        assert read(Dataset.range(4).map(collatz, calls)) == [3, 4, 23, 33]


def test_a_pipeline_runs_in_a_shared_session_and_its_place_is_shared(ray_session):
    with tf.Session(config=tf.ConfigProto(name="reading datasets")) as one:
        element = Dataset.range(9).map(lambda x: x * 2, 2).prefetch(2).make_one_shot_iterator().get_next()
        assert [one.run(element) for _ in range(3)] == [0, 2, 4]
        with tf.Session(config=tf.ConfigProto(name="reading datasets")) as other:
            assert [other.run(element), one.run(element)] == [6, 8]
        made = Dataset.from_generator(lambda: iter([3, 4]), tf.int32, []).make_one_shot_iterator().get_next()
        assert drained(one, made) == [3, 4]
