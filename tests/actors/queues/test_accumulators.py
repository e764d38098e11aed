"""Accumulators of gradients, and barriers: some runs wait for what others put in."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf


def test_the_mean_is_taken_when_enough_gradients_are_there(graph):
    held = tf.ConditionalAccumulator(tf.float32, shape=[2], name="held")
    x, step = tf.placeholder(tf.float32, [2]), tf.placeholder(tf.int64, [])
    put, take, size = held.apply_grad(x, local_step=step), held.take_grad(2), held.num_accumulated()
    with tf.Session() as session:
        waiting = session.submit(take)
        session.run(put, {x: [1, 2], step: 0})
        assert session.run(size) == 1
        session.run(put, {x: [3, 6], step: 0})
        assert waiting.result().tolist() == [2, 4]
        assert session.run(size) == 0
        session.run(put, {x: [9, 9], step: 0})  # of the step before: left out
        assert session.run(size) == 0
        session.run(put, {x: [1, 1], step: 1})
        session.run(held.set_global_step(5))
        session.run(put, {x: [9, 9], step: 4})
        assert session.run([held.take_grad(1), size])[0].tolist() == [1, 1]
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match="must be positive, but was"):
        session.run(held.take_grad(0))
    with pytest.raises(ValueError, match="are incompatible"):
        held.apply_grad([1.0])


def test_rows_are_averaged_over_the_gradients_that_have_them(graph):
    held = tf.SparseConditionalAccumulator(tf.float32, shape=[4, 2])
    first = tf.IndexedSlices(tf.constant([[1.0, 1], [2, 2]]), tf.constant([0, 2], tf.int64))
    second = tf.IndexedSlices(tf.constant([[4.0, 4]]), tf.constant([2], tf.int64))
    taken = held.take_indexed_slices_grad(2)
    with tf.Session() as session:
        session.run([held.apply_indexed_slices_grad(first), held.apply_indexed_slices_grad(second)])
        found = session.run(taken)
    assert found.indices.tolist() == [0, 2]
    assert found.values.tolist() == [[1, 1], [3, 3]]


def test_a_take_that_is_given_up_takes_nothing(graph):
    held = tf.ConditionalAccumulator(tf.float32, shape=[], reduction_type="SUM")
    with tf.Session() as session:
        session.run(held.apply_grad(1.0))
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(held.take_grad(2), options=tf.RunOptions(timeout_in_ms=50))
        session.run(held.apply_grad(2.0))
        assert session.run(held.take_grad(2)) == 3


def test_a_barrier_joins_what_comes_under_one_key(graph):
    held = tf.queue.Barrier((tf.float32, tf.int64), shapes=((), (2,)))
    take, small = held.take_many(2), held.take_many(5, allow_small_batch=True)
    with tf.Session() as session:
        waiting = session.submit([take[0], take[1], *take[2]])
        session.run(held.insert_many(0, ["a", "b", "c"], [1.0, 2.0, 3.0]))
        session.run(held.insert_many(1, ["b"], np.array([[7, 8]])))
        assert session.run([held.ready_size(), held.incomplete_size()]) == [1, 2]
        session.run(held.insert_many(1, ["a"], np.array([[5, 6]])))
        indices, keys, floats, pairs = waiting.result()
        assert (indices - indices[0]).tolist() == [0, 1]
        assert keys.tolist() == [b"a", b"b"]
        assert floats.tolist() == [1, 2]
        assert pairs.tolist() == [[5, 6], [7, 8]]
        with pytest.raises(tf.errors.InvalidArgumentError, match="already has a value for component 0"):
            session.run(held.insert_many(0, ["c"], [1.0]))
        session.run(held.close())
        session.run(held.insert_many(1, ["c"], np.array([[9, 9]])))
        assert session.run(small[1]).tolist() == [b"c"]
        with pytest.raises(tf.errors.CancelledError, match="brand new key"):
            session.run(held.insert_many(0, ["d"], [1.0]))
        with pytest.raises(tf.errors.OutOfRangeError, match="is closed and has insufficient elements"):
            session.run(take[1])
