"""What programs ask of tensors, random numbers of a seed alone, operations of unknown types, older spellings."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate


def test_is_tensor_is_true_of_everything_that_stands_for_a_tensor(graph):
    assert tf.is_tensor(tf.constant(1))
    assert tf.is_tensor(tf.Variable(1.0))
    assert tf.is_tensor(tf.SparseTensor([[0]], [1.0], [1]))
    assert not tf.is_tensor([1])
    assert not tf.is_tensor(np.ones(1))
    assert tf.is_numeric_tensor(tf.constant(1))
    assert not tf.is_numeric_tensor(tf.constant("a"))
    assert tf.get_static_value(tf.constant([1, 2])).tolist() == [1, 2]
    assert tf.get_static_value(tf.placeholder(tf.float32)) is None
    assert tf.dimension_value(tf.TensorShape([3])[0]) == 3


def test_whether_elements_ascend(graph):
    assert evaluate(tf.is_non_decreasing([1, 1, 2]))
    assert not evaluate(tf.is_strictly_increasing([1, 1, 2]))
    assert evaluate(tf.is_strictly_increasing([[1, 2], [3, 4]]))


def test_assertions_of_ranks_shapes_and_kinds(graph):
    x = tf.placeholder(tf.float32)
    tf.debugging.assert_rank_in(tf.zeros([2]), [1, 2])
    with pytest.raises(ValueError, match=r"must have rank in \(2, 3\)"):
        tf.debugging.assert_rank_in(tf.zeros([2]), [2, 3])
    with tf.control_dependencies([tf.debugging.assert_rank_in(x, [1, 2])]):
        y = tf.identity(x)
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match="must have rank in"):
        session.run(y, {x: 1.0})
    tf.debugging.assert_shapes([(tf.zeros([2, 3]), ("n", "m")), (tf.zeros([3, 2]), ("m", "n"))])
    with pytest.raises(ValueError, match="3 is not 2"):
        tf.debugging.assert_shapes({tf.zeros([2, 3]): ("n", "n")})
    with pytest.raises(ValueError, match="Expected scalar shape"):
        tf.assert_scalar([1])
    with pytest.raises(TypeError, match="'proper' iterable"):
        tf.assert_proper_iterable(tf.zeros([2]))
    assert tf.assert_same_float_dtype([tf.zeros([1], tf.float64)]) is tf.float64
    with pytest.raises(ValueError, match="have float64"):
        tf.assert_same_float_dtype([tf.zeros([1], tf.float64), tf.zeros([1])])


def test_a_function_is_chosen_by_its_number(graph):
    index = tf.placeholder(tf.int32, [])
    chosen = tf.switch_case(index, [lambda: tf.constant(10), lambda: tf.constant(20)], default=lambda: tf.constant(-1))
    last = tf.switch_case(index, {0: lambda: tf.constant(10), 1: lambda: tf.constant(30)})
    with tf.Session() as session:
        assert [session.run(chosen, {index: i}) for i in (0, 1, 7)] == [10, 20, -1]
        assert [session.run(last, {index: i}) for i in (0, 1, 7)] == [10, 30, 30]


def test_the_numbers_of_functions_are_integers_without_gaps(graph):
    index, fn = tf.placeholder(tf.int32, []), lambda: tf.constant(1)
    for error, fns, words in (
        (ValueError, {0: fn, 2: fn}, r"must form contiguous range of \[0 to 2\) but found \{0,2\}"),
        (ValueError, {}, "Must provide at least one item"),
        (TypeError, {"a": fn}, "key must be a Python `int`"),
        (TypeError, {0: 3}, "fn for key 0 must be callable"),
        (TypeError, 3, "must be a list, tuple, or dict"),
    ):
        with pytest.raises(error, match=words):
            tf.switch_case(index, fns)
    with pytest.raises(TypeError, match="branch_index must be a Tensor"):
        tf.switch_case(0, [fn])
    with pytest.raises(TypeError, match="must be an integer Tensor, got float32"):
        tf.switch_case(tf.constant(0.0), [fn])
    with pytest.raises(TypeError, match="must have the same number, type, and overall structure.*int32, float32"):
        tf.switch_case(index, [fn, lambda: tf.constant(1.0)])


def test_vectorized_map_needs_no_dtypes(graph):
    made = tf.vectorized_map(lambda x: (tf.cast(x, tf.float32) / 2, x > 1), tf.constant([1, 2]))
    with tf.Session() as session:
        assert [t.tolist() for t in session.run(made)] == [[0.5, 1.0], [False, True]]


def test_a_gradient_passes_through(graph):
    x = tf.constant([0.4, 1.6])
    y = tf.grad_pass_through(tf.round)(x * 2)
    assert evaluate(y).tolist() == [1, 3]
    assert evaluate(tf.gradients(y, x)[0]).tolist() == [2, 2]


def test_older_spellings(graph):
    assert evaluate(tf.to_complex64(1.0)).dtype == np.complex64
    with tf.op_scope([tf.constant(1)], None, "old") as scope:
        assert scope == "old/"
    with tf.Session() as session:
        first, second = session.run(tf.timestamp()), session.run(tf.timestamp())
        assert 0 <= second - first < 60
        assert session.run(tf.numpy_function(lambda a: a + 1, [2.0], tf.float32)) == 3
    assert tf.VERSION.startswith("1.15")
    assert not tf.executing_eagerly()
    assert not tf.resource_variables_enabled()


def test_a_seed_alone_decides(graph):
    seed = tf.placeholder(tf.int32, [2])
    draws = [
        tf.random.stateless_normal([2000], seed, mean=1.0, stddev=2.0),
        tf.random.stateless_uniform([2000], seed, -1.0, 3.0),
        tf.random.stateless_uniform([2000], seed, 5, 8, tf.int32),
        tf.random.stateless_truncated_normal([2000], seed),
        tf.random.stateless_categorical([[0.0, 1.0, -50.0]], 2000, seed),
    ]
    with tf.Session() as one, tf.Session() as two:
        first, again = one.run(draws, {seed: [1, 2]}), two.run(draws, {seed: [1, 2]})
        other = one.run(draws, {seed: [1, 3]})
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
    assert first[0].mean() == pytest.approx(1, abs=0.2)
    assert first[0].std() == pytest.approx(2, abs=0.2)
    assert -1 <= first[1].min() < -0.9 < 2.9 < first[1].max() < 3
    assert set(first[2].tolist()) == {5, 6, 7}
    assert np.abs(first[3]).max() <= 2
    assert np.bincount(first[4][0], minlength=3)[1] / 2000 == pytest.approx(np.e / (1 + np.e), abs=0.05)
    with pytest.raises(ValueError, match=r"seed must have shape \[2\]"):
        tf.random.stateless_normal([1], [1, 2, 3])


def test_an_operation_of_an_unknown_type_is_a_node_that_cannot_run(graph):
    op = graph.create_op("Mystery", [tf.constant(1.0)], [tf.float32, tf.int32], name="it", attrs={"size": 3})
    assert (op.type, op.name, [t.dtype for t in op.outputs]) == ("Mystery", "it", [tf.float32, tf.int32])
    graph.add_to_collection("mine", op)
    assert "mine" in graph.collections
    with tf.Session() as session, pytest.raises(tf.errors.UnimplementedError, match="No kernel .*'Mystery'"):
        session.run(op.outputs[0])
    with tf.Session() as session:
        assert session.run(op.outputs[0] + 1, {op.outputs[0]: 2.0}) == 3


def test_an_order_is_one_of_numbers(graph):
    for ask in (tf.is_non_decreasing, tf.is_strictly_increasing):
        with pytest.raises(TypeError, match="Expected x to be numeric"):
            ask(["a", "b"])
    with pytest.raises(ValueError, match=r"Expected scalar shape, saw shape: \(1,\)"):
        tf.assert_scalar([1])


def test_a_value_is_known_early_if_all_that_it_is_made_of_is(graph):
    x = tf.placeholder(tf.int32, [2, 3])
    two = tf.constant(2)
    for tensor, expected in (
        (tf.range(3), [0, 1, 2]),
        (tf.stack([two, 5]), [2, 5]),
        (tf.cast(tf.fill([2], 1.7), tf.int32), [1, 1]),
        (tf.concat([[1], tf.shape(x)], 0), [1, 2, 3]),
        (tf.equal([1, 2], two), [False, True]),
        (7, 7),
    ):
        assert np.asarray(tf.get_static_value(tensor)).tolist() == expected
    assert tf.get_static_value(two + 1) is None
    assert tf.get_static_value(tf.stack([two, x[0, 0]])) is None
    assert tf.get_static_value(tf.stack([two, x[0, 0]]), partial=True).tolist() == [2, None]


def test_the_time_is_a_scalar(graph):
    assert tf.timestamp().shape.as_list() == []
