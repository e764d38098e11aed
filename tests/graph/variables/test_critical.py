"""Critical sections."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in
from tests.waiting import LONG


def counting(variable):
    """A function whose nodes return a variable's value and add one to it, in two steps."""

    def count():
        before = variable.read_value()
        with tf.control_dependencies([before]), tf.control_dependencies([variable.assign_add(1)]):
            return tf.identity(before)

    return count


def test_the_executions_of_a_run_follow_each_other_in_the_order_of_their_creation(graph):
    variable = tf.get_variable("n", initializer=0)
    section = tf.CriticalSection()
    results = [section.execute(counting(variable)) for _ in range(3)]
    with tf.Session() as session:
        session.run(variable.initializer)
        assert session.run(results[::-1]) == [2, 1, 0]
        assert session.run(results[1]) == 3  # alone: the others do not run


def test_executions_of_concurrent_runs_do_not_overlap(graph):
    variable = tf.get_variable("n", initializer=0)
    result = tf.CriticalSection().execute(counting(variable))
    seen = []
    with tf.Session() as session:
        session.run(variable.initializer)
        threads = [threading.Thread(target=lambda: seen.append(session.run(result))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(seen) == list(range(8))


def _read_and_add(variable, other):
    """Reads a variable, and adds to it what it was."""
    value = tf.identity(variable.read_value())
    with tf.control_dependencies([variable.assign_add(value)]):
        return tf.identity(value)


def _read_another(variable, other):
    """Reads a variable, and writes another one: nothing but the section keeps two such runs apart."""
    with tf.control_dependencies([other.assign(variable.read_value() + 1)]):
        return variable.read_value()


def _read_in_a_branch(variable, other):
    return tf.cond(tf.equal(other.read_value(), 0), variable.read_value, lambda: -1)


def _read_for_a_function(variable, other):
    return tf.py_func(np.negative, [tf.negative(variable.read_value())], tf.int32)


@pytest.mark.parametrize("place", ["in order", "inside a branch"])
@pytest.mark.parametrize("read", [_read_and_add, _read_another, _read_in_a_branch, _read_for_a_function])
def test_a_run_that_waits_for_a_section_reads_what_was_written_in_it_meanwhile(graph, read, place):
    entered, begun = threading.Event(), threading.Event()
    variable, other = tf.get_variable("n", initializer=3), tf.get_variable("other", initializer=0)
    section = tf.CriticalSection()

    def hold():
        entered.set()
        return begun.wait(LONG)

    def write():
        with tf.control_dependencies([tf.py_func(hold, [], tf.bool)]):
            return variable.assign(8)

    first = section.execute(write)
    with tf.control_dependencies([tf.py_func(begun.set, [], [])]):  # by then, the run has pinned what others read
        second = section.execute(lambda: read(variable, other)) if place == "in order" else tf.cond(
            tf.equal(tf.py_func(lambda: 1, [], tf.int64), 1),
            lambda: section.execute(lambda: read(variable, other)),
            lambda: 0,
        )  # fmt: skip
    with tf.Session() as session, ThreadPoolExecutor(2) as pool:
        session.run(tf.global_variables_initializer())
        writing = pool.submit(session.run, first)
        assert entered.wait(LONG)
        assert pool.submit(session.run, second).result(LONG) == 8
        assert writing.result(LONG) == 8


@pytest.mark.parametrize("place", PLACES)
def test_what_runs_read_compute_and_write_in_a_section_is_not_lost(graph, place):
    one, other = tf.get_variable("one", initializer=np.int64(100)), tf.get_variable("other", initializer=np.int64(0))
    amount = tf.placeholder(tf.int64, [])

    def taken(there, wanted):
        time.sleep(0.002)
        return np.minimum(there, wanted)

    def move():
        there = tf.identity(one.read_value())
        moved = op_in(place, taken, dtype=tf.int64, shape=[])(there, amount)
        with tf.control_dependencies([one.assign(there - moved), other.assign(other.read_value() + moved)]):
            return tf.identity(moved)

    moved = tf.CriticalSection().execute(move)
    with session_in(place) as session, ThreadPoolExecutor(4) as pool:
        session.run(tf.global_variables_initializer())
        wanted = [k % 5 for k in range(20)]
        assert list(pool.map(lambda k: session.run(moved, {amount: k}), wanted)) == wanted
        assert session.run([one, other]) == [60, 40]


def test_an_execution_keeps_the_structure_that_its_function_returns(graph):
    variable = tf.get_variable("n", initializer=0)
    result = tf.CriticalSection().execute(lambda: {"op": variable.assign(5).op, "more": [tf.constant(2)]})
    with tf.Session() as session:
        assert session.run(result) == {"op": None, "more": [2]}
        assert session.run(variable) == 5


def test_a_section_cannot_be_entered_from_within_itself(graph):
    section = tf.CriticalSection(shared_name="mine")
    twin = tf.CriticalSection(shared_name="mine")
    with pytest.raises(ValueError, match="in which we are already running"):
        section.execute(lambda: twin.execute(lambda: tf.constant(1)))
    assert section.execute(lambda: tf.constant(1)) is not None


def test_two_sections_share_a_variable_only_if_both_allow_it(graph):
    variable = tf.get_variable("n", initializer=0)
    tf.CriticalSection().execute(lambda: variable.read_value(), exclusive_resource_access=False)
    other = tf.CriticalSection()
    other.execute(lambda: variable.read_value(), exclusive_resource_access=False)
    with pytest.raises(ValueError, match="requested exclusive resource access"):
        other.execute(lambda: variable.read_value())
