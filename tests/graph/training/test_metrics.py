"""Metrics: averages over many runs, in local variables."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf


def test_a_mean_is_over_all_runs_until_it_begins_again(graph):
    x = tf.placeholder(tf.float32, [None])
    value, update = tf.metrics.mean(x)
    assert [v.name for v in tf.local_variables()] == ["mean/total:0", "mean/count:0"]
    assert tf.get_collection("metric_variables") == tf.local_variables()
    assert tf.global_variables() == tf.trainable_variables() == []
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        assert session.run(value) == 0
        assert session.run(update, {x: [1, 2, 3]}) == 2
        assert session.run(update, {x: [10]}) == 4
        assert session.run(value) == 4
        assert session.run(update, {x: []}) == 4
        session.run(tf.local_variables_initializer())
        assert session.run(value) == 0


def test_a_weighted_mean_counts_the_weights(graph):
    x, weights = tf.placeholder(tf.float32, [None, 2]), tf.placeholder(tf.float32, [None, 1])
    _, update = tf.metrics.mean(x, weights)
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        assert session.run(update, {x: [[1, 2], [5, 6]], weights: [[0], [3]]}) == 5.5
        assert session.run(update, {x: [[0, 1]], weights: [[2]]}) == pytest.approx((33 + 2) / 10)


def test_accuracy_is_the_part_of_predictions_that_are_right(graph):
    labels, predictions = tf.placeholder(tf.int64, [None]), tf.placeholder(tf.int64, [None])
    value, update = tf.metrics.accuracy(labels, predictions, updates_collections=["updates"])
    assert tf.get_collection("updates") == [update]
    assert (value.name, update.name) == ("accuracy/value:0", "accuracy/update_op:0")
    right = 0
    rng = np.random.default_rng(0)
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        for step in range(1, 4):
            a, b = rng.integers(0, 3, (2, 20))
            right += (a == b).sum()
            assert session.run(update, {labels: a, predictions: b}) == pytest.approx(right / (20 * step))
        assert session.run(value) == pytest.approx(right / 60)


def test_labels_may_have_an_axis_of_one_but_no_other_shape(graph):
    _, update = tf.metrics.accuracy([[1], [2], [3]], [1, 0, 3], weights=[1.0, 1.0, 2.0])
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        assert session.run(update) == 0.75
    with pytest.raises(ValueError, match="are incompatible"):
        tf.metrics.accuracy([1, 2], [1, 2, 3])


def test_a_confusion_matrix_counts_what_was_taken_for_what(graph):
    labels, predictions = tf.placeholder(tf.int64, [None]), tf.placeholder(tf.int64, [None])
    matrix = tf.confusion_matrix(labels, predictions)
    weighted = tf.confusion_matrix(labels, predictions, 3, tf.float32, weights=[0.5, 1.0, 2.0])
    assert weighted.shape.as_list() == [3, 3]
    feed = {labels: [0, 1, 1], predictions: [1, 1, 1]}
    with tf.Session() as session:
        assert session.run(matrix, feed).tolist() == [[0, 1], [0, 2]]
        assert session.run(weighted, feed).tolist() == [[0, 0.5, 0], [0, 3, 0], [0, 0, 0]]
        with pytest.raises(tf.errors.InvalidArgumentError, match="`labels` contains negative values"):
            session.run(matrix, {labels: [-1], predictions: [0]})
        with pytest.raises(tf.errors.InvalidArgumentError, match="`predictions` out of bound"):
            session.run(weighted, {labels: [0, 0, 0], predictions: [3, 0, 0]})
