"""Results have the names that TensorFlow gives them, by which programs fetch them from graphs that they read."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

X = np.ones((2, 2), np.float32)
IMAGES = np.ones((1, 4, 4, 3), np.float32)

RESULTS = {
    "embedding_lookup/Identity": lambda: tf.nn.embedding_lookup(X, [1, 0]),
    "e/Identity": lambda: tf.nn.embedding_lookup(X, [1, 0], max_norm=1.0, name="e"),
    "SparseSoftmaxCrossEntropyWithLogits/SparseSoftmaxCrossEntropyWithLogits": (
        lambda: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[0, 1], logits=X)
    ),
    "x/x": lambda: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[0, 1], logits=X, name="x"),
    "x/Reshape_2": lambda: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[[0, 1]], logits=[X], name="x"),
    "m/Less": lambda: tf.sequence_mask([1, 2], 3, name="m"),
    "SequenceMask/Cast_1": lambda: tf.sequence_mask([1, 2], 3, tf.float32),
    "norm/Squeeze": lambda: tf.norm(X),
    "floordiv": lambda: tf.floordiv(X, X),
    "FloorDiv": lambda: tf.floor_div(X, X),
    "TruncateDiv": lambda: tf.truncatediv(tf.constant([1]), [2]),
    "rfft": lambda: tf.signal.rfft(X),
    "irfft2d": lambda: tf.signal.irfft2d(X.astype(np.complex64)),
    "IFFT2D": lambda: tf.signal.ifft2d(X.astype(np.complex64)),
    "diag": lambda: tf.matrix_diag(X),
    "diag_part": lambda: tf.matrix_diag_part(X),
    "set_diag": lambda: tf.matrix_set_diag(X, [1.0, 2.0]),
    "Trace": lambda: tf.trace(X),
    "MaxPoolWithArgmax": lambda: tf.nn.max_pool_with_argmax(IMAGES, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")[0],
    "max_pool": lambda: tf.nn.pool(IMAGES, [2, 2], "MAX", "VALID"),
    "SparseSegmentSum": lambda: tf.sparse_segment_sum(X, [0, 1], [0, 0]),
    "SparseSegmentSqrtN": lambda: tf.sparse_segment_sqrt_n(X, [0, 1], [0, 0]),
    "SegmentMean": lambda: tf.segment_mean(X, [0, 0]),
    "map/TensorArrayStack/TensorArrayGatherV3": lambda: tf.map_fn(lambda x: x + 1, tf.constant([1, 2])),
    "scan/TensorArrayStack/TensorArrayGatherV3": lambda: tf.scan(lambda p, x: p + x, tf.constant([1, 2])),
    "foldl/while/Exit_2": lambda: tf.foldl(lambda p, x: p + x, tf.constant([1, 2])),
    "matrix_transpose/transpose": lambda: tf.matrix_transpose(X),
    "adjoint/matrix_transpose/transpose": lambda: tf.linalg.adjoint(X),
    "in_top_k/InTopKV2": lambda: tf.nn.in_top_k(X, [1, 1], 1),
    "zero_fraction/fraction": lambda: tf.nn.zero_fraction(X),
    "relu_layer": lambda: tf.nn.relu_layer(X, X, [1.0, 2.0]),
    "convert_image": lambda: tf.image.convert_image_dtype(X, tf.uint8),
    "flip_left_right/ReverseV2": lambda: tf.image.flip_left_right(IMAGES),
    "ExtractImagePatches": lambda: tf.extract_image_patches(IMAGES, [1, 2, 2, 1], [1] * 4, [1] * 4, "VALID"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_has_the_name_that_tensorflow_gives_it(graph, name):
    assert RESULTS[name]().name == f"{name}:0"
    scope, slash, rest = name.partition("/")
    if scope != rest:  # else the inner name is the scope's
        assert RESULTS[name]().name == f"{scope}_1{slash}{rest}:0"
