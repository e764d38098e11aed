"""Special functions, bits, histograms, sets, factors of matrices and transforms: what NumPy and SciPy say."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import scipy.special

import weftwork as tf
from tests.evaluate import evaluate

RNG = np.random.default_rng(0)
X = RNG.random((3, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("erfinv", scipy.special.erfinv), ("ndtri", scipy.special.ndtri), ("erfcinv", scipy.special.erfcinv),
        ("bessel_i0", scipy.special.i0), ("bessel_i0e", scipy.special.i0e), ("bessel_i1", scipy.special.i1),
        ("bessel_i1e", scipy.special.i1e), ("log_sigmoid", lambda x: np.log(scipy.special.expit(x))),
        ("lbeta", lambda x: scipy.special.gammaln(x).sum(-1) - scipy.special.gammaln(x.sum(-1))),
    ],
)  # fmt: skip
def test_special_functions_keep_their_dtype(graph, name, like):
    found = evaluate(getattr(tf.math, name)(X))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, like(X), rtol=2e-5)


@pytest.mark.parametrize(
    "function", [tf.sigmoid, tf.erf, tf.erfc, tf.lgamma, tf.digamma, tf.math.bessel_i0e, tf.math.ndtri, tf.nn.swish]
)
def test_half_precision_stays(graph, function):
    x = np.array([0.2, 0.9], np.float16)
    half, single = function(tf.constant(x)), function(tf.constant(x, tf.float32))
    assert half.dtype == tf.float16
    found = evaluate(half)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, evaluate(single).astype(np.float16), rtol=2e-3)
    assert tf.math.igamma(tf.constant(x), 0.5).dtype == tf.float16


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [([3 + 4j, 0], np.complex64, 5), ([1, 2], np.int32, 2), ([1, 1], np.int8, 1), ([3, 4], np.float16, 5)],
)
def test_the_euclidean_norm_keeps_its_dtype(graph, values, dtype, expected):
    norm = tf.math.reduce_euclidean_norm(np.array(values, dtype))
    found = evaluate(norm)
    assert norm.dtype == found.dtype == dtype
    assert found == expected


def test_complex_vectors_are_normalized_to_length_one(graph):
    found = evaluate(tf.nn.l2_normalize(np.array([3 + 4j, 12j], np.complex64)))
    assert found.dtype == np.complex64
    np.testing.assert_allclose(found, np.array([3 + 4j, 12j]) / 13, rtol=1e-6)
    np.testing.assert_allclose(evaluate(tf.nn.l2_normalize([3, 4])), [0.6, 0.8])


def test_the_sigmoid_of_complex_numbers(graph):
    x = tf.constant([1 + 2j, 0.5 - 0.3j], tf.complex64)
    found = evaluate(tf.sigmoid(x))
    assert found.dtype == np.complex64
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.array([1 + 2j, 0.5 - 0.3j]))), rtol=1e-6)


def test_nothing_times_infinity_is_nothing(graph):
    zero, odd = [0.0, 0.0, 2.0], [0.0, np.inf, 3.0]
    assert evaluate(tf.math.xlogy(zero, odd)).tolist() == pytest.approx([0, 0, 2 * np.log(3)])
    assert evaluate(tf.math.xlog1py(zero, [-1.0, np.inf, 3.0])).tolist() == pytest.approx([0, 0, 2 * np.log(4)])
    assert evaluate(tf.math.xdivy(zero, odd)).tolist() == pytest.approx([0, 0, 2 / 3])
    assert evaluate(tf.math.multiply_no_nan(odd, zero)).tolist() == [0, 0, 6]
    assert evaluate(tf.math.reciprocal_no_nan(zero)).tolist() == [0, 0, 0.5]


def test_bits_of_integers(graph):
    a, b = np.array([12, 10, -5], np.int32), np.array([10, 3, 2], np.int32)
    for name, like in (
        ("bitwise_and", np.bitwise_and), ("bitwise_or", np.bitwise_or), ("bitwise_xor", np.bitwise_xor),
        ("left_shift", np.left_shift), ("right_shift", np.right_shift),
    ):  # fmt: skip
        np.testing.assert_array_equal(evaluate(getattr(tf.bitwise, name)(a, b)), like(a, b))
    np.testing.assert_array_equal(evaluate(tf.bitwise.invert(a)), ~a)
    with pytest.raises(TypeError, match="bitwise_and needs integers, but got float32"):
        tf.bitwise.bitwise_and(1.0, 2.0)


def test_what_lies_beyond_a_histogram_is_in_its_first_or_last_bin(graph):
    values = [-1.0, 0.0, 1.5, 2.0, 5.0, 15.0]
    assert evaluate(tf.histogram_fixed_width(values, [0.0, 5.0], nbins=5)).tolist() == [2, 1, 1, 0, 2]
    assert evaluate(tf.histogram_fixed_width_bins(values, [0.0, 5.0], nbins=5)).tolist() == [0, 0, 1, 2, 4, 4]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"value_range\[0\] < value_range\[1\]"):
        evaluate(tf.histogram_fixed_width(values, [5.0, 0.0]))


def test_fake_quantization_has_zero_among_its_steps(graph):
    found = evaluate(tf.fake_quant_with_min_max_args([-7.0, 0.0, 0.01, 7.0], -6, 6, num_bits=2))
    assert found.tolist() == [-8, 0, 0, 4]
    many = evaluate(tf.fake_quant_with_min_max_vars_per_channel([[0.3, 0.3]], [0.0, 0.0], [1.0, 4.0], num_bits=2))
    np.testing.assert_allclose(many, [[1 / 3, 0]], rtol=1e-6)


# Sets


def _rows(tensor):
    rows: dict = {}
    with tf.Session() as session:
        sparse = session.run(tensor)
    for index, value in zip(sparse.indices.tolist(), sparse.values.tolist(), strict=True):
        rows.setdefault(index[0], []).append(value)
    return rows


def test_sets_along_the_last_axis_dense_or_sparse(graph):
    a = tf.constant([[1, 2, 2], [3, 4, 5]])
    b = tf.SparseTensor([[0, 0], [1, 0], [1, 1]], tf.constant([2, 5, 9]), [2, 2])
    assert _rows(tf.sets.intersection(a, b)) == {0: [2], 1: [5]}
    assert _rows(tf.sets.union(a, b)) == {0: [1, 2], 1: [3, 4, 5, 9]}
    assert _rows(tf.sets.difference(a, b)) == {0: [1], 1: [3, 4]}
    assert _rows(tf.sets.difference(a, b, aminusb=False)) == {1: [9]}
    assert evaluate(tf.sets.union(a, b).dense_shape).tolist() == [2, 4]
    assert evaluate(tf.sets.size(b)).tolist() == [1, 2]


# Matrices


def test_factors_solve_and_come_together_again(graph):
    a = (RNG.random((2, 3, 3)) + np.eye(3)).astype(np.float32)
    b = RNG.random((2, 3, 2)).astype(np.float32)
    factors, rows = tf.linalg.lu(a)
    assert evaluate(rows).dtype == np.int32
    np.testing.assert_allclose(evaluate(tf.linalg.lu_reconstruct(factors, rows)), a, rtol=1e-4)
    np.testing.assert_allclose(evaluate(tf.linalg.lu_solve(factors, rows, b)), np.linalg.solve(a, b), rtol=1e-3)
    np.testing.assert_allclose(evaluate(tf.linalg.lu_matrix_inverse(factors, rows)), np.linalg.inv(a), rtol=1e-3)
    spd = a @ a.swapaxes(1, 2) + np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(evaluate(tf.cholesky_solve(tf.cholesky(spd), b)), np.linalg.solve(spd, b), rtol=1e-3)
    root = evaluate(tf.linalg.sqrtm(spd))
    np.testing.assert_allclose(root @ root, spd, rtol=1e-3)
    logarithm = evaluate(tf.linalg.logm(spd.astype(np.complex64)))
    np.testing.assert_allclose(scipy.linalg.expm(logarithm[0]), spd[0], rtol=1e-3, atol=1e-4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Input is not invertible"):
        evaluate(tf.linalg.lu(np.zeros((2, 2)))[0])


def test_ranks_inverses_and_norms(graph):
    a = RNG.random((3, 2)) @ RNG.random((2, 4))
    assert evaluate(tf.linalg.matrix_rank(a)) == 2
    np.testing.assert_allclose(evaluate(tf.linalg.pinv(a)), np.linalg.pinv(a), atol=1e-8)
    unit, size = (evaluate(t) for t in tf.linalg.normalize(a, axis=0))
    np.testing.assert_allclose(unit * size, a)
    np.testing.assert_allclose((unit**2).sum(0), 1)
    np.testing.assert_allclose(evaluate(tf.linalg.matvec(a, np.ones(4))), a.sum(1))
    np.testing.assert_allclose(evaluate(tf.linalg.adjoint(a * 1j)), (a * 1j).conj().T)


# Transforms

SIGNAL = RNG.standard_normal((2, 3, 4, 6))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_fourier_transforms_are_over_the_last_axes(graph, rank):
    axes, word = tuple(range(-rank, 0)), "" if rank == 1 else f"{rank}d"
    z = SIGNAL + 1j
    np.testing.assert_allclose(evaluate(getattr(tf.signal, f"fft{word}")(z)), np.fft.fftn(z, axes=axes))
    np.testing.assert_allclose(evaluate(getattr(tf.signal, f"ifft{word}")(z)), np.fft.ifftn(z, axes=axes))
    half = getattr(tf.signal, f"rfft{word}")(SIGNAL.astype(np.float32))
    assert half.dtype == tf.complex64
    assert half.shape.as_list() == [2, 3, 4, 4]
    np.testing.assert_allclose(evaluate(half), np.fft.rfftn(SIGNAL, axes=axes), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(evaluate(getattr(tf.signal, f"irfft{word}")(half)), SIGNAL, rtol=1e-3, atol=1e-5)


def test_lengths_cut_or_fill_up(graph):
    made = tf.signal.rfft(SIGNAL, [4])
    assert made.shape.as_list() == [2, 3, 4, 3]
    np.testing.assert_allclose(evaluate(made), np.fft.rfft(SIGNAL, 4))
    np.testing.assert_allclose(evaluate(tf.signal.irfft(SIGNAL + 0j, [13])), np.fft.irfft(SIGNAL, 13))


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
@pytest.mark.parametrize("norm", [None, "ortho"])
def test_cosine_transforms_are_scipys(graph, kind, norm):
    if kind == 1 and norm:
        with pytest.raises(ValueError, match="Normalization is not supported for the Type-I DCT"):
            tf.signal.dct(SIGNAL, 1, norm=norm)
        return
    np.testing.assert_allclose(evaluate(tf.signal.dct(SIGNAL, kind, norm=norm)), scipy.fft.dct(SIGNAL, kind, norm=norm))
    if norm:
        twice = tf.signal.idct(tf.signal.dct(SIGNAL, kind, norm=norm), kind, norm=norm)
        np.testing.assert_allclose(evaluate(twice), SIGNAL)


def test_a_spectrogram_gives_its_signal_back(graph):
    signal = RNG.standard_normal((2, 64)).astype(np.float32)
    spectra = tf.signal.stft(signal, 16, 8)
    assert spectra.shape.as_list() == [2, 7, 9]
    back = tf.signal.inverse_stft(spectra, 16, 8, window_fn=tf.signal.inverse_stft_window_fn(8))
    np.testing.assert_allclose(evaluate(back)[:, 8:-8], signal[:, 8:-8], rtol=1e-3, atol=1e-4)


def test_frames_overlap_and_add_up(graph):
    x = np.arange(7)
    assert evaluate(tf.signal.frame(x, 3, 2)).tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert evaluate(tf.signal.frame(x, 4, 3, pad_end=True, pad_value=9)).tolist()[-1] == [6, 9, 9, 9]
    assert evaluate(tf.signal.overlap_and_add(np.ones((3, 3)), 2)).tolist() == [1, 1, 2, 1, 2, 1, 1]
    unknown = tf.placeholder(tf.float32, [None])
    assert evaluate(tf.signal.frame(unknown, 3, 2), {unknown: x.astype(np.float32)}).tolist()[1] == [2, 3, 4]


def test_windows_and_mel_bands(graph):
    np.testing.assert_allclose(evaluate(tf.signal.hann_window(4)), [0, 0.5, 1, 0.5], atol=1e-6)
    np.testing.assert_allclose(evaluate(tf.signal.hamming_window(3, periodic=False)), [0.08, 1, 0.08], atol=1e-6)
    bands = evaluate(tf.signal.linear_to_mel_weight_matrix(10, 65, 8000, 100, 3000))
    assert bands.shape == (65, 10)
    assert (bands.argmax(0)[1:] >= bands.argmax(0)[:-1]).all()
    assert not bands[0].any()


FURTHER = {
    "bessel_j0": scipy.special.j0, "bessel_j1": scipy.special.j1, "bessel_y0": scipy.special.y0,
    "bessel_y1": scipy.special.y1, "bessel_k0": scipy.special.k0, "bessel_k1": scipy.special.k1,
    "bessel_k0e": scipy.special.k0e, "bessel_k1e": scipy.special.k1e, "dawsn": scipy.special.dawsn,
    "expint": scipy.special.expi, "spence": scipy.special.spence,
    "fresnel_sin": lambda x: scipy.special.fresnel(x)[0], "fresnel_cos": lambda x: scipy.special.fresnel(x)[1],
}  # fmt: skip


@pytest.mark.parametrize("name", FURTHER)
def test_further_functions_of_scipy_and_their_slopes(graph, name):
    points = np.array([0.1, 0.5, 1.0, 2.5, 7.0])
    x = tf.constant(points)
    y = getattr(tf.math.special, name)(x)
    with tf.Session() as session:
        found, slopes = session.run([y, *tf.gradients(y, x)])
    np.testing.assert_allclose(found, FURTHER[name](points))
    step = 1e-6
    measured = (FURTHER[name](points + step) - FURTHER[name](points - step)) / (2 * step)
    np.testing.assert_allclose(slopes, measured, rtol=1e-6, atol=1e-8)


def test_values_are_rounded_to_the_steps_of_a_small_integer(graph):
    x = tf.constant([-1.0, -0.4, 0.1, 0.6, 3.0])
    rounded = tf.quantization.quantize_and_dequantize
    cases = [
        rounded(x, -1.5, 1.5, num_bits=3, range_given=True),
        rounded(x, 0.0, 0.0, num_bits=3),
        rounded([[1.0, 30.0], [0.3, 10.0]], 0.0, 0.0, num_bits=3, axis=1),
    ]
    with tf.Session() as session:
        given, own, each = session.run(cases)
        (slope,) = session.run(tf.gradients(cases[0], x))
        with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid range"):
            session.run(rounded(x, 1.0, 0.0, range_given=True))
    np.testing.assert_allclose(given, [-1, -0.5, 0, 0.5, 1.5])
    np.testing.assert_allclose(own, [-1, 0, 0, 1, 3])
    np.testing.assert_allclose(each, [[1, 30], [1 / 3, 10]], rtol=1e-6)
    assert slope.tolist() == [1] * 5
    with pytest.raises(ValueError, match="round_mode"):
        rounded(x, 0.0, 1.0, round_mode="up")


@pytest.mark.parametrize(
    "values", [[1, 2, 0, 4], [1.0, 2, 0, 4], np.array([1, 2, 0, 4])], ids=["ints", "floats", "array"]
)
def test_numbers_of_another_dtype_become_what_a_transform_takes(graph, values):
    full, half = tf.signal.fft(values), tf.signal.irfft(values)
    assert (full.dtype, half.dtype) == (tf.complex64, tf.float32)
    np.testing.assert_allclose(evaluate(full), np.fft.fft(values), atol=1e-6)
    np.testing.assert_allclose(evaluate(half), np.fft.irfft(values), atol=1e-6)
    assert tf.signal.rfft([1, 2]).dtype == tf.complex64
    with pytest.raises(TypeError, match="not in list of allowed values"):
        tf.signal.fft(tf.constant(values))
