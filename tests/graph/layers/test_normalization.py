"""Batch normalization with slowly moving statistics, in groups, and with adjustments, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

RNG = np.random.default_rng(0)
EPSILON = 0.01


def started():
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session


@pytest.mark.parametrize("fed", [False, True])
@pytest.mark.parametrize("clipping", [None, {"rmin": 0.5, "rmax": 1.5, "dmax": 0.5}])
def test_renormalization_corrects_towards_slow_statistics(graph, clipping, fed):
    x = tf.placeholder(tf.float64, [6, 4])
    training = tf.placeholder(tf.bool, []) if fed else True
    layer = tf.layers.BatchNormalization(
        momentum=0.9, epsilon=EPSILON, renorm=True, renorm_clipping=clipping, renorm_momentum=0.7, name="bn"
    )
    trained = layer(x, training=training)
    tested = layer(x, training=tf.constant(False) if fed else False)
    assert [v.op.name for v in tf.global_variables()] == [f"bn/{word}" for word in (
        "gamma", "beta", "moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev",
    )]  # fmt: skip
    bounds = clipping or {"rmin": -np.inf, "rmax": np.inf, "dmax": np.inf}
    mean, std, slow_mean, slow_std = 0.0, 1.0, 0.0, 1.0
    with started() as session:
        for _ in range(4):
            values = RNG.normal(1, 3, size=(6, 4))
            feeds = {x: values} | ({training: True} if fed else {})
            result, _ = session.run([trained, graph.get_collection(tf.GraphKeys.UPDATE_OPS)], feeds)
            batch_mean, batch_std = values.mean(0), np.sqrt(values.var(0) + EPSILON)
            r = np.clip(batch_std / slow_std, bounds["rmin"], bounds["rmax"])
            d = np.clip((batch_mean - slow_mean) / slow_std, -bounds["dmax"], bounds["dmax"])
            np.testing.assert_allclose(result, (values - batch_mean) / batch_std * r + d)
            slow_mean, slow_std = (0.7 * a + 0.3 * b for a, b in ((slow_mean, batch_mean), (slow_std, batch_std)))
            mean, std = 0.9 * mean + 0.1 * batch_mean, 0.9 * std + 0.1 * batch_std
            expected = (values - mean) / std
            np.testing.assert_allclose(session.run(tested, {**feeds, x: values}), expected, rtol=1e-6)


def test_without_training_renormalization_changes_nothing(graph):
    training = tf.placeholder(tf.bool, [])
    layer = tf.layers.BatchNormalization(renorm=True, epsilon=EPSILON)
    values = RNG.normal(size=(6, 4))
    result = layer(tf.constant(values), training=training)
    with started() as session:
        found, _ = session.run([result, graph.get_collection(tf.GraphKeys.UPDATE_OPS)], {training: False})
        np.testing.assert_allclose(found, values / np.sqrt(1 + EPSILON))
        assert session.run([layer.renorm_mean, layer.moving_stddev, layer.moving_variance])[0].tolist() == [0] * 4
        np.testing.assert_allclose(session.run(layer.moving_variance), 1)


@pytest.mark.parametrize("axis", [-1, 1])
def test_groups_of_the_batch_are_normalized_each_by_itself(graph, axis):
    values = RNG.normal(size=(6, 4, 3))
    layer = tf.layers.BatchNormalization(axis=axis, virtual_batch_size=2, epsilon=EPSILON, momentum=0.0)
    result = layer(tf.constant(values), training=True)
    assert result.shape.as_list() == [6, 4, 3]
    over = (1, 2) if axis == -1 else (1, 3)
    groups = values.reshape(3, 2, 4, 3)
    mean, variance = groups.mean(over, keepdims=True), groups.var(over, keepdims=True)
    with started() as session:
        found, _ = session.run([result, graph.get_collection(tf.GraphKeys.UPDATE_OPS)])
        np.testing.assert_allclose(found, ((groups - mean) / np.sqrt(variance + EPSILON)).reshape(6, 4, 3))
        np.testing.assert_allclose(session.run(layer.moving_mean), mean.mean(0).ravel())
        tested = session.run(layer(tf.constant(values)))
        wide = [part.mean(0).reshape((1, 1, 3) if axis == -1 else (1, 4, 1)) for part in (mean, variance)]
        np.testing.assert_allclose(tested, (values - wide[0]) / np.sqrt(wide[1] + EPSILON))


def test_an_adjustment_applies_in_training_only(graph):
    training = tf.placeholder(tf.bool, [])
    values = RNG.normal(size=(6, 4))

    def adjustment(shape):
        return tf.fill([shape[0], 1], tf.constant(2.0, tf.float64)), tf.constant(5.0, tf.float64)

    result = tf.layers.batch_normalization(
        values,
        training=training,
        epsilon=EPSILON,
        adjustment=adjustment,
        gamma_initializer=tf.constant_initializer(3.0),
    )
    normal = (values - values.mean(0)) / np.sqrt(values.var(0) + EPSILON)
    with started() as session:
        np.testing.assert_allclose(session.run(result, {training: True}), 3 * (2 * normal + 5))
        np.testing.assert_allclose(session.run(result, {training: False}), 3 * values / np.sqrt(1 + EPSILON))


def test_gradients_do_not_flow_through_the_correction(graph):
    x = tf.constant(RNG.normal(size=(6, 4)))
    y = tf.layers.batch_normalization(x, training=True, renorm=True)
    with started() as session:
        slope = session.run(tf.gradients(tf.reduce_sum(y), x)[0])
    np.testing.assert_allclose(slope, 0, atol=1e-12)


@pytest.mark.parametrize("option", [{"renorm": True}, {"virtual_batch_size": 2}, {"adjustment": abs}])
def test_what_a_fused_normalization_cannot_do_is_refused(graph, option):
    with pytest.raises(ValueError, match=f"fused=True and {next(iter(option))} is not supported"):
        tf.layers.batch_normalization(tf.ones([2, 3, 3, 1]), fused=True, **option)


def test_bounds_of_the_correction_have_three_names(graph):
    with pytest.raises(ValueError, match="contains keys not in"):
        tf.layers.batch_normalization(tf.ones([2, 3]), renorm=True, renorm_clipping={"rmix": 1})
