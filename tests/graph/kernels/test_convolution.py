"""Convolutions and pools of any shape against loops that say what is meant, whatever their blocks and threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import weftwork as tf
from tests.evaluate import evaluate
from weftwork.graph.kernels import convolution, pooling, team

SMALL = st.integers(1, 3)
PADDING = st.one_of(st.just("SAME"), st.tuples(st.integers(0, 3), st.integers(0, 3)))


@pytest.fixture(autouse=True)
def _restored():
    yield
    team.limit(None)


def reach(size, taps, stride, dilation, padding):
    """For each window of an axis the (element, tap) pairs that it sees; None when no window fits."""
    extent = (taps - 1) * dilation + 1
    if padding == "SAME":
        count = -(-size // stride)
        before = max((count - 1) * stride + extent - size, 0) // 2
    else:
        before = padding[0]
        count = (size + sum(padding) - extent) // stride + 1
    if count < 1:
        return None
    pairs = [[(i * stride + t * dilation - before, t) for t in range(taps)] for i in range(count)]
    return [[(at, tap) for at, tap in window if 0 <= at < size] for window in pairs]


def looped(x, w, g, rows, columns):
    """(conv2d, gradient of x, gradient of w), element by element. g: of the result, made from its shape."""
    out = np.zeros((len(x), len(rows), len(columns), w.shape[3]))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            for a, p in row:
                for b, q in column:
                    out[:, i, j] += x[:, a, b] @ w[p, q]
    grad = g(out.shape)
    of_x, of_w = np.zeros(x.shape), np.zeros(w.shape)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            for a, p in row:
                for b, q in column:
                    of_x[:, a, b] += grad[:, i, j] @ w[p, q].T
                    of_w[p, q] += x[:, a, b].T @ grad[:, i, j]
    return out, grad, of_x, of_w


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    taps=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(SMALL, SMALL),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    paddings=st.tuples(PADDING, PADDING),
    depths=st.tuples(SMALL, st.sampled_from([1, 3, 17]), SMALL),
    block=st.sampled_from([1, 60, 700, 1 << 17]),
    seed=st.integers(0, 9),
)
def test_a_convolution_and_its_gradients_are_those_of_a_loop(
    sizes, taps, strides, dilations, paddings, depths, block, seed
):
    axes = zip(sizes, taps, strides, dilations, paddings, strict=True)
    rows, columns = (reach(*axis) for axis in axes)
    batch, depth, out_depth = depths
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(batch, *sizes, depth)), rng.normal(size=(*taps, depth, out_depth))
    if rows is None or columns is None:
        with pytest.raises(ValueError, match="Negative dimension size"):
            convolution.conv2d(x, w, strides, dilations, paddings)
        return
    out, grad, of_x, of_w = looped(x, w, lambda shape: rng.normal(size=shape), rows, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "BLOCK", block)
        patch.setattr(team, "WORTH", 0)
        team.limit(2)
        made = convolution.conv2d(x, w, strides, dilations, paddings)
        made_x = convolution.conv2d_input_grad(grad, x, w, strides, dilations, paddings)
        made_w = convolution.conv2d_filter_grad(grad, x, w, strides, dilations, paddings)
    for value, expected in ((made, out), (made_x, of_x), (made_w, of_w)):
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9, strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(3, 1, "SAME"), (5, 1, "SAME"), (5, 2, "VALID"), (1, 1, "SAME")]
)
def test_convolutions_of_real_size_keep_their_precision(size, stride, padding, dtype):
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(9, 28, 28, 16)).astype(dtype), rng.normal(size=(size, size, 16, 24)).astype(dtype)
    image, weights = tf.placeholder(dtype, [None, 28, 28, 16]), tf.placeholder(dtype, w.shape)
    made = tf.nn.conv2d(image, weights, [1, stride, stride, 1], padding)
    wanted = [made, *tf.gradients(tf.reduce_sum(tf.square(made)), [image, weights])]
    values = [evaluate(tensor, {image: x, weights: w}) for tensor in wanted]
    pads = ["SAME", "SAME"] if padding == "SAME" else [(0, 0), (0, 0)]
    rows, columns = (reach(28, size, stride, 1, pad) for pad in pads)
    exact, _, *_ = looped(x.astype(float), w.astype(float), np.zeros, rows, columns)
    _, _, *gradients = looped(x.astype(float), w.astype(float), lambda _: 2 * exact, rows, columns)
    for value, expected in zip(values, [exact, *gradients], strict=True):
        assert value.dtype == dtype
        assert np.abs(value - expected).max() <= 32 * np.finfo(dtype).eps * np.abs(expected).max()


def test_results_are_the_same_to_the_last_bit_on_any_number_of_threads():
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(40, 20, 20, 8)).astype("f"), rng.normal(size=(3, 3, 8, 32)).astype("f")
    how = (1, 1), (1, 1), ("SAME", "SAME")
    pool = (2, 2), (2, 2), "SAME"
    made = []
    for count in (1, 2, 5):
        team.limit(count)
        y = convolution.conv2d(x, w, *how)
        smaller = pooling.max_pool(y, *pool)
        made.append([
            y, smaller, pooling.max_pool_grad(smaller, y, smaller, *pool), pooling.avg_pool(y, *pool),
            convolution.conv2d_input_grad(y, x, w, *how), convolution.conv2d_filter_grad(y, x, w, *how),
        ])  # fmt: skip
    for others in made[1:]:
        assert [a.tobytes() == b.tobytes() for a, b in zip(made[0], others, strict=True)] == [True] * 6


def test_windows_of_zeros_give_zeros_and_what_is_not_finite_stays_where_it_is_seen():
    x = np.zeros((2, 12, 12, 16), np.float32)
    x[0, 5, 5, 3] = np.nan
    x[1, 6, 6, 3] = np.inf
    w = np.random.default_rng(3).normal(size=(5, 5, 16, 16)).astype("f") ** 2
    made = convolution.conv2d(x, w, (1, 1), (1, 1), ("SAME", "SAME"))
    near = np.zeros((2, 12, 12), bool)
    near[0, 3:8, 3:8] = near[1, 4:9, 4:9] = True
    assert np.isnan(made[0][near[0]]).all()
    assert not np.isfinite(made[1][near[1]]).any()
    assert (made[~near] == 0).all()


def test_inputs_that_are_views_or_empty_are_taken():
    rng = np.random.default_rng(4)
    whole, w = rng.normal(size=(9, 9, 4, 3)), rng.normal(size=(3, 3, 4, 2))
    how = (1, 1), (1, 1), ("SAME", "SAME")
    view = whole.transpose(3, 0, 1, 2)[::2]
    np.testing.assert_array_equal(convolution.conv2d(view, w, *how), convolution.conv2d(view.copy(), w, *how))
    none = np.empty((0, 9, 9, 4))
    assert convolution.conv2d(none, w, *how).shape == (0, 9, 9, 2)
    assert (convolution.conv2d_filter_grad(np.empty((0, 9, 9, 2)), none, w, *how) == np.zeros(w.shape)).all()
    pool = (2, 2), (2, 2), (0, 0)
    assert pooling.max_pool(none, *pool).shape == (0, 4, 4, 4)
    grad = np.broadcast_to(1.0, (2, 4, 4, 4))
    spread = pooling.max_pool_grad(grad, view, pooling.max_pool(view, *pool), *pool)
    assert spread.sum() == grad.size


@example(sizes=(3, 4), window=(3, 2), strides=(3, 3), padding="SAME", block=1)  # windows with gaps that end outside
@settings(max_examples=40, deadline=None)
@given(
    sizes=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    window=st.tuples(SMALL, SMALL),
    strides=st.tuples(SMALL, SMALL),
    padding=st.sampled_from(["SAME", (0, 0)]),
    block=st.sampled_from([1, 200, 1 << 16]),
)
def test_a_pool_and_its_gradient_are_those_of_a_loop(sizes, window, strides, padding, block):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 4, size=(3, *sizes, 2)).astype(float)  # equal ones: the first of a window gets the gradient
    axes = zip(sizes, window, strides, (1, 1), (padding, padding), strict=True)
    rows, columns = (reach(*axis) for axis in axes)
    largest = np.zeros((3, len(rows), len(columns), 2))
    means, grad = np.zeros(largest.shape), rng.normal(size=largest.shape)
    of_largest, of_means = np.zeros(x.shape), np.zeros(x.shape)
    for n, i, j, c in np.ndindex(*largest.shape):
        places = [(n, a, b, c) for a, _ in rows[i] for b, _ in columns[j]]
        values = [x[place] for place in places]
        largest[n, i, j, c], means[n, i, j, c] = max(values), np.mean(values)
        of_largest[places[int(np.argmax(values))]] += grad[n, i, j, c]
        for place in places:
            of_means[place] += grad[n, i, j, c] / len(places)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooling, "BLOCK", block)
        y = pooling.max_pool(x, window, strides, padding)
        np.testing.assert_array_equal(y, largest)
        np.testing.assert_allclose(pooling.max_pool_grad(grad, x, y, window, strides, padding), of_largest, atol=1e-12)
        np.testing.assert_allclose(pooling.avg_pool(x, window, strides, padding), means)
        np.testing.assert_allclose(pooling.avg_pool_grad(grad, x, window, strides, padding), of_means, atol=1e-12)
