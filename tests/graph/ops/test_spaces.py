"""Blocks, windows, bands, order, copies with some elements replaced: values, shapes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate

IMAGES = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)


def test_blocks_go_into_the_batch_and_back(graph):
    made = tf.space_to_batch_nd(IMAGES, [2, 3], [[1, 1], [0, 0]])
    assert made.shape.as_list() == [12, 3, 2, 3]
    found = evaluate(made)
    padded = np.pad(IMAGES, [(0, 0), (1, 1), (0, 0), (0, 0)])
    np.testing.assert_array_equal(found[2 * (1 * 3 + 2)], padded[0, 1::2, 2::3])
    back = tf.batch_to_space_nd(made, [2, 3], [[1, 1], [0, 0]])
    assert back.shape.as_list() == [2, 4, 6, 3]
    np.testing.assert_array_equal(evaluate(back), IMAGES)
    assert evaluate(tf.space_to_batch(IMAGES, [[0, 0], [0, 0]], 2)).shape == (8, 2, 3, 3)
    paddings, crops = tf.required_space_to_batch_paddings([7, 8], [2, 3])
    assert evaluate(paddings).tolist() == [[0, 1], [0, 1]] == evaluate(crops).tolist()


def test_blocks_that_do_not_fit_are_refused(graph):
    with pytest.raises(ValueError, match="evenly divisible by 4 but is 6"):
        tf.space_to_batch_nd(IMAGES, [2, 4], [[0, 0], [0, 0]])
    x = tf.placeholder(tf.float32, [None] * 4)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"padded_shape\[1\]=6 is not divisible by block_shape\[1\]=4"
    ):
        evaluate(tf.space_to_batch_nd(x, [2, 4], [[0, 0], [0, 0]]), {x: IMAGES})


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_blocks_go_into_the_depth_and_back(graph, layout):
    images = IMAGES if layout == "NHWC" else IMAGES.transpose(0, 3, 1, 2)
    deep = tf.space_to_depth(images, 2, data_format=layout)
    assert deep.shape.as_list() == ([2, 2, 3, 12] if layout == "NHWC" else [2, 12, 2, 3])
    np.testing.assert_array_equal(evaluate(tf.depth_to_space(deep, 2, data_format=layout)), images)
    depth = evaluate(deep)[0, 0, 0] if layout == "NHWC" else evaluate(deep)[0, :, 0, 0]
    np.testing.assert_array_equal(depth, IMAGES[0, :2, :2].ravel())


def test_windows_of_images_are_vectors(graph):
    made = tf.extract_image_patches(IMAGES, [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID")
    assert made.shape.as_list() == [2, 2, 3, 12]
    np.testing.assert_array_equal(evaluate(made)[1, 1, 2], IMAGES[1, 2:4, 4:6].ravel())
    same = tf.extract_image_patches(IMAGES, [1, 3, 3, 1], [1, 1, 1, 1], [1, 1, 1, 1], "SAME")
    np.testing.assert_array_equal(
        evaluate(same)[0, 0, 0].reshape(3, 3, 3), np.pad(IMAGES[0], [(1, 1), (1, 1), (0, 0)])[:3, :3]
    )


@pytest.mark.parametrize(("lower", "upper"), [(0, 0), (-1, 0), (1, 2), (0, -1)])
def test_a_band_is_what_two_triangles_share(graph, lower, upper):
    x = np.arange(1.0, 25).reshape(2, 3, 4)
    wanted = x if lower < 0 else np.triu(x, -lower)
    wanted = wanted if upper < 0 else np.tril(wanted, upper)
    np.testing.assert_array_equal(evaluate(tf.matrix_band_part(x, lower, upper)), wanted)
    np.testing.assert_array_equal(evaluate(tf.linalg.band_part(x, lower, upper)), wanted)


def test_a_diagonal_is_put_in(graph):
    found = evaluate(tf.matrix_set_diag(np.zeros((2, 2, 3)), [[1.0, 2.0], [3.0, 4.0]]))
    assert found.tolist() == [[[1, 0, 0], [0, 2, 0]], [[3, 0, 0], [0, 4, 0]]]


def test_order_along_an_axis(graph):
    x = np.array([[3, 1, 2, 1], [0, 5, 5, 4]])
    assert evaluate(tf.sort(x)).tolist() == np.sort(x).tolist()
    assert evaluate(tf.sort(x, 0, "DESCENDING")).tolist() == np.sort(x, 0)[::-1].tolist()
    assert evaluate(tf.argsort(x)).tolist() == [[1, 3, 2, 0], [0, 3, 1, 2]]
    assert evaluate(tf.argsort(x, direction="DESCENDING")).tolist() == [[0, 2, 1, 3], [1, 2, 3, 0]]
    with pytest.raises(ValueError, match="Unknown sort direction"):
        tf.sort(x, direction="UP")


def test_values_are_found_in_ascending_rows(graph):
    rows, values = [[0, 2, 2, 9], [1, 2, 3, 4]], [[2, 10], [0, 4]]
    assert evaluate(tf.searchsorted(rows, values)).tolist() == [[1, 4], [0, 3]]
    assert evaluate(tf.searchsorted(rows, values, side="right")).tolist() == [[3, 4], [0, 4]]


def test_slices_come_several_times(graph):
    x = np.array([[1, 2], [3, 4]])
    for repeats, axis in ((2, None), (3, 1), ([0, 2], 0)):
        made = tf.repeat(x, repeats, axis)
        wanted = np.repeat(x, repeats, axis)
        assert evaluate(made).tolist() == wanted.tolist()
        assert made.shape.as_list() == list(wanted.shape)
    n = tf.placeholder(tf.int32, [])
    assert evaluate(tf.repeat(x, n, 0), {n: 2}).tolist() == np.repeat(x, 2, 0).tolist()


def test_places_have_coordinates(graph):
    assert evaluate(tf.unravel_index([3, 7], [3, 4])).tolist() == [[0, 1], [3, 3]]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"out of bound as with dims: \[3, 4\]"):
        evaluate(tf.unravel_index(12, [3, 4]))


def test_edit_distances_are_levenshteins(graph):
    words = [("kitten", "sitting"), ("", "abc"), ("abc", ""), ("", "")]

    def sparse(texts):
        indices = [[i, j] for i, text in enumerate(texts) for j in range(len(text))]
        return tf.SparseTensor(np.array(indices, np.int64), [c for text in texts for c in text], [len(texts), 7])

    ours, truth = sparse([a for a, _ in words]), sparse([b for _, b in words])
    assert evaluate(tf.edit_distance(ours, truth, normalize=False)).tolist() == [3, 3, 3, 0]
    np.testing.assert_allclose(evaluate(tf.edit_distance(ours, truth)), [3 / 7, 1, np.inf, 0])
    with pytest.raises(TypeError, match="Truth must be a SparseTensor"):
        tf.edit_distance(ours, [1])


@pytest.mark.parametrize(
    ("name", "found"),
    [("update", [7, 1, 9, 3]), ("add", [7, 1, 11, 3]), ("sub", [-7, 1, -7, 3])],
)
def test_a_copy_has_some_elements_replaced(graph, name, found):
    scatter = getattr(tf, f"tensor_scatter_{name}")
    assert evaluate(scatter([0, 1, 2, 3], [[0], [2]], [7, 9])).tolist() == found
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"indices\[0\] = \[4\] does not index into shape \[4\]"):
        evaluate(scatter([0, 1, 2, 3], [[4]], [7]))


def test_a_shape_is_ensured(graph):
    x = tf.placeholder(tf.float32)
    made = tf.ensure_shape(x, [None, 2])
    assert made.shape.as_list() == [None, 2]
    assert evaluate(made, {x: [[1, 2]]}).tolist() == [[1, 2]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not compatible with expected shape"):
        evaluate(made, {x: [1, 2]})
    with pytest.raises(ValueError, match="both shapes must be equal, but are 3 and 2"):
        tf.ensure_shape([1, 2], [3])


def test_bytes_are_read_as_another_dtype(graph):
    x = np.array([1.0, -2.5], np.float32)
    assert evaluate(tf.bitcast(x, tf.int32)).tolist() == x.view(np.int32).tolist()
    small = tf.bitcast(x, tf.uint8)
    assert small.shape.as_list() == [2, 4]
    assert evaluate(tf.bitcast(small, tf.float32)).tolist() == [1, -2.5]


def test_where_v2_broadcasts_a_vector_of_conditions(graph):
    found = evaluate(tf.where_v2([True, False], [[1, 2], [3, 4]], 0))
    assert found.tolist() == [[1, 0], [3, 0]]
