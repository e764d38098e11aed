"""tf.linalg against what defines each operation: products that give the matrix back, SciPy, and formulas."""

import numpy as np
import pytest
import scipy.linalg

import weftwork as tf
from tests.evaluate import evaluate
from weftwork.graph import dtypes
from weftwork.graph.ops import array_ops, linalg_ops

RNG = np.random.default_rng(0)
DTYPES = [np.float32, np.float64, np.complex64, np.complex128]
TOLERANCE = {"f": 2e-4, "d": 1e-10, "F": 2e-4, "D": 1e-10}


def random(*shape, dtype=np.float64):
    x = RNG.normal(size=shape)
    return (x + 1j * RNG.normal(size=shape)).astype(dtype) if np.dtype(dtype).kind == "c" else x.astype(dtype)


def positive(*shape, dtype=np.float64):
    """Hermitian positive definite matrices."""
    x = random(*shape, dtype=dtype)
    return x @ adjoint(x) + 3 * np.eye(shape[-1], dtype=dtype)


def adjoint(x):
    return x.swapaxes(-1, -2).conj()


def check(tensor, expected, tolerance=1e-10):
    """The value is the one expected, and has the dtype and shape that the graph says."""
    value = evaluate(tensor)
    assert value.dtype == tensor.dtype.numpy
    assert tensor.raw_shape == value.shape
    np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
    return value


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_the_functions_of_square_matrices_keep_the_dtype_and_agree_with_scipy(dtype, batch):
    x = positive(*batch, 4, 4, dtype=dtype)
    wide, tolerance = x.astype(np.complex128), 5 * TOLERANCE[np.dtype(dtype).char]
    flat = wide.reshape(-1, 4, 4)
    real = np.dtype(dtype).type(0).real.dtype
    check(linalg_ops.inv(x), np.reshape([scipy.linalg.inv(m) for m in flat], wide.shape), tolerance)
    check(
        linalg_ops.cholesky(x), np.reshape([scipy.linalg.cholesky(m, lower=True) for m in flat], wide.shape), tolerance
    )
    det = np.reshape([scipy.linalg.det(m) for m in flat], batch)
    np.testing.assert_allclose(evaluate(linalg_ops.det(x)), det, rtol=tolerance)
    assert linalg_ops.det(x).dtype.numpy == dtype
    sign, log = linalg_ops.slogdet(x)
    check(sign, np.ones(batch), tolerance)
    check(log, np.log(det.real), tolerance)
    assert log.dtype.numpy == real
    check(linalg_ops.logdet(x), np.log(det.real), tolerance)
    assert linalg_ops.logdet(x).dtype.numpy == real


@pytest.mark.parametrize("dtype", DTYPES)
def test_expm_agrees_with_the_power_series(dtype):
    x = random(2, 3, 3, dtype=dtype) / 2
    term = total = np.broadcast_to(np.eye(3), x.shape).astype(np.complex128)
    for i in range(1, 30):
        term = term @ x / i
        total = total + term
    check(linalg_ops.expm(x), total, TOLERANCE[np.dtype(dtype).char])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("flip", [False, True])
def test_solve_and_triangular_solve_give_the_right_hand_side_back(dtype, batch, flip):
    a, b = positive(*batch, 4, 4, dtype=dtype) + random(4, 4, dtype=dtype), random(*batch, 4, 2, dtype=dtype)
    tolerance = 5 * TOLERANCE[np.dtype(dtype).char]
    x = evaluate(linalg_ops.solve(a, b, adjoint=flip))
    np.testing.assert_allclose((adjoint(a) if flip else a) @ x, b, atol=tolerance, rtol=tolerance)
    for lower in (True, False):
        t = np.tril(a) if lower else np.triu(a)
        tensor = linalg_ops.triangular_solve(a, b, lower=lower, adjoint=flip)
        x = check(tensor, np.linalg.inv(adjoint(t) if flip else t) @ b, tolerance)
        assert x.dtype == dtype


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 5, 3)])
def test_lstsq_is_the_shortest_best_solution(shape):
    a, b = random(*shape), random(*shape[:-1], 2)
    expected = np.reshape(
        [
            scipy.linalg.lstsq(m, r)[0]
            for m, r in zip(a.reshape(-1, *shape[-2:]), b.reshape(-1, shape[-2], 2), strict=True)
        ],
        (*shape[:-2], shape[-1], 2),
    )
    check(linalg_ops.lstsq(a, b), expected)


