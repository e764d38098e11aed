"""`gradients`: what it returns, how contributions meet, what stops it, and derivatives of a user's own functions."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate

pytestmark = pytest.mark.usefixtures("ray_session")


def value(tensor, feeds=None):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(tensor, feeds)


def made_since(graph, start):
    """The types of the operations that were made since the graph had `start`."""
    return [op.type for op in graph.get_operations()[start:]]


# What it returns


def test_a_gradient_has_the_shape_and_dtype_of_its_x(graph):
    w = tf.Variable(np.ones((3, 2), np.float32))
    x = tf.placeholder(tf.float64, [None, 3])
    loss = tf.reduce_sum(tf.matmul(x, tf.cast(w, tf.float64)))
    of_w, of_x = tf.gradients(loss, [w, x])
    assert (of_w.dtype, of_x.dtype) == (tf.float32, tf.float64)
    assert of_w.shape.as_list() == [3, 2]
    assert of_x.shape.as_list() == [None, 3]
    np.testing.assert_array_equal(value(of_x, {x: np.ones((4, 3))}), np.full((4, 3), 2.0))


def test_one_x_gives_a_list_of_one(graph):
    x = tf.constant(3.0)
    (grad,) = tf.gradients(x * x, x)
    assert value(grad) == 6


def test_several_ys_are_added(graph):
    x = tf.constant([1.0, 2.0])
    (grad,) = tf.gradients([x * x, [3.0, 4.0] * x], x)
    assert value(grad).tolist() == [5, 8]


def test_a_tensor_that_no_y_depends_on_has_gradient_none_or_zeros_if_requested(graph):
    x, other = tf.constant(1.0), tf.constant([1.0, 2.0])
    assert tf.gradients(x * 2, other) == [None]
    (zeros,) = tf.gradients(x * 2, other, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    assert value(zeros).tolist() == [0, 0]
    with pytest.raises(ValueError, match="never"):
        tf.gradients(x * 2, other, unconnected_gradients="never")


def test_tensors_on_the_way_have_gradients_too(graph):
    x = tf.constant(2.0)
    middle = x * x
    y = middle * middle
    found = tf.gradients(y, [middle, x, y])
    assert value(found) == [8.0, 32.0, 1.0]


def test_a_variable_read_in_several_ways_gets_the_sum(graph):
    w = tf.Variable(3.0)
    y = w * w.read_value() + tf.identity(w) + w.value()
    (grad,) = tf.gradients(y, w)
    assert value(grad) == 8


def test_the_gradient_with_respect_to_one_read_is_its_own(graph):
    w = tf.Variable(3.0)
    once = w.read_value()
    (grad,) = tf.gradients(once * w, once)
    assert value(grad) == 3


def test_gradients_begin_with_grad_ys(graph):
    x = tf.constant([1.0, 2.0])
    (grad,) = tf.gradients([x * x, x], x, grad_ys=[[1.0, 10.0], None])
    assert value(grad).tolist() == [3, 41]


def test_grad_ys_must_fit(graph):
    x = tf.constant([1.0, 2.0])
    with pytest.raises(ValueError, match="Passed 1 grad_ys for 2 ys"):
        tf.gradients([x, x * x], x, grad_ys=[None])
    with pytest.raises(ValueError, match="shape"):
        tf.gradients(x * x, x, grad_ys=[[1.0, 2.0, 3.0]])
    with pytest.raises(TypeError, match="Gradients of complex tensors must set grad_ys"):
        tf.gradients(tf.complex(x, x), x)
    with pytest.raises(TypeError, match="must be complex"):
        tf.gradients(tf.complex(x, x), x, grad_ys=tf.constant([1.0, 2.0]))


def test_whole_numbers_have_no_gradient(graph):
    n, x = tf.constant(2), tf.constant(2.0)
    assert tf.gradients(tf.cast(n, tf.float32) * x, n) == [None]
    assert tf.gradients(tf.cast(x, tf.int32), x) == [None]


def test_the_nodes_stand_under_a_scope_of_their_own(graph):
    x = tf.constant(2.0)
    y = tf.square(x, name="squared")
    (first,) = tf.gradients(y, x)
    (second,) = tf.gradients(y, x)
    assert first.name.startswith("gradients/squared_grad/")
    assert second.name.startswith("gradients_1/squared_grad/")


def test_only_operations_between_the_two_are_asked_for_a_derivative(graph):
    @tf.op(dtype=tf.float32, shape=[])
    def opaque(x):
        return x

    x = tf.constant(2.0)
    (grad,) = tf.gradients(x * opaque(tf.constant(5.0)), x)
    assert value(grad) == 5


def test_no_gradient_is_made_where_none_is_wanted(graph):
    x, w = tf.placeholder(tf.float32, [4, 3]), tf.Variable(np.ones((3, 2), np.float32))
    y = tf.matmul(x, w)
    start = graph.version
    tf.gradients(y, w)
    assert made_since(graph, start).count("MatMul") == 1


def test_known_shapes_make_no_node_that_undoes_a_broadcast(graph):
    x, y = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [4, 3])
    w = tf.Variable(np.ones((3, 3), np.float32))
    start = graph.version
    tf.gradients([tf.matmul(x, w) * [1.0, 2.0, 3.0] / 2.0, tf.matmul(y, w) - tf.square(y)], w)
    assert not [kind for kind in made_since(graph, start) if kind.startswith("Sum") or kind == "Shape"]


def test_a_bias_is_summed_by_one_node(graph):
    x, b = tf.placeholder(tf.float32, [None, 3]), tf.Variable(np.ones(3, np.float32))
    start = graph.version
    tf.gradients(x + b, b)
    assert made_since(graph, start).count("SumAxes") == 1


def test_a_training_step_does_not_compute_the_loss(graph):
    logits, labels = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.int32, [None])
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    (grad,) = tf.gradients(tf.reduce_mean(each), logits)
    seen, stack = set(), [grad.op]
    while stack:
        op = stack.pop()
        seen.add(op.type)
        stack += [t.op for t in op.inputs]
    assert "SparseSoftmaxCrossEntropyWithLogits" not in seen
    found = value(grad, {logits: np.zeros((2, 3)), labels: [0, 2]})
    np.testing.assert_allclose(found, (np.full((2, 3), 1 / 3) - np.eye(3)[[0, 2]]) / 2, rtol=1e-6)


# Rows of a table


def test_rows_of_a_table_have_sparse_gradients(graph):
    table = tf.Variable(np.arange(8.0).reshape(4, 2), dtype=tf.float64)
    rows = tf.gather(table, [2, 0, 2])
    (grad,) = tf.gradients(rows * [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], table)
    assert isinstance(grad, tf.IndexedSlices)
    found = value(grad)
    assert found.indices.tolist() == [2, 0, 2]
    assert found.values.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert found.dense_shape.tolist() == [4, 2]


def test_two_lookups_are_joined_and_a_dense_use_makes_all_dense(graph):
    table = tf.Variable(np.zeros((3, 2)))
    twice = tf.reduce_sum(tf.gather(table, [1])) + tf.reduce_sum(tf.nn.embedding_lookup(table, [[0], [1]]))
    (sparse,) = tf.gradients(twice, table)
    assert sorted(value(sparse).indices.tolist()) == [0, 1, 1]
    (dense,) = tf.gradients(twice + tf.reduce_sum(table), table)
    assert isinstance(dense, tf.Tensor)
    assert value(dense).tolist() == [[2, 2], [3, 3], [1, 1]]


def test_a_computed_table_gets_its_rows_gradients_dense(graph):
    table = tf.Variable(np.ones((3, 2)))
    (grad,) = tf.gradients(tf.gather(tf.square(table), [1, 1]), table)
    assert value(grad).tolist() == [[0, 0], [4, 4], [0, 0]]


# What stops it


def test_rows_stay_rows_through_sums(graph):
    table, i = tf.constant(np.ones((3, 2))), tf.placeholder(tf.int32, [None])
    doubled = tf.add_n([table, table])
    (grad,) = tf.gradients(tf.add_n([tf.gather(doubled, i), tf.gather(tf.identity(table), i)]), table)
    assert isinstance(grad, tf.IndexedSlices)
    assert value(tf.convert_to_tensor(grad), {i: [2, 0]}).tolist() == [[3, 3], [0, 0], [3, 3]]


def test_asking_for_a_prevented_gradient_is_an_error_that_says_why(graph):
    x = tf.constant([1.0, 2.0])
    y = tf.prevent_gradient(x, message="it is a count", name="counted")
    assert value(y).tolist() == [1, 2]
    with pytest.raises(LookupError, match=r"'counted'.*Gradient explicitly disabled. Reason: it is a count\n.*defined"):
        tf.gradients(y * 2.0, x)


AT_ZERO = {
    "the square of a norm": (lambda x: tf.square(tf.global_norm([x, x])), [0, 0], [0, 0]),
    "a norm times itself": (lambda x: tf.multiply(*[tf.global_norm([x])] * 2), [0, 0], [0, 0]),
    "the square of a clipped norm": (lambda x: tf.square(tf.clip_by_global_norm([x], 1.0)[1]), [0, 0], [0, 0]),
    "the square of a root": (lambda x: tf.square(tf.sqrt(x)), [0, 1], [0, 1]),
    "the square of tf.norm": (lambda x: tf.square(tf.norm(x)), [0, 0], [0, 0]),
    "cumprod": (tf.cumprod, [1, 2, 0, 3], [3, 1, 0, 0]),
    "cumprod from the end": (lambda x: tf.cumprod(x, reverse=True), [1, 2, 0, 3], [0, 0, 0, 1]),
    "div_no_nan by zero": (lambda x: tf.div_no_nan(x, [0.0, 4.0]), [2, 2], [0, 0.25]),
    "div_no_nan of its divisor": (lambda x: tf.div_no_nan(tf.constant([1.0, 1.0]), x), [0, 4], [0, -0.0625]),
    "div_no_nan of zero": (lambda x: tf.div_no_nan(x, [2.0, 4.0]), [0, 0], [0.5, 0.25]),
    "lgamma at its poles": (tf.lgamma, [0, -1, 1], [np.nan, np.nan, -0.5772157]),
}


@pytest.mark.parametrize("name", AT_ZERO)
def test_gradients_where_something_is_zero(graph, name):
    build, at, wanted = AT_ZERO[name]
    x = tf.placeholder(tf.float32, [len(at)])
    np.testing.assert_allclose(value(tf.gradients(build(x), x)[0], {x: at}), wanted, rtol=1e-6)


@pytest.mark.parametrize("base", [0.0, 1e5, -1e5, 1e30])
def test_the_gradient_of_logsumexp_is_a_softmax_however_large_its_input(graph, base):
    x = tf.placeholder(tf.float32, [None])
    (grad,) = tf.gradients(tf.reduce_logsumexp(x), x)
    given = (base + np.array([0.0, 1.0, -3.0])).astype(np.float32)
    wide = np.exp(given.astype(np.float64) - given.max())
    np.testing.assert_allclose(value(grad, {x: given}), wide / wide.sum(), rtol=1e-6)


@pytest.mark.parametrize("build", [
    tf.nn.relu, tf.nn.relu6, tf.nn.leaky_relu, lambda x: tf.nn.relu(tf.nn.relu(x)),
    lambda x: tf.reduce_sum(tf.nn.relu(x)),
    lambda x: tf.nn.max_pool(tf.reshape(x, [1, 1, 2, 1]), [1, 1, 2, 1], [1, 1, 2, 1], "SAME"),
])  # fmt: skip
def test_what_is_flat_between_its_corners_has_second_derivatives_of_zero(graph, build):
    bias, x = tf.Variable([1.0, -1.0]), tf.placeholder(tf.float32, [None, 2])
    (first,) = tf.gradients(build(tf.nn.bias_add(x, bias)), bias)
    (second,) = tf.gradients(first, bias)
    with tf.Session() as session:
        session.run(bias.initializer)
        assert session.run(second, {x: [[3, -3]]}).tolist() == [0, 0]


def test_gradients_lie_where_their_operations_do_if_that_is_asked_for(graph):
    x = tf.placeholder(tf.float32, [], name="x")
    y = tf.square(x, name="y")
    (beside,) = tf.gradients(y, x, colocate_gradients_with_ops=True)
    (free,) = tf.gradients(y, x)
    assert b"loc:@y" in beside.op.colocation_groups()
    assert free.op.colocation_groups() == [f"loc:@{free.op.name}".encode()]


def test_nothing_flows_through_stop_gradient(graph):
    x = tf.constant(3.0)
    (grad,) = tf.gradients(x * tf.stop_gradient(x), x)
    assert value(grad) == 3


def test_stop_gradients_holds_tensors_constant(graph):
    x = tf.constant(2.0)
    y = x * x
    assert value(tf.gradients(x * y, [x, y], stop_gradients=[y])) == [4.0, 2.0]
    assert value(tf.gradients(x * y, [x, y])) == [12.0, 2.0]


def test_writes_have_no_gradient(graph):
    w = tf.Variable(2.0)
    assert tf.gradients(w.assign_add(1.0) * 3.0, w) == [None]


# Derivatives of derivatives


def test_gradients_of_gradients(graph):
    x = tf.constant(2.0)
    found, y = [], x**4
    for _ in range(4):
        (y,) = tf.gradients(y, x)
        found.append(y)
    np.testing.assert_allclose(value(found), [32, 48, 48, 24], rtol=1e-6)


def test_hessians_are_second_derivatives(graph):
    x = tf.placeholder(tf.float64, [3])
    matrix = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 1.0]])
    y = 0.5 * tf.reduce_sum(x * tf.einsum("ij,j->i", matrix, x)) + tf.reduce_sum(x**3)
    (hessian,) = tf.hessians(y, x)
    at = np.array([1.0, -1.0, 2.0])
    np.testing.assert_allclose(value(hessian, {x: at}), matrix + np.diag(6 * at))


def test_hessians_do_not_need_a_known_shape(graph):
    x = tf.placeholder(tf.float64)
    (hessian,) = tf.hessians(tf.reduce_sum(x**3), x)
    assert value(hessian, {x: [1.0, 2.0]}).tolist() == [[6, 0], [0, 12]]
    assert value(hessian, {x: [[1.0], [2.0]]}).shape == (2, 1, 2, 1)
    with pytest.raises(ValueError, match="hessians needs ys that depend on .* whose shape is not known"):
        tf.hessians(tf.constant(1.0), x)


def test_the_gradient_of_gathered_rows_is_sparse_for_gather_nd_too(graph):
    table = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    (rows,) = tf.gradients(tf.gather_nd(table, [[1], [1]]), table)
    assert isinstance(rows, tf.IndexedSlices)
    assert value(tf.convert_to_tensor(rows)).tolist() == [[0, 0], [2, 2]]


def test_an_initialized_value_passes_its_gradient_to_the_variable(graph):
    v = tf.Variable(3.0)
    (slope,) = tf.gradients(v.initialized_value() ** 2, v)
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run(slope) == 6.0


def test_threads_may_trace_derivatives_at_the_same_time(graph):
    x = tf.placeholder(tf.float64, [2, 2])
    first = tf.gradients(np.linalg.det(np.linalg.inv(x)), x)[0]
    (second,) = tf.gradients(tf.reduce_sum(first * first), x)
    at = np.array([[2.0, 1.0], [0.5, 3.0]])
    with tf.Session() as session:
        wanted = session.run(second, {x: at})
        found, threads = [], []
        for _ in range(4):
            thread = threading.Thread(target=lambda: found.extend([session.run(second, {x: at}) for _ in range(20)]))
            threads.append(thread)
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 80
    for one in found:
        np.testing.assert_array_equal(one, wanted)


# A user's function


def test_a_function_without_a_gradient_is_an_error_that_names_it_and_its_line(graph):
    @tf.op
    def cube(x):
        return x**3

    x = tf.constant(2.0)
    y = cube(x)
    with pytest.raises(LookupError, match=r"No gradient defined for operation 'cube' \(op type: PyFunc\)") as caught:
        tf.gradients(y, x)
    assert f"{__file__}:" in str(caught.value)


def test_a_function_may_have_a_gradient_made_of_nodes(graph):
    @tf.op
    def cube(x):
        return x**3

    @cube.gradient
    def cube_gradient(grad, x):
        return grad * 3 * x**2

    x = tf.constant([1.0, 2.0])
    y = tf.reduce_sum(cube(x) * 2.0)
    (grad,) = tf.gradients(y, x)
    (second,) = tf.gradients(grad, x)
    assert grad.dtype == tf.float32
    assert value([grad, second])[0].tolist() == [6, 24]
    assert value(second).tolist() == [12, 24]


def test_a_gradient_may_be_a_function_of_values(graph):
    @tf.op(dtype=tf.float64, shape=[])
    def absolute(x):
        return abs(x)

    @absolute.gradient
    @tf.op
    def slope(grad, x):
        if x < 0:  # Python's own if: this function sees values
            return -grad
        return grad

    x = tf.placeholder(tf.float64, [])
    (grad,) = tf.gradients(absolute(x) * 2.0, x)
    assert [value(grad, {x: at}) for at in (-3.0, 3.0)] == [-2.0, 2.0]


def test_a_gradient_gets_all_tensors_and_the_outputs_it_asks_for(graph):
    @tf.op(outputs=2, dtype=[tf.float64, tf.float64], shape=[[], []])
    def both(pair, scale, exponent=2):
        return scale * pair["a"] ** exponent, pair["a"] * pair["b"]

    @both.gradient
    def both_gradient(grads, a, b, scale, outputs):
        power, product = grads
        return power * 2 * outputs[0] / a + product * b, product * a, None

    a, b, scale = (tf.placeholder(tf.float64, []) for _ in range(3))
    power, product = both({"a": a, "b": b}, scale)
    feeds = {a: 3.0, b: 5.0, scale: 2.0}
    assert value(tf.gradients(power + product, [a, b]), feeds) == [17.0, 3.0]
    assert value(tf.gradients(product, [a, b]), feeds) == [5.0, 3.0]
    assert tf.gradients(power, scale) == [None]


def test_a_gradient_must_give_one_for_each_input(graph):
    @tf.op
    def plus(x, y):
        return x + y

    @plus.gradient
    def plus_gradient(grad, x, y):
        return grad

    x = tf.constant(1.0)
    with pytest.raises(ValueError, match="Num gradients 1 generated for op plus .* do not match num inputs 2"):
        tf.gradients(plus(x, x), x)


def test_a_function_with_a_gradient_still_travels(graph):
    @tf.op(isolated=True, dtype=tf.float64, shape=[])
    def cube(x):
        return x**3

    x = tf.constant(2.0, tf.float64)

    @cube.gradient
    def cube_gradient(grad, x_):
        return grad * 3.0 * x_ * x  # holds a tensor, which stays here

    y = cube(x)
    (grad,) = tf.gradients(y, x)
    assert value([y, grad]) == [8.0, 12.0]


def test_a_gradient_of_the_wrong_shape_is_refused(graph):
    @tf.op(dtype=tf.float32, shape=[2])
    def same(x):
        return x

    @same.gradient
    def same_gradient(grad, x):
        return tf.reduce_sum(grad)

    x = tf.constant([1.0, 2.0])
    with pytest.raises(ValueError, match="Incompatible shapes between op input and calculated input gradient"):
        tf.gradients(same(x), x)


# TensorFlow's spellings


def test_a_registered_gradient_stands_for_a_py_func(graph):
    tf.RegisterGradient("TestCubeGradient")(lambda op, grad: grad * 3.0 * op.inputs[0] ** 2)
    x = tf.constant(2.0)
    with graph.gradient_override_map({"PyFunc": "TestCubeGradient"}):
        y = tf.py_func(lambda v: v**3, [x], tf.float32)
        y.set_shape([])
    other = tf.py_func(lambda v: v**3, [x], tf.float32)
    (grad,) = tf.gradients(y, x)
    assert value(grad) == 12
    assert tf.gradients(other, x) == [None]
    with pytest.raises(KeyError, match="TestCubeGradient"):
        tf.RegisterGradient("TestCubeGradient")(lambda op, grad: grad)


def test_an_override_stands_for_a_known_derivative(graph):
    tf.RegisterGradient("TestReversed")(lambda op, grad: -grad)
    x = tf.constant(2.0)
    with graph.gradient_override_map({"Identity": "TestReversed"}):
        y = tf.identity(x)
    assert value(tf.gradients(y * 3.0, x)) == [-3.0]
    assert value(tf.gradients(tf.identity(x) * 3.0, x)) == [3.0]


def test_an_override_holds_from_the_line_on_that_makes_it_and_the_innermost_counts(graph):
    for name, factor in (("TestTimes5", 5.0), ("TestTimes7", 7.0)):
        tf.RegisterGradient(name)(lambda op, grad, factor=factor: grad * factor)
    x = tf.constant(2.0)
    with graph.gradient_override_map({"Square": "TestTimes5"}):
        outer = tf.square(x)
        assert value(tf.gradients(outer, x)) == [5.0]
        with graph.gradient_override_map({"Square": "TestTimes7"}):
            inner = tf.square(x)
        again = tf.square(x)
    assert value(tf.gradients(inner, x)) == [7.0]
    assert value(tf.gradients(again, x)) == [5.0]


def test_the_seed_of_any_dtype_is_one(graph):
    flag, number = tf.constant(True), tf.constant(3)
    assert value([tf.gradients(flag, flag), tf.gradients(number, number)]) == [[True], [1]]


def test_the_sum_of_the_parts_of_a_gradient_is_an_add_n(graph):
    x = tf.constant(2.0)
    assert tf.gradients(x * x, x)[0].op.type == "AddN"


def test_gradients_pass_through_identity_n(graph):
    x, y = tf.constant(2.0), tf.constant(3.0)
    one, other = tf.identity_n([x * 2, y * 3])
    assert one.op is other.op
    assert one.op.type == "IdentityN"
    assert value(tf.gradients(one + other, [x, y])) == [2.0, 3.0]
    with pytest.raises(ValueError, match="at least one tensor"):
        tf.identity_n([])


def test_registering_asks_for_names(graph):
    with pytest.raises(TypeError, match="op_type must be a string"):
        tf.RegisterGradient(3)
    with pytest.raises(TypeError, match="strings to strings"), graph.gradient_override_map({"Identity": 1}):
        pass
    with graph.gradient_override_map({"Identity": "NobodyRegisteredThis"}):
        y = tf.identity(tf.constant(1.0))
    with pytest.raises(LookupError, match="NobodyRegisteredThis"):
        tf.gradients(y, y.op.inputs[0])


def test_custom_gradient_replaces_the_derivative_of_what_a_function_makes(graph):
    @tf.custom_gradient
    def log1pexp(x):
        e = tf.exp(x)
        return tf.log(1.0 + e), lambda grad: grad * (1.0 - 1.0 / (1.0 + e))

    x = tf.constant(100.0)
    y = log1pexp(x)
    (grad,) = tf.gradients(y, x)
    assert value(grad) == 1  # the plain derivative would be nan


@tf.RegisterGradient("TenTimesTheInput")
def _ten_times(op, grad):
    return grad * op.inputs[0] * 10.0


def _overridden(x):
    with tf.get_default_graph().gradient_override_map({"Square": "TenTimesTheInput"}):
        return tf.square(x)


@tf.custom_gradient
def _customized(x):
    return x * x, lambda grad: grad * x * 10.0


def _once(f, x):
    return tf.while_loop(lambda i, a: i < 1, lambda i, a: (i + 1, f(a)), [0, x])[1]


@pytest.mark.parametrize("square", [_overridden, _customized])
@pytest.mark.parametrize(
    "place",
    [
        lambda f, x: tf.cond(x > 0, lambda: f(x), lambda: x),
        _once,
        lambda f, x: tf.reduce_sum(tf.map_fn(f, tf.stack([x]))),
        lambda f, x: _once(lambda a: tf.cond(a > 0, lambda: f(a), lambda: a), x),
    ],
    ids=["branch", "loop", "map", "branch in loop"],
)
def test_a_gradient_of_ones_own_counts_in_branches_and_loops(graph, place, square):
    x = tf.constant(3.0)
    (first,) = tf.gradients(place(square, x), x)
    assert value([first, *tf.gradients(first, x)]) == [30.0, 10.0]


def test_an_override_around_tf_gradients_does_not_reach_into_branches(graph):
    x = tf.constant(3.0)
    y = tf.cond(x > 0, lambda: tf.square(x), lambda: x)
    with graph.gradient_override_map({"Square": "TenTimesTheInput"}):
        assert value(tf.gradients(y, x)) == [6.0]


def test_custom_gradient_of_several_results_and_arguments(graph):
    @tf.custom_gradient
    def swapped(x, y):
        return [x * 1.0, y * 1.0], lambda of_x, of_y: (of_y, of_x)

    x, y = tf.constant(1.0), tf.constant(2.0)
    a, b = swapped(x, y)
    assert value([a, b]) == [1.0, 2.0]
    assert value(tf.gradients(a * 3.0 + b * 5.0, [x, y])) == [5.0, 3.0]


def test_custom_gradient_keeps_the_structure_and_takes_no_names(graph):
    @tf.custom_gradient
    def both(x):
        return {"a": (x, x * 2.0)}, lambda of_a, of_b: of_a * 10.0 + of_b * 100.0

    x = tf.constant(1.0)
    made = both(x)
    assert value(made) == {"a": (1.0, 2.0)}
    assert [t.name for t in made["a"]] == ["IdentityN:0", "IdentityN:1"]
    assert value(tf.gradients(made["a"][1], x)) == [100.0]
    with pytest.raises(ValueError, match="no keyword arguments"):
        both(x=x)


def test_a_custom_gradient_says_that_of_the_variables_behind_its_result_too(graph):
    seen = []

    def scaled(x):
        scale = tf.get_variable("scale", [], initializer=tf.constant_initializer(5.0), use_resource=True)

        def back(grad, variables=()):
            seen.append([v.name for v in variables])
            return grad * 7.0, [grad * 3.0 for _ in variables]

        return x * scale, back

    x = tf.constant(2.0)
    y = tf.custom_gradient(scaled)(x)
    variables = tf.trainable_variables()
    grads = tf.gradients(y, [x, *variables])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run([y, grads]) == [10.0, [7.0, 3.0]]
        session.run(tf.train.GradientDescentOptimizer(1.0).minimize(y))
        assert session.run(variables[0]) == 2.0
    assert seen[0] == ["scale:0"]


def test_a_custom_gradient_that_knows_nothing_of_its_variables_is_refused(graph):
    weight = tf.Variable(1.0, name="weight")
    fixed = tf.Variable(1.0, trainable=False)
    x = tf.constant(2.0)
    with pytest.raises(TypeError, match="must accept keyword argument 'variables'.*weight"):
        tf.custom_gradient(lambda x: (x * weight, lambda grad: grad))(x)
    with pytest.raises(ValueError, match="gradient for each variable"):
        tf.gradients(tf.custom_gradient(lambda x: (x * weight, lambda grad, variables: (grad, [])))(x), x)
    for inner in (tf.constant(1.0), fixed):
        assert len(tf.gradients(tf.custom_gradient(lambda x, inner=inner: (x * inner, lambda grad: grad))(x), x)) == 1
    assert value(tf.gradients(tf.custom_gradient(lambda y: (y * 2.0, lambda grad: grad * 9.0))(x), x)) == [9.0]
    made = tf.custom_gradient(lambda w: (w * 2.0, lambda grad: grad * 9.0))(weight)
    assert len(tf.gradients(made, weight)) == 1  # it is an arg: the one gradient is its own
    with pytest.raises(ValueError, match="must give 1 gradients, one for each arg, not 2"):
        tf.gradients(tf.custom_gradient(lambda x: (x * 2.0, lambda grad: [grad, grad]))(x), x)


def test_a_pickled_graph_keeps_its_gradients_but_not_custom_ones(graph):
    @tf.custom_gradient
    def doubled(x):
        return x * 2.0, lambda grad: grad * 2.0

    x = tf.placeholder(tf.float64, [2, 2], name="x")
    y = tf.identity(np.linalg.det(x), name="y")
    tf.identity(tf.gradients(y, x)[0], name="first")
    tf.identity(doubled(x), name="custom")
    copy = pickle.loads(pickle.dumps(graph))
    with copy.as_default():
        x, first = copy.get_tensor_by_name("x:0"), copy.get_tensor_by_name("first:0")
        (second,) = tf.gradients(first, x)
        with pytest.raises(LookupError, match="CustomGradient"):
            tf.gradients(copy.get_tensor_by_name("custom:0"), x)
        at = np.array([[2.0, 1.0], [0.5, 3.0]])
        np.testing.assert_allclose(value(second, {x: at}), [[1, -1], [-1, 1]], atol=1e-12)


def test_one_tensor_may_be_held_constant(graph):
    a = tf.constant(2.0)
    b = 2 * a
    assert evaluate(tf.gradients(b * b + a, a, stop_gradients=b)[0]) == 1


def test_a_sum_of_gradients_is_placed_with_the_first_of_them(graph):
    x = tf.constant(2.0)
    y = tf.multiply(x, x, name="y")
    together = tf.gradients(y, x, colocate_gradients_with_ops=True)[0]
    assert together.op.colocation_groups() == [b"loc:@y"]
    assert tf.gradients(y, x)[0].op.colocation_groups() != [b"loc:@y"]
