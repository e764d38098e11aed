"""Sums over the first axes, which are quick over short rows too."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate
from weftwork.graph.kernels.nn import relu

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.complex64])
@pytest.mark.parametrize(
    "shape", [(64, 7, 8, 5), (50, 1), (3, 4), (1024, 32), (6, 2000), (0, 5), (5, 0), (640, 3), (64, 32, 64, 3)]
)
def test_sums_over_the_first_axes_are_exact(shape, dtype):
    x = RNG.integers(-8, 8, size=shape).astype(dtype)
    for lead in range(1, len(shape) + 1):
        for axis in (tuple(range(lead)), 0) if lead == 1 else (tuple(range(lead)),):
            value = evaluate(tf.reduce_sum(tf.constant(x), axis=axis))
            assert value.dtype == dtype
            np.testing.assert_array_equal(value, x.sum(axis=axis))


def test_the_gradient_of_a_bias_loses_no_precision():
    """Numbers that are added one after another lose some: the sum of so many is off by 1e-4 then."""
    x = RNG.uniform(0.9, 1.1, size=(64, 28, 28, 16)).astype(np.float32)
    bias = tf.placeholder(tf.float32, [16])
    (grad,) = tf.gradients(tf.nn.bias_add(tf.constant(x), bias) * x, [bias])
    np.testing.assert_allclose(evaluate(grad, {bias: np.zeros(16, "f")}), x.sum((0, 1, 2), dtype=float), rtol=3e-6)


@pytest.mark.parametrize("shape", [(), (3,), (64, 300), (2, 3, 5), (0, 4), (9, 40000)])
def test_relu_keeps_what_is_positive_and_not_a_number(shape):
    x = np.asarray(RNG.normal(size=shape))
    if x.size > 1:
        x.flat[1] = np.nan
    for given in (x, x.T, x[..., ::2] if x.ndim else x):
        np.testing.assert_array_equal(relu(given), np.where(given > 0, given, np.where(np.isnan(given), np.nan, 0)))
