"""Pictures as files have them, decoded and encoded by Pillow."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

import weftwork as tf

Image = pytest.importorskip("PIL.Image")
SMOOTH = np.stack([np.add.outer(np.arange(24), np.arange(32)) * 4] * 3, -1).astype(np.uint8)


def run(tensors, feed_dict=None):
    with tf.Session() as session:
        return session.run(tensors, feed_dict)


def encoded(picture, kind, **options) -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(file, kind, **options)
    return file.getvalue()


def test_a_png_comes_back_as_it_went(graph):
    deep = np.arange(12, dtype=np.uint16).reshape(3, 4, 1) * 5000
    opaque = np.concatenate([SMOOTH, SMOOTH[..., :1]], -1)
    for image in (SMOOTH, SMOOTH[..., :1], opaque):
        assert np.array_equal(run(tf.image.decode_png(tf.image.encode_png(image))), image)
    assert np.array_equal(run(tf.image.decode_png(tf.image.encode_png(deep), dtype=tf.uint16)), deep)
    assert run(tf.image.decode_png(encoded(SMOOTH, "PNG"), channels=4)).shape == (24, 32, 4)
    assert run(tf.image.decode_png(encoded(SMOOTH, "PNG"), channels=1)).shape == (24, 32, 1)
    assert run(tf.image.decode_png(encoded(Image.fromarray(SMOOTH).convert("P"), "PNG"))).shape == (24, 32, 3)


def test_a_jpeg_comes_back_nearly_as_it_went(graph):
    data = tf.image.encode_jpeg(SMOOTH, quality=95)
    assert np.abs(run(tf.image.decode_jpeg(data)).astype(int) - SMOOTH).max() < 12
    grey, shape, yes, part = run(
        [
            tf.image.decode_jpeg(data, channels=1),
            tf.image.extract_jpeg_shape(data),
            tf.image.is_jpeg(data),
            tf.image.decode_and_crop_jpeg(data, [2, 3, 10, 12], channels=3),
        ]
    )
    assert (grey.shape, shape.tolist(), bool(yes), part.shape) == ((24, 32, 1), [24, 32, 3], True, (10, 12, 3))
    assert run(tf.image.decode_jpeg(data, ratio=2)).shape == (12, 16, 3)
    coarse = run(tf.image.adjust_jpeg_quality(SMOOTH, 5)).astype(int)
    assert 0 < np.abs(coarse - SMOOTH).mean() < 40


def test_any_picture_is_decoded_by_what_it_is(graph):
    palette = Image.fromarray(SMOOTH).convert("P")
    gif = encoded(palette, "GIF", save_all=True, append_images=[Image.fromarray(SMOOTH[::-1]).convert("P")])
    data = tf.placeholder(tf.string, [])
    picture, single = tf.image.decode_image(data), tf.image.decode_image(data, expand_animations=False)
    floats = tf.io.decode_image(data, channels=3, dtype=tf.float32)
    assert (picture.shape.ndims, single.shape.ndims) == (None, 3)
    with tf.Session() as session:
        assert session.run(picture, {data: gif}).shape == (2, 24, 32, 3)
        assert session.run(single, {data: gif}).shape == (24, 32, 3)
        for kind in ("PNG", "BMP"):
            file = {data: encoded(SMOOTH, kind)}
            assert np.array_equal(session.run(picture, file), SMOOTH)
            assert session.run(floats, file) == pytest.approx(SMOOTH / 255)
        assert session.run(picture, {data: encoded(SMOOTH, "JPEG")}).shape == (24, 32, 3)
        with pytest.raises(tf.errors.InvalidArgumentError, match="Unable to decode bytes"):
            session.run(picture, {data: b"text"})
    assert run(tf.image.decode_gif(gif)).shape == (2, 24, 32, 3)
    assert np.array_equal(run(tf.image.decode_bmp(encoded(SMOOTH, "BMP"))), SMOOTH)


def test_shapes_are_known_as_far_as_they_are(graph):
    data = tf.placeholder(tf.string, [])
    assert tf.image.decode_jpeg(data, channels=3).shape.as_list() == [None, None, 3]
    assert tf.image.decode_png(data, dtype=tf.uint16).dtype is tf.uint16
    assert tf.image.decode_gif(data).shape.as_list() == [None, None, None, 3]


def test_bad_input_is_told(graph):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)Invalid PNG data.* size 2.*test_coding.py"):
        run(tf.image.decode_png(b"xx"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid JPEG data"):
        run(tf.image.decode_jpeg(encoded(SMOOTH, "JPEG")[:200]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="1, 3 channels"):
        run(tf.image.encode_jpeg(np.zeros((2, 2, 4), np.uint8)))
    with pytest.raises(ValueError, match="channels must be one of 0, 1, 3, not 7"):
        tf.image.decode_jpeg("x", channels=7)
    with pytest.raises(TypeError, match="allowed values: uint8 or uint16"):
        tf.image.encode_png(np.zeros((2, 2, 3), np.float32))


def test_without_pillow_it_says_what_to_install(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'weftwork\[images\]'"):
        tf.image.decode_png("x")
