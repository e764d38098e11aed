"""Layers of convolutions: their variables, their shapes, and that they compute what the functions do."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

RNG = np.random.default_rng(3)


def run(fetch, feeds=None):
    """A value, and those of the variables by name, after they are initialised."""
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run([fetch, {v.op.name: v for v in tf.global_variables()}], feeds)


@pytest.mark.parametrize(("padding", "larger"), [("valid", [9, 11]), ("same", [8, 10])])
def test_a_transposed_layer_makes_images_larger(graph, padding, larger):
    x = tf.placeholder(tf.float32, [None, 4, None, 3])
    images = tf.layers.conv2d_transpose(
        x, 2, 3, 2, padding, activation=tf.nn.relu, bias_initializer=tf.ones_initializer()
    )
    assert images.shape.as_list() == [None, larger[0], None, 2]
    data = RNG.normal(size=(2, 4, 5, 3)).astype(np.float32)
    got, variables = run(images, {x: data})
    assert {name: value.shape for name, value in variables.items()} == {
        "conv2d_transpose/kernel": (3, 3, 2, 3),
        "conv2d_transpose/bias": (2,),
    }
    with tf.Session() as session:
        kernel = variables["conv2d_transpose/kernel"]
        plain = session.run(tf.nn.conv2d_transpose(data, kernel, [2, *larger, 2], 2, padding.upper()))
    assert np.allclose(got, np.maximum(plain + 1, 0), atol=1e-5)


def test_a_separable_layer_has_two_kernels(graph):
    x = RNG.normal(size=(2, 5, 6, 3)).astype(np.float32)
    mixed = tf.layers.separable_conv2d(
        x,
        4,
        (2, 3),
        padding="same",
        depth_multiplier=2,
        pointwise_regularizer=lambda w: tf.reduce_sum(w * w),
        name="apart",
    )
    got, variables = run(mixed)
    assert {name: value.shape for name, value in variables.items()} == {
        "apart/depthwise_kernel": (2, 3, 3, 2),
        "apart/pointwise_kernel": (1, 1, 6, 4),
        "apart/bias": (4,),
    }
    kernels = variables["apart/depthwise_kernel"], variables["apart/pointwise_kernel"]
    with tf.Session() as session:
        assert np.allclose(got, session.run(tf.nn.separable_conv2d(x, *kernels, 1, "SAME")), atol=1e-5)
    assert len(tf.losses.get_regularization_losses()) == 1


def test_a_layer_along_one_axis(graph):
    x = RNG.normal(size=(2, 9, 3)).astype(np.float32)
    steps = tf.layers.conv1d(x, 4, 3, strides=2, padding="same", use_bias=False)
    assert steps.shape.as_list() == [2, 5, 4]
    got, variables = run(steps)
    assert {name: value.shape for name, value in variables.items()} == {"conv1d/kernel": (3, 3, 4)}
    with tf.Session() as session:
        assert np.allclose(got, session.run(tf.nn.conv1d(x, variables["conv1d/kernel"], 2, "SAME")), atol=1e-5)


def test_pooling_along_one_axis(graph):
    x = RNG.normal(size=(2, 6, 3))
    largest, mean = tf.layers.max_pooling1d(x, 3, 3), tf.layers.average_pooling1d(x, [2], [2])
    apart = x.reshape(2, 2, 3, 3), x.reshape(2, 3, 2, 3)
    (got, _) = run([largest, mean])
    assert np.allclose(got[0], apart[0].max(2))
    assert np.allclose(got[1], apart[1].mean(2))


def test_two_calls_of_one_name_share_variables(graph):
    x = tf.zeros([1, 4, 4, 3])
    for reuse in (None, True):
        tf.layers.conv2d_transpose(x, 2, 3, name="back", reuse=reuse)
        tf.layers.separable_conv2d(x, 2, 3, name="apart", reuse=reuse)
        tf.layers.conv1d(x[0], 2, 3, name="along", reuse=reuse)
    assert len(tf.trainable_variables()) == 7


def test_bad_arguments_are_refused(graph):
    with pytest.raises(ValueError, match="`kernel_size` argument must be a tuple of 1 integers"):
        tf.layers.conv1d(tf.zeros([1, 4, 3]), 2, (3, 3))
    with pytest.raises(ValueError, match="expected ndim=3, found ndim=4"):
        tf.layers.conv1d(tf.zeros([1, 4, 4, 3]), 2, 3)
    with pytest.raises(ValueError, match="expected min_ndim=4, found ndim=3"):
        tf.layers.conv2d_transpose(tf.zeros([1, 4, 3]), 2, 3)
    with pytest.raises(ValueError, match="channel dimension"):
        tf.layers.separable_conv2d(tf.placeholder(tf.float32, [1, 4, 4, None]), 2, 3)
