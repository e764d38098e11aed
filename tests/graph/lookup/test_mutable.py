"""Tables whose entries change."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

MutableHashTable = tf.lookup.experimental.MutableHashTable


@pytest.fixture
def session(graph):
    with tf.Session() as session:
        yield session


def ids(*values):
    return tf.constant(values, tf.int64)


def test_entries_come_and_go(session):
    table = MutableHashTable(tf.string, tf.int64, -1)
    assert session.run(table.size()) == 0
    session.run(table.insert(["a", "b", "c"], ids(0, 1, 2)))
    assert session.run(table.lookup(tf.constant(["c", "z"]))).tolist() == [2, -1]
    session.run(table.remove(["a", "z"]))
    keys, values = session.run(table.export())
    assert (keys.tolist(), values.tolist()) == ([b"b", b"c"], [1, 2])
    with tf.Session() as other:
        assert other.run(table.size()) == 0


def test_insertions_of_one_run_all_count(session):
    table = MutableHashTable(tf.int64, tf.int64, 0)
    session.run([table.insert(ids(k), ids(k * k)) for k in range(1, 5)])
    assert session.run(table.lookup(ids(1, 2, 3, 4))).tolist() == [1, 4, 9, 16]


def test_values_may_be_vectors(session):
    table = MutableHashTable(tf.int64, tf.float32, [0.0, 0.0])
    session.run(table.insert(ids(1, 2), [[1.0, 2.0], [3.0, 4.0]]))
    found = table.lookup(tf.constant([[2], [9]], tf.int64))
    assert found.shape.as_list() == [2, 1, 2]
    assert session.run(found).tolist() == [[[3, 4]], [[0, 0]]]


def test_what_does_not_fit_is_refused(session):
    table = MutableHashTable(tf.string, tf.int64, -1)
    with pytest.raises(TypeError, match="Keys must be dtype"):
        table.insert(ids(1), ids(1))
    with pytest.raises(ValueError, match="not compatible"):
        table.insert(["a"], ids(1, 2))
    dense = tf.lookup.experimental.DenseHashTable(tf.int64, tf.int64, -1, empty_key=0, deleted_key=-2)
    session.run(dense.insert(ids(5), ids(6)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="empty_key"):
        session.run(dense.lookup(ids(0)))
    assert session.run(dense.lookup(ids(5, 7))).tolist() == [6, -1]
    assert np.size(session.run(tf.report_uninitialized_variables())) == 0
