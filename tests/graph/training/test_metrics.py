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


def _after(metric, feeds=({},)):
    """A metric's value after some updates, and what the last update gave."""
    value, update = metric
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        last = [session.run(update, feed) for feed in feeds][-1]
        return session.run(value), last


LABELS = np.array([[1, 0, 1], [1, 0, 0]])
GUESSES = np.array([[0.9, 0.6, 0.2], [0.8, 0.1, 0.4]], np.float32)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("true_positives", 2), ("false_positives", 1), ("true_negatives", 2), ("false_negatives", 1),
        ("precision", 2 / 3), ("recall", 2 / 3),
    ],
)  # fmt: skip
def test_yes_and_no_are_counted_over_all_runs(graph, name, found):
    yes = tf.placeholder(tf.bool, [2, 3])
    feeds = [{yes: GUESSES > 0.5}, {yes: GUESSES > 0.5}]
    value, last = _after(getattr(tf.metrics, name)(LABELS, yes), feeds)
    factor = 1 if found < 1 else 2
    assert value == last == pytest.approx(found * factor)


def test_a_weight_of_nothing_leaves_an_element_out(graph):
    value, _ = _after(tf.metrics.precision(LABELS, GUESSES > 0.5, weights=[[1, 0, 1], [1, 1, 1]]))
    assert value == 1


def test_counts_and_ratios_at_thresholds_are_vectors(graph):
    value, last = _after(tf.metrics.true_positives_at_thresholds(LABELS, GUESSES, [0.1, 0.5, 0.85]))
    np.testing.assert_array_equal(value, [3, 2, 1])
    np.testing.assert_array_equal(value, last)
    value, _ = _after(tf.metrics.recall_at_thresholds(LABELS, GUESSES, [0.1, 0.5, 0.85]))
    np.testing.assert_allclose(value, [1, 2 / 3, 1 / 3], rtol=1e-6)
    value, _ = _after(tf.metrics.precision_at_thresholds(LABELS, GUESSES, [0.15, 0.5, 0.85]))
    np.testing.assert_allclose(value, [3 / 5, 2 / 3, 1], rtol=1e-6)


def test_a_prediction_that_is_no_probability_is_refused_when_it_runs(graph):
    with pytest.raises(tf.errors.InvalidArgumentError, match="predictions must be in"):
        _after(tf.metrics.auc([1, 0], [1.5, 0.2]))


@pytest.mark.parametrize("curve", ["ROC", "PR"])
@pytest.mark.parametrize("method", ["trapezoidal", "careful_interpolation", "minoring", "majoring"])
def test_the_area_under_the_curve_of_a_perfect_model_is_one(graph, curve, method):
    metric = tf.metrics.auc([1, 0, 1, 0], [0.9, 0.2, 0.7, 0.4], curve=curve, summation_method=method)
    value, last = _after(metric)
    assert value == last == pytest.approx(1, abs=1e-3)


def test_the_area_under_the_roc_curve_is_how_often_a_yes_stands_before_a_no(graph):
    rng = np.random.default_rng(0)
    labels, guesses = rng.integers(0, 2, 200), rng.random(200).astype(np.float32)
    guesses = (guesses + labels / 2) / 1.5
    pairs = guesses[labels == 1][:, None] - guesses[labels == 0]
    value, _ = _after(tf.metrics.auc(labels, guesses, num_thresholds=2000))
    assert value == pytest.approx((pairs > 0).mean(), abs=2e-3)


def test_specificity_and_sensitivity_at_each_other(graph):
    labels, guesses = [0, 0, 0, 1, 1], np.array([0.1, 0.4, 0.8, 0.3, 0.9], np.float32)
    assert _after(tf.metrics.specificity_at_sensitivity(labels, guesses, 1.0))[0] == pytest.approx(1 / 3)
    assert _after(tf.metrics.sensitivity_at_specificity(labels, guesses, 1.0))[0] == pytest.approx(1 / 2)
    with pytest.raises(ValueError, match=r"`specificity` must be in the range"):
        tf.metrics.sensitivity_at_specificity(labels, guesses, 2.0)


