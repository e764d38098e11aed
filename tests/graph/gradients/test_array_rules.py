"""Derivatives of blocks, windows, bands, special functions, factors and transforms, by central differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import weftwork as tf
from tests.graph.gradients.test_gradient_rules import apart, check, definite, inside, normal, positive, square

IMAGES = normal(1, 4, 4, 2)
ROWS = [[0, 1], [2, 0]]

KNOWN: dict[str, tuple[Callable, tuple]] = {
    "space_to_batch": (lambda x: tf.space_to_batch_nd(x, [2, 2], [[1, 1], [0, 0]]), (IMAGES,)),
    "batch_to_space": (lambda x: tf.batch_to_space_nd(x, [2, 2], [[1, 0], [0, 0]]), (normal(4, 2, 1, 2),)),
    "space_to_depth": (lambda x: tf.space_to_depth(x, 2), (IMAGES,)),
    "depth_to_space": (lambda x: tf.depth_to_space(x, 2), (normal(1, 2, 1, 4),)),
    "patches": (lambda x: tf.extract_image_patches(x, [1, 2, 3, 1], [1, 2, 1, 1], [1, 1, 2, 1], "SAME"), (IMAGES,)),
    "volumes": (lambda x: tf.extract_volume_patches(x, [1, 2, 1, 2, 1], [1] * 5, "VALID"), (normal(1, 2, 2, 3, 1),)),
    "band": (lambda x: tf.matrix_band_part(x, 1, 0) ** 2, (normal(2, 3, 3),)),
    "set_diag": (lambda x, d: tf.matrix_set_diag(x, d) ** 2, (normal(2, 3, 2), normal(2, 2))),
    "sort": (lambda x: tf.sort(x, 0, "DESCENDING") ** 2, (apart(4, 2),)),
    "repeat": (lambda x: tf.repeat(x, [2, 0, 1], axis=0) ** 2, (normal(3, 2),)),
    "scatter_update": (lambda x, u: tf.tensor_scatter_update(x, ROWS, u) ** 2, (normal(3, 2), normal(2))),
    "scatter_add": (lambda x, u: tf.tensor_scatter_add(x, ROWS, u) ** 2, (normal(3, 2), normal(2))),
    "scatter_sub": (lambda x, u: tf.tensor_scatter_sub(x, ROWS, u) ** 2, (normal(3, 2), normal(2))),
    "scatter_max": (lambda x, u: tf.tensor_scatter_nd_max(x, ROWS, u) ** 2, (apart(3, 2), normal(2))),
    "ensure_shape": (lambda x: tf.ensure_shape(x, [None, 2]) ** 2, (normal(3, 2),)),
    "where_v2": (lambda x, y: tf.where_v2([True, False], x, y) ** 2, (normal(2, 2), normal(2))),
    "erfinv": (tf.math.erfinv, (inside(4),)),
    "ndtri": (tf.math.ndtri, (positive(4) / 2,)),
    "bessel_i0": (tf.math.bessel_i0, (inside(4),)),
    "bessel_i0e": (tf.math.bessel_i0e, (inside(4),)),
    "bessel_i1": (tf.math.bessel_i1, (inside(4),)),
    "bessel_i1e": (tf.math.bessel_i1e, (inside(4),)),
    "polygamma": (lambda x: tf.polygamma(np.array([1.0, 2.0]), x), (positive(2),)),
    "lbeta": (tf.lbeta, (positive(2, 3),)),
    "xlogy": (tf.math.xlogy, (positive(3), positive(3, seed=1))),
    "xlog1py": (tf.math.xlog1py, (positive(3), positive(3, seed=1))),
    "xdivy": (tf.math.xdivy, (positive(3), positive(2, 3, seed=1))),
    "multiply_no_nan": (tf.math.multiply_no_nan, (normal(3), normal(2, 3))),
    "polyval": (lambda x: tf.math.polyval([1.0, 2.0, 3.0], x), (normal(3),)),
    "euclidean": (lambda x: tf.math.reduce_euclidean_norm(x, 1), (normal(2, 3),)),
    "log_sigmoid": (tf.log_sigmoid, (normal(3),)),
    "cholesky_solve": (lambda x, b: tf.cholesky_solve(x, b), (definite(2), normal(2, 1))),
    "lu": (lambda x: tf.linalg.lu(x)[0], (square(3),)),
    "lu_solve": (lambda x, b: tf.linalg.lu_solve(*tf.linalg.lu(x), rhs=b), (square(2), normal(2, 1))),
    "lu_reconstruct": (lambda x: tf.linalg.lu_reconstruct(*tf.linalg.lu(x)) ** 2, (square(2, 2),)),
    "pinv": (tf.linalg.pinv, (normal(3, 2),)),
    "normalize": (lambda x: tf.linalg.normalize(x, axis=1)[0], (normal(2, 3),)),
    "matvec": (tf.linalg.matvec, (normal(2, 3, 2), normal(2, 2))),
    "dct1": (lambda x: tf.signal.dct(x, 1) ** 2, (normal(2, 4),)),
    "dct2": (lambda x: tf.signal.dct(x) ** 2, (normal(2, 4),)),
    "dct3": (lambda x: tf.signal.dct(x, 3) ** 2, (normal(2, 4),)),
    "dct4": (lambda x: tf.signal.dct(x, 4, n=3, norm="ortho") ** 2, (normal(2, 4),)),
    "frame": (lambda x: tf.signal.frame(x, 3, 2, pad_end=True) ** 2, (normal(6),)),
    "overlap": (lambda x: tf.signal.overlap_and_add(x, 2) ** 2, (normal(3, 3),)),
}  # fmt: skip
SLOW = {"matrix_square_root": (tf.matrix_square_root, (definite(2),))}


@pytest.mark.parametrize("name", KNOWN)
def test_first_and_second_derivatives_are_those_of_central_differences(name):
    build, inputs = KNOWN[name]
    check(build, *inputs)


@pytest.mark.parametrize("name", SLOW)
def test_first_derivatives_are_those_of_central_differences(name):
    build, inputs = SLOW[name]
    check(build, *inputs, second=False)


def _spectrum(transform: Callable, *shape: int) -> Callable:
    """A function of the real and imaginary parts of the input of a transform, to those of its output."""

    def build(x, y):
        made = transform(tf.complex(x, y))
        return [tf.real(made), tf.imag(made)] if made.dtype.is_complex else made

    return build


@pytest.mark.parametrize(
    "name", ["fft", "ifft", "fft2d", "ifft2d", "fft3d", "ifft3d", "irfft", "irfft2d", "irfft3d"]
)  # fmt: skip
def test_the_transforms_of_complex_numbers_have_derivatives(name):
    transform = getattr(tf.signal, name)
    check(_spectrum(lambda z: transform(z * z)), normal(1, 2, 3), normal(1, 2, 3, seed=1))


@pytest.mark.parametrize("length", [3, 4, 6])
def test_transforms_that_cut_or_fill_up_have_derivatives(length):
    def real(x):
        made = tf.signal.rfft(x * x, [length])
        return [tf.real(made), tf.imag(made)]

    check(real, normal(2, 4))
    check(_spectrum(lambda z: tf.signal.irfft(z * z, [length])), normal(2, 3), normal(2, 3, seed=1))


def test_fake_quantization_gives_its_gradient_to_those_between_and_the_rest_to_the_limits(graph):
    x, low, high = tf.constant([-2.0, -0.5, 0.3, 5.0]), tf.constant(-1.0), tf.constant(1.0)
    y = tf.fake_quant_with_min_max_vars(x, low, high, num_bits=4)
    weights = tf.constant([1.0, 2.0, 4.0, 8.0])
    with tf.Session() as session:
        made, (of_x, of_low, of_high) = session.run([y, tf.gradients(y * weights, [x, low, high])])
    assert of_x.tolist() == [0, 2, 4, 0]
    assert (of_low, of_high) == (1, 8)
    step = 2 / 15
    np.testing.assert_allclose(made / step, np.round(made / step), atol=1e-5)
    np.testing.assert_allclose(made[1:3], [-0.5, 0.3], atol=step)
