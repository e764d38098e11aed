"""Glimpses of images, and the best boxes of several classes."""

from __future__ import annotations

import numpy as np

import weftwork as tf

IMAGES = np.arange(30, dtype=np.float32).reshape(1, 5, 6, 1)


def test_a_glimpse_shows_what_is_around_a_place(graph):
    glimpse = tf.image.extract_glimpse
    cases = {
        "the middle": glimpse(IMAGES, [1, 2], [[0.0, 0.0]]),
        "a share": glimpse(IMAGES, [1, 2], [[-1.0, -1.0]], normalized=True, centered=True),
        "pixels": glimpse(IMAGES, [1, 2], [[1.5, 3.0]], centered=False, normalized=False),
        "beyond": glimpse(IMAGES, [3, 4], [[0.0, 0.0]], centered=False, normalized=False),
        "beyond, normal": glimpse(IMAGES, [9, 9], [[0.0, 0.0]], uniform_noise=False),
    }
    with tf.Session() as session:
        found = session.run(cases)
    assert cases["beyond"].shape.as_list() == [1, 3, 4, 1]
    assert found["the middle"].ravel().tolist() == [14, 15]
    assert found["pixels"].ravel().tolist() == [8, 9]
    assert found["a share"][0, 0, 1].tolist() == [0]
    assert found["beyond"][0, 1, 2:, 0].tolist() == [0, 1]
    assert 0 <= found["beyond"][0, 0].min() <= found["beyond"][0, 0].max() <= 29
    assert (found["beyond, normal"][0, 2:7, 1:7, 0] == IMAGES[0, :, :, 0]).all()


def test_the_best_boxes_of_all_classes_come_first(graph):
    boxes = np.array([[[[0, 0, 1, 1]], [[0, 0, 0.9, 1]], [[2, 2, 3, 3]]]], np.float32)
    scores = np.array([[[0.9, 0.1], [0.8, 0.7], [0.3, 0.2]]], np.float32)
    best = tf.image.combined_non_max_suppression
    whole = best(boxes, scores, 2, 5, iou_threshold=0.5, score_threshold=0.15, clip_boxes=False)
    padded = best(boxes, scores, 1, 5, pad_per_class=True)
    assert padded[0].shape.as_list() == [1, 2, 4]
    with tf.Session() as session:
        places, values, classes, count = session.run(whole)
        clipped = session.run(padded)
    np.testing.assert_allclose(values[0], [0.9, 0.7, 0.3, 0.2, 0], rtol=1e-6)
    assert classes[0].tolist() == [0, 1, 0, 1, 0]
    assert count.tolist() == [4]
    assert places[0, 2].tolist() == [2, 2, 3, 3]
    assert (clipped[1].shape, clipped[3].tolist()) == ((1, 2), [2])
