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


def test_a_body_that_writes_has_no_gradient_and_one_that_draws_no_second_one(x, w):
    y = tf.while_loop(lambda p: p < 3.0, lambda p: p * w.assign_add(1.0), [x])
    with pytest.raises(LookupError, match="No gradient defined for operation 'while/Exit' .*changes a variable"):
        tf.gradients(y, [x])
    drawn = tf.while_loop(lambda p: p < 3.0, lambda p: p * tf.random_uniform([], 2.0, 3.0, dtype=F), [x])
    (first,) = tf.gradients(drawn, [x])
    with pytest.raises(LookupError, match="draws random numbers in it: it has first derivatives only"):
        tf.gradients(first, [x])


def drops(value):
    return tf.nn.dropout(value, keep_prob=0.5)


@pytest.mark.parametrize("build", [
    lambda v: drops(v),
    lambda v: tf.cond(tf.placeholder_with_default(True, []), lambda: drops(v), lambda: v),
    lambda v: tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, drops(a)), [0, v])[1],
    lambda v: tf.scan(lambda a, e: drops(a) + 0.0 * e, tf.range(3.0), initializer=v)[-1],
    lambda v: tf.scan(lambda a, e: drops(a) + 0.0 * e, tf.range(3.0), initializer=v, reverse=True)[0],
    lambda v: tf.reshape(tf.map_fn(drops, tf.reshape(v, [6, 10])), [60]),
    lambda v: tf.while_loop(
        lambda i, a: i < 3, lambda i, a: (i + 1, tf.cond(i > 0, lambda: drops(a), lambda: a)), [0, v])[1],
], ids=["node", "branch", "loop", "scan", "scan back", "map", "branch in a loop"])  # fmt: skip
def test_dropout_has_one_mask_forth_and_back_of_a_run(graph, session, build):
    v = tf.Variable(tf.ones([60]))
    session.run(v.initializer)
    y = build(v)
    (slope,) = tf.gradients(y, v)
    first, second = (session.run([y, slope, tf.identity(y, name="again")]) for _ in range(2))
    for value, gradient, again in (first, second):
        assert np.array_equal(value, gradient)
        assert np.array_equal(value, again)
        assert 0 < np.count_nonzero(value) < 60
    assert not np.array_equal(first[0], second[0])


def test_each_iteration_of_a_loop_in_a_loop_draws_numbers_of_its_own(graph, session):
    def inner(_):
        return tf.map_fn(lambda j: tf.random_uniform([]) + 0.0 * j, tf.range(3.0))

    numbers = session.run(tf.map_fn(inner, tf.range(3.0)))
    assert len(set(numbers.ravel().tolist())) == 9


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


def test_rows_looked_up_in_branches_have_sparse_gradients(graph, session):
    table, i, pred = tf.placeholder(F, [None, 2]), tf.placeholder(tf.int32, [None]), tf.placeholder(tf.bool, [])
    other = tf.placeholder(F, [None, 2])
    feeds = {table: np.ones((3, 2)), other: np.ones((3, 2)), i: [2, 2]}
    y = tf.cond(pred, lambda: tf.gather(table, i), lambda: tf.gather(table, [0]) * 3.0 + other[:1])
    found = tf.gradients(y, [table, other])
    assert isinstance(found[0], tf.IndexedSlices)
    assert isinstance(found[1], tf.Tensor)
    whole = tf.convert_to_tensor(found[0])
    assert session.run(whole, {**feeds, pred: True}).tolist() == [[0, 0], [0, 0], [2, 2]]
    assert session.run(whole, {**feeds, pred: False}).tolist() == [[3, 3], [0, 0], [0, 0]]
    assert session.run(found[0], {**feeds, pred: True}).indices.tolist() == [2, 2]
    once = tf.gradients(tf.cond(pred, lambda: tf.gather(table, i), lambda: other), table)[0]
    assert isinstance(once, tf.IndexedSlices)
    assert session.run(tf.convert_to_tensor(once), {**feeds, pred: False}).tolist() == [[0, 0]] * 3
    mixed = tf.gradients(tf.cond(pred, lambda: tf.gather(table, i), lambda: table), table)[0]
    assert isinstance(mixed, tf.Tensor)
    assert session.run(mixed, {**feeds, pred: True}).tolist() == [[0, 0], [0, 0], [2, 2]]


