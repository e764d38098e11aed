"""NumPy's own functions of tensors make nodes, and what is known of them beforehand is true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import weftwork as tf
from weftwork.graph import shapes

HERE = tf.ConfigProto(placement="caller")
A = np.array([[4.0, 1.0], [2.0, 3.0]])
V = np.array([1.0, 2.0])


def check(session, made, expected, exact=False):
    """`made` has the value `expected`, and its static dtype and shape do not lie."""
    value = session.run(made)
    assert np.shape(value) == np.shape(expected)
    assert np.asarray(value).dtype == np.asarray(expected).dtype
    assert np.array_equal(value, expected) if exact else np.allclose(value, expected)
    agrees(made, value)


def agrees(made, value):
    """A tensor's static dtype and shape match its value."""
    assert shapes.compatible(made.raw_shape, np.shape(value))
    if made.dtype is not tf.object:
        assert made.dtype.numpy == np.asarray(value).dtype


# Ufuncs


def test_a_ufunc_of_a_tensor_is_a_node(session):
    t = tf.constant(A)
    for made, expected in [
        (np.sin(t), np.sin(A)),
        (np.add(t, 1), A + 1),
        (np.add(1, t), A + 1),
        (np.add(V, t), V + A),
        (np.maximum(t, V), np.maximum(A, V)),
        (np.matmul(t, V), A @ V),
        (np.power(t, 2), A**2),
        (np.isfinite(t), np.isfinite(A)),
        (np.logical_not(t), np.logical_not(A)),
        (np.sign(-t), np.sign(-A)),
    ]:
        assert isinstance(made, tf.Tensor)
        assert made.shape.as_list() == list(expected.shape)
        assert made.dtype.numpy == expected.dtype
        check(session, made, expected)


