"""Every array operation against NumPy's, with the dtype and shape it says; indexing against NumPy's indexing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

import weftwork as tf
from tests.evaluate import evaluate
from weftwork.graph import dtypes
from weftwork.graph.build import constant, convert_to_tensor, placeholder, placeholder_with_default, static_value
from weftwork.graph.errors import InvalidArgumentError
from weftwork.graph.graph import Graph
from weftwork.graph.ops import array_ops, math_ops
from weftwork.scheduler.session.session import Session

X = np.arange(24.0).reshape(2, 3, 4)
V = np.array([5, 3, 9], np.int32)
DTYPES = [np.float32, np.float64, np.int32, np.int64, np.bool_, np.complex64]


@pytest.fixture(autouse=True)
def _graph():
    with Graph().as_default():
        yield


def check(tensor, expected):
    """The value is the one expected, in the dtype and shape that the tensor says."""
    value = evaluate(tensor)
    assert value.dtype == tensor.dtype.numpy
    assert tensor.raw_shape == np.shape(value)
    np.testing.assert_array_equal(value, expected)
    return value


def late(value):
    """A placeholder of unknown shape and what to feed it: a value that is known only at run time."""
    value = np.asarray(value)
    tensor = placeholder(dtypes.as_dtype(value.dtype))
    return tensor, {tensor: value}


CALLS = [
    ("transpose", [X], {}, lambda: X.T),
    ("transpose", [X, [1, 0, 2]], {}, lambda: X.transpose(1, 0, 2)),
    ("transpose", [X * 1j], {"conjugate": True}, lambda: np.conj(X * 1j).T),
    ("reshape", [X, [6, -1]], {}, lambda: X.reshape(6, 4)),
    ("reshape", [X, (-1,)], {}, lambda: X.reshape(-1)),
    ("reshape", [X, 24], {}, lambda: X.reshape(24)),
    ("reshape", [X[:1, :1, :1], []], {}, lambda: X[0, 0, 0]),
    ("reshape", [np.float32(3), [1, 1]], {}, lambda: [[3]]),
    ("reshape", [X[:0], [-1, 4]], {}, lambda: X[:0].reshape(-1, 4)),
    ("reshape", [X[:0], [0, 7]], {}, lambda: X[:0].reshape(0, 7)),
    ("expand_dims", [X, 0], {}, lambda: X[None]),
    ("expand_dims", [X, -1], {}, lambda: X[..., None]),
    ("expand_dims", [X], {"dim": 1}, lambda: X[:, None]),
    ("expand_dims", [np.float32(3), 0], {}, lambda: [3]),
    ("squeeze", [X[:1, :, :1]], {}, lambda: X[0, :, 0]),
    ("squeeze", [X[:1, :, :1], [0]], {}, lambda: X[0, :, :1]),
    ("squeeze", [X[:1, :, :1]], {"squeeze_dims": -1}, lambda: X[:1, :, 0]),
    ("squeeze", [X[:1, :, :1], []], {}, lambda: X[0, :, 0]),
    ("concat", [[X, X], 0], {}, lambda: np.concatenate([X, X])),
    ("concat", [[X, X[..., :1], X], -1], {}, lambda: np.concatenate([X, X[..., :1], X], -1)),
    ("concat", [[X], 1], {}, lambda: X),
    ("concat", [[[1, 2], V], 0], {}, lambda: [1, 2, 5, 3, 9]),
    ("concat", [[V, V.astype(np.float64)], 0], {}, lambda: [5.0, 3, 9, 5, 3, 9]),
    ("stack", [[X, X]], {}, lambda: np.stack([X, X])),
    ("stack", [[X, X], -1], {}, lambda: np.stack([X, X], -1)),
    ("stack", [[np.int64(1), np.int64(2)]], {}, lambda: [1, 2]),
    ("stack", [[1, 2.5]], {}, lambda: [1, 2.5]),
    ("tile", [X, [1, 2, 3]], {}, lambda: np.tile(X, (1, 2, 3))),
    ("tile", [X, [0, 2, 3]], {}, lambda: np.tile(X, (0, 2, 3))),
    ("pad", [V, [[2, 1]]], {}, lambda: np.pad(V, (2, 1))),
    ("pad", [X, [[0, 1], [2, 0], [1, 1]]], {"constant_values": 7},
     lambda: np.pad(X, [(0, 1), (2, 0), (1, 1)], constant_values=7)),
    ("pad", [X, [[0, 0], [2, 0], [1, 1]], "REFLECT"], {}, lambda: np.pad(X, [(0, 0), (2, 0), (1, 1)], "reflect")),
    ("pad", [X, [[0, 0], [2, 0], [1, 1]], "symmetric"], {}, lambda: np.pad(X, [(0, 0), (2, 0), (1, 1)], "symmetric")),
    ("slice", [X, [0, 1, 2], [1, -1, 2]], {}, lambda: X[:1, 1:, 2:4]),
    ("strided_slice", [X, [0, 2, 0], [2, 0, 4], [1, -1, 2]], {}, lambda: X[0:2, 2:0:-1, 0:4:2]),
    ("strided_slice", [X, [1], [2]], {}, lambda: X[1:2]),
    ("strided_slice", [X, [1, 1], [0, 0]], {"begin_mask": 2, "end_mask": 2, "shrink_axis_mask": 1}, lambda: X[1, :]),
    ("strided_slice", [X, [0, 0, 1], [0, 0, 2]], 
     {"ellipsis_mask": 1, "new_axis_mask": 2, "shrink_axis_mask": 4}, lambda: X[..., None, 1]),
    ("gather", [X, [1, 0, 1]], {}, lambda: X[[1, 0, 1]]),
    ("gather", [X, [[1, 0], [2, 2]]], {"axis": 1}, lambda: np.take(X, [[1, 0], [2, 2]], 1)),
    ("gather", [X, 2], {"axis": -1}, lambda: X[..., 2]),
    ("gather", [V, 1], {}, lambda: 3),
    ("gather", [X, [[2, 0], [1, 1]]], {"batch_dims": 1}, lambda: np.stack([X[0][[2, 0]], X[1][[1, 1]]])),
    ("gather", [X, [[3, 0], [1, 1]]], {"axis": 2, "batch_dims": 1},
     lambda: np.stack([X[0][:, [3, 0]], X[1][:, [1, 1]]])),
    ("gather", [X, [[3, 0], [1, 1]]], {"axis": -1, "batch_dims": -1},
     lambda: np.stack([X[0][:, [3, 0]], X[1][:, [1, 1]]])),
    ("gather", [X, [[2, 0, 1]] * 2], {"axis": 2, "batch_dims": 2}, lambda: X[[[0], [1]], [[0, 1, 2]], [[2, 0, 1]]]),
    ("gather_nd", [X, [[1, 2], [0, 0]]], {}, lambda: X[[1, 0], [2, 0]]),
    ("gather_nd", [X, [1, 2, 3]], {}, lambda: X[1, 2, 3]),
    ("gather_nd", [X, np.zeros((2, 0), np.int32)], {}, lambda: np.stack([X, X])),
    ("scatter_nd", [[[1], [3], [1]], [1.0, 2.0, 4.0], [5]], {}, lambda: [0, 5, 0, 2, 0]),
    ("scatter_nd", [[[1]], X[:1, 0], [3, 4]], {}, lambda: [[0] * 4, X[0, 0], [0] * 4]),
    ("scatter_nd", [[[1], [1], [2]], ["a", "b", "c"], [4]], {}, lambda: [b"", b"ab", b"c", b""]),
    ("pad", [[True], [[1, 1]]], {}, lambda: [False, True, False]),
    ("squeeze", [[[1]], [0, -2, 0]], {}, lambda: [1]),
    ("one_hot", [[0, 2, -1, 5], 3], {}, lambda: [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]),
    ("one_hot", [[0, 2], 3], {"axis": 0}, lambda: [[1, 0], [0, 0], [0, 1]]),
    ("one_hot", [1, 3], {}, lambda: [0, 1, 0]),
    ("one_hot", [[[0], [1]], 2], {"axis": 1, "dtype": dtypes.int32}, lambda: [[[1], [0]], [[0], [1]]]),
    ("one_hot", [[1], 2, 5.0, -1.0], {}, lambda: [[-1, 5]]),
    ("one_hot", [[1], 2, True, False], {}, lambda: [[False, True]]),
    ("where", [X > 5, X, -X], {}, lambda: np.where(X > 5, X, -X)),
    ("where", [[True, False], X, -X], {}, lambda: np.stack([X[0], -X[1]])),
    ("where", [True, V, -V], {}, lambda: V),
    ("where_v2", [True, V, 0], {}, lambda: V),
    ("where_v2", [V > 4, V, 0], {}, lambda: [5, 0, 9]),
    ("fill", [[2, 3], 7.5], {}, lambda: np.full((2, 3), 7.5)),
    ("zeros", [[2, 3]], {}, lambda: np.zeros((2, 3))),
    ("zeros", [3, dtypes.int64], {}, lambda: [0, 0, 0]),
    ("ones", [[], dtypes.bool], {}, lambda: True),
    ("zeros_like", [X], {}, lambda: np.zeros_like(X)),
    ("ones_like", [V], {"dtype": dtypes.float32}, lambda: np.ones(3)),
    ("ones_like", [V], {"optimize": False}, lambda: np.ones(3)),
    ("eye", [3], {}, lambda: np.eye(3)),
    ("eye", [2, 3, [4]], {"dtype": dtypes.int32}, lambda: np.stack([np.eye(2, 3)] * 4)),
    ("diag", [V], {}, lambda: np.diag(V)),
    ("diag", [X[0, :2, :2]], {}, lambda: np.diag([0, 1, 4, 5]).reshape(2, 2, 2, 2)),
    ("diag_part", [np.diag(V)], {}, lambda: V),
    ("diag_part", [np.diag([0, 1, 4, 5]).reshape(2, 2, 2, 2)], {}, lambda: [[0, 1], [4, 5]]),
    ("matrix_diag", [X[0]], {}, lambda: np.stack([np.diag(row) for row in X[0]])),
    ("matrix_diag", [[np.nan, 1.0]], {}, lambda: [[np.nan, 0], [0, 1]]),
    ("matrix_diag_part", [X], {}, lambda: np.stack([np.diag(m) for m in X])),
    ("shape", [X], {}, lambda: [2, 3, 4]),
    ("shape", [X], {"out_type": dtypes.int64, "optimize": False}, lambda: [2, 3, 4]),
    ("shape", [5.0], {}, lambda: np.zeros(0)),
    ("size", [X], {}, lambda: 24),
    ("rank", [X], {}, lambda: 3),
    ("broadcast_to", [V, [2, 3]], {}, lambda: np.broadcast_to(V, (2, 3))),
    ("broadcast_to", [1, [0]], {}, lambda: np.zeros(0)),
    ("reverse", [X, [0, 2]], {}, lambda: X[::-1, :, ::-1]),
    ("reverse", [X, -1], {}, lambda: X[..., ::-1]),
    ("reverse", [X, []], {}, lambda: X),
    ("sequence_mask", [[1, 3, 0], 4], {}, lambda: np.arange(4) < np.array([[1], [3], [0]])),
    ("sequence_mask", [2, 3, dtypes.float32], {}, lambda: [1, 1, 0]),
    ("invert_permutation", [[2, 0, 1]], {}, lambda: [1, 2, 0]),
    ("roll", [X, 1, 0], {}, lambda: np.roll(X, 1, 0)),
    ("roll", [X, [1, -2], [0, 2]], {}, lambda: np.roll(X, (1, -2), (0, 2))),
    ("broadcast_dynamic_shape", [[2, 1], [3]], {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs", "expected"), CALLS)
def test_known_arguments_give_numpys_value_and_its_shape(name, args, kwargs, expected):
    tensor = getattr(array_ops, name)(*args, **kwargs)
    if expected is None:
        assert evaluate(tensor).tolist() == [2, 3]
    else:
        check(tensor, expected())
    assert getattr(array_ops, name).__doc__


LATE = [call for call in CALLS if call[0] not in ("broadcast_dynamic_shape", "diag_part")]


@pytest.mark.parametrize(("name", "args", "kwargs", "expected"), LATE)
def test_a_first_argument_of_unknown_shape_gives_the_same(name, args, kwargs, expected):
    if name in ("concat", "stack"):
        pairs = [late(np.float64(item) if isinstance(item, float) else item) for item in args[0]]
        first = [tensor for tensor, _ in pairs]
        feeds = {key: value for _, feed in pairs for key, value in feed.items()}
    else:
        first, feeds = late(np.array(args[0], np.int32) if name in ("zeros", "ones", "fill", "eye") else args[0])
    value = evaluate(getattr(array_ops, name)(first, *args[1:], **kwargs), feeds)
    np.testing.assert_array_equal(value, expected())


DYNAMIC = [
    ("transpose", [X], [[1, 0, 2]]), ("reshape", [X], [[6, -1]]), ("expand_dims", [X], [1]), ("tile", [X], [[1, 2, 3]]),
    ("pad", [X], [[[0, 1], [2, 0], [1, 1]]]), ("slice", [X], [[0, 1, 2], [1, -1, 2]]),
    ("strided_slice", [X], [[0, 2], [2, 0], [1, -1]]), ("gather", [X], [[1, 0, 1]]), ("gather_nd", [X], [[[1, 2]]]),
    ("one_hot", [[1, 2]], [3]), ("scatter_nd", [[[1]], [2.0]], [[3]]), ("reverse", [X], [[0, 2]]),
    ("roll", [X], [1, 2]), ("broadcast_to", [V], [[2, 3]]), ("sequence_mask", [[1, 2]], [3]), ("eye", [], [2, 3]),
    ("split", [X], [[1, 2]]), ("fill", [], [[2, 3], 7.5]), ("concat", [[X, X]], [1]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "dynamic"), DYNAMIC)
def test_arguments_known_only_at_run_time_give_the_same(name, args, dynamic):
    function = getattr(array_ops, name)
    kwargs = {"axis": 1} if name == "split" else {}
    pairs = [late(value) for value in dynamic]
    feeds = {key: value for _, feed in pairs for key, value in feed.items()}
    if name == "split":
        kwargs["num"] = 2
    tensors = [tensor for tensor, _ in pairs]
    kwargs_known = {key: value for key, value in kwargs.items() if key != "num"}
    expected, found = function(*args, *dynamic, **kwargs_known), function(*args, *tensors, **kwargs)
    np.testing.assert_equal(evaluate(found, feeds), evaluate(expected))


# Indexing


@given(st.data())
def test_any_basic_index_gives_numpys_value_and_shape(data):
    with Graph().as_default():
        shape = data.draw(nps.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
        index = data.draw(nps.basic_indices(shape, allow_ellipsis=True, allow_newaxis=True))
        x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
        expected = x[index]
        tensor = convert_to_tensor(x)[index]
        value = evaluate(tensor)
        np.testing.assert_array_equal(value, expected)
        assert tensor.raw_shape == np.shape(expected)
        unknown = placeholder(dtypes.int64)
        np.testing.assert_array_equal(evaluate(unknown[index], {unknown: x}), expected)


@given(st.data())
def test_bounds_that_are_tensors_index_like_numbers(data):
    with Graph().as_default():
        size = data.draw(st.integers(1, 6))
        bounds = st.none() | st.integers(-8, 8)
        picked = slice(data.draw(bounds), data.draw(bounds), data.draw(st.sampled_from([None, 1, 2, -1, -2])))
        x, feeds = np.arange(size), {}

        def lifted(bound):
            if bound is None or data.draw(st.booleans()):
                return bound
            tensor = placeholder(dtypes.int32, [])
            feeds[tensor] = bound
            return tensor

        index = slice(lifted(picked.start), lifted(picked.stop), lifted(picked.step))
        np.testing.assert_array_equal(evaluate(convert_to_tensor(x)[index], feeds), x[picked])


@given(st.integers(-6, 7), st.integers(-6, 7), st.sampled_from([-2, -1, 1, 2, 3]), st.integers(0, 31))
def test_strided_slice_means_the_same_at_build_time_and_at_run_time(begin, end, step, masks):
    with Graph().as_default():
        x = np.arange(30).reshape(5, 6)
        kwargs = {"begin_mask": masks & 1, "end_mask": masks >> 1 & 1, "new_axis_mask": masks >> 2 & 1}
        kwargs["ellipsis_mask"] = masks >> 3 & 1
        known = array_ops.strided_slice(x, [begin, 0], [end, 6], [step, 1], **kwargs)
        first, feeds = late(np.array([begin, 0], np.int32))
        found = evaluate(array_ops.strided_slice(x, first, [end, 6], [step, 1], **kwargs), feeds)
        np.testing.assert_array_equal(evaluate(known), found)
        assert known.raw_shape == found.shape


def test_masks_and_arrays_index_too():
    x = convert_to_tensor(X)
    np.testing.assert_array_equal(evaluate(x[x > 5]), X[X > 5])
    np.testing.assert_array_equal(evaluate(x[np.array([True, False])]), X[[0]])
    check(x[[1, 0, 1]], X[[1, 0, 1]])
    check(x[constant([1, 1])], X[[1, 1]])
    check(x[constant(1)], X[1])
    check(x[..., constant(1) : constant(3)], X[..., 1:3])
    i, feeds = late(np.int32(1))
    np.testing.assert_array_equal(evaluate(x[i, :, i:], feeds), X[1, :, 1:])


def test_a_list_with_slices_indexes_as_a_tuple():
    x = convert_to_tensor(X)
    check(x[[0, slice(1, 3)]], X[0, 1:3])
    check(x[[Ellipsis, 1]], X[..., 1])
    check(x[[None, slice(None), convert_to_tensor(1)]], X[None, :, 1])


def test_nan_equals_nothing_in_unique():
    y, idx, count = array_ops.unique_with_counts([np.nan, 1.0, np.nan, 2.0, 1.0])
    np.testing.assert_array_equal(evaluate(y), [np.nan, 1, np.nan, 2])
    assert evaluate(idx).tolist() == [0, 1, 2, 3, 1]
    assert evaluate(count).tolist() == [1, 2, 1, 1]


SPARSE = tf.SparseTensorValue([[0, 0]], np.ones(1, np.float32), [2, 2])
WIDE = tf.SparseTensorValue([[0, 0]], np.ones(1, np.float32), [2, 3])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: tf.space_to_batch_nd(np.ones((1, 2, 2, 1)), [2, 0], [[0, 0], [0, 0]]), "block_shape must be positive"),
        (lambda: tf.batch_to_space_nd(np.ones((4, 2, 2, 1)), [2, -1], [[0, 0]] * 2), "block_shape must be positive"),
        (lambda: tf.nn.softmax(1.0), r"must be in the range \[0, 0\)"),
        (lambda: tf.sort(1), "axis -1 not in"),
        (lambda: tf.argsort([1], axis=5), "axis 5 not in"),
        (
            lambda: tf.batch_gather([[1, 2]], [[0], [1]]),
            r"params.shape\[0\]: 1 should be equal to indices.shape\[0\]: 2",
        ),
        (lambda: tf.repeat([1, 2, 3], [1, 2]), "repeats has the shape"),
        (lambda: tf.repeat([1, 2, 3], -1), "must not be negative"),
        (lambda: tf.sparse_add(SPARSE, WIDE), "shapes do not match"),
        (lambda: tf.sparse_reshape(SPARSE, [3]), "tensor with 4 dense values, but the requested shape has 3"),
        (lambda: tf.sparse_reshape(SPARSE, [3, -1]), "requires a multiple of 3"),
        (lambda: tf.sparse_tensor_dense_matmul(WIDE, np.ones((2, 2))), "does not match: 3 vs. 2"),
        (lambda: tf.sparse_tensor_dense_matmul(SPARSE, np.ones(2)), "must be rank 2 but is rank 1"),
        (lambda: tf.sets.set_union([[1, 2]], [[1], [2]]), r"Mismatched group shapes \[1\] vs \[2\]"),
        (lambda: tf.sets.set_union([1, 2], [1]), "must be at least rank 2 but is rank 1"),
    ],
)
def test_known_shapes_that_do_not_fit_are_refused_at_once(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: tf.segment_sum([1], [0.0]), lambda: tf.segment_mean([1.0], [0.0]), lambda: tf.segment_sum(["a"], [0]),
        lambda: tf.unsorted_segment_max([1], [0.0], 1), lambda: tf.sparse_segment_sum([[1]], [0], [0.0]),
        lambda: tf.unsorted_segment_sum([1], [0], placeholder(dtypes.float32)),
        lambda: tf.dynamic_partition([1], [0.0], 1), lambda: tf.tensor_scatter_update([1], [[0.0]], [1]),
        lambda: tf.tensor_scatter_update(constant([1, 2]), [[0]], [1.5]),
        lambda: tf.tensor_scatter_add(constant([1.0]), [[0]], constant([1.0], dtypes.float64)),
        lambda: tf.range(1.5, 5, dtype=tf.int32), lambda: tf.concat([[1], [2]], placeholder(dtypes.float32)),
        lambda: tf.cumsum([1], placeholder(dtypes.float32)), lambda: tf.repeat([1], [1.0]),
        lambda: tf.reverse_sequence([[1, 2]], [1.0], 1), lambda: tf.unravel_index(constant([1.0]), [2, 2]),
        lambda: tf.nn.in_top_k([[1.0]], [0.0], 1), lambda: tf.nn.top_k([1.0], constant(1.0)),
        lambda: tf.where(["a", ""]), lambda: tf.where(["a"], [1], [2]), lambda: tf.sequence_mask(["a"]),
        lambda: tf.nn.relu(["a"]), lambda: tf.nn.leaky_relu(["a"]), lambda: tf.nn.relu(constant([1j])),
        lambda: tf.matmul([["a"]], [["b"]]), lambda: tf.tensordot([["a"]], [["b"]], 1), lambda: tf.cumprod(["a"]),
        lambda: tf.angle(["a"]), lambda: tf.argmax(["a"]), lambda: tf.trace([["a"]]), lambda: tf.real(["a"]),
        lambda: tf.math.cumulative_logsumexp([1]), lambda: tf.clip_by_value(["a"], "a", "b"),
        lambda: tf.clip_by_norm(constant([1j]), 1.0), lambda: tf.clip_by_norm([3, 4], 1),
        lambda: tf.nn.max_pool([[[["a"]]]], 1, 1, "SAME"),
        lambda: tf.nn.avg_pool(np.ones((1, 2, 2, 1), np.int32), 2, 2, "SAME"),
        lambda: tf.nn.avg_pool3d(np.ones((1, 2, 2, 2, 1), np.int32), 2, 2, "SAME"), lambda: tf.math.xlogy([1], [2]),
        lambda: tf.math.polygamma([1], [2]), lambda: tf.math.zeta([2], [1]),
        lambda: tf.histogram_fixed_width(["a"], ["a", "b"]), lambda: tf.bincount([1.5]),
        lambda: tf.sparse_to_dense([[0.0]], [2], [1]), lambda: tf.multinomial([["a"]], 2),
        lambda: tf.nn.ctc_loss(SPARSE, np.ones((2, 2, 2), np.float32), [2, 2]),
    ],
)  # fmt: skip
def test_a_dtype_that_makes_no_sense_is_refused_at_once(build):
    with pytest.raises(TypeError, match=r"not in list of allowed values|cannot hold|Expected int32, got 1\."):
        build()


def test_an_empty_list_is_no_float_where_integers_are_wanted():
    rows = np.zeros((0, 2), np.float32)
    assert tf.segment_sum(rows, []).dtype is tf.float32
    assert [evaluate(part).shape for part in tf.dynamic_partition(rows, [], 2)] == [(0, 2)] * 2
    assert evaluate(tf.unsorted_segment_sum(rows, [], 1)).tolist() == [[0, 0]]


def test_a_range_and_a_mask_of_floats():
    whole = math_ops.range(0, placeholder_with_default(2.5, []), dtype=dtypes.int32)
    assert evaluate(whole).tolist() == [0, 1]
    assert check(math_ops.range(0, constant(2.5), dtype=dtypes.int32), [0, 1]).dtype == np.int32
    for lengths in ([1.5, 2.5], placeholder_with_default([1.5, 2.5], [2])):
        longest = evaluate(tf.sequence_mask(lengths))
        assert longest.tolist() == [[True, True, False], [True, True, True]]
        assert evaluate(tf.sequence_mask(lengths, 3)).tolist() == [[True, False, False], [True, True, False]]


def test_text_does_not_join_numbers():
    for build in (
        lambda: array_ops.concat([[1], ["a"]], 0),
        lambda: array_ops.stack([1, "a"]),
        lambda: array_ops.where([True], [1], ["a"]),
    ):
        with pytest.raises(TypeError, match=r"\[int32, string\] don't all match"):
            build()


def test_what_is_no_index_is_refused():
    x = convert_to_tensor(X)
    for index in (1.5, "a", (0, "a"), slice(0.5, None), True, constant(1.5)):
        with pytest.raises(TypeError, match=r"index|indices"):
            x[index]
    with pytest.raises(ValueError, match="slice index 2 of dimension 0 out of bounds"):
        x[2]
    with pytest.raises(ValueError, match="slice index -5 of dimension 2 out of bounds"):
        x[:, :, -5]
    with pytest.raises(ValueError, match="Index out of range using input dim 3"):
        x[0, 0, 0, 0]
    with pytest.raises(ValueError, match="must be non-zero"):
        x[::0]


@pytest.mark.parametrize("axis", [0, 1, None])
def test_boolean_mask(axis):
    mask = np.array([True, False, True]) if axis == 1 else np.array([False, True])
    expected = X[:, mask] if axis == 1 else X[mask]
    tensor = array_ops.boolean_mask(X, mask, axis=axis)
    assert tensor.raw_shape == ((2, None, 4) if axis == 1 else (None, 3, 4))
    np.testing.assert_array_equal(evaluate(tensor), expected)
    np.testing.assert_array_equal(evaluate(array_ops.boolean_mask(X, X > 7)), X[X > 7])


def test_bad_masks_are_refused():
    with pytest.raises(ValueError, match="mask cannot be scalar"):
        array_ops.boolean_mask(X, True)
    with pytest.raises(ValueError, match="are incompatible"):
        array_ops.boolean_mask(X, [True, False, True])
    with pytest.raises(ValueError, match="Number of mask dimensions must be specified"):
        array_ops.boolean_mask(X, placeholder(dtypes.bool))
    with pytest.raises(TypeError, match="Cast string to bool"):
        array_ops.boolean_mask(X, ["a", "b"])


@pytest.mark.parametrize("mask", [[1, 0], [-0.5, 0.0], np.array([2, 0])])
def test_a_mask_of_numbers_is_true_where_they_are_not_0(mask):
    np.testing.assert_array_equal(evaluate(array_ops.boolean_mask(X, mask)), X[:1])


def test_where_with_one_argument_lists_the_indices():
    tensor = array_ops.where(X > 20)
    assert (tensor.raw_shape, tensor.dtype) == ((None, 3), dtypes.int64)
    np.testing.assert_array_equal(evaluate(tensor), np.argwhere(X > 20))
    with pytest.raises(ValueError, match="x and y must both be non-None or both be None"):
        array_ops.where(X > 20, X)


def test_a_vector_of_conditions_picks_rows_also_when_ranks_are_unknown():
    square = np.arange(4.0).reshape(2, 2)
    condition, feeds = late(np.array([True, False]))
    x, more = late(square)
    for rows in (array_ops.where([True, False], square, -square), array_ops.where(condition, x, -square)):
        assert evaluate(rows, {**feeds, **more}).tolist() == [[0, 1], [-2, -3]]


# Shapes that are partly known


def test_a_shape_of_tensors_is_inferred_as_far_as_they_are_known():
    x = placeholder(dtypes.float32, [None, 3, 4])
    flat = array_ops.reshape(x, [array_ops.shape(x)[0], 12])
    assert flat.raw_shape == (None, 12)
    assert array_ops.reshape(x, [-1, array_ops.shape(x)[1] * 1, 4]).raw_shape == (None, None, 4)
    assert array_ops.reshape(x, array_ops.stack([-1, array_ops.shape(x)[2]])).raw_shape == (None, 4)
    joined = array_ops.concat([array_ops.shape(x)[:2], [2, 2]], 0)
    assert array_ops.reshape(x, joined).raw_shape == (None, 3, 2, 2)
    assert array_ops.zeros([array_ops.shape(x)[0], 5]).raw_shape == (None, 5)
    assert array_ops.zeros(array_ops.shape(x)).raw_shape == (None, 3, 4)
    assert array_ops.fill(math_ops.cast(array_ops.shape(x), dtypes.int64), 1).raw_shape == (None, 3, 4)
    assert array_ops.shape(x, out_type=dtypes.int64).raw_shape == (3,)
    value = np.ones((5, 3, 4), np.float32)
    assert evaluate(flat, {x: value}).shape == (5, 12)
    assert evaluate(array_ops.reshape(x, joined), {x: value}).shape == (5, 3, 2, 2)
    assert evaluate(array_ops.zeros([array_ops.shape(x)[0], 5]), {x: value}).shape == (5, 5)


def test_a_known_shape_is_a_constant_unless_it_must_not_be():
    assert static_value(array_ops.shape(X)).tolist() == [2, 3, 4]
    assert static_value(array_ops.size(X)) == 24
    assert static_value(array_ops.rank(placeholder(dtypes.int32, [None]))) == 1
    assert static_value(array_ops.shape(X, optimize=False)) is None
    assert array_ops.zeros_like(X).op.inputs == ()
    assert len(array_ops.zeros_like(X, optimize=False).op.inputs) == 1
    assert [evaluate(s).tolist() for s in array_ops.shape_n([X, V])] == [[2, 3, 4], [3]]


def test_what_stays_unknown_is_computed_all_the_same():
    x, feeds = late(X)
    for tensor, expected in [
        (array_ops.shape(x), [2, 3, 4]), (array_ops.size(x), 24), (array_ops.rank(x), 3),
        (array_ops.zeros_like(x), np.zeros_like(X)), (array_ops.sequence_mask([1, 2]), [[True, False], [True, True]]),
    ]:  # fmt: skip
        np.testing.assert_array_equal(evaluate(tensor, feeds), expected)
    assert array_ops.broadcast_static_shape([None, 1], [3]).as_list() == [None, 3]


# Joining and splitting


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unstack_and_split_take_apart_what_stack_and_concat_join(dtype, axis):
    x = X.astype(dtype)
    parts = array_ops.unstack(x, axis=axis)
    assert len(parts) == x.shape[axis]
    for i, part in enumerate(parts):
        check(part, np.take(x, i, axis))
    check(array_ops.stack(parts, axis), x)
    for pieces in (array_ops.split(x, x.shape[axis], axis), array_ops.split(x, [1, -1], axis)):
        check(array_ops.concat(pieces, axis), x)
    for piece, expected in zip(array_ops.split(x, [0, 1, -1], axis), np.split(x, [0, 1], axis), strict=True):
        check(piece, expected)


def test_parts_of_unknown_size():
    x = placeholder(dtypes.float64, [None, 4])
    parts = array_ops.split(x, 2)
    assert [p.raw_shape for p in parts] == [(None, 4)] * 2
    np.testing.assert_array_equal(evaluate(parts, {x: X[0, :2]}), [X[0, :1], X[0, 1:2]])
    rows = array_ops.unstack(x, num=2)
    assert [r.raw_shape for r in rows] == [(4,)] * 2
    with pytest.raises(ValueError, match=r"Input shape axis 0 must equal 2, got shape \[3,4\]"):
        evaluate(rows, {x: X[0]})
    axis, feeds = late(np.int32(1))
    halves = array_ops.split(X, 1, axis)
    np.testing.assert_array_equal(evaluate(halves[0], feeds), X)
    sizes, feeds = late(np.array([1, 1]))
    pieces = array_ops.split(X, sizes, axis=1, num=2)
    with pytest.raises(ValueError, match="Got: 2"):
        evaluate(pieces, feeds)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_meshgrid(indexing, count):
    vectors = [np.arange(n) for n in (2, 3, 4)[:count]]
    for tensor, expected in zip(
        array_ops.meshgrid(*vectors, indexing=indexing), np.meshgrid(*vectors, indexing=indexing), strict=True
    ):
        check(tensor, expected)


@pytest.mark.parametrize(("seq", "batch"), [(1, 0), (0, 1), (2, 0), (1, 2)])
def test_reverse_sequence(seq, batch):
    lengths = [2, 3, 1, 0][: X.shape[batch]]
    expected = X.copy()
    for i, n in enumerate(lengths):
        n = min(n, X.shape[seq])
        index: list[Any] = [slice(None)] * 3
        index[batch], index[seq] = i, slice(0, n)
        axis = seq if seq < batch else seq - 1
        expected[tuple(index)] = np.flip(X[tuple(index)], axis)
    lengths = np.minimum(lengths, X.shape[seq])
    check(array_ops.reverse_sequence(X, lengths, seq_axis=seq, batch_axis=batch), expected)


@given(st.lists(st.integers(-3, 3)))
def test_unique_keeps_the_order_of_first_appearance(items):
    with Graph().as_default():
        y, idx, count = array_ops.unique_with_counts(np.array(items, np.int64))
        assert evaluate(y).tolist() == list(dict.fromkeys(items))
        assert evaluate(y)[evaluate(idx)].tolist() == items
        assert evaluate(count).tolist() == [items.count(item) for item in dict.fromkeys(items)]
        pair = array_ops.unique(np.array(items, np.int64), dtypes.int64)
        assert pair.idx.dtype is dtypes.int64
        assert evaluate(pair.y).tolist() == list(dict.fromkeys(items))
        assert pair.idx.raw_shape == (len(items),)


def test_strings_stay_bytes():
    words = convert_to_tensor(["a", "bc", "a"])
    assert evaluate(array_ops.reshape(words, [3, 1])).tolist() == [[b"a"], [b"bc"], [b"a"]]
    assert evaluate(array_ops.expand_dims("x", 0)).tolist() == [b"x"]
    assert evaluate(array_ops.stack(["x", "yz\0"])).tolist() == [b"x", b"yz\0"]
    assert evaluate(array_ops.concat([words, ["d"]], 0)).tolist() == [b"a", b"bc", b"a", b"d"]
    assert evaluate(array_ops.gather(words, [1, 1])).tolist() == [b"bc", b"bc"]
    assert evaluate(array_ops.fill([2], "ab\0")).tolist() == [b"ab\0", b"ab\0"]
    assert evaluate(array_ops.zeros([2], dtypes.string)).tolist() == [b"", b""]
    assert evaluate(array_ops.unique(words).y).tolist() == [b"a", b"bc"]
    assert evaluate(array_ops.where_v2([True, False, True], words, "z")).tolist() == [b"a", b"z", b"a"]
    assert evaluate(words[1]) == b"bc"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: array_ops.concat([X, X[0]], 0), "Shapes must be equal rank, but are 3 and 2"),
        (lambda: array_ops.concat([X, X[:, :2]], 0), "Dimension 1 in both shapes must be equal, but are 3 and 2"),
        (lambda: array_ops.concat([1, 2], 0), "Can't concatenate scalars"),
        (lambda: array_ops.concat(0, [convert_to_tensor([1]), convert_to_tensor([2])]), "Shape must be rank 0"),
        (lambda: array_ops.concat([V, V], [0]), "Shape must be rank 0 for the axis"),
        (lambda: array_ops.concat([V], placeholder(dtypes.int32, [1])), "Shape must be rank 0 for the axis"),
        (lambda: array_ops.split(X, 2, [0]), "Shape must be rank 0 for the split_dim"),
        (lambda: array_ops.split(X, convert_to_tensor(2)), "Rank-0 tensors are not supported"),
        (lambda: array_ops.expand_dims(X, [0, 1]), "must be a tensor with a single value"),
        (lambda: array_ops.strided_slice(V, [1], [2], [-1], shrink_axis_mask=1), "only stride 1 allowed"),
        (lambda: tf.setdiff1d([[1]], [1]), "Shape must be rank 1 but is rank 2"),
        (lambda: array_ops.concat([X, X], 3), "out of valid range"),
        (lambda: array_ops.stack([X, X[0]]), "Shapes must be equal rank"),
        (lambda: array_ops.stack([X, X], 4), r"axis = 4 not in \[-4, 4\)"),
        (lambda: array_ops.stack([V, X[0, 0, :2]]), r"Dimension 0 in both shapes must be equal, but are 3 and 2"),
        (lambda: array_ops.concat([], 0), "'ConcatV2' Op with length 0 shorter than minimum length 2"),
        (lambda: array_ops.reshape(X, [5, 5]), "Cannot reshape a tensor with 24 elements to shape"),
        (lambda: array_ops.reshape(X, [5, -1]), "Cannot reshape a tensor with 24 elements to shape"),
        (lambda: array_ops.reshape(X, [-1, -1]), "Only one input size may be -1"),
        (lambda: array_ops.expand_dims(X, 4), "not in the interval"),
        (lambda: array_ops.expand_dims(X), "Must specify an axis"),
        (lambda: array_ops.squeeze(X, 0), r"Can not squeeze dim\[0\], expected a dimension of 1, got 2"),
        (lambda: array_ops.split(X, 2, 1), "evenly divisible by 2 but is 3"),
        (lambda: array_ops.split(X, [1, 1], 1), r"can't split axis of size 3 into pieces of size \[1,1\]"),
        (lambda: array_ops.split(X, [-1, -1], 1), "can only have one -1"),
        (lambda: array_ops.split(X, 0), "passed 0 less than minimum 1"),
        (lambda: array_ops.split(X, 2.0), "Rank-0 tensors are not supported as the num_or_size_splits"),
        (lambda: array_ops.unstack(X, 5), "Dimension must be 5 but is 2"),
        (lambda: array_ops.unstack(placeholder(dtypes.int32)), "Cannot infer num from shape"),
        (lambda: array_ops.transpose(X, [0, 0, 1]), "2 is missing from {0,0,1}"),
        (lambda: array_ops.transpose(X, [0, 1]), "Dimension must be 3 but is 2"),
        (lambda: array_ops.transpose(X, [0, 1, 3]), "perm dim 3 is out of range of input rank 3"),
        (lambda: array_ops.transpose(X, [[0]]), "must be rank 1 but is rank 2"),
        (lambda: array_ops.tile(X, [2]), "Shape must be rank 1 but is rank 3"),
        (lambda: array_ops.tile(X, 2), "Shape must be rank 1 but is rank 0"),
        (lambda: array_ops.squeeze(X, 3), r"squeeze_dims\[0\] not in \[-3,3\)"),
        (lambda: array_ops.roll(V, [1, 2], 0), "shift and axis must have the same size"),
        (lambda: array_ops.roll(1, 1, 0), "at least rank 1 but is rank 0"),
        (lambda: array_ops.slice(V, 0, 1), "Shape must be rank 1 but is rank 0"),
        (lambda: array_ops.slice(V, [-1], [1]), r"Expected begin\[0\] in \[0, 3\], but got -1"),
        (lambda: array_ops.strided_slice(V, [0], [1], [1, 1]), "both shapes must be equal, but are 1 and 2"),
        (lambda: constant(X)[..., ...], "Multiple ellipses in slice spec not allowed"),
        (lambda: array_ops.diag(1), "at least rank 1 but is rank 0"),
        (lambda: array_ops.diag_part(X[0]), "Dimensions must be equal, but are 3 and 4"),
        (lambda: array_ops.pad(X, [[1, 1]]), r"paddings must have shape \[3, 2\]"),
        (lambda: array_ops.pad(V, [[1, 1]], "WRAP"), "Unknown padding mode: WRAP"),
        (lambda: array_ops.slice(X, [0, 0, 0], [3, 1, 1]), r"Expected size\[0\] in \[0, 2\], but got 3"),
        (lambda: array_ops.slice(X, [0, 0], [1, 1]), "Shape must be rank 2"),
        (lambda: array_ops.gather(V, 0, axis=1), "Shape must be at least rank 2 but is rank 1"),
        (lambda: array_ops.gather_nd(V, [[0, 0]]), "must be <= params.rank"),
        (lambda: array_ops.gather_nd(V, 0), "must be at least rank 1 but is rank 0"),
        (lambda: array_ops.scatter_nd([[0]], [[1]], [3]), "The updates have the shape"),
        (lambda: array_ops.scatter_nd([[0], [1]], [1], [3]), "The updates have the shape"),
        (lambda: array_ops.scatter_nd([[0, 1]], [1], [3]), "must be <= the rank"),
        (lambda: array_ops.pad(V, [[1, -1]]), "Paddings must be non-negative"),
        (lambda: array_ops.fill([[2]], 1), "must be rank 1 but is rank 2"),
        (lambda: array_ops.zeros([[2], [3]]), "must be rank 1 but is rank 2"),
        (lambda: math_ops.range(1, [2]), "must be rank 0"),
        (lambda: array_ops.one_hot([1], [2]), "must be scalar"),
        (lambda: array_ops.one_hot([1], 2, axis=2), "Expected axis to be -1 or between"),
        (lambda: array_ops.where([True], X, X), "Dimension 0 in both shapes must be equal, but are 1 and 2"),
        (
            lambda: array_ops.where([[True], [False]], X[0], X[0]),
            "must be equal, but are 2 and 3. Shapes are .2,1. and",
        ),
        (lambda: array_ops.where([True, False], X, 0), "Shapes must be equal rank, but are 3 and 0"),
        (lambda: array_ops.where([True, False], 1, 0), "'then' must be at least a vector, but saw shape: .."),
        (lambda: array_ops.where(True), "WhereOp : Unhandled input dimensions: 0"),
        (lambda: array_ops.fill([2], [1, 2]), "Shape must be rank 0 but is rank 1"),
        (lambda: math_ops.segment_sum(1, [0]), "Shape must be at least rank 1 but is rank 0"),
        (lambda: tf.nn.top_k([1, 2], -1), "must be non-negative but is -1"),
        (lambda: tf.histogram_fixed_width([1.0], [0.0, 1.0], 0), "Requires nbins > 0: 0"),
        (lambda: array_ops.zeros([-1]), "must be >= 0"),
        (lambda: array_ops.broadcast_to(V, [2, 4]), "must be equal|cannot be broadcast"),
        (lambda: array_ops.broadcast_to(X, [4]), "Shape must be at most rank 1 but is rank 3"),
        (lambda: array_ops.diag_part(V), "must have even and non-zero rank"),
        (lambda: array_ops.matrix_diag(1), "at least rank 1"),
        (lambda: array_ops.matrix_diag_part(V), "at least rank 2"),
        (lambda: array_ops.unique(X), "Shape must be rank 1 but is rank 3"),
        (lambda: array_ops.meshgrid(V, indexing="yx"), "either 'xy' or 'ij'"),
        (lambda: array_ops.reverse(X, 3), r"'axis'\[0\] = 3 is out of valid range \[0, 2\]"),
        (lambda: array_ops.reverse_sequence(X, [1, 1], seq_axis=3), "seq_dim must be < input rank: 3 vs. 3"),
        (lambda: array_ops.reverse_sequence(X, [1], seq_axis=1), "Dimensions must be equal, but are 2 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_node_is_built(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_wrong_dtypes_are_refused_when_the_node_is_built():
    with pytest.raises(TypeError, match="not an integer type"):
        array_ops.gather(X, [0.5])
    for build in (array_ops.invert_permutation, lambda x: array_ops.one_hot(x, 2)):
        with pytest.raises(TypeError, match="needs integer"):
            build([0.5])
    assert [evaluate(x).shape for x in (array_ops.one_hot([], 2), math_ops.bincount([]))] == [(0, 2), (0,)]
    with pytest.raises(TypeError, match="'depth' of 'OneHot' Op has type float32 that is no integer"):
        array_ops.one_hot([1], placeholder(dtypes.float32, []))
    for build in (array_ops.gather_nd, lambda x, at: array_ops.scatter_nd(at, x, [24])):
        with pytest.raises(TypeError, match="needs integer indices"):
            build(X, [[0.5]])
    with pytest.raises(TypeError, match="must be a number"):
        math_ops.range("a")
    for build in (lambda: array_ops.ones([2], "string"), lambda: array_ops.ones_like(constant("a"))):
        with pytest.raises(TypeError, match="Expected string, got 1"):
            build()
    with pytest.raises(TypeError, match="integers"):
        array_ops.reshape(X, constant([1.0]) * 2)
    for build in (lambda: array_ops.reshape(X, [2.5]), lambda: array_ops.expand_dims(X, np.float32(1))):
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            build()
    with pytest.raises(TypeError, match="must have the dtype int32"):
        array_ops.one_hot([1], 2, on_value=constant(1.0), dtype=dtypes.int32)


def test_the_shape_says_what_is_known_of_the_values():
    assert array_ops.sequence_mask([1, 3]).shape.as_list() == [2, 3]
    assert array_ops.tile(X, placeholder(dtypes.int32)).shape.as_list() == [None, None, None]


def test_few_zeros_and_ones_are_constants_of_the_graph():
    assert [t.op.type for t in (array_ops.zeros([999]), array_ops.ones([2]), array_ops.zeros_like(X))] == ["Const"] * 3
    assert array_ops.zeros([1000]).op.type == "Fill"
    check(array_ops.zeros([2], dtypes.string), np.array([b"", b""], object))


def test_an_axis_to_gather_in_batches_may_be_known_at_run_time_only():
    axis = placeholder(dtypes.int32)
    found = array_ops.gather(X, [[3, 0], [1, 1]], axis=axis, batch_dims=1)
    assert found.shape.as_list() == [None] * 3
    assert array_ops.gather(X, [[3, 0]], axis=axis).shape.as_list() == [None] * 4
    wanted = np.stack([X[0][:, [3, 0]], X[1][:, [1, 1]]])
    for number in (2, -1):
        np.testing.assert_array_equal(evaluate(found, {axis: number}), wanted)
    with pytest.raises(InvalidArgumentError, match="batch_dims must be at most"):
        evaluate(found, {axis: 0})


@pytest.mark.parametrize(
    ("indices", "axis", "batch_dims", "text"),
    [
        ([0, 1, 0], None, 1, "should be equal to indices.shape"),
        ([[0], [1]], 0, 1, "must be less than or equal to axis = 0"),
        ([[0], [1]], 3, 1, "axis .3. out of range"),
        ([[0], [1]], 2, 3, "must be less than rank"),
        ([0, 1], None, -2, "must be less than rank"),
    ],
)
def test_batches_that_gather_cannot_match_are_refused(indices, axis, batch_dims, text):
    with pytest.raises(ValueError, match=text):
        array_ops.gather(X, indices, axis=axis, batch_dims=batch_dims)
    one, feeds = late(X)
    two, more = late(indices)
    if axis is not None or batch_dims > 0:
        with pytest.raises(InvalidArgumentError, match="batch_dims must|should be equal"):
            evaluate(array_ops.gather(one, two, axis=axis, batch_dims=batch_dims), {**feeds, **more})


@pytest.mark.parametrize("shape", [[], [2], [2, 3]])
def test_identity_matrices_in_a_batch_of_a_computed_shape(shape):
    for known in (None, [len(shape)]):
        dims = placeholder(dtypes.int32, known)
        found = array_ops.eye(2, 3, batch_shape=dims)
        assert found.raw_shape == (known and (*[None] * len(shape), 2, 3))
        value = evaluate(found, {dims: np.array(shape, np.int32)})
        np.testing.assert_array_equal(value, np.broadcast_to(np.eye(2, 3), (*shape, 2, 3)))


def test_rows_of_indices_may_count_within_batches():
    at = np.array([[[0], [1]], [[1], [2]]])
    check(array_ops.gather_nd(X, at, batch_dims=1), np.stack([X[0, [0, 1]], X[1, [1, 2]]]))
    check(array_ops.gather_nd(X, [[[0], [1], [2]]] * 2, batch_dims=2), X[:, [0, 1, 2], [0, 1, 2]])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: array_ops.reshape(later([1, 2, 3]), [2, 2]), "a tensor with 3 values, but the requested shape has 4"),
        (lambda: array_ops.reshape(later([1, 2, 3]), [2, -1]), "the requested shape requires a multiple of 2"),
        (lambda: array_ops.tile(later([1]), later([1, 2])), "multiples argument to be a vector of length 1"),
        (lambda: array_ops.tile(later([1]), later([-1])), r"Expected multiples\[0\] >= 0, but got -1"),
        (lambda: array_ops.tile([1], [-1]), r"Expected multiples\[0\] >= 0, but got -1"),
        (lambda: array_ops.concat([later([1]), later([1])], later(1)), r"dimensions in the range \[-1, 1\), but got 1"),
        (
            lambda: array_ops.concat([later([[1]]), later([[1], [2]])], 1),
            r"shape\[0\] = \[1,1\] vs. shape\[1\] = \[2,1\]",
        ),
        (
            lambda: array_ops.concat([anything([1]), anything([[1]])], 0),
            r"Ranks of all input tensors should match: shape\[0\] = \[1\] vs",
        ),
        (lambda: array_ops.split([1, 2], later([1, 2]), num=2), "Determined shape must either match .*  Got: 3"),
        (lambda: array_ops.split([1, 2], later([5, -1]), num=2), "Determined shape must either match .*  Got: 5"),
        (lambda: array_ops.reshape([1, 2], later([-2])), "Size 0 must be non-negative, not -2"),
        (lambda: array_ops.reshape([1, 2], later([-1, -1])), "Only one input size may be -1, not both 0 and 1"),
        (lambda: array_ops.transpose([[1]], later([0, 2])), r"2 is out of range \[0 .. 2\)"),
        (lambda: array_ops.transpose([[1]], later([1, 1])), "0 is missing from {1,1}"),
        (lambda: array_ops.reverse([1], later([1])), r"'axis'\[0\] = 1 is out of valid range"),
        (lambda: array_ops.reverse([1], later([0, -1])), "axis 0 specified more than once"),
        (
            lambda: array_ops.tile(anything([[1, 2]]), [2]),
            "to be a vector of length 2 but got length 1",
        ),
        (lambda: tf.setdiff1d(anything([1]), anything([[1]])).idx, "y should be a 1D vector"),
        (lambda: array_ops.expand_dims([1], later(3)), "Tried to expand dim index 3 for tensor with 1 dimensions"),
        (lambda: array_ops.squeeze(later([[1, 2]]), [1]), r"Can not squeeze dim\[1\], expected .* 1, got 2"),
        (lambda: array_ops.fill(later([-1]), 0), "Dimension -1 must be >= 0"),
        (lambda: array_ops.fill(later([[1]]), 0), r"dims must represent a vector, got shape \[1,1\]"),
        (lambda: array_ops.roll(later([1]), 1, 1), "axis 1 is out of range"),
        (lambda: array_ops.broadcast_dynamic_shape(later([2]), later([3])), r"Incompatible shapes: \[2\] vs. \[3\]"),
        (lambda: array_ops.pad(later([1, 2]), later([[-1, 0]])), "Paddings must be non-negative"),
        (lambda: array_ops.pad(later([1, 2]), later([[2, 0]]), "REFLECT"), "paddings must be less than the dimension"),
        (lambda: array_ops.boolean_mask(later([1, 2]), later([True])), "IndexError: boolean index did not match"),
        (
            lambda: array_ops.where(True, anything([1]), [1, 2]),
            r"same size and shape.  Input 0: \[1\] != input 2: \[2\]",
        ),
        (lambda: array_ops.where(anything([[True]]), [1, 2], [1, 2]), r"Input 0: \[1,1\] != input 1: \[2\]"),
        (lambda: array_ops.where(later([True]), [1, 2], [1, 2]), "must match size of 'cond', but saw: 2 vs. 1"),
        (lambda: array_ops.where([True], anything(1), anything(1)), r"must be at least a vector, but saw shape: \[\]"),
    ],
)
def test_what_does_not_fit_when_it_runs_is_told_in_tensorflows_words(build, message):
    with pytest.raises(InvalidArgumentError, match=message):
        Session().run(build())


def anything(value):
    """A tensor of which the graph knows nothing."""
    return placeholder_with_default(value, None)


def later(value):
    """A tensor of which the graph knows only the rank."""
    value = np.array(value)
    return placeholder_with_default(value, [None] * value.ndim)


@pytest.mark.parametrize("batch_dims", [1, 2])
def test_gather_nd_within_the_elements_of_a_batch(batch_dims):
    x, rng = np.arange(120.0).reshape(2, 3, 4, 5), np.random.default_rng(0)
    batch = x.shape[:batch_dims]
    indices = rng.integers(0, 3, (*batch, 6, 2))
    expected = np.empty((*batch, 6, *x.shape[batch_dims + 2 :]))
    for place in np.ndindex(batch):
        expected[place] = x[place][tuple(indices[place].T)]
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.constant(x)
        found = tf.gather_nd(given, indices, batch_dims=batch_dims)
        assert found.shape.as_list() == list(expected.shape)
        assert session.run(found).tolist() == expected.tolist()
        slope = session.run(tf.convert_to_tensor(tf.gradients(found, given)[0]))
        assert slope.sum() == expected.size
        with pytest.raises(ValueError, match="not compatible"):
            tf.gather_nd(given, indices[:1], batch_dims=batch_dims)
        several = tf.placeholder_with_default(indices[:1], None)
        with pytest.raises(tf.errors.InvalidArgumentError, match="have the batches"):
            session.run(tf.gather_nd(given, several, batch_dims=batch_dims))


def test_newer_names_of_arguments_are_taken(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        assert session.run(tf.count_nonzero(input=[0, 1, 2])) == 2
        assert session.run(tf.strings.to_number(input=["1.5"])).tolist() == [1.5]
        assert session.run(tf.strings.to_number(string_tensor=["2"], out_type=tf.int32)).tolist() == [2]
        with pytest.raises(tf.errors.InvalidArgumentError, match="bad"):
            session.run(tf.debugging.assert_all_finite(x=[np.inf], message="bad"))
        variable = tf.Variable(1.0)
        session.run(variable.initializer)
        path = tf.train.Saver().save(session, str(tmp_path / "m"), meta_graph_suffix="graph")
        tf.train.remove_checkpoint(path, tf.train.SaverDef.V2, "graph")
        assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]


def test_text_is_padded_with_text_and_the_kind_of_padding_is_the_type():
    words = array_ops.pad(constant(["a\0"]), [[1, 1]])
    assert evaluate(words).tolist() == [b"", b"a\0", b""]
    filled = array_ops.pad(constant(["a"]), [[0, 1]], constant_values="zz")
    assert evaluate(filled).tolist() == [b"a", b"zz"]
    assert type(evaluate(filled)[1]) is bytes
    mirrored = array_ops.pad(V, [[1, 0]], "reflect")
    assert [t.op.type for t in (words, filled, mirrored)] == ["Pad", "PadV2", "MirrorPad"]
    assert evaluate(array_ops.pad(2.0, np.zeros([0, 2], np.int32))) == 2.0
    assert array_ops.pad(placeholder(dtypes.int32), placeholder(dtypes.int32, [3, 2])).shape.ndims == 3
