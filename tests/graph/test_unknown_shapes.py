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
    "sparse_segment_sqrt_n": (FRAMES, lambda x: tf.sparse_segment_sqrt_n(x, [0, 1, 1], [0, 0, 1])),
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


KNOWN = {
    "a size of a list": (lambda x: tf.zeros([tf.size(x), 3]), [None], [None, 3]),
    "of unknown rank": (lambda x: tf.fill([tf.cast(x, tf.int32), 3], 1), None, [None, 3]),
    "random": (lambda x: tf.random_uniform([tf.size(x), 3]), [None], [None, 3]),
    "random of a cast": (lambda x: tf.random_normal(tf.cast([tf.size(x), 3], tf.int64)), [None], [None, 3]),
    "reshape": (lambda x: tf.reshape(tf.zeros([4]), [tf.size(x), 2]), [None], [2, 2]),
    "reshape of nothing": (lambda x: tf.reshape(tf.zeros([0]), [tf.size(x), 0]), [None], [None, 0]),
    "tile": (lambda x: tf.tile([[1, 2, 3]], [tf.size(x), 1]), [None], [None, 3]),
    "slice": (lambda x: tf.slice(tf.zeros([2, 3]), [0, 0], tf.cast(x, tf.int32)), None, [None, None]),
    "slice from": (lambda x: tf.slice(x, [0, 1], tf.cast(x[0], tf.int32)), None, [None, None]),
    "where": (tf.where, None, [None, None]),
    "bias_add": (lambda x: tf.nn.bias_add(x, [1.0, 2.0]), [3, None], [3, 2]),
    "bias_add, channels first": (lambda x: tf.nn.bias_add(x, [1.0, 2.0], "NCHW"), [3, None, 1, 1], [3, 2, 1, 1]),
    "xw_plus_b": (lambda x: tf.nn.xw_plus_b(x, x, [1.0, 2.0]), [None, None], [None, 2]),
    "dynamic_stitch": (lambda x: tf.dynamic_stitch([[0, 2], [1]], [x, [[5.0, 6.0]]]), [None, None], [3, 2]),
    "reverse_sequence": (lambda x: tf.reverse_sequence(x, [1, 2], seq_axis=1), [None, 7], [2, 7]),
    "rgb_to_hsv": (tf.image.rgb_to_hsv, [5, None], [5, 3]),
    "space_to_depth": (lambda x: tf.space_to_depth(x, 2), None, [None] * 4),
    "patches": (lambda x: tf.extract_image_patches(x, [1, 2, 2, 1], [1] * 4, [1] * 4, "VALID"), None, [None] * 4),
    "gradient of a pool": (
        lambda x: tf.gradients(tf.nn.max_pool(x, [1, 2, 2, 1], [1] * 4, "SAME"), x),
        None,
        [None] * 4,
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_follows_from_the_arguments_is_known_of_a_shape(graph, name):
    function, shape, wanted = KNOWN[name]
    made = function(tf.placeholder(tf.float32, shape))
    assert (made[0] if isinstance(made, list) else made).shape.as_list() == wanted


def test_a_reshape_that_cannot_be_is_refused_also_if_a_size_is_unknown(graph):
    with pytest.raises(ValueError, match="Cannot reshape a tensor with 4 elements"):
        tf.reshape(tf.zeros([4]), [tf.size(tf.placeholder(tf.float32)), 3])
