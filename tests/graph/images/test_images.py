"""Images cropped, turned, recoloured, measured; boxes in them."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

import weftwork as tf

RNG = np.random.default_rng(0)
IMAGE = RNG.random((4, 6, 3), np.float32)
BATCH = RNG.random((2, 4, 6, 3), np.float32)
WHOLE = RNG.integers(0, 256, (4, 6, 3)).astype(np.uint8)


def run(tensors, feed_dict=None):
    with tf.Session() as session:
        return session.run(tensors, feed_dict)


# Cropped and framed


@pytest.mark.parametrize("image", [IMAGE, BATCH, WHOLE])
def test_parts_and_frames(graph, image):
    part = run(tf.image.crop_to_bounding_box(image, 1, 2, 3, 4))
    assert np.array_equal(part, image[..., 1:, 2:, :])
    framed = run(tf.image.pad_to_bounding_box(image, 1, 2, 6, 9))
    assert np.array_equal(framed[..., 1:5, 2:8, :], image)
    assert framed.sum() == image.sum() or image.dtype != np.uint8
    assert np.array_equal(run(tf.image.central_crop(image, 0.5)), image[..., 1:3, 1:5, :])
    fitted = run(tf.image.resize_image_with_crop_or_pad(image, 8, 2))
    assert np.array_equal(fitted[..., 2:6, :, :], image[..., 2:4, :])


def test_sizes_may_be_known_only_when_it_runs(graph):
    images = tf.placeholder(tf.float32, [None, None, None, 3])
    fitted = tf.image.resize_with_crop_or_pad(images, 8, 2)
    assert fitted.shape.as_list() == [None, 8, 2, 3]
    half = tf.image.central_crop(images, 0.5)
    part = tf.image.crop_to_bounding_box(images, 2, 0, 3, 1)
    got = run([fitted, half], {images: BATCH})
    assert np.array_equal(got[0][:, 2:6], BATCH[:, :, 2:4])
    assert np.array_equal(got[1], BATCH[:, 1:3, 1:5])
    with pytest.raises(tf.errors.InvalidArgumentError, match="height must be >= target"):
        run(part, {images: BATCH})


def test_patches_are_channels(graph):
    got = run(tf.extract_image_patches(BATCH, [1, 2, 2, 1], [1, 1, 2, 1], [1, 2, 1, 1], "VALID"))
    assert got.shape == (2, 2, 3, 12)
    assert np.array_equal(got[0, 1, 2], np.concatenate([BATCH[0, i, j] for i in (1, 3) for j in (4, 5)]))
    around = run(tf.image.extract_patches(BATCH, [1, 3, 3, 1], [1, 1, 1, 1], [1, 1, 1, 1], "SAME"))
    assert around.shape == (2, 4, 6, 27)
    assert not around[0, 0, 0, :9].any()
    assert np.array_equal(around[1, 2, 3, 12:15], BATCH[1, 2, 3])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tf.image.central_crop(IMAGE, 0.0), "within"),
        (lambda: tf.image.crop_to_bounding_box(IMAGE, 2, 0, 3, 1), "height must be >= target"),
        (lambda: tf.image.pad_to_bounding_box(IMAGE, 0, 0, 4, 5), "width must be <= target"),
        (lambda: tf.image.resize_image_with_crop_or_pad(IMAGE, 0, 1), "target_height must be > 0"),
        (lambda: tf.image.flip_left_right(IMAGE[0]), "at least three-dimensional"),
        (lambda: tf.image.random_brightness(IMAGE, -1.0), "non-negative"),
        (lambda: tf.image.random_contrast(IMAGE, 2.0, 1.0), "upper must be > lower"),
        (lambda: tf.image.adjust_hue(IMAGE[..., :2], 0.1), "3 channels"),
        (lambda: tf.image.grayscale_to_rgb(IMAGE), "last dimension of size 1"),
        (lambda: tf.image.ssim(IMAGE, IMAGE[:3], 1.0), "not compatible"),
        (lambda: tf.extract_image_patches(BATCH, [2, 2, 2, 1], [1] * 4, [1] * 4, "SAME"), "ksizes"),
    ],
)
def test_what_does_not_fit_is_told_where_it_is_made(graph, make, text):
    with pytest.raises(ValueError, match=text):
        make()


# Turned


@pytest.mark.parametrize("image", [IMAGE, BATCH])
def test_images_are_turned(graph, image):
    axes = (image.ndim - 3, image.ndim - 2)
    assert np.array_equal(run(tf.image.flip_left_right(image)), np.flip(image, axes[1]))
    assert np.array_equal(run(tf.image.flip_up_down(image)), np.flip(image, axes[0]))
    assert np.array_equal(run(tf.image.transpose_image(image)), np.swapaxes(image, *axes))
    times = tf.placeholder(tf.int32, [])
    turned = tf.image.rot90(image, times)
    for k in (-1, 0, 1, 2, 3, 5):
        wanted = np.rot90(image, k, axes)
        assert np.array_equal(run(tf.image.rot90(image, k)), wanted)
        assert np.array_equal(run(turned, {times: k}), wanted)


def test_each_image_of_a_batch_is_flipped_or_not(graph):
    many = np.tile(IMAGE, [64, 1, 1, 1])
    flips = tf.image.random_flip_left_right(many, seed=1), tf.image.random_flip_up_down(many, seed=2)
    for got, axis in zip(run(flips), (1, 0), strict=True):
        turned = [np.array_equal(one, np.flip(IMAGE, axis)) for one in got]
        assert all(t or np.array_equal(one, IMAGE) for t, one in zip(turned, got, strict=True))
        assert 10 < sum(turned) < 54
    assert tf.image.random_flip_left_right(IMAGE).shape.as_list() == [4, 6, 3]


# Colours


def test_dtypes_keep_their_range(graph):
    numbers = np.array([0, 128, 255], np.uint8)
    assert run(tf.image.convert_image_dtype(numbers, tf.float32)) == pytest.approx(numbers / 255)
    assert run(tf.image.convert_image_dtype(np.float32([0, 0.5, 1]), tf.uint8)).tolist() == [0, 127, 255]
    assert run(tf.image.convert_image_dtype(np.float32([-1, 2]), tf.uint8, saturate=True)).tolist() == [0, 255]
    assert run(tf.image.convert_image_dtype(numbers, tf.uint16)).tolist() == [0, 32768, 65280]
    assert run(tf.image.convert_image_dtype(np.uint16([256, 65535]), tf.uint8)).tolist() == [1, 255]


def test_brightness_contrast_and_gamma(graph):
    assert run(tf.image.adjust_brightness(IMAGE, 0.2)) == pytest.approx(IMAGE + 0.2)
    assert run(tf.image.adjust_brightness(WHOLE, 0.5)).max() == 255
    mean = BATCH.mean((1, 2), keepdims=True)
    assert run(tf.image.adjust_contrast(BATCH, 2.0)) == pytest.approx((BATCH - mean) * 2 + mean, abs=1e-5)
    assert run(tf.image.adjust_gamma(IMAGE, 2.0, 3.0)) == pytest.approx(3 * IMAGE**2, abs=1e-5)
    flat = run(tf.image.per_image_standardization(BATCH))
    assert flat.mean((1, 2, 3)) == pytest.approx([0, 0], abs=1e-5)
    assert flat.std((1, 2, 3)) == pytest.approx([1, 1], abs=1e-5)
    assert not run(tf.image.per_image_standardization(np.ones((2, 2, 1)))).any()


def test_hue_and_saturation_are_those_of_colorsys(graph):
    hsv = run(tf.image.rgb_to_hsv(IMAGE))
    wanted = [colorsys.rgb_to_hsv(*map(float, pixel)) for pixel in IMAGE.reshape(-1, 3)]
    assert hsv.reshape(-1, 3) == pytest.approx(np.array(wanted), abs=1e-5)
    assert run(tf.image.hsv_to_rgb(hsv)) == pytest.approx(IMAGE, abs=1e-5)
    assert run(tf.image.rgb_to_hsv([1, 2, 3])) == pytest.approx([7 / 12, 2 / 3, 3])
    turned = run(tf.image.rgb_to_hsv(tf.image.adjust_hue(IMAGE, 0.25)))
    assert turned[..., 0] == pytest.approx((hsv[..., 0] + 0.25) % 1, abs=1e-4)
    grey = run(tf.image.adjust_saturation(IMAGE, 0.0))
    assert grey == pytest.approx(np.repeat(IMAGE.max(-1, keepdims=True), 3, -1), abs=1e-5)
    for there, back in (("rgb_to_yuv", "yuv_to_rgb"), ("rgb_to_yiq", "yiq_to_rgb")):
        assert run(getattr(tf.image, back)(getattr(tf.image, there)(IMAGE))) == pytest.approx(IMAGE, abs=1e-4)


def test_grey(graph):
    grey = tf.image.rgb_to_grayscale(IMAGE)
    assert run(grey) == pytest.approx(IMAGE @ np.float32([[0.2989], [0.587], [0.114]]), abs=1e-5)
    assert run(tf.image.grayscale_to_rgb(grey)).shape == (4, 6, 3)
    assert tf.image.rgb_to_grayscale(WHOLE).dtype is tf.uint8


def test_random_colours_keep_to_their_bounds_and_differ_between_runs(graph):
    flat = np.full((2, 2, 3), 0.5, np.float32)
    bright = tf.image.random_brightness(flat, 0.25, seed=3)
    others = [tf.image.random_contrast(IMAGE, 0.5, 1.5), tf.image.random_hue(IMAGE, 0.2)]
    others.append(tf.image.random_saturation(IMAGE, 0.5, 1.5))
    with tf.Session() as session:
        found = {round(float(session.run(bright).flat[0]), 5) for _ in range(20)}
        assert [part.shape for part in session.run(others)] == [(4, 6, 3)] * 3
    assert len(found) > 10
    assert min(found) >= 0.25
    assert max(found) <= 0.75


# Measured


def test_how_smooth_and_how_alike(graph):
    large = RNG.random((2, 32, 40, 3), np.float32)
    noisy = np.clip(large + 0.1 * RNG.standard_normal(large.shape), 0, 1).astype(np.float32)
    steps = np.abs(np.diff(BATCH, axis=1)).sum((1, 2, 3)) + np.abs(np.diff(BATCH, axis=2)).sum((1, 2, 3))
    assert run(tf.image.total_variation(BATCH)) == pytest.approx(steps, rel=1e-5)
    assert run(tf.image.total_variation(BATCH[1])) == pytest.approx(steps[1], rel=1e-5)
    error = np.square(large - noisy).mean((1, 2, 3))
    assert run(tf.image.psnr(large, noisy, 1.0)) == pytest.approx(-10 * np.log10(error), rel=1e-4)
    assert run(tf.image.ssim(large, large, 1.0)) == pytest.approx([1, 1])
    assert (run(tf.image.ssim(large, noisy, 1.0)) < 0.99).all()
    assert run(tf.image.ssim_multiscale(large, large, 1.0, power_factors=(0.5, 0.5))) == pytest.approx([1, 1])
    down, across = run(tf.image.image_gradients(BATCH))
    assert down[:, :-1] == pytest.approx(np.diff(BATCH, axis=1))
    assert not across[:, :, -1].any()
    assert run(tf.image.sobel_edges(np.ones((1, 3, 4, 2), np.float32))) == pytest.approx(0)


# Boxes


def test_boxes_that_overlap_a_better_one_are_left_out(graph):
    boxes = [[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 2, 1, 3], [1, 1, 0, 0], [5, 5, 6, 6]]
    scores = [0.9, 0.8, 0.7, 0.95, 0.1]
    picked = tf.image.non_max_suppression(boxes, scores, 3, 0.5)
    assert (picked.dtype, picked.shape.as_list()) == (tf.int32, [None])
    assert run(picked).tolist() == [3, 2, 4]
    assert run(tf.image.non_max_suppression(boxes, scores, 9, 0.9, score_threshold=0.5)).tolist() == [3, 1, 2]
    with pytest.raises(ValueError, match="not compatible"):
        tf.image.non_max_suppression(boxes, scores[:2], 3)


def test_boxes_are_drawn_in_turn(graph):
    drawn = run(tf.image.draw_bounding_boxes(np.zeros((1, 5, 6, 3), np.float32), [[[0, 0, 0.5, 0.4], [2, 2, 3, 3]]]))
    assert np.array_equal(drawn[0, :, :, 0], np.pad([[1, 1, 1], [1, 0, 1], [1, 1, 1]], [[0, 2], [0, 3]]))


def test_a_part_by_lot_covers_what_it_must(graph):
    begin, size, box = tf.image.sample_distorted_bounding_box(
        [40, 60, 3], [[[0.2, 0.2, 0.8, 0.8]]], min_object_covered=0.5, area_range=[0.1, 0.9], seed=4
    )
    with tf.Session() as session:
        found = [session.run([begin, size, box]) for _ in range(20)]
    for first, extent, fractions in found:
        assert (first[2], extent[2]) == (0, -1)
        (y, x), (height, width) = first[:2], extent[:2]
        assert y + height <= 40
        assert x + width <= 60
        assert 0.7 < width / height < 1.4
        assert fractions.ravel() == pytest.approx([y / 40, x / 60, (y + height) / 40, (x + width) / 60])
        covered = max(min(y + height, 32) - max(y, 8), 0) * max(min(x + width, 48) - max(x, 12), 0)
        assert covered >= 0.5 * 24 * 36
    assert len({tuple(extent) for _, extent, _ in found}) > 5
    with pytest.raises(tf.errors.InvalidArgumentError, match="No bounding boxes"):
        run(tf.image.sample_distorted_bounding_box([4, 4, 3], np.zeros((1, 0, 4), np.float32))[0])


def test_other_ways_to_leave_boxes_out(graph):
    boxes = np.float32([[0, 0, 1, 1], [0, 0, 1, 0.5], [0, 2, 1, 3]])
    scores = np.float32([0.9, 0.8, 0.5])
    padded, count = tf.image.non_max_suppression_padded(boxes, scores, 4, 0.4, pad_to_max_output_size=True)
    assert padded.shape.as_list() == [4]
    shared = np.float32([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    by_overlaps = tf.image.non_max_suppression_overlaps(shared, scores, 3, 0.8)
    soft = tf.image.non_max_suppression_with_scores(boxes, scores, 3, soft_nms_sigma=0.5)
    got = run([padded, count, by_overlaps, soft])
    assert [got[0].tolist(), got[1], got[2].tolist()] == [[0, 2, 0, 0], 2, [0, 2]]
    assert got[3][0].tolist() == [0, 1, 2]
    assert got[3][1] == pytest.approx([0.9, 0.8 * np.exp(-0.25), 0.5])
