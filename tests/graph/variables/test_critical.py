"""Critical sections."""

import threading

import pytest

import weftwork as tf


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
