"""Layers over three axes, and separable convolutions along one."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

X = np.random.default_rng(1).random((2, 4, 5, 6, 3)).astype("f")


def run(tensor):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(tensor)


def test_convolutions_of_volumes(graph):
    same = tf.layers.conv3d(X, 7, 3, padding="same", activation=tf.nn.relu)
    strided = tf.layers.conv3d(X, 7, (2, 3, 3), strides=(1, 2, 2))
    back = tf.layers.conv3d_transpose(X, 4, 2, strides=2, padding="same")
    for y, shape in ((same, [2, 4, 5, 6, 7]), (strided, [2, 3, 2, 2, 7]), (back, [2, 8, 10, 12, 4])):
        assert y.shape.as_list() == shape
        assert list(run(y).shape) == shape
    assert [v.name for v in tf.trainable_variables()][:2] == ["conv3d/kernel:0", "conv3d/bias:0"]
    assert tf.trainable_variables()[4].shape.as_list() == [2, 2, 2, 4, 3]
    ones = tf.layers.conv3d(X, 1, 2, use_bias=False, kernel_initializer=tf.ones_initializer())
    np.testing.assert_allclose(run(ones)[0, 0, 0, 0, 0], X[0, :2, :2, :2].sum(), rtol=1e-5)


def test_pools_of_volumes(graph):
    np.testing.assert_allclose(run(tf.layers.max_pooling3d(X, 2, 2))[0, 1, 1, 2], X[0, 2:4, 2:4, 4:6].max((0, 1, 2)))
    mean = run(tf.layers.average_pooling3d(X, (2, 1, 1), 1))
    np.testing.assert_allclose(mean, (X[:, :-1] + X[:, 1:]) / 2, rtol=1e-6)
    with pytest.raises(ValueError, match="tuple of 3 integers"):
        tf.layers.max_pooling3d(X, (2, 2), 1)


def test_separable_convolutions_along_one_axis(graph):
    x = X[:, :, 0, 0]
    y = tf.layers.separable_conv1d(x, 8, 3, depth_multiplier=2, padding="same")
    assert y.shape.as_list() == [2, 4, 8]
    shapes = [v.shape.as_list() for v in tf.trainable_variables()]
    assert shapes == [[3, 3, 2], [1, 6, 8], [8]]
    depth, point, _ = tf.trainable_variables()
    inner, whole = run([tf.nn.conv2d(y[:, None], np.ones((1, 1, 8, 1), "f"), [1] * 4, "SAME"), y])
    np.testing.assert_allclose(inner[:, 0, :, 0], whole.sum(2), rtol=1e-4)
    assert tf.gradients(y, [depth, point]) != [None, None]
