"""Switch and Merge made by hand: only the side that the predicate chooses is computed."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.errors import InvalidArgumentError

HERE = tf.ConfigProto(placement="caller")
raw = tf.raw_ops


def test_a_merge_gives_the_side_that_a_switch_chose(graph, session):
    pred = tf.placeholder(tf.bool, [])
    no, yes = raw.Switch(data=tf.constant([1, 2]), pred=pred)
    merged, chosen = raw.Merge(inputs=[no * 10, yes + 1])
    assert [merged.op.type, merged.shape, chosen.dtype] == ["Merge", [2], tf.int32]
    for value, expected, number in ((True, [2, 3], 1), (False, [10, 20], 0)):
        found, at = session.run([merged, chosen], {pred: value})
        assert (found.tolist(), at) == (expected, number)


def test_fetching_what_was_not_computed_is_an_error(graph, session):
    pred = tf.placeholder(tf.bool, [])
    no, yes = raw.Switch(data=tf.constant(1.0), pred=pred)
    for dead in (no, no + 1, tf.stack([yes * 2, no])):
        with pytest.raises(InvalidArgumentError, match=r"Retval\[0\] does not have value"):
            session.run(dead, {pred: True})
    assert session.run(yes, {pred: True}) == 1.0


def test_a_function_writes_and_random_numbers_of_the_other_side_do_not_happen(graph, session):
    pred, w = tf.placeholder(tf.bool, []), tf.Variable(0.0)
    no, yes = raw.Switch(data=tf.constant(5.0), pred=pred)
    written = w.assign(yes).op
    more = w.assign_add(no).op
    drawn = raw.Merge(inputs=[no * 0, tf.random_uniform([]) + yes])[0]
    session.run(w.initializer)
    assert 5 <= session.run([drawn, written], {pred: True})[0] < 6
    assert session.run(w) == 5.0
    session.run([written, more], {pred: False})
    assert session.run(w) == 10.0


def test_what_waits_for_a_dead_operation_is_dead(graph, session):
    pred = tf.placeholder(tf.bool, [])
    no, yes = raw.Switch(data=pred, pred=pred)
    sides = []
    for pivot, value in ((no, 1.0), (yes, 2.0)):
        with tf.control_dependencies([tf.identity(pivot)]):
            sides.append(tf.constant(value) + 0.5)
    merged = raw.Merge(inputs=sides)[0]
    assert [session.run(merged, {pred: p}) for p in (True, False)] == [2.5, 1.5]


def test_the_gradient_flows_along_the_side_taken(graph, session):
    x, pred = tf.placeholder(tf.float32, []), tf.placeholder(tf.bool, [])
    no, yes = raw.Switch(data=x, pred=pred)
    slope = tf.gradients(raw.Merge(inputs=[no * no, 3.0 * yes])[0], x)[0]
    assert [session.run(slope, {x: 5.0, pred: p}) for p in (True, False)] == [3.0, 10.0]


def test_enter_and_exit_without_a_back_edge_pass_their_input_on(graph, session):
    enter = raw.Enter(data=tf.constant(3.0), frame_name="frame")
    left = raw.Exit(data=raw.NextIteration(data=enter * 2.0))
    assert [enter.op.type, left.op.type] == ["Enter", "Exit"]
    assert session.run(left) == 6.0
    assert session.run(tf.gradients(left, enter)[0]) == 2.0
    assert session.run(raw.LoopCond(input=True))


def test_merge_says_what_does_not_fit(graph):
    with pytest.raises((TypeError, ValueError), match="dtype|type"):
        raw.Merge(inputs=[tf.constant(1), tf.constant(1.0)])


def test_a_pickled_graph_keeps_what_may_be_dead(graph):
    no, _ = raw.Switch(data=np.float32(1), pred=tf.constant(True))
    twin = pickle.loads(pickle.dumps(tf.identity(no)))
    with tf.Session(graph=twin.graph, config=HERE) as session, pytest.raises(InvalidArgumentError, match="Retval"):
        session.run(twin)
