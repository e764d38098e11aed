"""Values that stay with the program between runs, by their handles."""

import gc

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.errors import InvalidArgumentError


def test_a_handle_keeps_a_value_for_later_runs(graph):
    with tf.Session() as session:
        handle = session.run(tf.get_session_handle(tf.constant([1.0, 2.0]) * 2.0))
        assert handle.eval().tolist() == [2.0, 4.0]
        holder, value = tf.get_session_tensor(handle.handle, tf.float32)
        assert session.run(value + 1.0, {holder: handle.handle}).tolist() == [3.0, 5.0]
        assert session.run(value + 1.0, {holder: handle}).tolist() == [3.0, 5.0]


def test_a_handle_is_fed_to_any_placeholder_as_its_value(graph):
    x = tf.placeholder(tf.float32)
    with tf.Session() as session:
        handle = session.run(tf.get_session_handle(tf.constant(20.0)))
        assert session.run(x / 2.0, {x: handle}) == 10.0
        assert session.run([x, x + 1.0], {x: handle}) == [20.0, 21.0]


def test_a_deleted_value_is_gone(graph):
    with tf.Session() as session:
        kept, other = session.run([tf.get_session_handle(tf.constant(1)), tf.get_session_handle(tf.constant(2))])
        holder, delete = tf.delete_session_tensor(kept.handle)
        session.run(delete, {holder: kept.handle})
        other.delete()
        for handle in (kept, other):
            with pytest.raises(TypeError, match="may have already been deleted"):
                handle.eval()
            holder, value = tf.get_session_tensor(handle.handle, tf.int32)
            with pytest.raises(InvalidArgumentError, match="is not in the session store"):
                session.run(value, {holder: handle.handle})


def test_a_forgotten_handle_forgets_its_value_unless_its_name_was_asked_for(graph):
    with tf.Session() as session:
        node = tf.get_session_handle(tf.constant(3))
        forgotten, kept = session.run(node).handle, session.run(node).get_raw_handle()
        gc.collect()
        holder, value = tf.get_session_tensor(kept, tf.int32)
        assert session.run(value, {holder: kept}) == 3
        with pytest.raises(InvalidArgumentError, match="is not in the session store"):
            session.run(value, {holder: forgotten})


def test_a_kept_array_is_shared_with_nobody(graph):
    with tf.Session() as session:
        handle = session.run(tf.get_session_handle(tf.constant([1, 2])))
        handle.eval()[0] = 9
        holder, value = tf.get_session_tensor(handle.handle, tf.int32)
        session.run(value, {holder: handle.handle})[1] = 9
        np.testing.assert_array_equal(handle.eval(), [1, 2])
