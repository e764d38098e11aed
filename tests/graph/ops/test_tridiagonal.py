"""Tridiagonal systems, in the three forms in which their diagonals may be given."""

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate

RNG = np.random.default_rng(0)
COMPACT = RNG.normal(size=(2, 3, 5)) + [[0], [4], [0]]
RIGHT = RNG.normal(size=(2, 5, 2))


def matrices(compact):
    """The matrices with these diagonals."""
    rows = [np.diag(c[0, :-1], 1) + np.diag(c[1]) + np.diag(c[2, 1:], -1) for c in compact]
    return np.array(rows)


def test_a_solution_times_its_matrix_is_the_right_side():
    solution = evaluate(tf.linalg.tridiagonal_solve(tf.constant(COMPACT), RIGHT))
    np.testing.assert_allclose(matrices(COMPACT) @ solution, RIGHT)
    product = evaluate(tf.linalg.tridiagonal_matmul(tf.constant(COMPACT), solution))
    np.testing.assert_allclose(product, RIGHT)


def test_all_forms_of_the_diagonals_mean_the_same():
    matrix = matrices(COMPACT)[0]
    sequence = [np.diag(matrix, 1), np.diag(matrix), np.diag(matrix, -1)]
    filled = [np.append(sequence[0], 7.0), sequence[1], np.append(7.0, sequence[2])]
    expected = np.linalg.solve(matrix, RIGHT[0])
    for diagonals, form in ((COMPACT[0], "compact"), (sequence, "sequence"), (filled, "sequence"), (matrix, "matrix")):
        np.testing.assert_allclose(evaluate(tf.linalg.tridiagonal_solve(diagonals, RIGHT[0], form)), expected)


def test_the_right_side_may_be_vectors_transposed_or_conjugated():
    vector = tf.linalg.tridiagonal_solve(COMPACT, RIGHT[:, :, 0])
    assert vector.shape.as_list() == [2, 5]
    expected = np.linalg.solve(matrices(COMPACT), RIGHT)
    np.testing.assert_allclose(evaluate(vector), expected[:, :, 0])
    turned = tf.linalg.tridiagonal_solve(COMPACT, RIGHT.swapaxes(1, 2), transpose_rhs=True)
    np.testing.assert_allclose(evaluate(turned), expected)
    conjugated = tf.linalg.tridiagonal_solve(COMPACT + 0j, RIGHT * 1j, conjugate_rhs=True)
    np.testing.assert_allclose(evaluate(conjugated), expected * -1j)


def test_solving_and_multiplying_have_derivatives():
    with tf.Graph().as_default(), tf.Session():
        diagonals, right = tf.constant(COMPACT), tf.constant(RIGHT)
        for result in (tf.linalg.tridiagonal_solve(diagonals, right), tf.linalg.tridiagonal_matmul(diagonals, right)):
            assert tf.test.compute_gradient_error(diagonals, COMPACT.shape, result, RIGHT.shape, COMPACT) < 1e-6
            assert tf.test.compute_gradient_error(right, RIGHT.shape, result, RIGHT.shape, RIGHT) < 1e-6
            slope = tf.gradients(tf.square(result), diagonals)[0]
            assert tf.test.compute_gradient_error(diagonals, COMPACT.shape, slope, COMPACT.shape, COMPACT) < 1e-6


@pytest.mark.parametrize(
    ("diagonals", "right", "form", "text"),
    [
        (COMPACT, RIGHT[:, :3], "compact", "Expected number of left-hand sided and right-hand sides to be equal"),
        (COMPACT[:, :2], RIGHT, "compact", "Expected 3 diagonals got 2"),
        ([1.0], [1.0], "compact", "Expected diagonals to have rank at least 2, got 1"),
        (COMPACT, RIGHT[0, 0], "compact", "Expected the rank of rhs to be 2 or 3, got 1"),
        (COMPACT, np.zeros((3, 5, 1)), "compact", "are incompatible"),
        ([[1.0], [1.0]], [1.0], "sequence", "Expected diagonals to be a sequence of length 3"),
        ([[1.0], [1.0, 2.0, 3.0], [1.0, 2.0]], [1.0], "sequence", "Expected superdiagonal to be have length 3 or 2"),
        (np.zeros((3, 4)), [1.0], "matrix", "Expected last two dimensions of diagonals to be same, got 4 and 3"),
        (COMPACT, RIGHT, "diagonal", "Unrecognized diagonals_format: diagonal"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_in_the_making(diagonals, right, form, text):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=text):
        tf.linalg.tridiagonal_solve(diagonals, right, form)


def test_a_singular_matrix_is_an_error_that_names_the_node():
    with tf.Graph().as_default(), tf.Session() as session:
        solution = tf.linalg.tridiagonal_solve(np.zeros((3, 2)), [1.0, 2.0], name="singular")
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"Input matrix is not invertible(.|\n)*singular"):
            session.run(solution)
