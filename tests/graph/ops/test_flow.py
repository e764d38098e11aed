"""Nodes that only order or hand on: group, tuple, identity, no_op; and control inputs, which are executed."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.errors import UnknownError
from weftwork.graph.ops.flow import with_dependencies


class Log:
    """Records when nodes run."""

    def __init__(self):
        self.seen = []

    def note(self, word, *after, dtype=None):
        """A node that records `word` when it runs, after the values `after`."""
        return tf.op(dtype=dtype, name=str(word))(lambda *_: self.seen.append(word) or 0)(*after)


def before(seen, first, then):
    """Whether one was recorded before the other, each once."""
    return seen.count(first) == seen.count(then) == 1 and seen.index(first) < seen.index(then)


# group


def test_a_group_is_an_operation_that_runs_all_its_inputs(session):
    log = Log()
    made = tf.group(log.note("a"), log.note("b").op, [log.note("c"), {"d": log.note("d")}])
    assert isinstance(made, tf.Operation)
    assert made.type == "NoOp"
    assert session.run(made) is None
    assert sorted(log.seen) == ["a", "b", "c", "d"]


def test_a_group_takes_variables_and_their_writes(session):
    w = tf.Variable(1.0)
    session.run(tf.group(w.initializer))
    session.run(tf.group(w, w.assign_add(1.0)))
    assert session.run(w) == 2


def test_a_group_of_what_is_on_one_device_is_on_it(graph):
    with tf.device("/cpu:1"):
        a, b = tf.constant(1.0), tf.no_op()
    assert tf.group(a, b).device == "/device:CPU:1"


def test_a_group_has_a_name(graph):
    assert tf.group(tf.constant(1)).name == "group_deps"
    assert tf.group(tf.constant(1), name="all").name == "all"


def test_a_group_of_nothing_does_nothing(session):
    assert session.run(tf.group()) is None


def test_a_group_refuses_what_is_no_node(graph):
    with pytest.raises(TypeError, match=r"^Expected tf\.Tensor or tf\.Operation in group\(\) but got 3 of type 'int'"):
        tf.group(tf.constant(1), 3)
    with pytest.raises(TypeError, match=r"of type 'NoneType'"):
        tf.group(None)
    with pytest.raises(ValueError, match=r"^Unknown keyword arguments: colour$"):
        tf.group(tf.constant(1), colour="red")


def test_a_group_of_two_graphs_is_refused(graph):
    one = tf.constant(1)
    with tf.Graph().as_default():
        two = tf.constant(2)
    with pytest.raises(ValueError, match="must be from the same graph as"):
        tf.group(one, two)


def test_a_group_goes_to_the_graph_of_its_inputs(graph):
    one = tf.constant(1)
    with tf.Graph().as_default() as other:
        assert tf.group(one).graph is graph
        assert tf.group().graph is other


def test_a_group_takes_indexed_slices(session):
    log = Log()
    slices = tf.IndexedSlices(log.note("values", dtype=tf.float32), tf.constant([0]))
    session.run(tf.group(slices))
    assert log.seen == ["values"]


# tuple


def test_each_result_of_a_tuple_waits_for_all(session):
    log = Log()
    a, b = log.note("a", dtype=tf.int32), log.note("b", dtype=tf.int32)
    first, second = tf.tuple([a, b])
    assert session.run(first) == 0
    assert sorted(log.seen) == ["a", "b"]
    log.seen.clear()
    log_after = log.note("after", second)
    session.run(log_after)
    assert before(log.seen, "a", "after")
    assert before(log.seen, "b", "after")


def test_a_tuple_keeps_values_places_and_None(session):
    made = tf.tuple([tf.constant(1), None, tf.constant([2.0, 3.0])])
    assert isinstance(made, list)
    assert made[1] is None
    one, more = session.run([made[0], made[2]])
    assert one == 1
    assert list(more) == [2, 3]
    assert (made[2].dtype, made[2].shape.as_list()) == (tf.float32, [2])


def test_a_tuple_without_a_tensor_is_an_error(graph):
    for nothing in ([], [None], [None, None]):
        with pytest.raises(ValueError, match=r"^Must have at least one Tensor: "):
            tf.tuple(nothing)


def test_a_tuple_waits_for_control_inputs_too(session):
    log = Log()
    (made,) = tf.tuple([tf.constant(1)], control_inputs=[log.note("first"), log.note("second").op])
    assert session.run(made) == 1
    assert sorted(log.seen) == ["first", "second"]


def test_a_tuple_is_a_snapshot_of_a_variable_after_the_others(session):
    w = tf.Variable(1.0)
    session.run(w.initializer)
    now, _ = tf.tuple([w, w.assign_add(1.0)])
    assert session.run(now) == 2


def test_a_tuple_takes_operations(session):
    w = tf.Variable(1.0)
    session.run(w.initializer)
    value, op = tf.tuple([tf.constant(3), w.assign_add(1.0).op])
    assert isinstance(op, tf.Operation)
    assert session.run(value) == 3
    session.run(op)
    assert session.run(w) == 3


# identity, no_op


def test_identity_is_a_new_tensor_of_the_same_value(session):
    x = tf.constant([1, 2])
    y = tf.identity(x)
    assert y is not x
    assert (y.op.type, y.dtype, y.shape.as_list()) == ("Identity", tf.int32, [2])
    assert list(session.run(y)) == [1, 2]
    assert tf.identity(x, name="same").op.name == "same"


def test_identity_takes_values_and_text_and_objects(session):
    assert session.run(tf.identity(2.5)) == 2.5
    assert session.run(tf.identity("a")) == b"a"
    made = tf.identity(tf.op(lambda: {"a": 1})())
    assert made.dtype is tf.object
    assert session.run(made) == {"a": 1}


def test_identity_of_a_variable_is_its_value_not_a_reference(session):
    w = tf.Variable(1.0)
    assert tf.identity(w).dtype is tf.float32
    session.run(w.initializer)
    assert session.run(tf.identity(w)) == 1


def test_identity_n_gives_a_tensor_for_each(session):
    made = tf.identity_n([tf.constant(1), 2.0])
    assert session.run(made) == [1, 2]


def test_the_results_of_identity_belong_to_the_caller(session):
    x = tf.placeholder(tf.float64, [2])
    given = np.zeros(2)
    one, two = session.run([tf.identity(x), tf.identity(x)], {x: given})
    one[:] = 1
    assert not two.any()
    assert not given.any()


def test_stop_gradient_has_the_same_value(session):
    assert list(session.run(tf.stop_gradient([1, 2]))) == [1, 2]


def test_no_op_does_nothing(session):
    made = tf.no_op(name="nothing")
    assert (made.name, made.type, made.outputs) == ("nothing", "NoOp", [])
    assert session.run(made) is None
    assert made.run() is None


# Control inputs


def test_control_inputs_are_executed_before_what_waits_for_them(session):
    log = Log()
    first = log.note("first")
    with tf.control_dependencies([first]):
        second = log.note("second")
    session.run(second)
    assert log.seen == ["first", "second"]


@pytest.mark.parametrize("kind", ["constant", "identity", "no_op", "sum", "placeholder"])
def test_a_node_of_any_kind_runs_its_control_inputs(session, kind):
    log = Log()
    x = tf.constant(1)
    with tf.control_dependencies([log.note("first")]):
        made = {
            "constant": lambda: tf.constant(1),
            "identity": lambda: tf.identity(x),
            "no_op": tf.no_op,
            "sum": lambda: x + 1,
            "placeholder": lambda: tf.placeholder_with_default(x, []),
        }[kind]()
    session.run(made)
    assert log.seen == ["first"]


def test_control_inputs_add_up_and_None_clears_them(session):
    log = Log()
    with tf.control_dependencies([log.note("outer")]):
        with tf.control_dependencies([log.note("inner")]):
            both = tf.no_op()
            with tf.control_dependencies(None):
                neither = tf.no_op()
                with tf.control_dependencies([log.note("only")]):
                    one = tf.no_op()
    session.run(neither)
    assert log.seen == []
    session.run(one)
    assert log.seen == ["only"]
    log.seen.clear()
    session.run(both)
    assert log.seen == ["outer", "inner"]


def test_what_was_created_outside_does_not_wait(session):
    log = Log()
    outside = tf.constant(1) + 1
    with tf.control_dependencies([log.note("first")]):
        inside = tf.identity(outside)
    session.run(outside)
    assert log.seen == []
    session.run(inside)
    assert log.seen == ["first"]


def test_a_chain_of_control_inputs_through_no_ops_keeps_its_order(session):
    log = Log()
    last = None
    for word in range(20):
        with tf.control_dependencies([] if last is None else [last]):
            note = log.note(word)
        last = tf.group(note)
    session.run(last)
    assert log.seen == list(range(20))


def test_a_control_input_that_fails_fails_the_run_and_what_waits_for_it_does_not_run(session):
    log = Log()

    def broken():
        raise RuntimeError("no")

    with tf.control_dependencies([tf.op(broken)()]):
        after = log.note("after")
    with pytest.raises(UnknownError, match=r"^RuntimeError: no\n") as caught:
        session.run(after)
    assert caught.value.op.name == "broken"
    assert log.seen == []


def test_with_dependencies_gives_the_value_after_the_others(session):
    w = tf.Variable(1.0)
    session.run(w.initializer)
    made = with_dependencies([w.assign(5.0)], tf.constant(2))
    assert session.run(made) == 2
    assert session.run(w) == 5
    assert session.run(with_dependencies([w.assign_add(1.0)], w)) == 6


def test_equal_nodes_that_wait_for_different_things_all_wait(session):
    log = Log()
    x = tf.constant(1)
    made = []
    for word in ("a", "b"):
        with tf.control_dependencies([log.note(word)]):
            made.append(tf.identity(x))
    after = log.note("after", made[1])
    session.run([made[0], after])
    assert sorted(log.seen) == ["a", "after", "b"]
    assert before(log.seen, "b", "after")


def test_slices_wait_for_the_others_of_a_tuple_and_stay_slices(graph):
    slices = tf.IndexedSlices(tf.constant([1.0]), tf.constant([0]))
    made, none, other = tf.tuple([slices, None, tf.constant(2.0)])
    assert isinstance(made, tf.IndexedSlices)
    assert none is None
    with tf.Session() as session:
        assert session.run([made.values, made.indices, other])[0].tolist() == [1.0]
    with pytest.raises(TypeError, match="Control input must be Operation or Tensor: 3"):
        tf.tuple([slices], control_inputs=[3])


def test_what_waits_in_a_tuple_is_placed_with_what_it_waits_for(graph):
    a = tf.constant(1.0, name="a")
    slices = tf.IndexedSlices(tf.constant([1.0], name="values"), tf.constant([0]))
    held, held_slices = tf.tuple([a, slices])
    assert held.op.colocation_groups() == [b"loc:@a"]
    assert held_slices.values.op.colocation_groups() == [b"loc:@values"]
    assert held_slices.indices is slices.indices


def test_identity_keeps_values_of_several_tensors(graph):
    slices = tf.IndexedSlices(tf.constant([1.0]), tf.constant([2]), tf.constant([3]))
    sparse = tf.SparseTensor([[1]], [2.0], [3])
    with tf.Session() as session:
        one, two = session.run([tf.identity(slices), tf.identity(sparse)])
    assert (one.values.tolist(), one.indices.tolist(), one.dense_shape.tolist()) == ([1.0], [2], [3])
    assert (two.values.tolist(), two.indices.tolist(), two.dense_shape.tolist()) == ([2.0], [[1]], [3])
