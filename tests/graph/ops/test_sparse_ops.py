"""Sparse tensors: feeds and fetches, moving, adding, reducing, products, and derivatives through their values."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import weftwork as tf

INDICES = np.array([[0, 1], [0, 3], [2, 0], [3, 2]], np.int64)
VALUES = np.array([1, 2, 3, 4], np.float32)
SHAPE = (5, 4)
DENSE = np.zeros(SHAPE, np.float32)
DENSE[tuple(INDICES.T)] = VALUES
OTHER = np.random.default_rng(0).random((4, 3)).astype(np.float32)


def sparse(values=VALUES, indices=INDICES, shape=SHAPE):
    return tf.SparseTensor(indices, values, shape)


def run(fetches, feeds=None):
    with tf.Session() as session:
        return session.run(fetches, feeds)


def whole(value):
    """A fetched SparseTensorValue as an array; its indices must ascend."""
    out = np.zeros(value.dense_shape, value.values.dtype)
    assert value.indices.tolist() == sorted(value.indices.tolist())
    out[tuple(value.indices.T) or ...] = value.values if out.ndim else value.values[0]
    return out


def test_a_sparse_placeholder_takes_a_value_or_its_parts(graph):
    sp = tf.sparse_placeholder(tf.float32, name="x")
    assert [t.name for t in (sp.indices, sp.values, sp.dense_shape)] == ["x/indices:0", "x/values:0", "x/shape:0"]
    for value in (tf.SparseTensorValue(INDICES, VALUES, SHAPE), (INDICES, VALUES, SHAPE)):
        found = run(sp, {sp: value})
        assert isinstance(found, tf.SparseTensorValue)
        np.testing.assert_array_equal(whole(found), DENSE)
    known = tf.sparse_placeholder(tf.float32, shape=[5, 4])
    assert known.shape.as_list() == [5, 4]
    assert tf.sparse.to_dense(known).shape.as_list() == [5, 4]
    assert tf.sparse.to_dense(tf.sparse_placeholder(tf.float32, [None, 4])).shape.ndims == 2


def test_to_dense_fills_up_with_the_default(graph):
    found = run(tf.sparse_tensor_to_dense(sparse(), default_value=9.0))
    np.testing.assert_array_equal(found, np.where(DENSE == 0, 9, DENSE))
    assert run(tf.sparse_to_dense([1, 3], [5], 1, 0)).tolist() == [0, 1, 0, 1, 0]
    assert run(tf.sparse_to_dense(2, [4], "a", "b")).tolist() == [b"b", b"b", b"a", b"b"]
    np.testing.assert_array_equal(whole(run(tf.sparse.from_dense(DENSE))), DENSE)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (INDICES[::-1], r"indices\[1\] = \[2,0\] is out of order"),
        (INDICES[[0, 0, 1, 2]], r"indices\[1\] = \[0,1\] is repeated"),
        (INDICES + 3, r"indices\[0\] = \[3,4\] is out of bounds: need 0 <= index < \[5,4\]"),
    ],
)
def test_wrong_indices_are_refused_when_it_runs(graph, indices, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        run(tf.sparse.to_dense(sparse(indices=indices)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([[[0]]], [3], [1]), r"sparse_indices should be a scalar, vector, or matrix, got shape \[1,1,1\]"),
        (([[0, 1]], [3], [1]), "output_shape has incorrect number of elements: 1 should be: 2"),
        (([0, 2], [3], [[1, 2]]), r"sparse_values has incorrect shape \[1,2\], should be \[\] or \[2\]"),
        (([0, 2], [3], [1, 2], [0]), "default_value should be a scalar."),
    ],
)
def test_values_for_other_places_are_refused_when_it_runs(graph, given, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        run(tf.sparse_to_dense(*given))
    with pytest.raises(ValueError, match="Shape must be rank 1 but is rank 0"):
        tf.sparse_to_dense([0], 3, [1])


def _moves():
    return {
        "reorder": (lambda sp: tf.sparse.reorder(sp), lambda x: x),
        "reshape": (lambda sp: tf.sparse.reshape(sp, [2, -1]), lambda x: x.reshape(2, 10)),
        "transpose": (lambda sp: tf.sparse.transpose(sp), lambda x: x.T),
        "slice": (lambda sp: tf.sparse.slice(sp, [0, 1], [3, 9]), lambda x: x[:3, 1:]),
        "split": (lambda sp: tf.sparse.split(sp_input=sp, num_split=2, axis=0)[0], lambda x: x[:3]),
        "concat": (lambda sp: tf.sparse.concat(1, [sp, sp]), lambda x: np.concatenate([x, x], 1)),
        "add": (lambda sp: tf.sparse.add(sp, sp), lambda x: x + x),
        "expand": (lambda sp: tf.sparse.expand_dims(sp, 1), lambda x: x[:, None]),
        "retain": (lambda sp: tf.sparse.retain(sp, sp.values > 1), lambda x: np.where(x > 1, x, 0)),
        "reset": (lambda sp: tf.sparse.reset_shape(sp), lambda x: x[:4]),
        "product": (lambda sp: sp * np.arange(4, dtype=np.float32), lambda x: x * np.arange(4)),
        "quotient": (lambda sp: sp / tf.constant([[2.0]] * 5), lambda x: x / 2),
    }


@pytest.mark.parametrize("name", sorted(_moves()))
def test_moving_gives_what_numpy_gives_of_the_whole_and_values_keep_their_gradients(graph, name):
    ours, theirs = _moves()[name]
    values = tf.constant(VALUES)
    made = ours(sparse(values))
    np.testing.assert_allclose(whole(run(made)), theirs(DENSE))
    assert tuple(run(made.dense_shape)) == theirs(DENSE).shape
    # The sum of squares is a form whose derivative says where each value went.
    gradient = tf.convert_to_tensor(tf.gradients(tf.reduce_sum(made.values**2) / 2, values)[0])
    moved = [theirs(np.eye(20, dtype=np.float32)[i].reshape(SHAPE)) for i in np.flatnonzero(DENSE)]
    if name == "retain":
        moved = [np.eye(20)[i].reshape(SHAPE) * (DENSE > 1) for i in np.flatnonzero(DENSE)]
    np.testing.assert_allclose(run(gradient), [(part * theirs(DENSE)).sum() for part in moved])


def test_a_dense_sum_is_dense(graph):
    np.testing.assert_array_equal(run(tf.sparse_add(sparse(), DENSE + 1)), DENSE * 2 + 1)
    with pytest.raises(TypeError, match="At least one input should be SparseTensor"):
        tf.sparse_add(DENSE, DENSE)
    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes do not match"):
        run(tf.sparse_add(sparse(), sparse(shape=(6, 4))))


@pytest.mark.parametrize("axis", [None, 0, -1, [0, 1]])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reducing_looks_at_the_values_alone(graph, axis, keepdims):
    axes = tuple(axis) if isinstance(axis, list) else axis
    total = tf.sparse.reduce_sum(sparse(), axis, keepdims)
    wanted = DENSE.sum(axes, keepdims=keepdims)
    np.testing.assert_array_equal(run(total), wanted)
    assert total.shape.as_list() == list(wanted.shape)
    most = run(tf.sparse.reduce_max(sparse(-VALUES), axis, keepdims))
    np.testing.assert_array_equal(
        most, np.where(wanted > 0, np.where(DENSE > 0, -DENSE, -9).max(axes, keepdims=keepdims), 0)
    )
    np.testing.assert_array_equal(whole(run(tf.sparse.reduce_sum_sparse(sparse(), axis, keepdims))), wanted)


@pytest.mark.parametrize("adjoint", [False, True])
def test_a_sparse_matrix_times_a_dense_one_has_both_gradients(graph, adjoint):
    values, b = tf.constant(VALUES), tf.constant(OTHER if not adjoint else OTHER.T.copy())
    ours = tf.sparse_tensor_dense_matmul(sparse(values), b, adjoint_b=adjoint)
    plain = tf.matmul(tf.scatter_nd(INDICES, values, SHAPE), b, adjoint_b=adjoint)
    assert ours.shape.as_list() == [5, 3]
    pairs = [[y, *tf.gradients(y**2, [values, b])] for y in (ours, plain)]
    for one, two in zip(*run(pairs), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)
    turned = tf.sparse_tensor_dense_matmul(sparse(), DENSE, adjoint_a=True)
    np.testing.assert_allclose(run(turned), DENSE.T @ DENSE)
    with pytest.raises(tf.errors.InvalidArgumentError, match="inner dimension does not match: 4 vs. 5"):
        run(tf.sparse_tensor_dense_matmul(sparse(), DENSE))


def test_a_softmax_is_over_the_values_of_a_row(graph):
    found = run(tf.sparse.softmax(sparse()).values)
    odds = np.exp([1, 2]) / np.exp([1, 2]).sum()
    np.testing.assert_allclose(found, [*odds, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(run(tf.sparse.softmax(sparse(VALUES + 1000)).values), [*odds, 1, 1], rtol=1e-6)


def test_empty_rows_get_the_default(graph):
    values = tf.constant(VALUES)
    filled, empty = tf.sparse.fill_empty_rows(sparse(values), 7.0)
    value, was_empty, grad = run([filled, empty, tf.convert_to_tensor(tf.gradients(filled.values, values)[0])])
    assert was_empty.tolist() == [False, True, False, False, True]
    np.testing.assert_array_equal(whole(value), DENSE + 7 * np.array([[0, 1, 0, 0, 1]]).T * [1, 0, 0, 0])
    assert grad.tolist() == [1] * 4


def test_ids_become_columns(graph):
    ids = sparse(np.array([1, 2, 0, 5]))
    merged = run(tf.sparse_merge(ids, sparse(), 7))
    assert merged.indices.tolist() == [[0, 1], [0, 2], [2, 0], [3, 5]]
    assert merged.dense_shape.tolist() == [5, 7]
    assert np.argwhere(run(tf.sparse_to_indicator(ids, 7))).tolist() == [[0, 1], [0, 2], [2, 0], [3, 5]]


def test_the_greater_and_the_lesser_take_what_is_not_there_for_zero(graph):
    other = sparse(-VALUES, np.array([[0, 0], [0, 3], [2, 0], [3, 2]]))
    full = np.zeros(SHAPE, np.float32)
    full[(0, 0, 2, 3), (0, 3, 0, 2)] = -VALUES
    np.testing.assert_array_equal(whole(run(tf.sparse.maximum(sparse(), other))), np.maximum(DENSE, full))
    np.testing.assert_array_equal(whole(run(tf.sparse.minimum(sparse(), other))), np.minimum(DENSE, full))


def test_segments_of_picked_rows(graph):
    rows, ids = [0, 3, 2], [0, 0, 1]
    total = OTHER[[0, 3]].sum(0)
    np.testing.assert_allclose(run(tf.sparse.segment_sum(OTHER, rows, ids)), [total, OTHER[2]], rtol=1e-6)
    np.testing.assert_allclose(run(tf.sparse.segment_mean(OTHER, rows, ids))[0], total / 2, rtol=1e-6)
    np.testing.assert_allclose(run(tf.sparse.segment_sqrt_n(OTHER, rows, ids))[0], total / 2**0.5, rtol=1e-6)
    assert run(tf.sparse.segment_sum(OTHER, rows, ids, num_segments=3))[2].tolist() == [0, 0, 0]


def test_what_is_not_sparse_is_refused(graph):
    with pytest.raises(TypeError, match="Input must be a SparseTensor"):
        tf.sparse.reorder(DENSE)
    assert isinstance(
        tf.convert_to_tensor_or_sparse_tensor(tf.SparseTensorValue(INDICES, VALUES, SHAPE)), tf.SparseTensor
    )


def test_many_or_unknown_elements_of_slices_are_warned_of_where_a_tensor_is_made_of_them(graph):
    values, indices = tf.placeholder(tf.float32, [1, 100]), tf.constant([0])
    with pytest.warns(UserWarning, match="to a dense Tensor with 100000000 elements. This may consume a large amount"):
        tf.convert_to_tensor(tf.IndexedSlices(values, indices, tf.constant([1000000, 100])))
    with pytest.warns(UserWarning, match="to a dense Tensor of unknown shape"):
        tf.convert_to_tensor(tf.IndexedSlices(values, indices, tf.placeholder(tf.int32, [2])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tf.convert_to_tensor(tf.IndexedSlices(values, indices, tf.constant([3, 100])))


def test_rows_of_slices_are_left_out_by_their_indices(graph):
    slices = tf.IndexedSlices(tf.constant([[1, 2], [3, 4], [5, 6]]), [7, 4, 9])
    with tf.Session() as session:
        left = session.run(tf.sparse_mask(slices, [4]))
    assert (left.values.tolist(), left.indices.tolist()) == ([[1, 2], [5, 6]], [7, 9])


def test_the_width_of_an_indicator_is_known(graph):
    ids = tf.SparseTensor([[0, 0], [1, 1]], [5, 6], [2, 2])
    assert tf.sparse_to_indicator(ids, 9).shape.as_list() == [2, 9]


def test_functions_that_keep_zeros_take_a_sparse_tensor_and_return_one():
    given = tf.SparseTensor([[0, 1], [2, 0]], [-4.0, 9.0], [3, 2])
    for function, values in [
        (tf.abs, [4, 9]), (tf.negative, [4, -9]), (tf.sign, [-1, 1]), (tf.square, [16, 81]),
        (lambda x: tf.sqrt(tf.abs(x)), [2, 3]), (lambda x: tf.cast(x, tf.int32), [-4, 9]),
    ]:  # fmt: skip
        made = run(function(given))
        assert made.values.tolist() == values
        assert made.indices.tolist() == [[0, 1], [2, 0]]
    made = run(tf.cast(given, tf.int32))
    assert made.values.dtype == np.int32
    shape, size, rank = run([tf.shape(given, out_type=tf.int64), tf.size(given), tf.rank(given)])
    assert (shape.tolist(), shape.dtype, size, rank) == ([3, 2], np.int64, 6, 2)


def test_a_dense_tensor_times_a_sparse_one_is_sparse(graph):
    dense = tf.Variable(DENSE + 1)
    products = [tf.constant(DENSE + 1) * sparse(), sparse() * tf.constant(DENSE + 1), dense * sparse()]
    with tf.Session() as session:
        session.run(dense.initializer)
        for value in session.run(products):
            np.testing.assert_array_equal(whole(value), DENSE * (DENSE + 1))
    with pytest.raises(TypeError):
        _ = tf.constant(DENSE) + sparse()


def test_zeros_like_a_sparse_tensor_are_dense(graph):
    assert tf.zeros_like(sparse()).shape.as_list() == list(SHAPE)
    zeros = tf.zeros_like(tf.sparse_placeholder(tf.int32, name="x"), tf.float64)
    value = run(zeros, {"x/indices:0": INDICES, "x/values:0": [1, 2, 3, 4], "x/shape:0": SHAPE})
    assert (value.dtype, value.shape, value.any()) == (np.float64, SHAPE, False)


def test_a_cast_keeps_slices(graph):
    found = tf.cast(tf.IndexedSlices(tf.constant([1.5]), tf.constant([2]), tf.constant([4])), tf.int32)
    assert isinstance(found, tf.IndexedSlices)
    assert run(found) == ([1], [2], [4])


KEPT = {
    "softmax": (tf.sparse_softmax, (5, 4)),
    "retain": (lambda sp: tf.sparse_retain(sp, [True] * 4), (5, 4)),
    "concat": (lambda sp: tf.sparse_concat(0, [sp, sp]), (10, 4)),
    "concat along the last axis": (lambda sp: tf.sparse_concat(-1, [sp, sp]), (5, 8)),
    "concat and expand": (
        lambda sp: tf.sparse_concat(0, [sp, tf.sparse_reset_shape(sp, [6, 7])], expand_nonconcat_dim=True),
        (11, 7),
    ),
    "reshape": (lambda sp: tf.sparse_reshape(sp, [2, 10]), (2, 10)),
    "reshape to what is left": (lambda sp: tf.sparse_reshape(sp, [2, -1]), (2, 10)),
    "reset_shape": (lambda sp: tf.sparse_reset_shape(sp, [6, 7]), (6, 7)),
    "transpose": (tf.sparse_transpose, (4, 5)),
    "expand_dims": (lambda sp: tf.sparse.expand_dims(sp, 1), (5, 1, 4)),
    "add": (lambda sp: tf.sparse_add(sp, sp, thresh=3.0), (5, 4)),
    "merge": (lambda sp: tf.sparse_merge(tf.cast(sp, tf.int64), sp, 9), (5, 9)),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_shape_stays_known(graph, name):
    function, shape = KEPT[name]
    made = function(sparse())
    assert made.get_shape().as_list() == list(shape)
    assert run(made).dense_shape.tolist() == list(shape)


def test_the_known_part_of_a_placeholders_shape_stays_known(graph):
    sp = tf.sparse_placeholder(tf.float32, [None, 4])
    for made in (sp, tf.sparse_softmax(sp), tf.sparse_retain(sp, [True] * 4), tf.sparse_reorder(sp), sp * 2.0):
        assert made.get_shape().as_list() == [None, 4]
    assert tf.sparse_tensor_to_dense(sp).shape.as_list() == [None, 4]
    dense = run(tf.sparse_tensor_to_dense(sp), {sp: (INDICES, VALUES, SHAPE)})
    np.testing.assert_array_equal(dense, DENSE)


def test_a_sparse_tensor_is_not_reshaped_to_another_size(graph):
    for shape in ([3, 3], [3, -1]):
        with pytest.raises(ValueError, match="20 dense values"):
            tf.sparse_reshape(sparse(), shape)