def test_a_regularised_lstsq_is_that_of_the_augmented_system():
    a, b = random(5, 3), random(5, 2)
    stacked = np.vstack([a, np.sqrt(0.7) * np.eye(3)])
    expected = scipy.linalg.lstsq(stacked, np.vstack([b, np.zeros((3, 2))]))[0]
    check(linalg_ops.lstsq(a, b, l2_regularizer=0.7), expected)
    single = linalg_ops.lstsq(a.astype(np.float32), b.astype(np.float32), l2_regularizer=0.7)
    check(single, expected, 1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (2, 4, 3)])
@pytest.mark.parametrize("full", [False, True])
def test_svd_multiplies_back_and_v_is_not_transposed(dtype, shape, full):
    x = random(*shape, dtype=dtype)
    tolerance = TOLERANCE[np.dtype(dtype).char]
    s, u, v = linalg_ops.svd(x, full_matrices=full)
    s_value, u_value, v_value = evaluate(s), evaluate(u), evaluate(v)
    for tensor, value in [(s, s_value), (u, u_value), (v, v_value)]:
        assert (tensor.raw_shape, tensor.dtype.numpy) == (value.shape, value.dtype)
    p = min(shape[-2:])
    product = (u_value[..., :p] * s_value[..., None, :]) @ adjoint(v_value[..., :p])
    np.testing.assert_allclose(product, x, atol=tolerance)
    np.testing.assert_allclose(adjoint(v_value) @ v_value, np.broadcast_to(np.eye(v_value.shape[-1]), (
        *shape[:-2], v_value.shape[-1], v_value.shape[-1])), atol=tolerance)  # fmt: skip
    assert (np.diff(s_value, axis=-1) <= 0).all()
    check(linalg_ops.svd(x, compute_uv=False), s_value, tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 3), (3, 4)])