def test_mean_iou_leaves_out_a_class_that_never_occurs(graph):
    value, matrix = _after(tf.metrics.mean_iou([0, 0, 1, 1], [0, 1, 1, 1], 3))
    assert value == pytest.approx((1 / 2 + 2 / 3) / 2)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 2, 0], [0, 0, 0]])
    value, each = _after(tf.metrics.mean_per_class_accuracy([0, 0, 1, 1], [0, 1, 1, 1], 2))
    assert value == pytest.approx(0.75)
    np.testing.assert_allclose(each, [0.5, 1])


@pytest.mark.parametrize(
    ("name", "extra", "found"),
    [
        ("mean_absolute_error", [], 1.5), ("mean_squared_error", [], 2.5),
        ("root_mean_squared_error", [], 2.5**0.5), ("mean_relative_error", [[0.0, 2.0]], 0.5),
    ],
)  # fmt: skip
def test_errors_are_averaged(graph, name, extra, found):
    value, last = _after(getattr(tf.metrics, name)([1.0, 2.0], [2.0, 4.0], *extra))
    assert value == last == pytest.approx(found)


def test_a_mean_of_tensors_keeps_their_shape(graph):
    x = tf.placeholder(tf.float32, [2])
    value, _ = _after(tf.metrics.mean_tensor(x), [{x: [1, 2]}, {x: [3, 6]}])
    np.testing.assert_array_equal(value, [2, 4])


SCORES = np.array([[0.1, 0.4, 0.3, 0.2], [0.7, 0.1, 0.15, 0.05]], np.float32)


def test_recall_and_precision_at_k_look_at_the_k_greatest(graph):
    labels = np.array([[1, 3], [0, 3]])
    assert _after(tf.metrics.recall_at_k(labels, SCORES, 2))[0] == 0.5
    assert _after(tf.metrics.precision_at_k(labels, SCORES, 1))[0] == 1
    assert _after(tf.metrics.recall_at_k(labels, SCORES, 2, class_id=3))[0] == 0
    assert _after(tf.metrics.precision_at_top_k(labels, [[1, 2], [3, 2]], 2))[0] == 0.5
    # The relevant stand at places 1 and 3, and 1 and 4.
    assert _after(tf.metrics.average_precision_at_k(labels, SCORES, 4))[0] == pytest.approx(
        ((1 + 2 / 3) / 2 + (1 + 2 / 4) / 2) / 2
    )


def test_ratios_at_k_are_not_numbers_before_anything_is_counted(graph):
    nothing = tf.SparseTensor(np.zeros((0, 2), np.int64), np.zeros(0, np.int64), [2, 2])
    for metric in (tf.metrics.recall_at_k, tf.metrics.average_precision_at_k):
        value, update = metric(nothing, SCORES, 2)
        with tf.Session() as session:
            session.run(tf.local_variables_initializer())
            assert np.isnan([*session.run([value, update]), session.run(update)][-1])
    value, update = tf.metrics.precision_at_k(np.array([[1], [0]]), SCORES, 2, class_id=3)
    assert value.name == "precision_at_2_class3:0"
    assert [v.op.name for v in tf.local_variables()[-2:]] == [
        "precision_at_2_class3/true_positive_at_2_class3", "precision_at_2_class3/false_positive_at_2_class3",
    ]  # fmt: skip
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        assert np.isnan(session.run(value))


def test_labels_at_k_may_be_sparse_of_one_each_or_no_class(graph):
    sparse = tf.SparseTensor([[0, 0], [1, 0], [1, 1]], np.array([1, 0, 9], np.int64), [2, 2])
    assert _after(tf.metrics.recall_at_k(sparse, SCORES, 1))[0] == pytest.approx(2 / 3)
    assert _after(tf.metrics.recall_at_k(np.array([1, 3]), SCORES, 1, weights=[1.0, 3.0]))[0] == 0.25