def test_a_ufunc_of_two_outputs_gives_two_tensors(session):
    t = tf.constant(A)
    quotient, remainder = np.divmod(t, 3)
    check(session, quotient, A // 3)
    check(session, remainder, A % 3)
    whole, part = divmod(t, 2.5)
    check(session, whole, A // 2.5)
    check(session, part, A % 2.5)
    fraction, exponent = np.frexp(t)
    check(session, fraction, np.frexp(A)[0])
    check(session, exponent, np.frexp(A)[1])


def test_methods_of_ufuncs_make_nodes(session):
    t = tf.constant(A)
    check(session, np.add.reduce(t), np.add.reduce(A))
    check(session, np.add.reduce(t, axis=1), np.add.reduce(A, axis=1))
    check(session, np.multiply.accumulate(t), np.multiply.accumulate(A))
    check(session, np.subtract.outer(t, V), np.subtract.outer(A, V))
    check(session, np.add.reduceat(t, [0, 1]), np.add.reduceat(A, [0, 1]))


def test_keywords_of_ufuncs_are_kept(session):
    t = tf.constant(A)
    check(session, np.add(t, 1, dtype=np.float32, casting="unsafe"), np.add(A, 1, dtype=np.float32, casting="unsafe"))
    where = np.array([[True, False], [True, True]])
    check(session, np.add.reduce(t, where=where), np.add.reduce(A, where=where))


def test_comparison_operators_make_nodes_except_equality(session):
    t, other = tf.constant(A), tf.constant(V)
    check(session, t < other, V > A)
    check(session, t <= 3, A <= 3)
    check(session, 3 > t, A < 3)
    check(session, t >= V, A >= V)
    assert (t == other) is False
    assert (t != other) is True
    assert t == t
    check(session, np.equal(t, 3), A == 3)
    check(session, np.not_equal(t, V), V != A)


def test_all_operators_of_python_are_those_of_numpy(session):
    t = tf.constant(A)
    for made, expected in [
        (t + V, A + V),
        (V - t, V - A),
        (t * 2, A * 2),
        (2 / t, 2 / A),
        (t // 3, A // 3),
        (7 % t, 7 % A),
        (t**2, A**2),
        (2**t, 2**A),
        (-t, -A),
        (+t, +A),
        (abs(-t), A),
        (t @ A, A @ A),
        (A @ t, A @ A),
    ]:
        check(session, made, expected)
    whole = np.array([6, 3])
    n = tf.constant(whole)
    for made, expected in [
        (n & 3, whole & 3),
        (n | 8, whole | 8),
        (n ^ 5, whole ^ 5),
        (~n, ~whole),
        (n << 2, whole << 2),
        (n >> 1, whole >> 1),
        (1 << n, 1 << whole),
    ]:
        check(session, made, expected, exact=True)


# What cannot be written to


def test_out_is_refused(graph):
    t = tf.constant(A)
    place = np.zeros([2, 2])
    with pytest.raises(TypeError, match=r"^np\.add cannot write into a Tensor: a graph's values are never changed"):
        np.add(t, 1, out=t)
    with pytest.raises(TypeError, match=r"^np\.sin cannot write into a Tensor"):
        np.sin(t, out=place)
    with pytest.raises(TypeError, match=r"^np\.add cannot write into a Tensor"):
        place += t
    with pytest.raises(TypeError, match=r"^sum cannot write into a Tensor"):
        np.sum(t, axis=0, out=place[0])
    with pytest.raises(TypeError, match=r"^concatenate cannot write into a Tensor"):
        np.concatenate([t, t], out=np.zeros([4, 2]))
    assert not place.any()


def test_an_operator_with_assignment_makes_a_new_tensor(session):
    t = first = tf.constant(A)
    t += 1
    assert t is not first
    check(session, t, A + 1)
    check(session, first, A)


def test_a_tensor_cannot_be_assigned_to(graph):
    t = tf.constant(A)
    with pytest.raises(TypeError, match="does not support item assignment"):
        t[0] = 1


# Functions


def test_reductions_and_other_functions_are_nodes(session):
    t = tf.constant(A)
    for made, expected in [
        (np.sum(t), np.sum(A)),
        (np.sum(t, axis=0), np.sum(A, axis=0)),
        (np.mean(t, axis=1, keepdims=True), np.mean(A, axis=1, keepdims=True)),
        (np.max(t), np.max(A)),
        (np.std(t, axis=(0, 1)), np.std(A, axis=(0, 1))),
        (np.argmax(t, axis=1), np.argmax(A, axis=1)),
        (np.cumsum(t), np.cumsum(A)),
        (np.transpose(t), A.T),
        (np.reshape(t, (4,)), A.reshape(4)),
        (np.dot(t, V), A @ V),
        (np.tensordot(t, t, axes=1), np.tensordot(A, A, axes=1)),
        (np.einsum("ij,jk->ik", t, t), A @ A),
        (np.einsum("ij,j", t, V), A @ V),
        (np.concatenate([t, A]), np.concatenate([A, A])),
        (np.concatenate([t, t * 2], axis=1), np.concatenate([A, A * 2], axis=1)),
        (np.stack((t, t)), np.stack((A, A))),
        (np.vstack([V, t]), np.vstack([V, A])),
        (np.where(A > 2, t, 0), np.where(A > 2, A, 0)),
        (np.clip(t, 2, 3), np.clip(A, 2, 3)),
        (np.linalg.inv(t), np.linalg.inv(A)),
        (np.linalg.solve(t, V), np.linalg.solve(A, V)),
        (np.linalg.det(t), np.linalg.det(A)),
        (np.linalg.norm(t), np.linalg.norm(A)),
        (np.fft.fft(t), np.fft.fft(A)),
        (np.sort(t, axis=None), np.sort(A, axis=None)),
        (np.kron(t, t), np.kron(A, A)),
        (np.percentile(t, 50), np.percentile(A, 50)),
        (np.zeros_like(t), np.zeros_like(A)),
        (np.pad(t, 1), np.pad(A, 1)),
    ]:
        assert isinstance(made, tf.Tensor), made
        check(session, made, expected)


def test_svd_gives_the_named_tuple_of_numpy(session):
    t = tf.constant(A)
    made = np.linalg.svd(t)
    assert type(made) is type(np.linalg.svd(A))
    u, s, vh = session.run([made.U, made.S, made.Vh])
    assert np.allclose((u * s) @ vh, A)
    assert [x.shape.as_list() for x in made] == [[2, 2], [2], [2, 2]]
    fetched = session.run(made)
    assert type(fetched) is type(np.linalg.svd(A))
    assert np.allclose(fetched.S, np.linalg.svd(A).S)
    check(session, np.linalg.svd(t, compute_uv=False), np.linalg.svd(A, compute_uv=False))


def test_eigenvalues_that_are_complex_only_for_some_values_are_told_by_the_value(session):
    real, turn = tf.constant(A), tf.constant([[0.0, -1.0], [1.0, 0.0]])
    for tensor in (real, turn):
        value = session.run(np.linalg.eigvals(tensor))
        agrees(np.linalg.eigvals(tensor), value)
        for made, part in zip(np.linalg.eig(tensor), session.run(list(np.linalg.eig(tensor))), strict=True):
            agrees(made, part)


def test_qr_and_slogdet_and_eigh_give_their_tuples(session):
    t = tf.constant(A @ A.T)
    for function in (np.linalg.qr, np.linalg.slogdet, np.linalg.eigh):
        made = function(t)
        expected = function(A @ A.T)
        assert type(made) is type(expected)
        for item, wanted in zip(made, expected, strict=True):
            value = session.run(item)
            assert np.allclose(np.abs(value), np.abs(wanted))
            agrees(item, value)


def test_functions_that_return_lists_give_lists(session):
    t = tf.constant(np.arange(6.0))
    made = np.split(t, 3)
    assert isinstance(made, (list, tuple))
    assert [list(part) for part in session.run(list(made))] == [[0, 1], [2, 3], [4, 5]]
    x, y = np.meshgrid(t, tf.constant(V))
    check(session, x, np.meshgrid(np.arange(6.0), V)[0])
    check(session, y, np.meshgrid(np.arange(6.0), V)[1])


def test_functions_whose_shape_depends_on_the_data_have_no_static_shape(session):
    data = np.array([3.0, 0.0, 3.0, 1.0])
    t = tf.constant(data)
    made = np.unique(t)
    assert made.shape.ndims is None
    check(session, made, np.unique(data))
    (where,) = np.nonzero(t)
    assert where.shape.ndims is None
    check(session, where, np.nonzero(data)[0])
    values, counts = np.unique(t, return_counts=True)
    check(session, values, [0.0, 1.0, 3.0])
    check(session, counts, np.array([1, 1, 2]))


def test_nonzero_of_a_matrix_gives_an_array_for_each_axis(session):
    made = np.nonzero(tf.constant(np.array([[1, 0], [1, 1]])))
    assert [list(part) for part in session.run(list(made))] == [[0, 1, 1], [0, 0, 1]]


def test_equal_calls_are_one_node_of_a_run(session):
    x = tf.placeholder(tf.float64, [2, 2])
    one, two = np.linalg.inv(x), np.linalg.inv(x)
    first, second = session.run([one, two], {x: A})
    assert np.array_equal(first, second)
    first[:] = 0
    assert second.any()


def test_what_numpy_refuses_it_refuses_when_the_run_runs_or_before(session):
    t = tf.constant(A)
    with pytest.raises(ValueError, match=r"(?i)broadcast|incompatible|shape"):
        np.add(t, np.zeros(3))
    with pytest.raises((ValueError, tf.OpError)):
        session.run(np.linalg.inv(tf.constant(np.zeros([2, 3]))))
    with pytest.raises(tf.OpError, match="Singular matrix") as caught:
        session.run(np.linalg.inv(tf.constant(np.zeros([2, 2]))))
    assert caught.value.op.type == "inv"
    assert f"(defined at {__file__}:" in str(caught.value)


# Unknown shapes


def test_functions_work_on_tensors_of_unknown_shape(session):
    x = tf.placeholder(tf.float64)
    rows = tf.placeholder(tf.float64, [None, 2])
    for tensor in (x, rows):
        assert (tensor + 1).shape.ndims == tensor.shape.ndims
        for function in (np.sum, np.linalg.inv, np.transpose, np.sin, np.cumsum):
            made = function(tensor)
            assert made.shape.ndims is None or None in made.shape.as_list() or made.shape.as_list() == []
            value = session.run(made, {tensor: A})
            assert np.allclose(value, function(A))
            agrees(made, value)


def test_a_partly_known_shape_broadcasts(graph):
    rows = tf.placeholder(tf.float32, [None, 2])
    assert (rows + V.astype(np.float32)).shape.as_list() == [None, 2]
    assert (rows + np.zeros([5, 1], np.float32)).shape.as_list() == [5, 2]
    assert (rows * rows).shape.as_list() == [None, 2]
    with pytest.raises(ValueError, match=r".+"):
        _ = rows + np.zeros(3, np.float32)


def test_functions_of_objects_wait_for_the_run(session):
    t = tf.op(lambda: A)()
    made = np.linalg.inv(t)
    assert made.dtype is tf.object
    assert np.allclose(session.run(made), np.linalg.inv(A))
    assert np.allclose(session.run(np.sum(t + 1, axis=0)), (A + 1).sum(axis=0))


def test_nothing_of_the_user_is_called_when_a_node_of_numpy_is_made(graph):
    calls = []
    np.sum(tf.op(dtype=tf.float64)(lambda: calls.append(1))())
    assert calls == []


# The rule, drawn


DTYPES = [np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.bool_, np.complex64]
UFUNCS = [np.add, np.subtract, np.multiply, np.divide, np.floor_divide, np.maximum, np.less, np.logical_and, np.arctan2]
FUNCTIONS = [
    np.sum,
    np.prod,
    np.mean,
    np.max,
    np.argmin,
    np.any,
    np.cumsum,
    np.sort,
    np.ravel,
    np.transpose,
    np.median,
    np.ptp,
    np.squeeze,
    np.atleast_2d,
    np.diff,
    np.flatnonzero,
    np.unique,
    np.real,
]


@st.composite
def arrays(draw, shape=None):
    """An array of small whole numbers of some dtype."""
    dtype = draw(st.sampled_from(DTYPES))
    size = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3)) if shape is None else shape
    numbers = draw(hnp.arrays(np.int8, size, elements=st.integers(0, 3)))
    return numbers.astype(dtype)


def hidden(array, how):
    """(tensor, feeds): the array as a constant, or fed, with its shape known in full, in part or not at all."""
    if how == "constant":
        return tf.constant(array), {}
    shape = {"known": array.shape, "partly": [None] * array.ndim, "unknown": None}[how]
    x = tf.placeholder(array.dtype, shape)
    return x, {x: array}


HOW = st.sampled_from(["constant", "known", "partly", "unknown"])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_static_dtype_and_shape_of_a_ufunc_agree_with_its_value(data):
    """Whatever meets in a ufunc of NumPy."""
    shape, other = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)).input_shapes
    one, two = data.draw(arrays(shape)), data.draw(arrays(other))
    ufunc = data.draw(st.sampled_from(UFUNCS))
    with tf.Graph().as_default(), np.errstate(all="ignore"), tf.Session(config=HERE) as session:
        (x, feeds), (y, more) = hidden(one, data.draw(HOW)), hidden(two, data.draw(HOW))
        try:
            expected = ufunc(one, two)
        except TypeError:
            with pytest.raises((TypeError, tf.OpError)):
                session.run(ufunc(x, y), {**feeds, **more})
            return
        made = ufunc(x, y)
        value = session.run(made, {**feeds, **more})
        assert np.array_equal(value, expected, equal_nan=expected.dtype.kind in "fc")
        assert np.asarray(value).dtype == expected.dtype
        agrees(made, value)
        assert made.dtype is not tf.object


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_static_dtype_and_shape_of_a_function_agree_with_its_value(data):
    """Whatever NumPy's function returns, or that it raises."""
    array = data.draw(arrays())
    function = data.draw(st.sampled_from(FUNCTIONS))
    keywords = {"axis": -1} if data.draw(st.booleans()) and function in FUNCTIONS[:8] else {}
    with tf.Graph().as_default(), np.errstate(all="ignore"), tf.Session(config=HERE) as session:
        x, feeds = hidden(array, data.draw(HOW))
        try:
            expected = function(array, **keywords)
        except (TypeError, ValueError):
            with pytest.raises((TypeError, ValueError, tf.OpError)):
                session.run(function(x, **keywords), feeds)
            return
        made = function(x, **keywords)
        value = session.run(made, feeds)
        assert np.array_equal(value, expected, equal_nan=np.asarray(expected).dtype.kind in "fc")
        assert np.asarray(value).dtype == np.asarray(expected).dtype
        agrees(made, value)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(DTYPES), st.sampled_from([1, 3, -1, 2.5, True, 1j]), st.sampled_from(UFUNCS[:4]), st.booleans())
def test_a_python_number_beside_a_tensor_is_weak_as_in_numpy(dtype, number, ufunc, swap):
    """NEP 50: the value and its dtype are those of NumPy 2 on an array of the tensor's dtype."""
    array = np.array([1, 2], dtype)
    with tf.Graph().as_default(), np.errstate(all="ignore"), tf.Session(config=HERE) as session:
        operands = (number, tf.constant(array)) if swap else (tf.constant(array), number)
        plain = (number, array) if swap else (array, number)
        if dtype is np.uint8 and number == -1:
            with pytest.raises(OverflowError, match="Python integer -1 out of bounds for uint8"):
                ufunc(*operands)  # NumPy's division makes an exception and promotes
            return
        try:
            expected = ufunc(*plain)
        except (TypeError, OverflowError) as error:
            with pytest.raises(type(error)):
                ufunc(*operands)
            return
        made = ufunc(*operands)
        value = session.run(made)
        agrees(made, value)
        if dtype is np.bool_ and type(number) in (int, float, complex):
            return  # a bool meets TensorFlow's own scalars: float32, int32
        assert value.dtype == expected.dtype
        assert np.array_equal(value, expected)
