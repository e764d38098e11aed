"""A graph's statistics, against a count of all its nodes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weftwork as tf


@tf.op
def seen(*values, word=""):
    """A user's function."""
    return values


def ends_of(graph):
    """The tensors that no node takes, and the operations without outputs."""
    taken = {tensor for op in graph.get_operations() for tensor in op.inputs}
    return sum([sum([t not in taken for t in op.outputs]) if op.outputs else 1 for op in graph.get_operations()])


@given(st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=3), max_size=30))
def test_numbers_takers_and_ends_are_those_of_a_count_of_all_nodes(rows):
    with tf.Graph().as_default() as graph:
        tensors = [tf.constant(0.0)]
        for row in rows:
            tensors.append(
                seen(*[tensors[k % len(tensors)] for k in row]) if row[0] % 2 else tf.no_op() and tensors[-1]
            )
        statistics = graph.statistics
    operations = graph.get_operations()
    every = [tensor for op in operations for tensor in op.outputs]
    assert [tensor.number for tensor in every] == list(range(statistics.tensors))
    assert statistics.ends == ends_of(graph)
    last = {tensor: op.index for op in operations for tensor in op.inputs}
    assert list(statistics.last) == [last.get(tensor, -1) for tensor in every]
    assert statistics.counts.get(seen.kernel, 0) == sum([op.kernel is seen.kernel for op in operations])


def test_a_call_names_its_output_its_function_and_where_its_arguments_stand(graph):
    x = tf.constant(1.0)
    y = seen(x, "word", 2, x)
    constants, call = graph.statistics.constants, graph.statistics.calls[y.op.index]
    assert call[:2] == (y.number, seen.function)
    assert call[2] == call[5] == x.number
    assert [constants[-place - 1] for place in call[3:5]] == ["word", 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda x: seen(x, word=x),
        lambda x: seen(x, word="constant"),
        lambda x: seen([x]),
        lambda x: seen(np.zeros(2)),
        lambda x: tf.op(outputs=2)(divmod)(x, 2)[0],
        lambda x: tf.op(dtype=tf.float32)(abs)(x),
        lambda x: tf.reduce_sum(x, axis=0),
    ],
)
def test_a_node_that_is_more_than_a_call_stands_for_itself(graph, make):
    op = make(tf.constant([1.0])).op
    assert graph.statistics.calls[op.index] == (op,)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: tf.Variable(1.0),
        lambda x: tf.random_uniform([2]),
        lambda x: tf.FIFOQueue(1, tf.float32).enqueue(x),
        lambda x: tf.cond(tf.constant(True), lambda: x, lambda: -x),
        lambda x: tf.op(pure=True)(abs)(x),
        lambda x: tf.op(isolated=True)(abs)(x),
        lambda x: tf.op(num_cpus=2)(abs)(x),
        lambda x: tf.placeholder(tf.float32),
    ],
)
def test_nodes_that_need_a_place_or_a_plan_are_counted_as_others(graph, make):
    seen(tf.constant(1.0) + 1)
    assert graph.statistics.others == []
    make(tf.constant(1.0))
    assert graph.statistics.others


def test_a_part_counts_its_own_nodes_alone(graph):
    x = tf.constant(1.0)
    first, second = seen(x), seen(x)
    third = abs(second)
    part = graph.statistics.part([x.op, second.op, third.op])
    assert part.counts[seen.kernel] == 1
    assert set(part.first) == {second.op, third.op}
    assert part.last[x.number] == second.op.index
    assert part.last[second.number] == third.op.index
    assert part.last[first.number] == -1


def test_a_copy_is_of_the_moment(graph):
    x = seen(1)
    copy = graph.statistics.copy()
    seen(x)
    assert (copy.tensors, copy.counts[seen.kernel], copy.ends, copy.last[x.number]) == (1, 1, 1, -1)
    assert graph.statistics.counts[seen.kernel] == 2


def test_calls_with_the_same_small_constant_share_its_place(graph):
    """A run copies and reads one value for all of them. It stays while nodes are forgotten."""
    first, second, other = seen(7), seen(7), seen(b"text")
    statistics = graph.statistics
    places = [statistics.calls[node.op.index][2] for node in (first, second, other)]
    assert places == [-1, -1, -2]
    statistics.forget({first.op, other.op})
    assert statistics.constants == [7, None]
    with tf.Session() as session:
        assert session.run(second) == (7,)
