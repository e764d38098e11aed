"""Indices that are not in [0, n): an error that names them, whichever operation gets them, and on the way back too."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

TABLE = np.arange(6.0, dtype=np.float32).reshape(3, 2)
PLACES = {
    "gather": (lambda x, i: tf.gather(x, i), [0, 2]),
    "gather of the last axis": (lambda x, i: tf.gather(tf.transpose(x), i, axis=-1), [0, 2]),
    "gather over an axis fed": (lambda x, i: tf.gather(x, i, axis=tf.placeholder_with_default(0, [])), [0, 2]),
    "gather in batches": (lambda x, i: tf.gather(tf.transpose(x), tf.stack([i, i]), batch_dims=1), [0, 2]),
    "batch_gather": (lambda x, i: tf.batch_gather(tf.transpose(x), tf.stack([i, i])), [0, 2]),
    "gather_nd": (lambda x, i: tf.gather_nd(x, i[:, None]), [0, 2]),
    "embedding_lookup": (lambda x, i: tf.nn.embedding_lookup(x, i), [0, 2]),
    "embedding_lookup by mod": (lambda x, i: tf.nn.embedding_lookup([x[:2], x[2:]], i), [0, 2]),
    "embedding_lookup by div": (lambda x, i: tf.nn.embedding_lookup([x[:2], x[2:]], i, "div"), [0, 2]),
    "scatter_nd": (lambda x, i: tf.scatter_nd(i[:, None], x[:2], [3, 2]), [0, 2]),
    "scatter_nd of a shape fed": (
        lambda x, i: tf.scatter_nd(i[:, None], x[:2], tf.placeholder_with_default([3, 2], [2])),
        [0, 2],
    ),
    "dynamic_partition": (lambda x, i: tf.concat(tf.dynamic_partition(x[:2], i, 3), 0), [0, 2]),
    "segment_sum": (lambda x, i: tf.segment_sum(x[:2], i), [0, 2]),
}


def refused(session, tensor, feeds, text):
    with pytest.raises(tf.errors.InvalidArgumentError, match=text) as caught:
        session.run(tensor, feeds)
    assert caught.value.op is not None
    assert "(defined at" in str(caught.value)


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize("name", PLACES)
def test_an_index_outside_is_an_error_forth_and_back(graph, name, dtype):
    build, good = PLACES[name]
    x, i = tf.placeholder(tf.float32, [3, 2]), tf.placeholder(dtype, [2])
    y = build(x, i)
    back = tf.convert_to_tensor(tf.gradients(y, x)[0])
    with tf.Session() as session:
        assert np.isfinite(session.run(y, {x: TABLE, i: good})).all()
        assert session.run(back, {x: TABLE, i: good}).shape == (3, 2)
        for tensor in (y,) if name == "segment_sum" else (y, back):
            refused(session, tensor, {x: TABLE, i: [-1, 2]}, r"\[0.*\] = -1 is not in \[0, 3\)")
        for tensor in (y, back) if name != "segment_sum" else ():
            refused(session, tensor, {x: TABLE, i: [0, 3]}, r" = 3 is not in \[0, 3\)")


def test_the_message_names_the_place_the_index_the_bound_and_the_node(graph):
    i = tf.placeholder(tf.int32)
    with tf.Session() as session:
        refused(session, tf.gather(TABLE, i, name="pick"), {i: 7}, r"^indices = 7 is not in \[0, 3\)\n.*node pick \(")
        refused(session, tf.gather(TABLE, i), {i: [[0, 1], [1, -2]]}, r"^indices\[1,1\] = -2 is not in \[0, 3\)")
        text = r"^indices\[1\] = \[0, 2\] does not index into shape \[3,2\]: indices\[1,1\] = 2 is not in \[0, 2\)"
        refused(session, tf.gather_nd(TABLE, i), {i: [[0, 1], [0, 2]]}, text)
        refused(session, tf.gather_nd(TABLE, i), {i: [0, 1, 0]}, "must be <= params rank; saw: 3 vs. 2")
        refused(session, tf.scatter_nd([[0], [1]], i, [4]), {i: [1, 2, 3]}, r"updates.shape \[3\]")


def test_a_small_dtype_cannot_hide_a_negative_index(graph):
    i = tf.placeholder(tf.int8, [None])
    with tf.Session() as session:
        rows = tf.gather(np.arange(300), i)
        assert session.run(rows, {i: [100]}).tolist() == [100]
        refused(session, rows, {i: [-1]}, r"indices\[0\] = -1")


def test_no_indices_are_right_of_any_table(graph):
    i = tf.placeholder(tf.int32, [None])
    with tf.Session() as session:
        assert session.run(tf.gather(TABLE, i), {i: []}).shape == (0, 2)
        assert session.run(tf.gather(TABLE[:0], i), {i: []}).shape == (0, 2)
        assert session.run(tf.nn.embedding_lookup([TABLE, TABLE], i), {i: []}).shape == (0, 2)
        refused(session, tf.gather(TABLE[:0], i), {i: [0]}, r"is not in \[0, 0\)")


def test_python_s_own_indexing_keeps_its_negative_indices(graph):
    i = tf.placeholder(tf.int32, [])
    x = tf.placeholder(tf.float32, [None, 2])
    with tf.Session() as session:
        assert session.run(x[-1], {x: TABLE}).tolist() == [4, 5]
        assert session.run(x[i], {x: TABLE, i: -3}).tolist() == [0, 1]
        assert session.run(x[[0, -1]], {x: TABLE}).tolist() == [[0, 1], [4, 5]]
        assert session.run(tf.gradients(x[[0, -1]], x)[0], {x: TABLE}).tolist() == [[1, 1], [0, 0], [1, 1]]
        refused(session, x[i], {x: TABLE, i: -4}, "slice index -4 of dimension 0 out of bounds")
        refused(session, x[5], {x: TABLE}, "slice index 5 of dimension 0 out of bounds")
        refused(session, x[..., i], {x: TABLE, i: 2}, "slice index 2 of dimension 1 out of bounds")
        refused(session, x[0, 1, None], {x: TABLE[:0]}, "slice index 0 of dimension 0")
        refused(
            session, tf.strided_slice(x, i[None], i[None] + 1, shrink_axis_mask=1), {x: TABLE, i: 3}, "slice index 3"
        )


def test_a_slice_that_leaves_its_tensor_is_never_cut_off(graph):
    x, i = tf.placeholder(tf.float32, [None]), tf.placeholder(tf.int32, [])
    with tf.Session() as session:
        part = tf.slice(x, [3], [4])
        assert part.shape.as_list() == [4]
        assert session.run(part, {x: range(9)}).tolist() == [3, 4, 5, 6]
        assert session.run(tf.gradients(part, x)[0], {x: range(8)}).tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
        refused(session, part, {x: range(5)}, r"Expected size\[0\] in \[0, 2\], but got 4")
        refused(session, tf.slice(x, [i], [1]), {x: range(5), i: -1}, r"Expected begin\[0\] in \[0, 5\], but got -1")


def test_parts_of_unequal_size_have_the_ids_that_they_have(graph):
    i = tf.placeholder(tf.int32, [None])
    rows = tf.nn.embedding_lookup([np.arange(2.0), 10 + np.arange(5.0)], i)
    with tf.Session() as session:
        assert session.run(rows, {i: [0, 2, 1, 9]}).tolist() == [0, 1, 10, 14]
        refused(session, rows, {i: [6]}, r"indices\[0\] = 6 is row 3 of part 0: 3 is not in \[0, 2\)")


def test_sequences_and_permutations(graph):
    x, i = tf.placeholder(tf.float32, [2, 3]), tf.placeholder(tf.int32, [None])
    value = [[1, 2, 3], [4, 5, 6]]
    turned, inverse = tf.reverse_sequence(x, i, 1), tf.invert_permutation(i)
    with tf.Session() as session:
        assert session.run(turned, {x: value, i: [0, 3]}).tolist() == [[1, 2, 3], [6, 5, 4]]
        for tensor in (turned, tf.gradients(turned, x)[0]):
            refused(session, tensor, {x: value, i: [4, 0]}, r"seq_lengths\[0\] = 4 is not in \[0, 3\]")
            refused(session, tensor, {x: value, i: [0, -1]}, r"seq_lengths\[1\] = -1 is not in \[0, 3\]")
            refused(session, tensor, {x: value, i: [1]}, r"Length of seq_lengths != input.dims\(0\), \(1 vs. 2\)")
        assert session.run(inverse, {i: [2, 0, 1]}).tolist() == [1, 2, 0]
        refused(session, inverse, {i: [0, 3, 1]}, r"\[1\] = 3 is not in \[0, 3\)")
        refused(session, inverse, {i: [0, -1, 1]}, r"\[1\] = -1 is not in \[0, 3\)")
        refused(session, inverse, {i: [0, 0, 1]}, "0 is duplicated in the input")


def test_a_row_of_a_table_that_is_not_there_cannot_be_updated(graph):
    table, i = tf.Variable(TABLE), tf.placeholder(tf.int32, [None])
    loss = tf.reduce_sum(tf.gather(table, i))
    steps = [
        tf.train.GradientDescentOptimizer(0.1).minimize(loss),
        tf.train.AdamOptimizer(0.1).minimize(loss),
        tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss),
        tf.scatter_add(table, i, tf.ones_like(tf.gather(TABLE, tf.zeros_like(i)))),
        tf.scatter_nd_update(table, i[:, None], tf.ones_like(tf.gather(TABLE, tf.zeros_like(i)))),
    ]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        before = session.run(table)
        for step in steps:
            refused(session, step, {i: [0, -1]}, r"= -1 is not in \[0, 3\)")
            refused(session, step, {i: [3]}, r"= 3 is not in \[0, 3\)")
        assert np.array_equal(session.run(table), before)


def test_slices_of_a_gradient_that_lie_outside_are_refused_where_they_become_dense(graph):
    i = tf.placeholder(tf.int32, [None])
    slices = tf.IndexedSlices(tf.ones([2, 2]), i, tf.constant([3, 2]))
    x = tf.placeholder(tf.float32, [None, 2])
    (through,) = tf.gradients(x * 2.0, x, [slices])
    with tf.Session() as session:
        assert session.run(through, {i: [2, 2], x: TABLE}).tolist() == [[0, 0], [0, 0], [4, 4]]
        refused(session, through, {i: [0, 3], x: TABLE}, r"indices\[1\] = 3 is not in \[0, 3\)")


def test_means_of_integers_in_any_order_are_floats(graph):
    mean = tf.unsorted_segment_mean(tf.constant([1, 2, 4]), [0, 0, 1], 3)
    with tf.Session() as session:
        assert (mean.dtype, session.run(mean).tolist()) == (tf.float64, [1.5, 4, 0])


@pytest.mark.parametrize("count", [4, None], ids=["known", "fed"])
def test_segments_in_any_order_drop_negative_ids_and_fill_gaps(graph, count):
    x, i, n = tf.placeholder(tf.float32), tf.placeholder(tf.int32), tf.placeholder(tf.int32, [])
    high = np.finfo(np.float32).max
    wanted = {
        tf.unsorted_segment_sum: [5, 3, 0, 0],
        tf.unsorted_segment_prod: [6, 3, 1, 1],
        tf.unsorted_segment_max: [3, 3, -high, -high],
        tf.unsorted_segment_min: [2, 3, high, high],
        tf.unsorted_segment_mean: [2.5, 3, 0, 0],
        tf.unsorted_segment_sqrt_n: [5 / np.sqrt(2), 3, 0, 0],
    }
    with tf.Session() as session:
        for function, value in wanted.items():
            made = function(x, i, n if count is None else count)
            feeds = {n: 4, x: [2, 9, 3, 3], i: [0, -1, 0, 1]}
            np.testing.assert_allclose(session.run(made, feeds), value, rtol=1e-6)
            slope = session.run(tf.gradients(made, x)[0], feeds)
            assert slope[[1, 3]].tolist() == [0, 1]
            refused(session, made, {**feeds, i: [0, 1, 4, 0]}, r"segment_ids\[2\] = 4 is out of range.*\[0, 4\)")
            refused(session, made, {**feeds, i: [0, 1]}, r"data.shape = \[4\] does not start with")
            if count is None:
                refused(session, made, {**feeds, n: -1}, "num_segments == -1 must not be negative")


def test_segments_in_order_fill_gaps_and_say_what_is_wrong_with_their_ids(graph):
    x, i = tf.placeholder(tf.float32), tf.placeholder(tf.int32)
    wanted = {tf.segment_sum: [5, 0, 3], tf.segment_prod: [6, 1, 3], tf.segment_max: [3, 0, 3],
              tf.segment_min: [2, 0, 3], tf.segment_mean: [2.5, 0, 3]}  # fmt: skip
    with tf.Session() as session:
        for function, value in wanted.items():
            made = function(x, i)
            assert session.run(made, {x: [2, 3, 3], i: [0, 0, 2]}).tolist() == value
            assert session.run(made, {x: np.zeros((0, 2)), i: []}).shape == (0, 2)
            refused(session, made, {x: [2, 3, 3], i: [0, 2, 1]}, "segment ids are not increasing")
            refused(
                session, made, {x: [2, 3, 3], i: [-1, 0, 1]}, r"Segment id -1 out of range .* segment_ids\[0\] = -1"
            )
            refused(session, made, {x: [2, 3, 3, 4], i: [0, 1, 2, 0]}, r"Segment id 1 out of range \[0, 1\), possibly")
            refused(session, made, {x: [2, 3, 3], i: [0, 0, -2]}, "segment ids must be >= 0")
            refused(session, made, {x: [2, 3, 3], i: [0, 1]}, "same size as dimension 0")
        whole = tf.segment_mean(tf.cast(x, tf.int32), i)
        assert session.run(whole, {x: [1, 2, 9], i: [0, 0, 2]}).tolist() == [1, 0, 9]


def test_one_hot_has_no_class_for_other_indices(graph):
    i, depth = tf.placeholder(tf.int32), tf.placeholder(tf.int32, [])
    with tf.Session() as session:
        assert session.run(tf.one_hot(i, 3), {i: [-1, 3, 2]}).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
        refused(session, tf.one_hot(i, depth), {i: [1], depth: -1}, "non-negative")
        with pytest.raises(ValueError, match="non-negative"):
            tf.one_hot(i, -1)
