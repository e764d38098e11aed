"""Special functions, transforms and functions of matrices, as TensorFlow's operations and back."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

X = np.float32([0.2, 0.5])
Z = np.complex64([[1 + 1j, 2], [3, 4 - 1j]])
M = np.float32([[2, 1], [1, 3]])
UNARY = {
    "Erfinv": tf.math.erfinv, "Ndtri": tf.math.ndtri, "BesselI0": tf.math.special.bessel_i0,
    "BesselI1e": tf.math.bessel_i1e, "BesselK0e": tf.math.special.bessel_k0e, "Dawsn": tf.math.special.dawsn,
    "Expint": tf.math.special.expint, "FresnelSin": tf.math.special.fresnel_sin, "Spence": tf.math.special.spence,
}  # fmt: skip
CASES = {
    **{kind: ({"x": X}, lambda x=X, f=function: f(x)) for kind, function in UNARY.items()},
    "Xlog1py": ({"x": X, "y": X}, lambda: tf.math.xlog1py(X, X)),
    "NextAfter": ({"x1": X, "x2": 2 * X}, lambda: tf.math.nextafter(X, 2 * X)),
    "FFT": ({"input": Z}, lambda: tf.signal.fft(Z)),
    "IFFT2D": ({"input": Z}, lambda: tf.signal.ifft2d(Z)),
    "RFFT": ({"input": X, "fft_length": [4]}, lambda: tf.signal.rfft(X, [4])),
    "IRFFT2D": ({"input": Z, "fft_length": [2, 2]}, lambda: tf.signal.irfft2d(Z, [2, 2])),
    "MatrixExponential": ({"input": M}, lambda: tf.linalg.expm(M)),
    "MatrixSquareRoot": ({"input": M}, lambda: tf.linalg.sqrtm(M)),
    "MatrixLogarithm": ({"input": Z}, lambda: tf.linalg.logm(Z)),
    "UnravelIndex": ({"indices": [5, 1], "dims": [2, 3]}, lambda: tf.unravel_index([5, 1], [2, 3])),
    "GuaranteeConst": ({"input": X}, lambda: tf.guarantee_const(X)),
}


@pytest.mark.parametrize("kind", CASES)
def test_an_operation_is_made_by_its_name_written_and_read(kind, graph):
    given, public = CASES[kind]
    raw, made = getattr(tf.raw_ops, kind)(**given, name="raw"), tf.identity(public(), name="made")
    written = {node.op for node in graph.as_graph_def().node}
    assert kind in written or kind.endswith(("RFFT", "RFFT2D"))  # their lengths mean something else in TensorFlow
    with tf.Session() as session:
        expected = session.run(made)
        np.testing.assert_array_equal(session.run(raw), expected)
        found = tf.import_graph_def(graph.as_graph_def(), return_elements=["raw:0", "made:0"], name="again")
        for value in session.run(found):
            np.testing.assert_array_equal(value, expected)


def test_those_with_options_are_made_by_their_names(graph):
    factors = tf.raw_ops.Lu(input=M, output_idx_type=tf.int64)
    norm = tf.raw_ops.EuclideanNorm(input=M, axis=[1], keep_dims=True)
    low, high = [
        kind(sorted_inputs=[[1, 2, 2, 3]], values=[[2]]) for kind in (tf.raw_ops.LowerBound, tf.raw_ops.UpperBound)
    ]
    with tf.Session() as session:
        assert session.run(factors).p.dtype == np.int64
        np.testing.assert_allclose(session.run(norm), np.sqrt([[5], [10]]), rtol=1e-6)
        assert session.run([low, high]) == [[[1]], [[3]]]
        read = tf.import_graph_def(graph.as_graph_def(), return_elements=[factors.p.name], name="again")
        np.testing.assert_array_equal(session.run(read[0]), session.run(factors.p))
