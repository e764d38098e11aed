"""What is made of placeholders computes the same as of constants, whatever is known of their shapes."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate

MATRIX = np.array([[1.0, 2], [3, 5]], np.float32)
FRAMES = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
IMAGES = np.arange(48, dtype=np.float32).reshape(1, 4, 4, 3) / 50
IMAGE = IMAGES[0]
IDS = tf.SparseTensorValue([[0, 0], [1, 0], [1, 1]], np.array([1, 0, 1]), [2, 2])
WEIGHTS = tf.SparseTensorValue(IDS.indices, np.array([0.5, 2, 1], np.float32), [2, 2])

ANY_RANK = {
    "matrix_transpose": (MATRIX, tf.matrix_transpose),
    "adjoint": (MATRIX.astype(np.complex64) * 1j, tf.linalg.adjoint),
    "pinv": (MATRIX, tf.linalg.pinv),
    "matrix_rank": (MATRIX, tf.linalg.matrix_rank),
    "lu_solve": (MATRIX, lambda x: tf.linalg.lu_solve(*tf.linalg.lu(x), rhs=[[1.0], [2.0]])),
    "lu_reconstruct": (np.stack([MATRIX, MATRIX.T]), lambda x: tf.linalg.lu_reconstruct(*tf.linalg.lu(x))),
    "lu_matrix_inverse": (MATRIX, lambda x: tf.linalg.lu_matrix_inverse(*tf.linalg.lu(x))),
    "gradient of expm": (MATRIX, lambda x: tf.gradients(tf.linalg.expm(x), x)[0]),
    "diag": (MATRIX, lambda x: tf.linalg.diag(x, k=1)),
    "dynamic_stitch": (FRAMES, lambda x: tf.dynamic_stitch([[2, 0], [1]], [x, [[[9.0, 9.0]] * 3]])),
    "frame": (FRAMES, lambda x: tf.signal.frame(x, 2, 1, axis=1)),
    "frame padded": (FRAMES, lambda x: tf.signal.frame(x, 2, 2, pad_end=True, axis=1)),
    "stft": (FRAMES, lambda x: tf.signal.stft(x, 2, 1)),
    "overlap_and_add": (FRAMES, lambda x: tf.signal.overlap_and_add(x, 1)),
    "fftshift": (FRAMES, lambda x: tf.signal.fftshift(x, axes=[1, -1])),
    "mfccs": (FRAMES, tf.signal.mfccs_from_log_mel_spectrograms),
    "pool": (IMAGES, lambda x: tf.nn.pool(x, [2, 2], "MAX", "VALID")),
    "lrn": (IMAGES, lambda x: tf.nn.lrn(x, 1)),
    "embedding_lookup": (MATRIX, lambda x: tf.nn.embedding_lookup(x, [1, 0], max_norm=1.0)),
    "embedding_lookup_sparse": (MATRIX, lambda x: tf.nn.embedding_lookup_sparse(x, IDS, WEIGHTS, combiner="sqrtn")),
    "safe_embedding_lookup_sparse": (
        MATRIX,
        lambda x: tf.nn.safe_embedding_lookup_sparse(x, tf.SparseTensor.from_value(IDS)),
    ),
    "mean_pairwise": (MATRIX, lambda x: tf.losses.mean_pairwise_squared_error(x, x * x)),
    "grayscale_to_rgb": (IMAGE, lambda x: tf.image.grayscale_to_rgb(x[..., :1])),
    "crop": (IMAGE, lambda x: tf.image.crop_to_bounding_box(x, 1, 1, 2, 3)),
    "pad": (IMAGE, lambda x: tf.image.pad_to_bounding_box(x, 1, 0, 5, 6)),
    "crop or pad": (IMAGE, lambda x: tf.image.resize_image_with_crop_or_pad(x, 3, 5)),
    "resize with pad": (IMAGE, lambda x: tf.image.resize_image_with_pad(x, 6, 8)),
    "sobel_edges": (IMAGES, tf.image.sobel_edges),
    "ssim": (IMAGES, lambda x: tf.image.ssim(x, x * 0.9, 1.0, filter_size=3)),
}


@pytest.mark.parametrize("name", ANY_RANK)
def test_an_unknown_shape_gives_the_same_value(graph, name):
    value, function = ANY_RANK[name]
    wanted = evaluate(function(tf.constant(value)))
    for shape in (None, [None] * value.ndim):
        x = tf.placeholder(value.dtype, shape)
        y = function(x)
        found = evaluate(y, {x: value})
        assert y.shape.is_compatible_with(found.shape)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_images_of_unknown_rank_are_refused_where_tensorflow_refuses_them(graph):
    x = tf.placeholder(tf.float32)
    for function in (lambda: tf.image.resize_images(x, [2, 3]), lambda: tf.image.central_crop(x, 0.5)):
        with pytest.raises(ValueError, match="contains no shape"):
            function()


def test_diagonals_of_unknown_length_must_fit_when_they_are_there(graph):
    x = tf.placeholder(tf.float32)
    y = tf.linalg.diag(x, k=0, num_rows=2, num_cols=3)
    assert evaluate(y, {x: [1, 2]}).tolist() == [[1, 0, 0], [0, 2, 0]]
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match="too small"):
        session.run(y, {x: [1, 2, 3, 4]})
