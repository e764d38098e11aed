"""Accumulators of gradients, and barriers: some runs wait for what others put in."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import weftwork as tf


@pytest.fixture
def session(graph):
    with tf.Session() as session:
        yield session


def test_the_mean_is_taken_when_enough_gradients_are_there(graph):
    held = tf.ConditionalAccumulator(tf.float32, shape=[2], name="held")
    x, step = tf.placeholder(tf.float32, [2]), tf.placeholder(tf.int64, [])
    put, take, size = held.apply_grad(x, local_step=step), held.take_grad(2), held.num_accumulated()
    with tf.Session() as session:
        waiting = session.submit(take)
        session.run(put, {x: [1, 2], step: 0})
        assert session.run(size) == 1
        session.run(put, {x: [3, 6], step: 0})
        assert waiting.result().tolist() == [2, 4]
        assert session.run(size) == 0
        session.run(put, {x: [9, 9], step: 0})  # of the step before: left out
        assert session.run(size) == 0
        session.run(put, {x: [1, 1], step: 1})
        session.run(held.set_global_step(5))
        session.run(put, {x: [9, 9], step: 4})
        assert session.run([held.take_grad(1), size])[0].tolist() == [1, 1]
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match="must be positive, but was"):
        session.run(held.take_grad(0))
    with pytest.raises(ValueError, match="are incompatible"):
        held.apply_grad([1.0])


def test_rows_are_averaged_over_the_gradients_that_have_them(graph):
    held = tf.SparseConditionalAccumulator(tf.float32, shape=[4, 2])
    first = tf.IndexedSlices(tf.constant([[1.0, 1], [2, 2]]), tf.constant([0, 2], tf.int64))
    second = tf.IndexedSlices(tf.constant([[4.0, 4]]), tf.constant([2], tf.int64))
    taken = held.take_indexed_slices_grad(2)
    with tf.Session() as session:
        session.run([held.apply_indexed_slices_grad(first), held.apply_indexed_slices_grad(second)])
        found = session.run(taken)
    assert found.indices.tolist() == [0, 2]
    assert found.values.tolist() == [[1, 1], [3, 3]]


def test_a_take_that_is_given_up_takes_nothing(graph):
    held = tf.ConditionalAccumulator(tf.float32, shape=[], reduction_type="SUM")
    with tf.Session() as session:
        session.run(held.apply_grad(1.0))
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(held.take_grad(2), options=tf.RunOptions(timeout_in_ms=50))
        session.run(held.apply_grad(2.0))
        assert session.run(held.take_grad(2)) == 3


def test_a_barrier_joins_what_comes_under_one_key(graph):
    held = tf.queue.Barrier((tf.float32, tf.int64), shapes=((), (2,)))
    take, small = held.take_many(2), held.take_many(5, allow_small_batch=True)
    with tf.Session() as session:
        waiting = session.submit([take[0], take[1], *take[2]])
        session.run(held.insert_many(0, ["a", "b", "c"], [1.0, 2.0, 3.0]))
        session.run(held.insert_many(1, ["b"], np.array([[7, 8]])))
        assert session.run([held.ready_size(), held.incomplete_size()]) == [1, 2]
        session.run(held.insert_many(1, ["a"], np.array([[5, 6]])))
        indices, keys, floats, pairs = waiting.result()
        assert (indices - indices[0]).tolist() == [0, 0]
        assert keys.tolist() == [b"a", b"b"]
        assert floats.tolist() == [1, 2]
        assert pairs.tolist() == [[5, 6], [7, 8]]
        with pytest.raises(tf.errors.InvalidArgumentError, match="already has a value for component 0"):
            session.run(held.insert_many(0, ["c"], [1.0]))
        session.run(held.close())
        session.run(held.insert_many(1, ["c"], np.array([[9, 9]])))
        assert session.run(small[1]).tolist() == [b"c"]
        with pytest.raises(tf.errors.CancelledError, match="brand new key"):
            session.run(held.insert_many(0, ["d"], [1.0]))
        with pytest.raises(tf.errors.OutOfRangeError, match="is closed and has insufficient elements"):
            session.run(take[1])


def test_rows_that_do_not_fit_are_refused(session):
    held = tf.SparseConditionalAccumulator(tf.float32, shape=[3, 2])
    indices, values, shape = tf.placeholder(tf.int64), tf.placeholder(tf.float32), tf.placeholder(tf.int64)
    put = held.apply_grad(indices, values, shape)
    cases = {
        "exceeded limits of shape; index is 5 exceeded 3": ([5], [[1, 2]], [3, 2]),
        "index is -1": ([-1], [[1, 2]], [3, 2]),
        "expected values rank 2, got 1": ([0], [1.0], []),
        "expected shape dim 1 to be 2, got 3": ([0], [[1, 2, 3]], [3, 3]),
        "expected shape dim 0 to be 3, got 4": ([0], [[1, 2]], [4, 2]),
        "expected values dim 1 to be 2, got 3": ([0], [[1, 2, 3]], []),
        "Expected 2 non-empty input values, got 1": ([0, 1], [[1, 2]], []),
        r"should be vector but received shape: \[1,1\]": ([[0]], [[1, 2]], []),
        "cannot be scalar": ([0], 1.0, []),
    }
    for text, values_of in cases.items():
        with pytest.raises(tf.errors.InvalidArgumentError, match=text):
            session.run(put, dict(zip((indices, values, shape), values_of, strict=True)))
    loose = tf.SparseConditionalAccumulator(tf.float32)
    session.run(loose.apply_grad([7], [[1.0, 2.0]]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected values dim 1 to be 2, got 1"):
        session.run(loose.apply_grad([7], [[1.0]]))
    assert session.run([held.num_accumulated(), loose.num_accumulated()]) == [0, 1]


def test_keys_that_come_together_have_one_place(session):
    held = tf.queue.Barrier([tf.int32, tf.int32], shapes=[(), ()])
    session.run(held.insert_many(0, ["a", "b"], [1, 2]))
    session.run(held.insert_many(0, ["c"], [3]))
    session.run(held.insert_many(1, ["c", "b", "a"], [30, 20, 10]))
    places, keys, _ = session.run(held.take_many(3))
    assert (places - places[0]).tolist() == [0, 0, 1]
    assert keys.tolist() == [b"a", b"b", b"c"]
    with pytest.raises(ValueError, match="Empty tensors are not supported"):
        tf.queue.Barrier([tf.int32], shapes=[(0,)])


def test_a_thread_without_a_default_graph_can_use_them(session):
    held, barrier = tf.ConditionalAccumulator(tf.float32, shape=[]), tf.queue.Barrier([tf.float32], shapes=[()])
    made: list = []

    def build() -> None:
        made.extend([held.apply_grad(3.0, local_step=0), held.take_grad(1), held.set_global_step(4)])
        made.extend([barrier.insert_many(0, ["a"], [1.0]), barrier.take_many(1).keys, barrier.close()])

    thread = threading.Thread(target=build)
    thread.start()
    thread.join()
    put, taken, later, insert, keys, close = made
    session.run(put)
    assert session.run(taken) == 3
    session.run([later, insert])
    assert session.run(keys).tolist() == [b"a"]
    session.run(close)


def test_nothing_taken_has_the_shape_of_no_elements(session):
    taken = session.run(tf.queue.Barrier([tf.float32, tf.int32], shapes=[(), (2,)]).take_many(0))
    assert [part.shape for part in (taken.indices, taken.keys, *taken.values)] == [(0,), (0,), (0,), (0, 2)]


def test_a_mean_of_rows_tells_the_whole_shape(session):
    held = tf.SparseConditionalAccumulator(tf.float32, shape=[3, 2])
    session.run(held.apply_grad([1], [[2.0, 4.0]]))
    assert session.run(held.take_grad(1)).shape.tolist() == [3, 2]


def test_the_number_of_rows_is_the_accumulators_not_the_gradients(session):
    held = tf.SparseConditionalAccumulator(tf.float32, shape=[None, 2])
    session.run(held.apply_grad([1], [[2.0, 4.0]], grad_shape=[3, 2]))
    assert session.run(held.take_grad(1)).shape.tolist() == [-1, 2]


def test_a_complete_key_may_come_again_before_it_is_taken(session):
    barrier = tf.queue.Barrier((tf.float32,), shapes=((),))
    session.run(barrier.insert_many(0, ["a", "b"], [1.0, 2.0]))
    session.run(barrier.insert_many(0, ["a"], [3.0]))
    assert session.run([barrier.ready_size(), barrier.incomplete_size()]) == [3, 0]
    taken = session.run(barrier.take_many(3))
    assert (list(taken.keys), list(taken.values[0])) == ([b"a", b"b", b"a"], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "use",
    [
        lambda: tf.ConditionalAccumulator(tf.float32).take_grad([1, 2]),
        lambda: tf.ConditionalAccumulator(tf.float32).apply_grad(1.0, local_step=[1]),
        lambda: tf.SparseConditionalAccumulator(tf.float32).set_global_step([1]),
        lambda: tf.SparseConditionalAccumulator(tf.float32).apply_grad([[0]], [[1.0]]),
        lambda: tf.queue.Barrier([tf.float32]).take_many([1]),
        lambda: tf.queue.Barrier([tf.float32], shapes=[()]).insert_many(0, ["a", "b"], [1.0]),
        lambda: tf.queue.Barrier([tf.float32], shapes=[()]).insert_many(0, ["a"], [[1.0]]),
        lambda: tf.queue.Barrier([]),
        lambda: tf.queue.Barrier([tf.float32], shapes=[[None]]),
    ],
)
def test_shapes_that_cannot_fit_are_refused_at_once(graph, use):
    with pytest.raises(ValueError, match=r"(?i)shape|length 0"):
        use()


def test_only_numbers_have_a_mean(graph):
    for dtype in (tf.string, tf.bool):
        with pytest.raises(TypeError, match=f"DataType {dtype.name}"):
            tf.ConditionalAccumulator(dtype)


def test_they_go_out_and_come_back_as_tensorflows_operations(graph):
    dense = tf.ConditionalAccumulator(tf.float32, shape=[2], reduction_type="SUM", name="dense")
    dense.apply_grad(tf.placeholder(tf.float32, [2], name="x"), name="put")
    dense.take_grad(2, name="take")
    rows = tf.SparseConditionalAccumulator(tf.float32, shape=[3, 2], shared_name="rows")
    rows.apply_grad([1], [[1.0, 2.0]], [3, 2], name="put_rows")
    rows.take_grad(1, name="take_rows")
    barrier = tf.queue.Barrier([tf.string], shapes=[()], name="barrier")
    barrier.insert_many(0, ["k"], ["v"], name="insert")
    barrier.take_many(9, allow_small_batch=True, name="take_keys")
    barrier.close(name="close")
    barrier.ready_size(name="ready")
    definition = graph.as_graph_def()
    assert not [node.name for node in definition.node if "_weftwork" in node.attr]
    with tf.Graph().as_default() as again:
        tf.import_graph_def(definition, name="")
        assert again.as_graph_def() == definition
        with tf.Session() as session:
            for _ in range(2):
                session.run("put", {"x:0": [1, 2]})
            assert session.run("take:0").tolist() == [2, 4]
            session.run("put_rows")
            assert session.run("take_rows:1").tolist() == [[1, 2]]
            session.run("insert")
            assert session.run("ready:0") == 1
            session.run("close")
            assert session.run(["take_keys:1", "take_keys:2"]) == [[b"k"], [b"v"]]


def test_the_handle_is_the_first_input(session):
    held = tf.ConditionalAccumulator(tf.float32, [])
    put, taken = held.apply_grad(2.0), held.take_grad(1)
    assert put.inputs[0] is taken.op.inputs[0] is held.accumulator_ref
    session.run(put)
    assert session.run(taken) == 2.0
