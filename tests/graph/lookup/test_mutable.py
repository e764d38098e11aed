"""Tables whose entries change."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

MutableHashTable = tf.lookup.experimental.MutableHashTable
DenseHashTable = tf.lookup.experimental.DenseHashTable


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


def test_the_keys_of_a_dense_table_may_be_vectors(session):
    table = DenseHashTable(tf.int64, tf.int64, -1, empty_key=[0, 0], deleted_key=[-1, -1])
    session.run(table.insert(tf.constant([[0, 1], [1, 2], [1, 3]], tf.int64), ids(0, 1, 2)))
    session.run(table.remove(tf.constant([[1, 2], [4, 4]], tf.int64)))
    found = table.lookup(tf.constant([[0, 1], [1, 2], [1, 3]], tf.int64))
    assert found.shape.as_list() == [3]
    assert session.run(found).tolist() == [0, -1, 2]
    keys, values = session.run(table.export())
    assert (keys.tolist(), values.tolist()) == ([[0, 1], [1, 3]], [0, 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Using the empty_key as a table key"):
        session.run(table.insert(tf.constant([[0, 0]], tf.int64), ids(1)))
    with pytest.raises(ValueError, match=r"Expected key shape \[2\] got \[3\]"):
        table.lookup(tf.constant([[1, 2, 3]], tf.int64))


def test_reserved_keys_are_refused_by_name_also_as_text(session):
    table = DenseHashTable(tf.string, tf.int64, -1, empty_key="", deleted_key="gone")
    for operation in (table.insert(["gone"], ids(1)), table.remove(["gone"]), table.lookup(tf.constant(["gone"]))):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Using the deleted_key as a table key"):
            session.run(operation)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Empty and deleted keys cannot be equal"):
        DenseHashTable(tf.int64, tf.int64, -1, 3, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be at least 4 and a power of 2, got: 12"):
        DenseHashTable(tf.int64, tf.int64, -1, 3, 4, initial_num_buckets=12)


def test_a_saver_keeps_the_entries_of_tables(session, tmp_path):
    step = tf.Variable(7, name="step")
    table = MutableHashTable(tf.string, tf.float32, [0.0, 0.0], name="words")
    dense = DenseHashTable(tf.int64, tf.int64, -1, [0, 0], [-1, -1], name="pairs")
    unsaved = MutableHashTable(tf.string, tf.int64, 0, checkpoint=False)
    saver = tf.train.Saver(write_version=tf.train.SaverDef.V2)
    session.run([step.initializer, table.insert(["a", "b"], [[1.0, 2.0], [3.0, 4.0]]), unsaved.insert(["x"], ids(1))])
    session.run(dense.insert(tf.constant([[1, 2]], tf.int64), ids(5)))
    path = saver.save(session, str(tmp_path / "tables"))
    assert [name for name, _ in tf.train.list_variables(path)] == [
        "pairs-keys", "pairs-values", "step", "words-keys", "words-values",
    ]  # fmt: skip
    with tf.Session() as other:
        other.run(table.insert(["b", "c"], [[9.0, 9.0], [9.0, 9.0]]))
        saver.restore(other, path)
        assert other.run(step) == 7
        assert other.run(table.lookup(tf.constant(["a", "b", "c"]))).tolist() == [[1, 2], [3, 4], [0, 0]]
        assert other.run(dense.lookup(tf.constant([[1, 2]], tf.int64))).tolist() == [5]
        assert other.run(unsaved.size()) == 0


def test_an_empty_table_is_saved_and_restored(session, tmp_path):
    table = MutableHashTable(tf.string, tf.int64, -1)
    saver = tf.train.Saver()
    path = saver.save(session, str(tmp_path / "empty"))
    session.run(table.insert(["a"], ids(1)))
    saver.restore(session, path)
    assert session.run(table.size()) == 0


def test_a_file_of_numbers_is_read_as_numbers(session, tmp_path):
    with pytest.raises(ValueError, match="Filename required"):
        tf.lookup.TextFileInitializer("", tf.string, 0, tf.int64, 1)
    (tmp_path / "ids.txt").write_text("10\n20\n")
    whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    path = str(tmp_path / "ids.txt")
    table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(path, tf.int64, whole, tf.int64, line), -1)
    session.run(table.initializer)
    assert session.run(table.lookup(ids(20, 30))).tolist() == [1, -1]