@pytest.mark.parametrize("full", [False, True])
def test_qr_multiplies_back(dtype, shape, full):
    x = random(*shape, dtype=dtype)
    tolerance = TOLERANCE[np.dtype(dtype).char]
    q, r = linalg_ops.qr(x, full_matrices=full)
    q_value, r_value = evaluate(q), evaluate(r)
    assert (q.raw_shape, r.raw_shape) == (q_value.shape, r_value.shape)
    assert q_value.dtype == r_value.dtype == dtype
    np.testing.assert_allclose(q_value @ r_value, x, atol=tolerance)
    np.testing.assert_allclose(adjoint(q_value) @ q_value, np.eye(q_value.shape[1]), atol=tolerance)
    assert (r_value == np.triu(r_value)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_eigh_gives_ascending_eigenvalues_and_their_vectors(dtype):
    x = positive(2, 4, 4, dtype=dtype)
    tolerance = 20 * TOLERANCE[np.dtype(dtype).char]
    e, v = linalg_ops.eigh(x)
    e_value, v_value = evaluate(e), evaluate(v)
    assert (e.raw_shape, e.dtype.numpy) == (e_value.shape, e_value.dtype)
    assert (v.raw_shape, v.dtype.numpy) == (v_value.shape, v_value.dtype)
    np.testing.assert_allclose(x @ v_value, v_value * e_value[..., None, :], atol=tolerance)
    assert (np.diff(e_value, axis=-1) >= 0).all()
    check(linalg_ops.eigvalsh(x), e_value, tolerance)


@pytest.mark.parametrize("keepdims", [False, True])
def test_the_norms_of_vectors(keepdims):
    x = random(3, 4)
    check(linalg_ops.norm(x, keepdims=keepdims), np.sqrt((x**2).sum(keepdims=keepdims)))
    check(linalg_ops.norm(x, 1, keepdims=keepdims), np.abs(x).sum(keepdims=keepdims))
    for axis in (0, 1, -1):
        check(linalg_ops.norm(x, axis=axis, keepdims=keepdims), np.sqrt((x**2).sum(axis, keepdims=keepdims)))
        check(linalg_ops.norm(x, 3, axis, keepdims), (np.abs(x) ** 3).sum(axis, keepdims=keepdims) ** (1 / 3))
        check(linalg_ops.norm(x, np.inf, axis, keepdims), np.abs(x).max(axis, keepdims=keepdims))


@pytest.mark.parametrize("ord", ["euclidean", "fro", 1, 2, np.inf])
def test_the_norms_of_matrices(ord):
    x = random(2, 3, 4)
    expected = [scipy.linalg.norm(m, "fro" if ord == "euclidean" else ord) for m in x]
    check(linalg_ops.norm(x, ord, axis=(-2, -1)), expected)
    check(linalg_ops.norm(x, ord, axis=[1, 2], keepdims=True), np.reshape(expected, (2, 1, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_norm_is_real_but_the_euclidean_one_has_the_dtype_of_its_numbers(dtype):
    x = random(3, dtype=dtype)
    euclidean, largest = linalg_ops.norm(x), linalg_ops.norm(x, np.inf)
    assert euclidean.dtype.numpy == dtype
    assert largest.dtype.numpy == np.abs(x).dtype
    check(euclidean, np.sqrt((np.abs(x) ** 2).sum()), 1e-6)
    check(largest, np.abs(x).max(), 1e-6)


def test_a_norm_that_is_none_is_refused():
    with pytest.raises(ValueError, match="'ord' must be a supported matrix norm"):
        linalg_ops.norm(np.eye(2), 3, axis=(0, 1))
    with pytest.raises(ValueError, match="'ord' must be a supported vector norm, got fro"):
        linalg_ops.norm(np.eye(2), "fro")
    with pytest.raises(ValueError, match="'axis' must be None, an integer, or a tuple of 2 unique integers"):
        linalg_ops.norm(np.eye(2), axis=(0, 0))
    with pytest.raises(ValueError, match="'axis' must be None, an integer, or a tuple of 2 unique integers, got .0."):
        linalg_ops.norm(np.eye(2), axis=[0])


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.complex128])
def test_trace_diag_and_diag_part(dtype):
    x = (10 * random(2, 3, 4)).astype(dtype)
    diagonal = np.stack([x[:, i, i] for i in range(3)], axis=-1)
    check(linalg_ops.trace(x), diagonal.sum(-1), 1e-6)
    check(linalg_ops.diag_part(x), diagonal)
    check(linalg_ops.diag(diagonal), diagonal[:, :, None] * np.eye(3, dtype=dtype))


def test_an_unknown_batch_leaves_the_matrix_known():
    x = array_ops.placeholder(dtypes.float64, [None, 3, 2])
    s, u, v = linalg_ops.svd(x)
    assert (s.raw_shape, u.raw_shape, v.raw_shape) == ((None, 2), (None, 3, 2), (None, 2, 2))
    value = random(5, 3, 2)
    assert evaluate(u, {x: value}).shape == (5, 3, 2)


def test_an_unknown_rank_is_computed_all_the_same():
    x = array_ops.placeholder(dtypes.float64)
    tensor = linalg_ops.inv(x)
    assert tensor.raw_shape is None
    np.testing.assert_allclose(evaluate(tensor, {x: 2 * np.eye(2)}), np.eye(2) / 2)


def test_what_is_no_matrix_is_refused_when_the_node_is_built():
    with pytest.raises(ValueError, match="at least rank 2 but is rank 1"):
        linalg_ops.qr(np.ones(3))
    with pytest.raises(ValueError, match="Dimensions must be equal, but are 2 and 3"):
        linalg_ops.inv(np.ones((2, 3)))
    with pytest.raises(ValueError, match="Dimensions must be equal, but are 2 and 3"):
        linalg_ops.solve(np.eye(2), np.ones((3, 1)))
    with pytest.raises(TypeError, match="has DataType int32 not in list of allowed values"):
        linalg_ops.det(np.eye(2, dtype=np.int32))


def test_the_old_names_are_the_same_functions():
    assert linalg_ops.matrix_inverse is linalg_ops.inv
    assert linalg_ops.matrix_determinant is linalg_ops.det
    assert linalg_ops.matrix_solve is linalg_ops.solve
    assert linalg_ops.self_adjoint_eig is linalg_ops.eigh
    a, b = random(2, 3), random(3, 2)
    check(linalg_ops.matmul(a, b), a @ b)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tf.matrix_inverse(np.zeros((2, 2))), "Input is not invertible."),
        (lambda: tf.matrix_solve(np.zeros((2, 2)), np.ones((2, 1))), "Input matrix is not invertible."),
        (lambda: tf.matrix_solve(np.zeros((3, 2, 2)), np.ones((3, 2, 1))), "Input matrix is not invertible."),
        (lambda: tf.matrix_triangular_solve(np.zeros((2, 2)), np.ones((2, 1))), "Input matrix is not invertible."),
        (lambda: tf.cholesky(-np.eye(2)), "Cholesky decomposition was not successful. The input might not be valid."),
        (lambda: tf.linalg.logdet(-np.eye(2)), "Cholesky decomposition was not successful."),
    ],
)
def test_a_matrix_that_does_not_allow_it_is_an_error_in_tensorflows_words(make, text):
    with tf.Graph().as_default(), tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match=text):
        session.run(make())
