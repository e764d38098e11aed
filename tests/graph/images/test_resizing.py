"""Images in another size, with TensorFlow 1's values, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

ROW = np.array([0.0, 10.0, 20.0, 40.0], np.float32).reshape(1, 1, 4, 1)
IMAGES = np.random.default_rng(0).random((2, 5, 7, 3), np.float32)


def run(tensors, feed_dict=None):
    with tf.Session() as session:
        return session.run(tensors, feed_dict)


def row(resize, width, **options):
    """ROW in another width."""
    made = run(resize(ROW, [1, width], **options)).ravel()
    return [round(float(pixel), 3) for pixel in made]


def test_each_way_has_tensorflows_values(graph):
    assert row(tf.image.resize_bilinear, 8) == [0, 5, 10, 15, 20, 30, 40, 40]
    assert row(tf.image.resize_bilinear, 7, align_corners=True) == [0, 5, 10, 15, 20, 30, 40]
    assert row(tf.image.resize_bilinear, 2, half_pixel_centers=True) == [5, 30]
    assert row(tf.image.resize_nearest_neighbor, 6) == [0, 0, 10, 20, 20, 40]
    assert row(tf.image.resize_nearest_neighbor, 6, align_corners=True) == [0, 10, 10, 20, 20, 40]
    assert row(tf.image.resize_area, 2) == [5, 30]
    assert row(tf.image.resize_area, 3) == [2.5, 15, 35]
    assert row(tf.image.resize_bicubic, 8) == [0, 4.062, 10, 14.062, 20, 30.938, 40, 41.875]


def test_a_constant_image_stays_one_and_the_size_that_it_has_is_left_alone(graph):
    flat = np.full((1, 4, 6, 2), 3.5, np.float32)
    for method in (0, 1, 2, 3):
        assert run(tf.image.resize_images(flat, [7, 5], method)) == pytest.approx(3.5, abs=1e-4)
    whole = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    same = tf.image.resize_images(whole, [4, 6])
    assert same.dtype is tf.uint8
    assert np.array_equal(run(same), whole)


def test_sizes_are_known_as_far_as_they_are(graph):
    images = tf.placeholder(tf.uint8, [None, None, 3])
    resized = tf.image.resize_images(images, [4, 5])
    assert (resized.dtype, resized.shape.as_list()) == (tf.float32, [4, 5, 3])
    assert tf.image.resize_images(images, [4, 5], method=1).dtype is tf.uint8
    size = tf.placeholder(tf.int32, [2])
    unknown = tf.image.resize_images(images, size)
    assert unknown.shape.as_list() == [None, None, 3]
    assert run(unknown, {images: IMAGES[0] * 255, size: [2, 9]}).shape == (2, 9, 3)
    assert run(tf.image.resize_images(IMAGES, [10, 10], preserve_aspect_ratio=True)).shape == (2, 7, 10, 3)
    framed = tf.image.resize_image_with_pad(images, 9, 4)
    assert framed.shape.as_list() == [9, 4, 3]
    got = run(framed, {images: np.ones((5, 7, 3), np.uint8)})
    assert got[:, 0, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0]


def slopes(make, x):
    """The gradient of a linear function of x, and its finite differences, which are exact."""
    weights = np.random.default_rng(1).random(make(tf.constant(x)).shape.as_list()).astype(np.float32)
    given = tf.placeholder(tf.float32, x.shape)
    loss = tf.reduce_sum(make(given) * weights)
    (slope,) = tf.gradients(loss, given)
    with tf.Session() as session:
        got = session.run(slope, {given: x})
        basis = np.eye(x.size, dtype=np.float32).reshape(x.size, *x.shape)
        return got.ravel(), np.array([session.run(loss, {given: one}) for one in basis])


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("method", [0, 1, 2])
def test_gradients_are_those_of_linear_functions(graph, method, align_corners):
    got, wanted = slopes(lambda x: tf.image.resize_images(x, [5, 2], method, align_corners), IMAGES[:1, :3, :4, :1])
    assert got == pytest.approx(wanted, abs=1e-4)


BOXES = np.array([[0, 0, 1, 1], [0.2, 0.1, 0.7, 0.9], [0.9, 0.9, 0.1, 0.2], [-0.2, 0.3, 1.3, 0.6]], np.float32)


def test_crops_are_resized_parts(graph):
    whole = tf.image.crop_and_resize(IMAGES, [[0, 0, 1, 1], [1, 1, 0, 0]], [1, 0], [5, 7])
    assert whole.shape.as_list() == [2, 5, 7, 3]
    got = run(whole)
    assert got[0] == pytest.approx(IMAGES[1])
    assert got[1] == pytest.approx(IMAGES[0, ::-1, ::-1])
    outside = run(tf.image.crop_and_resize(IMAGES, [[-1, 0, 2, 1]], [0], [4, 1], extrapolation_value=9))
    assert (outside[0, :, 0, 0] == 9).tolist() == [True, False, False, True]
    with pytest.raises(tf.errors.OutOfRangeError, match=r"outside \[0, batch_size\): there are 2"):
        run(tf.image.crop_and_resize(IMAGES, BOXES, [0, 1, 2, 0], [2, 2]))
    with pytest.raises(ValueError, match="not compatible"):
        tf.image.crop_and_resize(IMAGES, BOXES, [0], [2, 2])


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_gradients_of_crops(graph, method):
    image = IMAGES[:1, :4, :3, :1]
    got, wanted = slopes(lambda x: tf.image.crop_and_resize(x, BOXES, [0] * 4, [3, 2], method), image)
    assert got == pytest.approx(wanted, abs=1e-4)


def test_gradients_of_boxes(graph):
    boxes = tf.constant([[0.21, 0.12, 0.73, 0.9]])
    weights = np.random.default_rng(1).random((1, 3, 4, 3)).astype(np.float32)
    loss = lambda b: tf.reduce_sum(tf.image.crop_and_resize(IMAGES, b, [1], [3, 4]) * weights)  # noqa: E731
    (slope,) = tf.gradients(loss(boxes), boxes)
    step = 1e-2
    moved = [(loss(boxes + d) - loss(boxes - d)) / (2 * step) for d in np.eye(4, dtype=np.float32) * step]
    got, wanted = run([slope, moved])
    assert got.ravel() == pytest.approx(wanted, abs=0.05)


def test_bad_input_is_told(graph):
    with pytest.raises(ValueError, match="3 or 4 dimensions"):
        tf.image.resize_images(IMAGES[0, 0], [2, 2])
    with pytest.raises(ValueError, match="2 elements"):
        tf.image.resize_images(IMAGES, [2, 2, 2])
    with pytest.raises(ValueError, match="not implemented"):
        tf.image.resize_images(IMAGES, [2, 2], method=9)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be positive"):
        run(tf.image.resize_bilinear(IMAGES, [0, 2]))
