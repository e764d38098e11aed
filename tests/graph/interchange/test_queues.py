"""Queues in graphs that go in and out."""

from __future__ import annotations

import pytest

import weftwork as tf

pytest.importorskip("tensorboard", reason="graphs are TensorBoard's protocol buffers")


def made():
    queue = tf.RandomShuffleQueue(9, 1, [tf.float32, tf.int32], shapes=[(), (2,)], seed=3, shared_name="s", name="q")
    queue.enqueue_many([[1.0, 2.0, 3.0], [[1, 2], [3, 4], [5, 6]]], name="fill")
    queue.dequeue_many(2, name="take")
    queue.size(name="left")
    queue.close(name="end")


def test_a_queue_is_written_as_tensorflows(graph):
    with tf.container("box"):
        made()
    nodes = {node.name: node for node in graph.as_graph_def().node}
    queue = nodes["q"]
    assert (queue.op, queue.attr["capacity"].i, queue.attr["min_after_dequeue"].i) == ("RandomShuffleQueueV2", 9, 1)
    assert (queue.attr["seed2"].i, queue.attr["shared_name"].s, queue.attr["container"].s) == (3, b"s", b"box")
    assert nodes["fill"].op == "QueueEnqueueManyV2"
    assert nodes["take"].input[0] == "q"
    assert not any("_weftwork" in node.attr for node in nodes.values())


def test_a_queue_that_was_read_works(graph):
    made()
    definition = graph.as_graph_def()
    with tf.Graph().as_default():
        tf.import_graph_def(definition, name="in")
        with tf.Session() as session:
            session.run("in/fill")
            numbers, rows = session.run(["in/take:0", "in/take:1"])
            assert [[2 * n - 1, 2 * n] for n in numbers] == rows.tolist()
            assert session.run("in/left:0") == 1
            session.run("in/end")
            with pytest.raises(tf.errors.CancelledError, match="is closed"):
                session.run("in/fill")


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.FIFOQueue(3, [tf.float32]),
        lambda: tf.PaddingFIFOQueue(3, [tf.float32], [[None]]),
        lambda: tf.PriorityQueue(3, [tf.float32], [()]),
    ],
)
def test_each_kind_of_queue_comes_back(graph, make):
    queue = make()
    definition = graph.as_graph_def()
    with tf.Graph().as_default():
        (again,) = tf.import_graph_def(definition, return_elements=[queue.name])
        assert again.type == queue.queue_ref.op.type
        assert again.attrs["_definition"] == queue.queue_ref.op.attrs["_definition"]


def test_a_queue_used_in_a_branch_is_kept_whole(graph):
    queue = tf.FIFOQueue(3, [tf.float32], [()])
    y = tf.cond(tf.placeholder(tf.bool, [], name="p"), lambda: tf.group(queue.enqueue(1.0)), lambda: tf.no_op())
    definition = graph.as_graph_def()
    with tf.Graph().as_default():
        (again,) = tf.import_graph_def(definition, {}, [y.name], name="")
        with tf.Session() as session:
            assert session.run(again, {"p:0": True})
