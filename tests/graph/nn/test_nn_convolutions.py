"""Convolutions against their definition, written as loops; derivatives against central differences."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

RNG = np.random.default_rng(7)


def run(fetch, feeds=None):
    """The value of a fetch in a session of its own."""
    with tf.Session() as session:
        return session.run(fetch, feeds)


def before(size, window, stride, padding):
    """How many zeros "SAME" puts before an axis."""
    if padding == "VALID":
        return 0
    return max((-(-size // stride) - 1) * stride + window - size, 0) // 2


def count(size, window, stride, padding):
    """How many windows an axis has."""
    return -(-size // stride) if padding == "SAME" else (size - window) // stride + 1


def pairs(shape, window, stride, padding):
    """Every (row, column, tap row, tap column, image row, image column) of a convolution."""
    (rows, columns), starts = (
        [count(s, w, stride, padding) for s, w in zip(shape, window, strict=True)],
        [before(s, w, stride, padding) for s, w in zip(shape, window, strict=True)],
    )
    for i, j, di, dj in np.ndindex(rows, columns, *window):
        y, x = i * stride + di - starts[0], j * stride + dj - starts[1]
        if 0 <= y < shape[0] and 0 <= x < shape[1]:
            yield i, j, di, dj, y, x


CASES = [(padding, stride, size) for padding in ("SAME", "VALID") for stride in (1, 2) for size in ((5, 6), (4, 7))]


@pytest.mark.parametrize(("padding", "stride", "size"), CASES)
def test_a_transposed_convolution_goes_back_from_windows_to_images(graph, padding, stride, size):
    filters = RNG.normal(size=(3, 2, 4, 5))
    value = RNG.normal(size=(2, *[count(s, w, stride, padding) for s, w in zip(size, (3, 2), strict=True)], 5))
    wanted = np.zeros((2, *size, 4))
    for i, j, di, dj, y, x in pairs(size, (3, 2), stride, padding):
        wanted[:, y, x] += value[:, i, j] @ filters[di, dj].T
    images = tf.nn.conv2d_transpose(value, filters, [2, *size, 4], [1, stride, stride, 1], padding)
    assert images.shape.as_list() == [2, *size, 4]
    assert np.allclose(run(images), wanted)


@pytest.mark.parametrize(("padding", "stride", "size"), CASES)
def test_a_depthwise_convolution_filters_each_channel_by_itself(graph, padding, stride, size):
    x, filters = RNG.normal(size=(2, *size, 3)), RNG.normal(size=(2, 3, 3, 2))
    rows, columns = (count(s, w, stride, padding) for s, w in zip(size, (2, 3), strict=True))
    wanted = np.zeros((2, rows, columns, 3, 2))
    for i, j, di, dj, row, column in pairs(size, (2, 3), stride, padding):
        wanted[:, i, j] += x[:, row, column, :, None] * filters[di, dj]
    filtered = tf.nn.depthwise_conv2d(x, filters, [1, stride, stride, 1], padding)
    assert filtered.shape.as_list() == [2, rows, columns, 6]
    assert np.allclose(run(filtered), wanted.reshape(2, rows, columns, 6))
    mixing = RNG.normal(size=(1, 1, 6, 4))
    mixed = tf.nn.separable_conv2d(x, filters, mixing, [1, stride, stride, 1], padding)
    assert np.allclose(run(mixed), wanted.reshape(2, rows, columns, 6) @ mixing[0, 0])


def test_the_gradients_of_a_depthwise_convolution_are_operations(graph):
    x, filters = tf.constant(RNG.normal(size=(1, 5, 4, 3))), tf.constant(RNG.normal(size=(2, 3, 3, 2)))
    filtered = tf.nn.depthwise_conv2d_native(x, filters, [1, 1, 1, 1], "SAME")
    back = tf.constant(RNG.normal(size=filtered.shape.as_list()))
    to_x, to_filters = tf.gradients(filtered, [x, filters], back)
    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}
    by_name = tf.nn.depthwise_conv2d_native_backprop_input(x.shape.as_list(), filters, back, **options)
    assert (by_name.op.type, by_name.shape.as_list()) == ("DepthwiseConv2dNativeBackpropInput", [1, 5, 4, 3])
    assert np.allclose(run(by_name), run(to_x))
    by_name = tf.nn.depthwise_conv2d_native_backprop_filter(x, [2, 3, 3, 2], back, **options)
    assert (by_name.op.type, by_name.shape.as_list()) == ("DepthwiseConv2dNativeBackpropFilter", [2, 3, 3, 2])
    assert np.allclose(run(by_name), run(to_filters))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 3])
def test_a_convolution_along_one_axis(graph, padding, stride):
    x, filters = RNG.normal(size=(2, 8, 3)), RNG.normal(size=(3, 3, 4))
    wanted = np.zeros((2, count(8, 3, stride, padding), 4))
    for _, j, _, dj, _, column in pairs((1, 8), (1, 3), stride, padding):
        wanted[:, j] += x[:, column] @ filters[dj]
    assert np.allclose(run(tf.nn.conv1d(x, filters, stride, padding)), wanted)


def slope(function, at, step=1e-6):
    """The derivative of a scalar function by central differences."""
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        change = np.zeros_like(at)
        change[place] = step
        found[place] = (function(at + change) - function(at - change)) / (2 * step)
    return found


FUNCTIONS = {
    "transposed": lambda x, f: tf.nn.conv2d_transpose(x, f, [2, 5, 6, 3], 2, "SAME"),
    "transposed valid": lambda x, f: tf.nn.conv2d_transpose(x, f, [2, 7, 7, 3], 2, "VALID"),
    "depthwise": lambda x, f: tf.nn.depthwise_conv2d(x, f, 2, "SAME"),
    "depthwise dilated": lambda x, f: tf.nn.depthwise_conv2d(x, f, 1, "VALID", rate=2),
}
SHAPES = {
    "transposed": ((2, 3, 3, 2), (2, 3, 3, 2)),
    "transposed valid": ((2, 3, 3, 2), (3, 3, 3, 2)),
    "depthwise": ((2, 4, 5, 2), (3, 2, 2, 2)),
    "depthwise dilated": ((1, 5, 4, 2), (2, 2, 2, 1)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_those_of_central_differences_twice_over(graph, name):
    values = [RNG.normal(size=shape) for shape in SHAPES[name]]
    inputs = [tf.placeholder(tf.float64, shape) for shape in SHAPES[name]]
    y = FUNCTIONS[name](*inputs)
    loss = tf.reduce_sum(y * y * y)
    first = tf.gradients(loss, inputs)
    bends = [tf.reduce_sum(tf.sin(part)) for part in first]
    second = [tf.gradients(bend, inputs) for bend in bends]
    with tf.Session() as session:
        targets = [(loss, first), *zip(bends, second, strict=True)]
        for target, derivatives in targets:
            run = session.make_callable(target, inputs)
            got = session.run(derivatives, dict(zip(inputs, values, strict=True)))
            for number, derivative in enumerate(got):

                def along(value, number=number, run=run):
                    return run(*[value if other == number else values[other] for other in range(2)])

                assert np.allclose(derivative, slope(along, values[number]), rtol=1e-4, atol=1e-4)


def test_the_batch_may_be_known_only_at_run_time(graph):
    x = tf.placeholder(tf.float32, [None, 3, 3, 2])
    filters = tf.ones([2, 2, 4, 2])
    images = tf.nn.conv2d_transpose(x, filters, tf.stack([tf.shape(x)[0], 6, 6, 4]), 2)
    assert images.dtype == tf.float32
    fixed = tf.nn.conv2d_transpose(x, filters, [tf.shape(x)[0], 6, 6, 4], 2)
    assert fixed.shape.as_list() == [None, 6, 6, 4]
    for fetch in (images, fixed):
        assert np.array_equal(run(fetch, {x: np.ones((5, 3, 3, 2))}), np.full((5, 6, 6, 4), 2.0))
    wrong = tf.nn.conv2d_transpose(x, filters, tf.stack([tf.shape(x)[0], 9, 6, 4]), 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="actual = 3, computed = 5 spatial_dim: 1"):
        run(wrong, {x: np.ones((5, 3, 3, 2))})


def test_what_does_not_fit_is_refused_when_it_is_made(graph):
    x, filters = tf.zeros([1, 4, 4, 3]), tf.zeros([2, 2, 5, 3])
    with pytest.raises(ValueError, match="output_shape must have shape"):
        tf.nn.conv2d_transpose(x, filters, [4, 4, 5], 1)
    with pytest.raises(ValueError, match="input channels does not match filter's input channels, 3 != 2"):
        tf.nn.conv2d_transpose(x, tf.zeros([2, 2, 5, 2]), [1, 4, 4, 5], 1)
    with pytest.raises(ValueError, match="does not match filter's output channels, 6 != 5"):
        tf.nn.conv2d_transpose(x, filters, [1, 4, 4, 6], 1)
    with pytest.raises(ValueError, match="NHWC"):
        tf.nn.conv2d_transpose(x, filters, [1, 4, 4, 5], 1, data_format="NCHW")
    with pytest.raises(ValueError, match=r"Depth of input \(3\) is not the input depth of filter \(5\)"):
        tf.nn.depthwise_conv2d(x, filters, 1, "SAME")
    with pytest.raises(ValueError, match="NWC"):
        tf.nn.conv1d(tf.zeros([1, 4, 3]), tf.zeros([2, 3, 5]), 1, "SAME", data_format="NCW")


def test_responses_are_normalised_by_their_neighbours(graph):
    x = RNG.normal(size=(2, 2, 3, 7))
    wanted = np.empty_like(x)
    for channel in range(7):
        near = x[..., max(0, channel - 2) : channel + 3]
        wanted[..., channel] = x[..., channel] / (1.5 + 0.3 * (near**2).sum(-1)) ** 0.75
    assert np.allclose(run(tf.nn.lrn(x, 2, bias=1.5, alpha=0.3, beta=0.75)), wanted)
    assert tf.nn.local_response_normalization is tf.nn.lrn


def test_small_functions_of_activations(graph):
    assert run(tf.nn.zero_fraction([[0, 1], [0, 0]])) == 0.75
    assert run(tf.nn.crelu([1.0, -2.0])).tolist() == [1, 0, 0, 2]
