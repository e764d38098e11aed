"""Input producers and batches, used as programs for TensorFlow 1 use them."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.training import summaries


def everything(*fetches, most=1000):
    """The results of fetches, run until the input ends, with all queue runners started."""
    seen = []
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        coord = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coord)
        try:
            while len(seen) < most:
                seen.append(session.run(fetches))
        except tf.errors.OutOfRangeError:
            pass
        finally:
            coord.request_stop()
            coord.join(threads, stop_grace_period_secs=30)
    return [value[0] if len(fetches) == 1 else value for value in seen]


def test_a_tensor_is_there_for_so_many_epochs(graph):
    limited = tf.train.limit_epochs(tf.constant(7), num_epochs=3)
    assert [v.op.name for v in tf.local_variables()] == ["limit_epochs/epochs"]
    assert everything(limited) == [7, 7, 7]
    assert tf.train.limit_epochs(limited) is limited
    with pytest.raises(ValueError, match="num_epochs must be > 0 not 0"):
        tf.train.limit_epochs(limited, 0)


def test_the_rows_of_a_tensor_come_in_their_order_and_again(graph):
    queue = tf.train.input_producer([[1, 2], [3, 4]], num_epochs=2, shuffle=False)
    assert [row.tolist() for row in everything(queue.dequeue())] == [[1, 2], [3, 4]] * 2


def test_each_epoch_is_in_another_order(graph):
    seen = everything(tf.train.range_input_producer(20, num_epochs=3, seed=5).dequeue())
    epochs = [[int(n) for n in seen[i : i + 20]] for i in (0, 20, 40)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(20))] * 3
    assert len(set(map(tuple, epochs))) == 3
    with tf.Graph().as_default():
        again = everything(tf.train.range_input_producer(20, num_epochs=3, seed=5).dequeue())
    assert [int(n) for n in again] == [n for epoch in epochs for n in epoch]


def test_without_a_limit_there_is_no_end(graph):
    queue = tf.train.string_input_producer(["a", "b"], shuffle=False, capacity=3)
    assert everything(queue.dequeue(), most=50) == [b"a", b"b"] * 25


def test_producers_without_elements_are_refused(graph):
    with pytest.raises(ValueError, match="requires a non-null input tensor"):
        tf.train.string_input_producer([])
    with pytest.raises(ValueError, match="Expected at least one tensor in slice_input_producer"):
        tf.train.slice_input_producer([])
    with pytest.raises(ValueError, match="must have a fully defined shape or `element_shape`"):
        tf.train.input_producer(tf.placeholder(tf.float32, [None, None]))
    with pytest.raises(ValueError, match="rank at least 1"):
        tf.train.input_producer(7)
    names = tf.placeholder(tf.string, [None])
    queue = tf.train.string_input_producer(names)
    with tf.Session() as session:
        runner = tf.get_collection(tf.GraphKeys.QUEUE_RUNNERS)[0]
        with pytest.raises(tf.errors.InvalidArgumentError, match="requires a non-null input tensor"):
            session.run(runner.enqueue_ops[0], {names: []})
    assert queue.dtypes == [tf.string]


def test_slices_of_several_tensors_belong_together(graph):
    images, labels = np.arange(12.0).reshape(6, 2), np.arange(6) * 10
    image, label = tf.train.slice_input_producer([images, labels], num_epochs=1)
    seen = everything(image, label)
    assert sorted(int(number) for _, number in seen) == labels.tolist()
    assert all(row[0] * 5 == number for row, number in seen)


@pytest.mark.parametrize(("smaller", "sizes"), [(False, [4, 4]), (True, [4, 4, 2])])
def test_examples_are_batched(graph, smaller, sizes):
    number = tf.train.range_input_producer(10, num_epochs=1, shuffle=False).dequeue()
    batch = tf.train.batch({"n": number, "twice": number * 2}, 4, allow_smaller_final_batch=smaller)
    assert batch["n"].shape.as_list() == ([None] if smaller else [4])
    seen = everything(batch["n"], batch["twice"])
    assert [len(n) for n, _ in seen] == sizes
    numbers = np.concatenate([n for n, _ in seen])
    assert numbers.tolist() == list(range(sum(sizes)))
    assert np.array_equal(np.concatenate([twice for _, twice in seen]), numbers * 2)


def test_rows_may_come_many_at_a_time(graph):
    rows = tf.train.batch([tf.train.limit_epochs(tf.reshape(tf.range(6), [3, 2]), 2)], 2, enqueue_many=True)
    assert rows.shape.as_list() == [2, 2]
    assert np.concatenate(everything(rows)).ravel().tolist() == list(range(6)) * 2


def test_examples_of_different_lengths_are_padded(graph):
    number = tf.train.range_input_producer(4, num_epochs=1, shuffle=False).dequeue()
    with pytest.raises(ValueError, match="All shapes must be fully defined"):
        tf.train.batch(tf.range(number), 2)
    padded = tf.train.batch(tf.range(number), 2, dynamic_pad=True)
    assert [batch.tolist() for batch in everything(padded)] == [[[0], [0]], [[0, 1, 0], [0, 1, 2]]]


@pytest.mark.parametrize("threads", [1, 3])
def test_shuffled_batches_hold_every_example_once_an_epoch(graph, threads):
    number = tf.train.range_input_producer(30, num_epochs=2, shuffle=False).dequeue()
    batch = tf.train.shuffle_batch([number], 7, 40, 10, num_threads=threads, allow_smaller_final_batch=True)
    seen = np.concatenate(everything(batch))
    assert Counter(seen.tolist()) == Counter(list(range(30)) * 2)
    assert seen.tolist() != list(range(30)) * 2


@pytest.mark.parametrize("make", [
    lambda example: tf.train.batch(example, 2),
    lambda example: tf.train.shuffle_batch(example, 2, 10, 1),
    lambda example: tf.train.batch_join([example, example], 2),
    lambda example: tf.train.shuffle_batch_join([example], 2, 10, 1),
], ids=["batch", "shuffle_batch", "batch_join", "shuffle_batch_join"])  # fmt: skip
def test_a_batch_of_a_list_of_one_tensor_is_a_tensor(graph, make):
    x = tf.constant([1, 2])
    for example in (x, [x], (x,)):
        assert make(example).shape.as_list() == [2, 2]
    for several in ([x, x], (x, x)):
        assert [type(part) for part in make(several)] == [tf.Tensor, tf.Tensor]
    assert sorted(make({"a": x})) == ["a"]
    assert sorted(make({"b": x, "a": x})) == ["a", "b"]


@pytest.mark.parametrize("join", [tf.train.batch_join, lambda s, n, **k: tf.train.shuffle_batch_join(s, n, 32, 2, **k)])
def test_sources_are_joined(graph, join):
    sources = [[tf.train.limit_epochs(tf.constant(n), 5), tf.constant(str(n))] for n in range(3)]
    numbers, names = join(sources, 4, allow_smaller_final_batch=True)
    seen = everything(numbers, names)
    pairs = [(int(n), name) for batch in seen for n, name in zip(*batch, strict=True)]
    assert Counter(pairs) == {(n, str(n).encode()): 5 for n in range(3)}


def test_a_monitored_session_runs_the_queues_by_itself(graph):
    number = tf.train.range_input_producer(9, num_epochs=1, shuffle=False).dequeue()
    batch = tf.train.batch(number, 3)
    seen = []
    with tf.train.MonitoredSession() as session:
        while not session.should_stop():
            seen.append(session.run(batch).tolist())
    assert seen == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_a_batch_needs_no_tensorboard(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.summary_pb2", None)
    summaries.protos.cache_clear()
    number = tf.train.range_input_producer(4, num_epochs=1, shuffle=False).dequeue()
    assert [batch.tolist() for batch in everything(tf.train.batch(number, 2))] == [[0, 1], [2, 3]]
    assert tf.get_collection(tf.GraphKeys.SUMMARIES) == []


def test_what_cannot_be_batched_is_refused(graph):
    with pytest.raises(ValueError, match="Expected at least one tensor in batch"):
        tf.train.batch([], 2)
    with pytest.raises(ValueError, match="num_threads must be at least 1"):
        tf.train.batch([1], 2, num_threads=0)
    with pytest.raises(TypeError, match="Expected types to be consistent"):
        tf.train.batch_join([[1], [1.0]], 2)
    with pytest.raises(ValueError, match="the same number of tensors in each example"):
        tf.train.batch_join([[1], [1, 2]], 2)


def test_batches_are_named_after_the_function_that_made_them(graph):
    x = tf.constant([1, 2])
    made = [
        tf.train.batch([x], 2),
        tf.train.batch_join([[x], [x]], 2),
        tf.train.shuffle_batch([x], 2, 10, 1),
        tf.train.shuffle_batch_join([[x]], 2, 10, 1),
    ]
    assert [tensor.op.name for tensor in made] == ["batch", "batch_join", "shuffle_batch", "shuffle_batch_join"]


def batches_of(batch):
    """The batches of an input, until it ends."""
    found = []
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        try:
            while True:
                found.append(session.run(batch))
        except tf.errors.OutOfRangeError:
            coordinator.request_stop()
        coordinator.join(threads)
    return found


def numbers(count):
    return tf.train.range_input_producer(count, num_epochs=1, shuffle=False).dequeue()


def test_batches_of_sparse_tensors(graph):
    n = tf.cast(numbers(4), tf.int64)
    sparse = tf.SparseTensor([[n]], [tf.cast(n, tf.float32)], [n + 1])
    first, second = batches_of(tf.train.batch([n, sparse], 2))
    assert first[1].indices.tolist() == [[0, 0], [1, 1]]
    assert (first[1].values.tolist(), first[1].dense_shape.tolist()) == ([0, 1], [2, 2])
    assert second[1].dense_shape.tolist() == [2, 4]


def test_rows_of_a_sparse_tensor_are_examples(graph):
    n = tf.cast(numbers(1), tf.int64)
    rows = tf.SparseTensor([[0, 1], [2, 0]], [5, 6], [3, n + 2])
    (batch,) = batches_of(tf.train.batch({"x": rows}, 3, enqueue_many=True))
    assert (batch["x"].indices.tolist(), batch["x"].values.tolist()) == ([[0, 1], [2, 0]], [5, 6])


def test_only_examples_that_are_to_be_kept_are_batched(graph):
    n = numbers(6)
    assert [b.tolist() for b in batches_of(tf.train.maybe_batch([n], tf.equal(n % 2, 0), 3))] == [[0, 2, 4]]


def test_each_of_many_examples_is_kept_or_dropped(graph):
    n = numbers(2)
    many = tf.stack([n * 10, n * 10 + 1, n * 10 + 2])
    kept = tf.train.maybe_batch([many], tf.constant([True, False, True]), 4, enqueue_many=True)
    assert batches_of(kept)[0].tolist() == [0, 2, 10, 12]
    with pytest.raises(ValueError, match="cannot be a vector"):
        tf.train.maybe_batch([n], tf.constant([True, False]), 2)
    for batch in (
        tf.train.maybe_shuffle_batch([n], 2, 10, 2, keep_input=True),
        tf.train.maybe_batch_join([[n]], True, 2),
        tf.train.maybe_shuffle_batch_join([[n]], 2, 10, 2, True),
    ):
        assert batch.shape.as_list() == [2]


def test_the_fill_level_of_a_shuffle_is_that_above_what_stays(graph):
    tf.train.shuffle_batch([1], 2, capacity=10, min_after_dequeue=4)
    tf.train.batch([1], 2, capacity=8)
    names = [level.op.name for level in graph.get_collection(tf.GraphKeys.SUMMARIES)]
    assert names == ["shuffle_batch/fraction_over_4_of_6_full", "batch/fraction_of_8_full"]


@pytest.mark.parametrize(
    ("sources", "text"),
    [
        ([], "Expected at least one set of tensors"),
        ([{"a": 1}, {"b": 1}], "All dictionaries in tensors_list must have the same keys"),
        ([[[1, 2]], [[1, 2, 3]]], r"Shapes \(2,\) and \(3,\) are not compatible"),
    ],
)
def test_sources_whose_examples_differ_are_refused(graph, sources, text):
    with pytest.raises(ValueError, match=text):
        tf.train.batch_join(sources, 2)


def test_the_rank_of_a_batch_of_sparse_tensors_is_known(graph):
    sparse = tf.SparseTensor([[0, 1]], [5], [2, 3])
    assert tf.train.batch([sparse], 2).indices.shape.as_list() == [None, 3]
    rows = tf.train.batch([sparse], 2, enqueue_many=True)
    assert (rows.indices.shape.as_list(), rows.dense_shape.shape.as_list()) == ([None, 2], [2])


def test_threads_of_a_batch_run_one_operation(graph):
    tf.train.batch([tf.constant(1)], 2, num_threads=3)
    (runner,) = tf.get_collection(tf.GraphKeys.QUEUE_RUNNERS)
    first, *others = runner.enqueue_ops
    assert others == [first, first]
