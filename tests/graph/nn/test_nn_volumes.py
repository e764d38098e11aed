"""Convolutions and pools over one to three axes, with steps between the places of a window; morphology."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate
from tests.graph.gradients.test_gradient_rules import apart, check, normal

VOLUME, FILTER = normal(1, 3, 4, 3, 2), normal(2, 3, 2, 2, 2, seed=1)


def slow_conv(x, w, strides, rates, same):
    """A cross-correlation, number by number."""
    reach = [(k - 1) * r + 1 for k, r in zip(w.shape, rates, strict=False)]
    if same:
        counts = [-(-d // s) for d, s in zip(x.shape[1:-1], strides, strict=True)]
        more = [max(0, (c - 1) * s + n - d) for c, s, n, d in zip(counts, strides, reach, x.shape[1:], strict=False)]
        x = np.pad(x, [(0, 0), *[(m // 2, m - m // 2) for m in more], (0, 0)])
    else:
        counts = [(d - n) // s + 1 for d, n, s in zip(x.shape[1:-1], reach, strides, strict=True)]
    out = np.zeros((x.shape[0], *counts, w.shape[-1]))
    for place in itertools.product(*map(range, counts)):
        window = tuple(slice(p * s, p * s + n, r) for p, s, n, r in zip(place, strides, reach, rates, strict=True))
        part = x[(slice(None), *window)]
        out[(slice(None), *place)] = np.tensordot(part, w, part.ndim - 1)
    return out


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [[1, 1, 1], [2, 1, 2]])
def test_conv3d_is_a_cross_correlation_over_three_axes(graph, padding, strides):
    made = tf.nn.conv3d(VOLUME, FILTER, [1, *strides, 1], padding)
    wanted = slow_conv(VOLUME, FILTER, strides, [1, 1, 1], padding == "SAME")
    assert made.shape.as_list() == list(wanted.shape)
    np.testing.assert_allclose(evaluate(made), wanted)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_convolutions_with_steps_between_the_places(graph, padding):
    images, weights = normal(2, 6, 7, 2), normal(2, 3, 2, 3)
    wanted = slow_conv(images, weights, [1, 1], [2, 2], padding == "SAME")
    np.testing.assert_allclose(evaluate(tf.nn.atrous_conv2d(images, weights, 2, padding)), wanted)
    general = tf.nn.convolution(images, weights, padding, dilation_rate=[2, 2])
    np.testing.assert_allclose(evaluate(general), wanted)
    by_blocks = tf.nn.with_space_to_batch(
        tf.constant(images), [2, 2], padding, filter_shape=[2, 3],
        op=lambda x, rank, word: tf.nn.conv2d(x, weights, [1] * (rank + 2), word),
    )  # fmt: skip
    np.testing.assert_allclose(evaluate(by_blocks), wanted)
    signal, taps = normal(2, 8, 2), normal(3, 2, 2)
    made = tf.nn.convolution(signal, taps, padding, strides=[2])
    np.testing.assert_allclose(evaluate(made), slow_conv(signal, taps, [2], [1], padding == "SAME"))
    with pytest.raises(ValueError, match="strides > 1 not supported in conjunction with dilation_rate > 1"):
        tf.nn.convolution(signal, taps, padding, strides=[2], dilation_rate=[2])


def test_what_does_not_fit_is_refused_where_it_is_made(graph):
    with pytest.raises(ValueError, match="input depth 2 does not match the filter's input depth 3"):
        tf.nn.conv3d(VOLUME, normal(1, 1, 1, 3, 1), [1] * 5, "SAME")
    with pytest.raises(ValueError, match="Only the data format NDHWC"):
        tf.nn.conv3d(VOLUME, FILTER, [1] * 5, "SAME", data_format="NCDHW")
    with pytest.raises(ValueError, match="Shape must be rank 5 but is rank 4"):
        tf.nn.max_pool3d(normal(1, 2, 2, 1), 2, 2, "SAME")
    with pytest.raises(ValueError, match="Negative dimension size"):
        tf.nn.avg_pool1d(normal(1, 2, 1), 3, 1, "VALID")


def test_transposes_are_what_a_convolution_gives_back(graph):
    w = tf.constant(FILTER)
    shape = [1, 3, 4, 3, 2]
    x = tf.constant(VOLUME)
    grad = normal(1, 2, 4, 2, 2)
    (wanted,) = tf.gradients(tf.nn.conv3d(x, w, [1, 2, 1, 2, 1], "SAME"), x, grad)
    np.testing.assert_allclose(evaluate(tf.nn.conv3d_transpose(grad, w, shape, [1, 2, 1, 2, 1])), evaluate(wanted))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a convolution of shape"):
        evaluate(tf.nn.conv3d_transpose(grad, w, [1, 9, 4, 3, 2], [1, 2, 1, 2, 1]))
    images, weights = tf.constant(normal(1, 5, 5, 2)), tf.constant(normal(3, 2, 2, 3))
    y = tf.nn.conv2d(images, weights, [1, 1, 1, 1], "VALID")
    grad = normal(1, 3, 4, 3)
    of_image, of_filter = tf.gradients(y, [images, weights], grad)
    np.testing.assert_allclose(
        evaluate(tf.nn.conv2d_backprop_input([1, 5, 5, 2], weights, grad, [1, 1, 1, 1], "VALID")), evaluate(of_image)
    )
    np.testing.assert_allclose(
        evaluate(tf.nn.conv2d_backprop_filter(images, [3, 2, 2, 3], grad, [1, 1, 1, 1], "VALID")), evaluate(of_filter)
    )


def test_convolutions_over_three_axes_have_derivatives_of_any_order():
    check(lambda x, w: tf.nn.conv3d(x, w, [1, 2, 1, 1, 1], "SAME"), normal(1, 2, 3, 2, 1), normal(2, 2, 1, 1, 2))
    check(lambda x, w: tf.nn.conv1d_transpose(x, w, [1, 4, 1], 2), normal(1, 2, 2), normal(3, 1, 2))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pools_over_one_and_three_axes(graph, padding):
    def windows(size, k, s):
        count = -(-size // s) if padding == "SAME" else (size - k) // s + 1
        lead = max(0, (count - 1) * s + k - size) // 2 if padding == "SAME" else 0
        return [slice(max(0, i * s - lead), min(size, i * s - lead + k)) for i in range(count)]

    x = apart(2, 5, 4, 3, 2)
    parts = [windows(n, 2, 2) for n in x.shape[1:4]]
    for function, reduce in ((tf.nn.max_pool3d, np.max), (tf.nn.avg_pool3d, np.mean)):
        made = function(x, [1, 2, 2, 2, 1], [1, 2, 2, 2, 1], padding)
        found = evaluate(made)
        assert made.shape.as_list() == list(found.shape)
        for i, j, k in itertools.product(*[range(len(p)) for p in parts]):
            part = x[:, parts[0][i], parts[1][j], parts[2][k]]
            np.testing.assert_allclose(found[:, i, j, k], reduce(part, axis=(1, 2, 3)))
    signal = apart(2, 5, 3)
    pooled = evaluate(tf.nn.max_pool1d(signal, 2, 2, padding))
    np.testing.assert_allclose(pooled[:, 0], signal[:, :2].max(1))
    images = apart(1, 5, 4, 2)
    np.testing.assert_array_equal(
        evaluate(tf.nn.pool(images, [2, 2], "MAX", padding, strides=[2, 2])),
        evaluate(tf.nn.max_pool2d(images, 2, 2, padding)),
    )


def test_pools_have_derivatives():
    check(lambda x: tf.nn.max_pool3d(x, 2, 1, "SAME") ** 2, apart(1, 2, 2, 3, 1))
    check(lambda x: tf.nn.avg_pool3d(x, 2, 2, "SAME") ** 2, normal(1, 2, 3, 3, 1))


def test_a_fractional_mean_gives_each_element_its_part(graph):
    x = tf.constant(normal(1, 4, 4, 1))
    pooled = tf.nn.fractional_avg_pool(x, [1, 1.9, 1.9, 1])
    with tf.Session() as session:
        grad, rows, columns = session.run([tf.gradients(pooled.output, x)[0], *pooled[1:]])
    sizes = np.outer(np.repeat(np.diff(rows), np.diff(rows)), np.repeat(np.diff(columns), np.diff(columns)))
    np.testing.assert_allclose(grad[0, :, :, 0], 1 / sizes)


def test_the_place_of_the_greatest_is_counted_in_its_image(graph):
    images = np.zeros((2, 2, 2, 1))
    images[0, 1, 0], images[1, 0, 1] = 5, 7
    made = tf.nn.max_pool_with_argmax(images, 2, 2, "VALID")
    assert evaluate(made.output).ravel().tolist() == [5, 7]
    assert evaluate(made.argmax).ravel().tolist() == [2, 1]
    whole = tf.nn.max_pool_with_argmax(images, 2, 2, "VALID", include_batch_in_index=True)
    assert evaluate(whole.argmax).ravel().tolist() == [2, 5]


@pytest.mark.parametrize("pseudo", [False, True])
@pytest.mark.parametrize("overlapping", [False, True])
def test_fractional_pools_have_windows_of_random_sizes(graph, pseudo, overlapping):
    images = apart(2, 9, 10, 2)
    pooled = tf.nn.fractional_max_pool(images, [1, 1.5, 1.4, 1], pseudo, overlapping, deterministic=True, seed=1)
    assert pooled.output.shape.as_list() == [2, 6, 7, 2]
    with tf.Session() as session:
        output, rows, columns = session.run(list(pooled))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (0, 9, 0, 10)
    assert set(np.diff(rows)) <= {1, 2}
    edge = 1 if overlapping else 0
    corner = images[:, rows[-2] : rows[-1] + edge, columns[0] : columns[1] + edge]
    np.testing.assert_array_equal(output[:, -1, 0], corner.max((1, 2)))


def test_dilation_and_erosion_are_each_other_turned_round(graph):
    images, weights = normal(1, 3, 4, 2), normal(2, 2, 2)
    found = evaluate(tf.nn.dilation2d(images, weights, [1, 1, 1, 1], [1, 1, 1, 1], "VALID"))
    np.testing.assert_allclose(found[0, 1, 2], (images[0, 1:3, 2:4] + weights).max((0, 1)))
    eroded = evaluate(tf.nn.erosion2d(images, weights, [1, 1, 1, 1], [1, 1, 1, 1], "VALID"))
    np.testing.assert_allclose(eroded[0, 1, 2], (images[0, 1:3, 2:4] - weights[::-1, ::-1]).min((0, 1)))
    check(
        lambda x, w: tf.nn.dilation2d(x, w, [1, 1, 1, 1], [1, 1, 1, 1], "SAME") ** 2,
        normal(1, 2, 3, 1),
        normal(2, 2, 1),
    )
