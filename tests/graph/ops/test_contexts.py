"""Control-flow contexts: what programs ask about the branch or the loop that they are in."""

from __future__ import annotations

import pickle

import weftwork as tf


def test_a_branch_knows_its_predicate_and_its_side(graph):
    found = []

    def branch(value):
        found.append(graph._get_control_flow_context())
        return tf.constant(value)

    pred = tf.placeholder(tf.bool, [])
    tf.cond(pred, lambda: branch(1), lambda: branch(2))
    assert graph._get_control_flow_context() is None
    assert [context.branch for context in found] == [1, 0]
    assert [context.name for context in found] == ["cond/cond_text", "cond/cond_text_1"]
    for context in found:
        assert context.IsCondContext()
        assert not context.IsWhileContext()
        assert not context.IsXLAContext()
        assert (context.pred, context.GetControlPivot(), context.grad_state) == (pred, pred.op, None)
        assert context.outer_context is context.GetWhileContext() is None
        assert context.back_prop
    inside = [op for op in graph.get_operations() if op.type == "Const"]
    assert [op._get_control_flow_context() for op in inside] == found
    assert [op._control_flow_context for op in (pred.op, *inside)] == [None, *found]


def test_a_loop_has_one_context_for_its_condition_and_its_body(graph):
    found = []

    def condition(i):
        found.append((graph._get_control_flow_context(), graph._get_control_flow_context().pivot))
        return i < 3

    def body(i):
        found.append((graph._get_control_flow_context(), graph._get_control_flow_context().pivot))
        return i + 1

    tf.while_loop(condition, body, [0], parallel_iterations=7, back_prop=False, maximum_iterations=9)
    (context, before), (other, pivot) = found
    assert context is other
    assert (before, pivot.op.type, context.GetControlPivot()) == (None, "Less", pivot.op)
    assert context.IsWhileContext()
    assert not context.IsCondContext()
    assert (context.name, context.parallel_iterations, context.back_prop) == ("while/while_context", 7, False)
    assert context.maximum_iterations.dtype is tf.int32
    assert context.GetWhileContext() is context


def test_contexts_are_nested_as_their_sections_are(graph):
    found = []

    def body(i):
        def branch():
            found.append(graph._get_control_flow_context())
            return tf.map_fn(lambda x: x, tf.stack([i, i]))[0]

        return i + tf.cond(i < 2, branch, lambda: 1)

    result = tf.while_loop(lambda i: i < 3, body, [1])
    (inner,) = found
    assert inner.outer_context.IsWhileContext()
    assert inner.GetWhileContext() is inner.outer_context
    assert inner.outer_context.outer_context is None
    with tf.Session() as session:
        assert session.run(result) == 3


def test_an_operation_is_made_outside_of_a_loop_once_its_context_is_left(graph):
    outside = []

    def body(i):
        context = graph._get_control_flow_context()
        graph._set_control_flow_context(None)
        outside.append(tf.constant(2))
        graph._set_control_flow_context(context)
        with tf.control_dependencies(None):
            assert graph._get_control_flow_context() is None
            context.Enter()
            inside = tf.constant(0)
            context.Exit()
            outside.append(tf.constant(1))
        assert graph._get_control_flow_context() is context
        assert inside.op._get_control_flow_context() is context
        return i + outside[0] * outside[1] + inside

    result = tf.while_loop(lambda i: i < 5, body, [0])
    assert [t.op._get_control_flow_context() for t in outside] == [None, None]
    with tf.Session() as session:
        assert session.run([result, *outside]) == [6, 2, 1]


def test_a_graph_with_contexts_can_be_pickled(graph):
    result = tf.while_loop(lambda i: i < 5, lambda i: tf.cond(i < 2, lambda: i + 1, lambda: i + 2), [0])
    copy = pickle.loads(pickle.dumps(graph))
    with tf.Session(graph=copy) as session:
        assert session.run(copy.get_tensor_by_name(result.name)) == 6
