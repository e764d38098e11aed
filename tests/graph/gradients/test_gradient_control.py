"""Gradients through branches and loops."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

pytestmark = pytest.mark.usefixtures("ray_session")
F = tf.float64


@pytest.fixture
def session(graph):
    """A session on the test's graph."""
    with tf.Session() as session:
        yield session


@pytest.fixture
def x(graph):
    """A number that is fed."""
    return tf.placeholder(F, [], name="x")


@pytest.fixture
def w(graph):
    """A variable."""
    return tf.Variable(np.float64(3.0), name="w")


def check(session, y, xs, feed, step=1e-6):
    """The gradients of y with respect to fed tensors or variables are what finite differences say."""
    found = session.run(tf.gradients(y, xs), feed)
    for tensor, gradient in zip(xs, found, strict=True):
        value = session.run(tensor, feed)
        expected = np.zeros_like(value)
        for at in np.ndindex(np.shape(value)):
            ends = []
            for sign in (1, -1):
                moved = np.array(value)
                moved[at] += sign * step
                ends.append(np.sum(session.run(y, {**feed, tensor: moved})))
            expected[at] = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("value", [2.0, -1.0])
def test_through_cond_the_taken_branch_counts(session, x, w, value):
    y = tf.cond(x > 0, lambda: x * x * w, lambda: tf.exp(x) * 2.0)
    session.run(w.initializer)
    check(session, y, [x, w], {x: value})


def test_through_a_loop(session, x, w):
    y = tf.while_loop(lambda i, p: i < 4, lambda i, p: (i + 1, tf.tanh(p * w + x)), [0, x])[1]
    session.run(w.initializer)
    check(session, y, [x, w], {x: 0.3})


def test_through_a_loop_whose_length_depends_on_the_data(session, x, w):
    y = tf.while_loop(lambda p: p < 100.0, lambda p: p * w + x, [x])
    session.run(w.initializer)
    for value in (1.0, 50.0, 200.0):
        check(session, y, [x, w], {x: value})


def test_through_a_limited_loop_and_none_at_all(session, x, w):
    session.run(w.initializer)
    for limit in (0, 2):
        y = tf.while_loop(lambda p: True, lambda p: p * w, [x], maximum_iterations=limit)
        check(session, y, [x, w], {x: 1.5})


def test_through_branches_in_loops_and_loops_in_branches(session, x, w):
    def body(i, p):
        return i + 1, tf.cond(p > 5.0, lambda: tf.sqrt(p) * w, lambda: p * p + x)

    def loop():
        return tf.while_loop(lambda i, p: i < 4, body, [0, x])[1]

    y = tf.cond(x > 0, loop, lambda: -x)
    session.run(w.initializer)
    for value in (1.1, 2.5, -1.0):
        check(session, y, [x, w], {x: value})


@pytest.mark.parametrize("reverse", [False, True])
def test_through_scan_fold_and_map(session, w, reverse):
    e = tf.placeholder(F, [None])
    start = tf.constant(0.1, F)
    session.run(w.initializer)
    feed = {e: np.array([0.1, -0.3, 0.5])}
    check(session, tf.scan(lambda a, b: tf.tanh(a * w + b), e, initializer=start, reverse=reverse), [e, w], feed)
    fold = tf.foldr if reverse else tf.foldl
    check(session, fold(lambda a, b: tf.sin(a + b * w), e, initializer=start), [e, w], feed)
    check(session, fold(lambda a, b: a * b + a, e), [e], feed)
    check(session, tf.map_fn(lambda v: v * v * w, e), [e, w], feed)


def test_what_a_loop_does_not_depend_on_gets_nothing(session, x, w):
    y = tf.while_loop(lambda i, p: i < 2, lambda i, p: (i + 1, p * 2.0), [0, x])[1]
    assert tf.gradients(y, [w]) == [None]


def test_a_body_that_draws_or_writes_has_no_gradient(x, w):
    y = tf.while_loop(lambda p: p < 3.0, lambda p: p + tf.random_uniform([], dtype=F), [x])
    with pytest.raises(LookupError, match="No gradient defined for operation 'while/Exit' .*draws random numbers"):
        tf.gradients(y, [x])


