"""Linear operators: each does with its structure what its dense matrix does."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

import weftwork as tf

linalg = tf.linalg
RANDOM = np.random.default_rng(0)
MATRIX = RANDOM.normal(size=(3, 3)) + 3 * np.eye(3)
BATCH = RANDOM.normal(size=(2, 3, 3)) + 3 * np.eye(3)
POSITIVE = MATRIX @ MATRIX.T
DIAGONALS = RANDOM.normal(size=(2, 3)) + 3
VECTOR = RANDOM.normal(size=3)
COLUMN, ROW = np.array([4.0, 1, 0.5]), np.array([4.0, 2, 0.25])
LEFT, RIGHT, BETWEEN = RANDOM.normal(size=(3, 2)), RANDOM.normal(size=(3, 2)), np.array([0.5, 2.0])
KERNEL = np.array([6.0, 1, -0.5, 0.25])
PLANE = np.arange(6.0).reshape(2, 3) + 20 * np.eye(2, 3)


def full(matrix=MATRIX):
    return linalg.LinearOperatorFullMatrix(matrix)


def evaluated(fetches):
    with tf.Session() as session:
        return session.run(fetches)


def turned(kernel):
    size = len(kernel)
    return np.array([[kernel[(i - j) % size] for j in range(size)] for i in range(size)])


def block_turned(kernel):
    blocks = [turned(row) for row in kernel]
    return np.block([[blocks[(i - j) % len(blocks)] for j in range(len(blocks))] for i in range(len(blocks))])


EACH = {
    "full": (full, MATRIX),
    "a batch": (lambda: full(BATCH), BATCH),
    "positive": (
        lambda: linalg.LinearOperatorFullMatrix(POSITIVE, is_self_adjoint=True, is_positive_definite=True), POSITIVE,
    ),
    "triangular": (lambda: linalg.LinearOperatorLowerTriangular(MATRIX), np.tril(MATRIX)),
    "diagonal": (lambda: linalg.LinearOperatorDiag(DIAGONALS), np.stack([np.diag(d) for d in DIAGONALS])),
    "identity": (lambda: linalg.LinearOperatorIdentity(3, dtype=tf.float64), np.eye(3)),
    "identities": (
        lambda: linalg.LinearOperatorIdentity(3, batch_shape=[2], dtype=tf.float64), np.stack([np.eye(3)] * 2),
    ),
    "scaled": (
        lambda: linalg.LinearOperatorScaledIdentity(3, np.array([2.0, 3.0])), np.stack([2 * np.eye(3), 3 * np.eye(3)]),
    ),
    "householder": (
        lambda: linalg.LinearOperatorHouseholder(VECTOR),
        np.eye(3) - 2 * np.outer(VECTOR, VECTOR) / (VECTOR @ VECTOR),
    ),
    "toeplitz": (lambda: linalg.LinearOperatorToeplitz(COLUMN, ROW), scipy.linalg.toeplitz(COLUMN, ROW)),
    "circulant": (lambda: linalg.LinearOperatorCirculant(np.fft.fft(KERNEL), tf.float64), turned(KERNEL)),
    "complex": (
        lambda: linalg.LinearOperatorCirculant(1j * np.fft.fft(KERNEL), tf.complex128), 1j * turned(KERNEL),
    ),
    "a plane": (
        lambda: linalg.LinearOperatorCirculant2D(np.fft.fft2(PLANE), tf.float64), block_turned(PLANE),
    ),
    "blocks": (
        lambda: linalg.LinearOperatorBlockDiag([full(), linalg.LinearOperatorDiag(DIAGONALS)]),
        np.stack([scipy.linalg.block_diag(MATRIX, np.diag(d)) for d in DIAGONALS]),
    ),
    "kronecker": (
        lambda: linalg.LinearOperatorKronecker([full(), full(MATRIX[:2, :2])]), np.kron(MATRIX, MATRIX[:2, :2]),
    ),
    "updated": (
        lambda: linalg.LinearOperatorLowRankUpdate(full(), LEFT, BETWEEN, RIGHT),
        MATRIX + LEFT @ np.diag(BETWEEN) @ RIGHT.T,
    ),
    "updated by itself": (
        lambda: linalg.LinearOperatorLowRankUpdate(linalg.LinearOperatorDiag(DIAGONALS[0]), LEFT),
        np.diag(DIAGONALS[0]) + LEFT @ LEFT.T,
    ),
    "composed": (
        lambda: linalg.LinearOperatorComposition([full(), linalg.LinearOperatorDiag(DIAGONALS)]),
        np.stack([MATRIX @ np.diag(d) for d in DIAGONALS]),
    ),
    "adjoint": (lambda: linalg.LinearOperatorAdjoint(full()), MATRIX.T),
    "inverse": (lambda: linalg.LinearOperatorInversion(full()), np.linalg.inv(MATRIX)),
}  # fmt: skip


@pytest.mark.parametrize("kind", EACH)
def test_an_operator_does_what_its_matrix_does(graph, kind):
    make, matrix = EACH[kind]
    made = make()
    adjoint = np.swapaxes(matrix, -1, -2).conj()
    x = RANDOM.normal(size=(matrix.shape[-1], 2)).astype(matrix.dtype)
    many = np.broadcast_to(x, (*matrix.shape[:-2], *x.shape))
    wanted = {
        "matrix": (made.to_dense(), matrix),
        "product": (made.matmul(x), matrix @ x),
        "with the adjoint": (made.matmul(x, adjoint=True), adjoint @ x),
        "by an adjoint": (made.matmul(x.T.conj(), adjoint_arg=True), matrix @ x),
        "by a vector": (made.matvec(x[:, 0]), matrix @ x[:, 0]),
        "solution": (made.solve(x), np.linalg.solve(matrix, many)),
        "of the adjoint": (made.solve(x, adjoint=True), np.linalg.solve(adjoint, many)),
        "for a vector": (made.solvevec(x[:, 0]), np.linalg.solve(matrix, many[..., :1])[..., 0]),
        "determinant": (made.determinant(), np.linalg.det(matrix)),
        "its logarithm": (made.log_abs_determinant(), np.linalg.slogdet(matrix)[1]),
        "diagonal": (made.diag_part(), np.diagonal(matrix, axis1=-2, axis2=-1)),
        "trace": (made.trace(), np.trace(matrix, axis1=-2, axis2=-1)),
        "sum": (made.add_to_tensor(np.ones_like(matrix)), matrix + 1),
        "inverse": (made.inverse().to_dense(), np.linalg.inv(matrix)),
        "adjoint": (made.H.to_dense(), adjoint),
        "shape": (made.shape_tensor(), matrix.shape),
    }
    assert made.shape.as_list() == list(matrix.shape)
    with tf.Session() as session:
        found = session.run({word: tensor for word, (tensor, _) in wanted.items()})
        session.run(made.assert_non_singular())
    for word, (_, expected) in wanted.items():
        np.testing.assert_allclose(found[word], expected, rtol=1e-5, atol=1e-6, err_msg=f"{kind}: {word}")


def test_operators_multiply_each_other(graph):
    left, right = full(), linalg.LinearOperatorDiag(DIAGONALS[0])
    with tf.Session() as session:
        found = session.run([(left @ right).to_dense(), left.solve(right).to_dense()])
    np.testing.assert_allclose(found[0], MATRIX @ np.diag(DIAGONALS[0]))
    np.testing.assert_allclose(found[1], np.linalg.solve(MATRIX, np.diag(DIAGONALS[0])))


def test_a_positive_operator_has_a_root(graph):
    dense = linalg.LinearOperatorFullMatrix(POSITIVE, is_self_adjoint=True, is_positive_definite=True)
    diagonal = linalg.LinearOperatorDiag(np.array([4.0, 9.0]), is_positive_definite=True)
    with tf.Session() as session:
        np.testing.assert_allclose(session.run(dense.cholesky().to_dense()), np.linalg.cholesky(POSITIVE))
        np.testing.assert_allclose(session.run(diagonal.cholesky().diag_part()), [2, 3])
        session.run([dense.assert_positive_definite(), dense.assert_self_adjoint()])
        with pytest.raises(tf.errors.InvalidArgumentError, match="not positive definite"):
            session.run(linalg.LinearOperatorDiag(np.array([1.0, -1.0])).assert_positive_definite())
        with pytest.raises(tf.errors.InvalidArgumentError, match="not equal to its adjoint"):
            session.run(full().assert_self_adjoint())
        with pytest.raises(tf.errors.InvalidArgumentError, match="Singular matrix"):
            session.run(full(np.ones((2, 2))).assert_non_singular())
    with pytest.raises(ValueError, match="Cannot take the Cholesky"):
        full().cholesky()


def test_zeros_multiply_and_are_never_solved(graph):
    zeros = linalg.LinearOperatorZeros(2, 3, is_square=False, dtype=tf.float64)
    assert zeros.shape.as_list() == [2, 3]
    with tf.Session() as session:
        assert session.run(zeros.matmul(np.ones((3, 4)))).tolist() == [[0] * 4] * 2
    with pytest.raises(NotImplementedError, match="expected to be singular"):
        zeros.solve(np.ones((2, 1)))
    with pytest.raises(ValueError, match="non square"):
        zeros.inverse()


def test_promises_and_sizes_must_agree(graph):
    with pytest.raises(ValueError, match="positive definite matrix is always non-singular"):
        linalg.LinearOperatorFullMatrix(MATRIX, is_positive_definite=True, is_non_singular=False)
    with pytest.raises(ValueError, match="is always square"):
        linalg.LinearOperatorFullMatrix(MATRIX, is_self_adjoint=True, is_square=False)
    with pytest.raises(ValueError, match="Dimensions must be equal"):
        full().matmul(np.ones((2, 2)))
    with pytest.raises(ValueError, match="have incompatible shapes"):
        linalg.LinearOperatorComposition([full(), full(MATRIX[:2, :2])])
    with pytest.raises(TypeError, match="same dtype"):
        linalg.LinearOperatorBlockDiag([full(), linalg.LinearOperatorIdentity(2)])
    with pytest.raises(ValueError, match="non-empty list"):
        linalg.LinearOperatorKronecker([])
    with pytest.raises(TypeError, match="must have dtype"):
        linalg.LinearOperatorDiag([1, 2])
    with pytest.raises(TypeError, match="not compatible"):
        full().matmul(tf.ones((3, 3)))
    assert linalg.LinearOperatorFullMatrix(MATRIX).is_square
    assert full(MATRIX[:2]).is_square is False
    with pytest.raises(NotImplementedError, match="not be square"):
        full(MATRIX[:2]).determinant()


def test_sizes_may_be_known_only_when_it_runs(graph):
    matrix = tf.placeholder(tf.float64)
    made = linalg.LinearOperatorFullMatrix(matrix)
    rows = tf.placeholder(tf.int32, [])
    eye = linalg.LinearOperatorIdentity(rows, dtype=tf.float64)
    assert made.shape.ndims is None
    with tf.Session() as session:
        feeds = {matrix: BATCH, rows: 3}
        found = session.run([made.batch_shape_tensor(), made.determinant(), eye.to_dense()], feeds)
    assert found[0].tolist() == [2]
    np.testing.assert_allclose(found[1], np.linalg.det(BATCH))
    assert found[2].tolist() == np.eye(3).tolist()


def test_gradients_go_through_operators(graph):
    diagonal = tf.constant([2.0, 4.0])
    made = linalg.LinearOperatorDiag(diagonal)
    (slope,) = tf.gradients(tf.reduce_sum(made.solve([[1.0], [1.0]])), diagonal)
    with tf.Session() as session:
        np.testing.assert_allclose(session.run(slope), [-0.25, -0.0625])


PROMISED = {
    "FullMatrix": (MATRIX,),
    "LowerTriangular": (MATRIX,),
    "Diag": (VECTOR,),
    "ScaledIdentity": (3, 2.0),
    "Toeplitz": (COLUMN, ROW),
    "Circulant": (np.fft.fft(KERNEL), tf.float64),
    "Circulant2D": (np.fft.fft2(PLANE), tf.float64),
    "Householder": (VECTOR,),
}


@pytest.mark.parametrize("kind", PROMISED)
def test_promises_may_be_positional(graph, kind):
    made = getattr(linalg, f"LinearOperator{kind}")(*PROMISED[kind], True, True, None, True)
    assert (made.is_non_singular, made.is_self_adjoint, made.is_square) == (True, True, True)
    for composed in (
        linalg.LinearOperatorComposition([made], True, False, None, True, "named"),
        linalg.LinearOperatorKronecker([made], True, False, None, True, "named"),
        linalg.LinearOperatorBlockDiag([made], True, False, None, True, "named"),
        linalg.LinearOperatorAdjoint(made, True, False, None, True, "named"),
        linalg.LinearOperatorInversion(made, True, False, None, True, "named"),
    ):
        assert (composed.is_self_adjoint, composed.is_square, composed.name) == (False, True, "named")


def test_operators_show_what_they_are_made_of(graph):
    matrix, lower = full(), linalg.LinearOperatorLowerTriangular(MATRIX)
    update = linalg.LinearOperatorLowRankUpdate(matrix, LEFT, BETWEEN, RIGHT, True)
    plain = linalg.LinearOperatorLowRankUpdate(matrix, LEFT)
    found = evaluated([matrix.matrix, lower.tril, update.diag_operator.to_dense(), plain.diag_operator.to_dense()])
    for value, wanted in zip(found, [MATRIX, np.tril(MATRIX), np.diag(BETWEEN), np.eye(2)], strict=True):
        np.testing.assert_array_equal(value, wanted)
    plane = linalg.LinearOperatorCirculant2D(np.fft.fft2(PLANE))
    assert plane.block_shape.as_list() == [2, 3]


@pytest.mark.parametrize("matrix", [MATRIX, POSITIVE, BATCH], ids=["any", "self-adjoint", "a batch"])
def test_condition_numbers(graph, matrix):
    symmetric = matrix is POSITIVE
    made = linalg.LinearOperatorFullMatrix(matrix, is_self_adjoint=symmetric or None)
    np.testing.assert_allclose(evaluated(made.cond()), np.linalg.cond(matrix), rtol=1e-9)
    if symmetric:
        np.testing.assert_allclose(evaluated(made.eigvals()), np.linalg.eigvalsh(matrix))
    else:
        with pytest.raises(NotImplementedError, match="Only self-adjoint"):
            made.eigvals()


def test_eigenvalues_of_a_diagonal_matrix_keep_their_places(graph):
    made = linalg.LinearOperatorDiag([3.0, -1.0, 2.0])
    assert evaluated([made.eigvals(), made.cond()])[0].tolist() == [3.0, -1.0, 2.0]
    assert evaluated(made.cond()) == 3.0


def test_a_spectrum_is_hermitian_if_its_kernel_is_real(graph):
    evaluated(linalg.LinearOperatorCirculant(np.fft.fft(KERNEL)).assert_hermitian_spectrum())
    with pytest.raises(tf.errors.InvalidArgumentError, match="Spectrum was not Hermitian"):
        evaluated(linalg.LinearOperatorCirculant([1.0, 2.0j, 3.0]).assert_hermitian_spectrum())
