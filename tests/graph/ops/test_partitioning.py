"""Taking apart and putting together by computed positions, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weftwork as tf


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_what_is_taken_apart_is_put_together_again(places):
    data = np.arange(len(places) * 2.0).reshape(-1, 2)
    with tf.Graph().as_default(), tf.Session() as session:
        x, at = tf.placeholder(tf.float64, [None, 2]), tf.placeholder(tf.int32, [None])
        parts = tf.dynamic_partition(x, at, 4)
        numbers = tf.dynamic_partition(tf.range(tf.size(at)), at, 4)
        again = tf.dynamic_stitch(numbers, parts)
        got, whole = session.run([parts, again], {x: data, at: places})
    for number, part in enumerate(got):
        assert np.array_equal(part, data[np.array(places) == number])
    assert np.array_equal(whole, data)


def test_the_last_slice_of_a_repeated_index_counts(graph):
    merged = tf.dynamic_stitch(
        [6, [4, 1], [[5, 2], [0, 3]], [1]], [[61], [[41], [11]], [[[51], [21]], [[1], [31]]], [[99]]]
    )
    assert merged.shape.as_list() == [7, 1]
    with tf.Session() as session:
        assert session.run(merged).ravel().tolist() == [1, 99, 21, 31, 41, 51, 61]


def test_gradients_go_the_way_back(graph):
    x = tf.placeholder(tf.float64, [4])
    small, large = tf.dynamic_partition(x, tf.cast(x > 2, tf.int32), 2)
    joined = tf.dynamic_stitch([[0, 2], [1, 2]], [small * 2, large * large])
    (slope,) = tf.gradients(tf.reduce_sum(joined), x)
    with tf.Session() as session:
        assert session.run(joined, {x: [1, 2, 3, 4]}).tolist() == [2, 9, 16]
        got = session.run(slope, {x: [1, 2, 3, 4]}).tolist()
    assert got == [2, 2, 6, 8]  # as TensorFlow's: each slice has the gradient of its place, whoever won it


def test_the_difference_of_two_vectors(graph):
    out, places = tf.setdiff1d([1, 2, 3, 4, 5, 3], [1, 3, 5])
    with tf.Session() as session:
        got = session.run([out, places])
    assert [part.tolist() for part in got] == [[2, 4], [1, 3]]
    assert got[1].dtype == np.int32


def test_bad_input_is_told(graph):
    with pytest.raises(ValueError, match="at least 1"):
        tf.dynamic_partition([1.0], [0], 0)
    with pytest.raises(ValueError, match="must match length 1"):
        tf.dynamic_stitch([[0]], [[1.0], [2.0]])
    at = tf.placeholder(tf.int32, [1])
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match=r"indices\[0\] = -1 is negative"):
        session.run(tf.dynamic_stitch([at], [[1.0]]), {at: [-1]})


def test_a_stitched_tensor_of_constant_indices_has_a_known_shape(graph):
    assert tf.dynamic_stitch([[0, 4], [2]], [[1, 2], [3]]).shape.as_list() == [5]
    with pytest.raises(ValueError, match="does not start with indices.shape"):
        tf.dynamic_stitch([[0, 1]], [[1]])