def test_a_network_along_a_sequence_learns(session):
    """The sign of a sequence's sum, from a cell in a loop over time."""
    random = np.random.default_rng(0)
    sequences = random.normal(size=(64, 7, 1)).astype(np.float32)
    signs = (sequences.sum((1, 2)) > 0).astype(np.int32)
    tf.set_random_seed(1)
    x = tf.placeholder(tf.float32, [None, None, 1])
    y = tf.placeholder(tf.int32, [None])
    outputs, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(8), x, dtype=tf.float32)
    assert outputs.shape.as_list() == [None, None, 8]
    logits = tf.layers.dense(state, 2)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    train = tf.train.AdamOptimizer(0.05).minimize(loss)
    session.run(tf.global_variables_initializer())
    first = session.run(loss, {x: sequences, y: signs})
    for _ in range(40):
        session.run(train, {x: sequences, y: signs})
    assert session.run(loss, {x: sequences, y: signs}) < 0.3 * first


def test_a_loop_over_time_gives_what_the_unrolled_one_gives(session):
    values = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    x = tf.placeholder(tf.float32, [3, 5, 2])
    lengths = tf.constant([5, 2, 0])
    cell = tf.nn.rnn_cell.BasicLSTMCell(4)
    with tf.variable_scope("net") as scope:
        dynamic, last = tf.nn.dynamic_rnn(cell, x, lengths, dtype=tf.float32, scope="rnn")
    with tf.variable_scope(scope, reuse=True):
        static, end = tf.nn.static_rnn(
            cell, tf.unstack(x, axis=1), dtype=tf.float32, sequence_length=lengths, scope="rnn"
        )
    assert [v.name for v in tf.trainable_variables()] == [
        "net/rnn/basic_lstm_cell/kernel:0",
        "net/rnn/basic_lstm_cell/bias:0",
    ]
    session.run(tf.global_variables_initializer())
    a, b = session.run([dynamic, tf.stack(static, axis=1)], {x: values})
    np.testing.assert_allclose(a, b, rtol=1e-6)
    (c1, h1), (c2, h2) = session.run([last, end], {x: values})
    np.testing.assert_allclose([c1, h1], [c2, h2], rtol=1e-6)


def nested(depth, pred, x):
    """Branches within branches, each of which uses what the next one gives."""
    return x * x if depth == 0 else tf.cond(pred, lambda: 2.0 * nested(depth - 1, pred, x), lambda: x)


def looped(depth, x):
    """Loops within loops."""
    if depth == 0:
        return x * x
    return tf.while_loop(lambda i, _: i < 2, lambda i, x: (i + 1, looped(depth - 1, x)), [0, x])[1]


def mapped(depth, x):
    """Functions over elements within branches within functions over elements."""
    if depth == 0:
        return x * x
    return tf.reduce_sum(tf.map_fn(lambda e: tf.cond(e > 0, lambda: mapped(depth - 1, e), lambda: e), tf.stack([x, x])))


def longest(graph):
    """The characters of the longest name."""
    return max(len(op.name) for op in graph.get_operations())


@pytest.mark.parametrize("word", ["case", "nested", "looped", "mapped"])
def test_names_of_gradients_stay_short_at_any_depth_of_branches_and_loops(graph, x, word):
    p, k = tf.placeholder(tf.bool, []), tf.placeholder(tf.int32, [])
    pairs = [(tf.equal(k, j), lambda j=j: x * float(j)) for j in range(12)]
    y = {
        "case": lambda: tf.case(pairs, default=lambda: x),
        "nested": lambda: nested(12, p, x),
        "looped": lambda: looped(6, x),
        "mapped": lambda: mapped(4, x),
    }[word]()
    before = longest(graph)
    tf.gradients(y, x)
    assert longest(graph) <= max(before, 100)


def test_each_further_derivative_of_nested_branches_adds_only_its_own_scopes_to_names(graph, x):
    y, lengths = nested(5, tf.placeholder(tf.bool, []), x), []
    for _ in range(4):
        (y,) = tf.gradients(y, x)
        lengths.append(longest(graph))
    assert max(b - a for a, b in zip(lengths, lengths[1:], strict=False)) < 60


def test_operations_outside_of_sections_give_their_own_names_to_their_gradients(graph, x):
    with tf.name_scope("train"):
        y = tf.multiply(x, x, name="square")
        tf.gradients(y, x)
    assert any(op.name.startswith("train/gradients/train/square_grad/") for op in graph.get_operations())
