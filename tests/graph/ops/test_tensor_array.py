"""TensorArray: what loops write and read, cell by cell, and its derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2) + 1


def run(fetches, feeds=None):
    with tf.Session() as session:
        return session.run(fetches, feeds)


def test_a_loop_collects_what_each_iteration_made(graph):
    array = tf.TensorArray(tf.int32, size=4)
    _, array = tf.while_loop(lambda i, _: i < 4, lambda i, a: (i + 1, a.write(i, i * i)), [0, array])
    assert run(array.stack()).tolist() == [0, 1, 4, 9]
    assert array.stack().shape.as_list() == [4]
    assert run(array.size()) == 4


def test_an_array_grows_where_it_may(graph):
    array = tf.TensorArray(tf.int32, 0, dynamic_size=True)
    _, array = tf.while_loop(lambda i, _: i < 4, lambda i, a: (i + 1, a.write(i, [i, i])), [0, array])
    assert run([array.stack(), array.size()])[0].tolist() == [[i, i] for i in range(4)]
    assert array.element_shape.as_list() == [2]
    with pytest.raises(tf.errors.InvalidArgumentError, match="array is not resizeable and size is: 1"):
        run(tf.TensorArray(tf.int32, 1).write(1, 0).flow)


def test_rows_go_in_and_out_in_any_order(graph):
    x = tf.constant(ROWS)
    array = tf.TensorArray(tf.float32, 3).unstack(x)
    assert run(array.read(1)).tolist() == ROWS[1].tolist()
    np.testing.assert_array_equal(run(array.gather([2, 0])), ROWS[[2, 0]])
    np.testing.assert_array_equal(run(tf.TensorArray(tf.float32, 3).scatter([2, 0, 1], x).stack()), ROWS[[1, 2, 0]])


def test_parts_of_different_lengths_are_joined_again(graph):
    array = tf.TensorArray(tf.float32, 2, infer_shape=False).split(ROWS, [1, 2])
    np.testing.assert_array_equal(run(array.read(1)), ROWS[1:])
    np.testing.assert_array_equal(run(array.concat()), ROWS)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected sum of lengths to be equal"):
        run(tf.TensorArray(tf.float32, 2).split(ROWS, [1, 1]).flow)


def test_the_derivative_of_each_way_in_and_out_is_that_of_the_rows(graph):
    x = tf.constant(ROWS)
    ways = [
        tf.TensorArray(tf.float32, 3).unstack(x).stack(),
        tf.TensorArray(tf.float32, 3).scatter([2, 1, 0], x).gather([2, 1, 0]),
        tf.TensorArray(tf.float32, 2, infer_shape=False).split(x, [1, 2]).concat(),
    ]
    for y in ways:
        (first,) = tf.gradients(y**3, x)
        np.testing.assert_allclose(run(first), 3 * ROWS**2, rtol=1e-6)
    for y in ways[:2]:
        (second,) = tf.gradients(tf.gradients(y**3, x), x)
        np.testing.assert_allclose(run(second), 6 * ROWS, rtol=1e-6)


def test_a_cell_read_twice_has_both_gradients_and_one_not_read_has_none(graph):
    x = tf.constant(ROWS)
    array = tf.TensorArray(tf.float32, 3).unstack(x)
    (grad,) = tf.gradients([array.read(0) * 2.0, array.gather([0, 2, 2])], x)
    np.testing.assert_array_equal(run(grad), [[3, 3], [0, 0], [2, 2]])


def test_derivatives_go_through_the_arrays_of_a_loop(graph):
    x, w = tf.placeholder(tf.float32, [None, 2]), tf.constant(np.eye(2, dtype=np.float32) / 2)
    count = tf.shape(x)[0]
    given = tf.TensorArray(tf.float32, count).unstack(x)

    def body(i, state, made):
        state = tf.tanh(tf.matmul(state, w) + given.read(i)[None])
        return i + 1, state, made.write(i, state[0])

    made = tf.TensorArray(tf.float32, count)
    _, _, made = tf.while_loop(lambda i, *_: i < count, body, [0, tf.zeros([1, 2]), made])

    def straight(state, row):
        return tf.tanh(tf.matmul(state[None], w)[0] + row)

    other = tf.scan(straight, x, tf.zeros([2]))
    ours, theirs = (tf.gradients(tf.reduce_sum(y**2), [x, w]) for y in (made.stack(), other))
    found, wanted = run([ours, theirs], {x: ROWS})
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    nothing = run(ours, {x: ROWS[:0]})
    assert nothing[0].shape == (0, 2)
    assert not nothing[1].any()


def test_a_branch_may_write(graph):
    wanted = tf.placeholder(tf.bool, [])
    array = tf.TensorArray(tf.float32, 1)
    array = tf.cond(wanted, lambda: array.write(0, 2.0), lambda: array.write(0, 3.0))
    assert run(array.read(0), {wanted: False}) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tf.TensorArray(tf.float32, 2).write(0, 1.0).write(0, 2.0).flow, "index 0 because it has already been"),
        (lambda: tf.TensorArray(tf.float32, 2).read(2), "Tried to read from index 2 but array size is: 2"),
        (lambda: tf.TensorArray(tf.float32, 2).read(-1), "Tried to read from index -1 but array size is: 2"),
        (lambda: tf.TensorArray(tf.float32, 2).read(0), "Could not read from TensorArray index 0"),
        (
            lambda: tf.TensorArray(tf.float32, 2, infer_shape=False).write(0, [1.0]).write(1, [1.0, 2.0]).stack(),
            "inconsistent shapes",
        ),
    ],
)
def test_a_wrong_cell_is_an_error_when_it_runs(graph, make, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        run(make())


def test_a_cell_that_was_not_written_is_zero_where_the_shape_is_known(graph):
    array = tf.TensorArray(tf.float32, 2, element_shape=[2]).write(1, [1.0, 2.0])
    assert run(array.stack()).tolist() == [[0, 0], [1, 2]]


def test_other_dtypes_and_shapes_are_refused_where_the_node_is_made(graph):
    array = tf.TensorArray(tf.float32, 2)
    with pytest.raises(ValueError, match="Tensor conversion requested dtype float32"):
        array.write(0, tf.constant(1))
    with pytest.raises(ValueError, match="Inconsistent shapes: saw"):
        array.write(0, [1.0]).write(1, [1.0, 2.0])
    with pytest.raises(ValueError, match="Size must be provided"):
        tf.TensorArray(tf.float32)


def test_changing_a_value_that_was_read_changes_no_cell(graph):
    def change(x):
        x += 1
        return x

    array = tf.TensorArray(tf.float32, 3).unstack(tf.constant(ROWS) * 1.0)
    changed = tf.py_func(change, [array.read(0)], tf.float32)
    with tf.control_dependencies([changed]):
        after = array.stack()
    np.testing.assert_array_equal(run([changed, after])[1], ROWS)


def test_the_index_of_a_cell_that_is_not_there_is_told_in_tensorflows_words(graph):
    array = tf.TensorArray(tf.float32, 3)
    with tf.Session() as session:
        for index in (-1, 3):
            text = f"Tried to write to index {index} but array is not resizeable and size is: 3"
            with pytest.raises(tf.errors.InvalidArgumentError, match=text):
                session.run(array.write(index, 1.0).stack())
        text = (
            "Could not read from TensorArray index 1.  Furthermore, the element shape is not fully defined: <unknown>"
        )
        with pytest.raises(tf.errors.InvalidArgumentError, match=text):
            session.run(tf.TensorArray(tf.float32, 3).read(1))


def test_an_array_of_gradients_adds_up_what_is_written_to_a_cell(graph):
    array = tf.TensorArray(tf.float32, 3).unstack(tf.constant(ROWS))
    grads = array.grad("loss").write(1, [1.0, 2.0]).write(1, [10.0, 20.0])
    same = array.grad("loss", flow=grads.flow)
    found = run([same.read(1), same.read(0), same.size(), array.read(1)])
    assert [np.asarray(item).tolist() for item in found] == [[11.0, 22.0], [0.0, 0.0], 3, ROWS[1].tolist()]


def test_the_size_of_an_array_is_a_number_that_is_not_negative(graph):
    with pytest.raises(ValueError, match="must be rank 0 but is rank 1"):
        tf.TensorArray(tf.float32, [2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Size should be >= 0"):
        run(tf.TensorArray(tf.float32, -1).size())
    with pytest.raises(tf.errors.InvalidArgumentError, match="Concat saw a scalar at index 0"):
        run(tf.TensorArray(tf.float32, 1).write(0, 1.0).concat())


def test_rows_and_parts_that_do_not_fit_an_array_are_refused(graph, session):
    with pytest.raises(ValueError, match="is a scalar"):
        tf.TensorArray(tf.float32, 3).unstack(3.0)
    scalar = tf.placeholder_with_default(1.0, None)
    cases = {
        tf.TensorArray(tf.float32, 3).unstack(
            [1.0, 2.0, 3.0, 4.0]
        ): r"Max scatter index must be < array size \(3 vs. 3\)",
        tf.TensorArray(tf.float32, 5).scatter(
            [1, 9], [1.0, 2.0]
        ): r"Max scatter index must be < array size \(9 vs. 5\)",
        tf.TensorArray(tf.float32, 3).split(scalar, [1]): "Expected value to be at least a vector",
    }
    for array, text in cases.items():
        with pytest.raises(tf.errors.InvalidArgumentError, match=text):
            session.run(array.flow)
