"""Bands of diagonals of matrices, against NumPy's `diagonal`, in TensorFlow 1.15's order."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate

X = np.arange(1.0, 25.0).reshape(2, 3, 4)
BANDS = [(0, 0), (1, 1), (-2, -2), (-1, 1), (-2, 3), (1, 2), (-2, -1)]
ALIGNED = ["LEFT_LEFT", "RIGHT_LEFT", "LEFT_RIGHT", "RIGHT_RIGHT"]


def band(x, low, high, padding=0.0, align="LEFT_LEFT"):
    found = [(k, np.diagonal(x, k, -2, -1)) for k in range(high, low - 1, -1)]
    longest = max(d.shape[-1] for _, d in found)
    rows = []
    for k, diagonal in found:
        room = longest - diagonal.shape[-1]
        right = align.split("_")[k < 0] == "RIGHT"
        around = [(0, 0)] * (x.ndim - 2) + [(room, 0) if right else (0, room)]
        rows.append(np.pad(diagonal, around, constant_values=padding))
    return rows[0] if low == high else np.stack(rows, -2)


@pytest.mark.parametrize("align", ALIGNED)
@pytest.mark.parametrize(("low", "high"), BANDS)
def test_a_band_is_taken_and_put(graph, low, high, align):
    k = low if low == high else (low, high)
    taken = tf.matrix_diag_part(X, k=k, padding_value=7.0, align=align)
    expected = band(X, low, high, 7.0, align)
    assert taken.shape.as_list() == list(expected.shape)
    assert evaluate(taken).tolist() == expected.tolist()
    put = evaluate(tf.matrix_set_diag(np.zeros_like(X), expected, k=k, align=align))
    inside = np.triu(np.ones((3, 4)), low) * np.tril(np.ones((3, 4)), high)
    assert put.tolist() == (X * inside).tolist()
    placed = tf.linalg.diag(expected, k=k, num_rows=3, num_cols=4, padding_value=-1.0, align=align)
    assert placed.shape.as_list() == [2, 3, 4]
    assert evaluate(placed).tolist() == np.where(inside > 0, X, -1.0).tolist()


def test_matrices_are_as_small_as_their_diagonals_allow(graph):
    assert evaluate(tf.matrix_diag([1, 2], k=1)).tolist() == [[0, 1, 0], [0, 0, 2], [0, 0, 0]]
    assert evaluate(tf.matrix_diag([1, 2], k=-1, num_rows=3)).tolist() == [[0, 0], [1, 0], [0, 2]]
    assert evaluate(tf.matrix_diag([1, 2], padding_value=9)).tolist() == [[1, 9], [9, 2]]
    assert evaluate(tf.matrix_diag([1, 2], num_cols=3)).tolist() == [[1, 0, 0], [0, 2, 0]]


def test_bands_have_derivatives(graph):
    x = tf.constant(X)
    weights = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 3)))
    with tf.Session():
        taken = tf.matrix_diag_part(x, k=(-1, 1))
        assert tf.test.compute_gradient_error(x, X.shape, taken * weights, (2, 3, 3)) < 1e-6
        rows = tf.constant(band(X, -1, 1))
        for result in (tf.matrix_set_diag(x * x, rows, k=(-1, 1)), tf.matrix_diag(rows * rows, k=(-1, 1), num_rows=3)):
            assert tf.test.compute_gradient_error(rows, (2, 3, 3), result, result.shape.as_list()) < 1e-6
        put = tf.matrix_set_diag(x * x, rows, k=(-1, 1))
        assert tf.test.compute_gradient_error(x, X.shape, put, X.shape) < 1e-6


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tf.matrix_diag_part(X, k=(1, 0)), "must not be larger than upper_diag_index"),
        (lambda: tf.matrix_diag_part(X, k=4), "not all in matrices of shape"),
        (lambda: tf.matrix_diag_part(X, k=1, align="LEFT"), "align must be one of"),
        (lambda: tf.matrix_set_diag(X, [[1.0], [1.0]], k=1), "The diagonals must have shape"),
        (lambda: tf.matrix_diag([1, 2], k=1, num_rows=1), "is too small"),
    ],
)
def test_bands_that_do_not_fit_are_refused(graph, make, text):
    with pytest.raises(ValueError, match=text):
        make()