def test_a_step_on_rows_looked_up_in_a_branch_changes_these_alone(graph, session):
    table, i, pred = tf.Variable(np.ones((3, 2))), tf.placeholder(tf.int32, [None]), tf.placeholder(tf.bool, [])
    y = tf.cond(pred, lambda: tf.gather(table, i), lambda: tf.gather(table, [0]))
    step = tf.train.AdagradOptimizer(1.0).minimize(tf.reduce_sum(y))
    session.run(tf.global_variables_initializer())
    session.run(step, {pred: True, i: [1]})
    assert (session.run(table) != 1).all(axis=1).tolist() == [False, True, False]


def test_loops_may_gather_from_what_is_fed(graph, session):
    table, unknown = tf.placeholder(F, [None, 2]), tf.placeholder(F)
    for x in (table, unknown):
        total = tf.while_loop(
            lambda k, a: k < 3, lambda k, a, x=x: (k + 1, a + tf.reduce_sum(tf.square(tf.gather(x, k)))),
            [tf.constant(0), tf.constant(0.0, F)],
        )[1]  # fmt: skip
        mapped = tf.map_fn(lambda k, x=x: tf.reduce_sum(tf.gather(x, k)), tf.constant([1, 1]), dtype=F)
        grads = [tf.convert_to_tensor(tf.gradients(y, x)[0]) for y in (total, mapped)]
        found = session.run(grads, {x: np.ones((4, 2))})
        assert found[0].tolist() == [[2, 2], [2, 2], [2, 2], [0, 0]]
        assert found[1].tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"indices = 2 is not in \[0, 2\)"):
            session.run(grads[0], {x: np.ones((2, 2))})


def test_derivatives_of_any_order_go_through_loops(graph, session, x):
    power = tf.while_loop(lambda k, a: k < 3, lambda k, a: (k + 1, a * x), [tf.constant(0), x])[1]
    found, y = [], power
    for _ in range(4):
        (y,) = tf.gradients(y, x)
        found.append(y)
    assert session.run(found, {x: 2.0}) == [32, 48, 48, 24]


@pytest.mark.parametrize("build", [
    lambda w, e: tf.scan(lambda a, i: a * w + i * i * w[0], e, initializer=w * 2.0),
    lambda w, e: tf.scan(lambda a, i: a * w + i * i * w[0], e, initializer=w * 2.0, reverse=True),
    lambda w, e: tf.foldr(lambda a, i: tf.sin(a * i) + w, e, initializer=w),
    lambda w, e: tf.map_fn(lambda i: tf.sin(i * w[1]) * w, e),
    lambda w, e: tf.while_loop(
        lambda k, a: k < 4, lambda k, a: (k + 1, tf.sin(a * w) + e[k % 3]), [tf.constant(0), w],
        shape_invariants=[[], [None]], maximum_iterations=3,
    )[1],
], ids=["scan", "scan back", "foldr", "map", "while"])  # fmt: skip
def test_second_derivatives_through_loops_are_those_of_central_differences(graph, session, build):
    w, e = tf.placeholder(F, [2]), tf.placeholder(F, [3])
    first = tf.gradients(tf.reduce_sum(tf.square(build(w, e))), [w, e])
    y = tf.reduce_sum(tf.sin(first[0])) + tf.reduce_sum(tf.cos(first[1]))
    check(session, y, [w, e], {w: [0.3, -0.7], e: [0.5, 1.2, -0.4]})


def test_what_a_loop_or_a_branch_does_not_depend_on_has_no_gradient(session):
    x, y, z = tf.constant(2.0), tf.constant(3.0), tf.constant(5.0)

    def after(body):
        return tf.while_loop(lambda i, *_: i < 3, body, [0, x, z])[1:]

    own, other = after(lambda i, a, b: (i + 1, a * y, b * z))
    assert tf.gradients(own, z) == [None]
    assert session.run(tf.gradients(other, z)) == [4 * 5.0**3]
    assert session.run(tf.gradients(own, [x, y])) == [27.0, 2 * 3 * 9.0]
    swapped, _ = after(lambda i, a, b: (i + 1, b, a * y))
    assert session.run(tf.gradients(swapped, [x, z])) == [0.0, 3.0]
    stopped, _ = after(lambda i, a, b: (i + 1, a * tf.stop_gradient(y), b))
    assert tf.gradients(stopped, y) == [None]
    rows = tf.constant([1.0, 2.0])
    assert tf.gradients(tf.map_fn(lambda row: tf.stop_gradient(row) * y, rows), rows) == [None]
    assert tf.gradients(tf.cond(x > 0, lambda: tf.stop_gradient(y), lambda: z), y) == [None]
