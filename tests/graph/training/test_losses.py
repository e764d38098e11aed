"""Losses against formulas in NumPy, their weights and reductions, and the collections that they are kept in."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
import scipy.special

import weftwork as tf

RNG = np.random.default_rng(0)
LABELS = RNG.random((5, 3)).astype(np.float32)
PREDICTIONS = RNG.random((5, 3)).astype(np.float32)
CLASSES = np.array([0, 1, 2, 1, 1])
ONE_HOT = np.eye(3, dtype=np.float32)[CLASSES]
R = tf.losses.Reduction


def evaluate(tensor, feeds=None):
    with tf.Session() as session:
        return session.run(tensor, feeds)


def huber(y, p, delta=0.3):
    error = np.abs(p - y)
    return np.where(error <= delta, error**2 / 2, delta * error - delta**2 / 2)


def smoothed(labels, classes):
    return labels * 0.9 + 0.1 / classes


def cross_entropy(labels, logits):
    return -(labels * scipy.special.log_softmax(logits.astype(float), axis=-1)).sum(-1)


def logistic(labels, logits):
    return -labels * scipy.special.log_expit(logits) - (1 - labels) * scipy.special.log_expit(-logits)


FORMULAS = {
    "mean_squared_error": (LABELS, {}, lambda y, p: (y - p) ** 2),
    "absolute_difference": (LABELS, {}, lambda y, p: np.abs(y - p)),
    "log_loss": (LABELS, {}, lambda y, p: -y * np.log(p + 1e-7) - (1 - y) * np.log(1 - p + 1e-7)),
    "huber_loss": (LABELS, {"delta": 0.3}, huber),
    "hinge_loss": (ONE_HOT, {}, lambda y, p: np.maximum(0, 1 - (2 * y - 1) * p)),
    "sigmoid_cross_entropy": (ONE_HOT, {"label_smoothing": 0.1}, lambda y, p: logistic(smoothed(y, 2), p)),
    "softmax_cross_entropy": (ONE_HOT, {"label_smoothing": 0.1}, lambda y, p: cross_entropy(smoothed(y, 3), p)),
    "sparse_softmax_cross_entropy": (CLASSES, {}, lambda y, p: cross_entropy(np.eye(3)[y], p)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_loss_is_the_mean_of_its_formula_and_is_kept(graph, name):
    labels, options, formula = FORMULAS[name]
    loss = getattr(tf.losses, name)(labels, PREDICTIONS, **options)
    wanted = formula(labels, PREDICTIONS)
    value = evaluate(loss)
    assert value.dtype == np.float32
    assert value == pytest.approx(wanted.mean(), rel=1e-5)
    assert tf.losses.get_losses() == [loss]
    assert loss.name.endswith("/value:0")
    each = getattr(tf.losses, name)(labels, PREDICTIONS, reduction=R.NONE, **options)
    np.testing.assert_allclose(evaluate(each), wanted, rtol=1e-5, atol=1e-6)


WEIGHTS = {
    "one": 1.0,
    "two": 2,
    "zero": 0.0,
    "rows": np.array([[1.0], [0.0], [2.0], [0.0], [3.0]]),
    "elements": RNG.integers(0, 3, (5, 3)).astype(float),
    "none": np.zeros((5, 3)),
}


def reduced(losses, weights, reduction):
    weights = np.broadcast_to(weights, losses.shape)
    weighted = losses * weights
    if reduction == R.NONE:
        return weighted
    divisor = {
        R.SUM: 1,
        R.SUM_OVER_BATCH_SIZE: losses.size,
        R.MEAN: weights.sum(),
        R.SUM_BY_NONZERO_WEIGHTS: (weights != 0).sum(),
    }[reduction]
    return weighted.sum() / divisor if divisor else 0.0


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("reduction", R.all())
def test_a_reduction_divides_by_what_it_says(graph, reduction, weights, known):
    losses = tf.placeholder(tf.float32, [5, 3] if known else [None, None])
    loss = tf.losses.compute_weighted_loss(losses, WEIGHTS[weights], reduction=reduction)
    value = evaluate(loss, {losses: LABELS})
    np.testing.assert_allclose(value, reduced(LABELS, WEIGHTS[weights], reduction), rtol=1e-5)


@pytest.mark.parametrize("reduction", [R.MEAN, R.SUM_BY_NONZERO_WEIGHTS, R.SUM_OVER_BATCH_SIZE])
def test_no_element_at_all_is_no_loss_and_no_gradient(graph, reduction):
    x, weights = tf.placeholder(tf.float32, [None]), tf.placeholder(tf.float32, [None])
    loss = tf.losses.compute_weighted_loss(tf.square(x), weights, reduction=reduction)
    gradient = tf.gradients(loss, [x])[0]
    value, slope = evaluate([loss, gradient], {x: [], weights: []})
    assert (value, slope.tolist()) == (0, [])
    value, slope = evaluate([loss, gradient], {x: [3.0], weights: [0.0]})
    assert (value, slope.tolist()) == (0, [0])


def test_the_weights_of_examples_may_have_an_axis_of_one(graph):
    logits, weights = PREDICTIONS, np.array([1.0, 0.0, 2.0, 0.0, 0.5])
    a = tf.losses.sparse_softmax_cross_entropy(CLASSES, logits, weights)
    b = tf.losses.sparse_softmax_cross_entropy(CLASSES[:, None], logits, weights[:, None])
    wanted = (cross_entropy(ONE_HOT, logits) * weights).sum() / 3
    np.testing.assert_allclose(evaluate([a, b]), [wanted] * 2, rtol=1e-5)


def test_what_does_not_fit_is_refused(graph):
    with pytest.raises(ValueError, match=r"Shapes \(3,\) and \(2,\) are incompatible"):
        tf.losses.mean_squared_error(tf.zeros([2]), tf.zeros([3]))
    for shape in ([2], [3], [2, 2]):
        with pytest.raises(ValueError, match="weights can not be broadcast to values"):
            tf.losses.mean_squared_error(tf.zeros([2, 3]), tf.zeros([2, 3]), tf.ones(shape))
    with pytest.raises(ValueError, match="Invalid Reduction Key sum"):
        tf.losses.mean_squared_error(1.0, 2.0, reduction="sum")
    with pytest.raises(ValueError, match="labels must not be None"):
        tf.losses.mean_squared_error(None, 2.0)


# Collections


def test_the_total_loss_is_the_sum_of_the_losses_and_of_the_regularization(graph):
    with tf.variable_scope("model", regularizer=lambda w: 0.5 * tf.reduce_sum(w)):
        tf.get_variable("w", initializer=[1.0, 3.0])
    with tf.name_scope("tower"):
        tf.losses.mean_squared_error([0.0], [2.0])
    tf.losses.add_loss(tf.constant(10.0))
    tf.losses.absolute_difference([0.0], [7.0], loss_collection="mine")
    tf.losses.absolute_difference([0.0], [7.0], loss_collection=None)
    totals = [
        tf.losses.get_total_loss(),
        tf.losses.get_total_loss(add_regularization_losses=False),
        tf.losses.get_total_loss(False, scope="tower"),
        tf.losses.get_regularization_loss(),
    ]
    assert totals[0].op.name == "total_loss"
    assert (len(tf.losses.get_losses("tower")), len(tf.losses.get_losses(loss_collection="mine"))) == (1, 1)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(totals) == [16.0, 14.0, 4.0, 2.0]


def test_without_regularization_its_loss_is_zero_and_without_losses_there_is_no_total(graph):
    assert evaluate(tf.losses.get_regularization_loss()) == 0
    with pytest.raises(ValueError, match="at least one Tensor"):
        tf.losses.get_total_loss()


def test_a_loss_takes_its_own_options_and_those_of_every_loss_in_the_order_of_tensorflow():
    shared = list(inspect.signature(tf.losses.compute_weighted_loss).parameters)[1:]
    expected = ["labels", "predictions", shared[0], "epsilon", *shared[1:]]
    assert list(inspect.signature(tf.losses.log_loss).parameters) == expected
    assert pickle.loads(pickle.dumps(tf.losses.log_loss)) is tf.losses.log_loss
    with pytest.raises(TypeError, match=r"log_loss\(\) got an unexpected keyword argument 'delta'"):
        tf.losses.log_loss([1.0], [1.0], delta=1.0)
