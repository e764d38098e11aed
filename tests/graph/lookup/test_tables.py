"""Tables: what stands for what, made once and looked up in any run."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

WORDS = ["b", "zz", "a"]


def run(fetches, feed_dict=None):
    with tf.Session() as session:
        session.run(tf.tables_initializer())
        return session.run(fetches, feed_dict)


def ids(**options):
    """A table of two words."""
    pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([10, 20], tf.int64))
    return tf.lookup.StaticHashTable(pairs, -1, **options)


def test_what_is_in_the_table_and_what_is_not(graph):
    table = ids(name="words")
    found = table.lookup(tf.placeholder_with_default([WORDS], [None, 3]))
    assert (found.dtype, found.shape.as_list()) == (tf.int64, [None, 3])
    assert (table.name, table.key_dtype, table.value_dtype) == ("words", tf.string, tf.int64)
    assert tf.get_collection(tf.GraphKeys.TABLE_INITIALIZERS) == [table.initializer]
    assert run(found).tolist() == [[20, -1, 10]]
    assert run([table.lookup("a"), table.size()]) == [10, 2]
    numbers = tf.lookup.KeyValueTensorInitializer(np.int64([1, 2]), ["x", "y"])
    assert run(tf.lookup.StaticHashTable(numbers, "?").lookup(np.int64([2, 3]))).tolist() == [b"y", b"?"]


def test_the_values_of_a_sparse_tensor_are_looked_up(graph):
    got = run(ids().lookup(tf.SparseTensor([[0, 0], [1, 2]], ["b", "q"], [2, 3])))
    assert (got.values.tolist(), got.dense_shape.tolist()) == ([20, -1], [2, 3])


def test_a_table_belongs_to_its_session_and_is_made_by_its_initializer(graph):
    found = ids().lookup(tf.constant(WORDS))
    with tf.Session() as one, tf.Session() as two:
        one.run(tf.tables_initializer())
        one.run(tf.tables_initializer())
        assert one.run(found).tolist() == [20, -1, 10]
        with pytest.raises(tf.errors.FailedPreconditionError, match=r"(?s)Table not initialized.*test_tables.py"):
            two.run(found)
        assert two.run(tf.report_uninitialized_variables()).tolist() == []


def test_tables_are_looked_up_in_branches_and_loops(graph):
    table, which = ids(), tf.placeholder(tf.bool, [])
    branch = tf.cond(which, lambda: table.lookup("a"), lambda: table.lookup("q"))
    each = tf.map_fn(lambda word: table.lookup(word), tf.constant(WORDS), tf.int64)
    assert run([branch, each], {which: True})[1].tolist() == [20, -1, 10]
    assert run(branch, {which: False}) == -1


def test_a_vocabulary_is_a_file(graph, tmp_path):
    (tmp_path / "words").write_text("a\nb\nc\n")
    (tmp_path / "pairs").write_text("a\t10\nb\t20\nc\t30")
    lookup, words, pairs = tf.contrib.lookup, str(tmp_path / "words"), str(tmp_path / "pairs")
    there = lookup.index_table_from_file(words).lookup(tf.constant(WORDS))
    back = lookup.index_to_string_table_from_file(words, vocab_size=2).lookup(tf.range(3, dtype=tf.int64))
    column = tf.lookup.TextFileInitializer(pairs, tf.string, 0, tf.int64, 1)
    values = lookup.HashTable(column, -1).lookup(tf.constant(WORDS))
    assert [part.tolist() for part in run([there, back, values])] == [[1, -1, 0], [b"a", b"b", b"UNK"], [20, -1, 10]]
    assert [run(t) for t in tf.get_collection(tf.GraphKeys.ASSET_FILEPATHS)] == [
        s.encode() for s in (words, words, pairs)
    ]


def test_what_is_not_in_a_vocabulary_is_in_a_bucket_by_tensorflows_hash(graph):
    strings = tf.constant(["b", "zz", "a", "longer word"])
    table = tf.contrib.lookup.index_table_from_tensor(["a", "b"], num_oov_buckets=5)
    wanted = tf.string_to_hash_bucket_fast(strings, 5) + 2
    got, buckets, count = run([table.lookup(strings), wanted, table.size()])
    assert got.tolist() == [1, buckets[1], 0, buckets[3]]
    assert count == 7
    pairs = tf.lookup.KeyValueTensorInitializer(np.int64([5, 7]), np.int64([0, 1]))
    numbers = tf.lookup.StaticVocabularyTable(pairs, 4, lookup_key_dtype=tf.int32)
    got, bucket = run([numbers.lookup([7, 8, 5]), tf.string_to_hash_bucket_fast(["8"], 4)])
    assert got.tolist() == [1, bucket[0] + 2, 0]
    strong = tf.contrib.lookup.StrongHashSpec([1, 2])
    only = tf.contrib.lookup.IdTableWithHashBuckets(None, 9, strong)
    got, wanted = run([only.lookup(strings), tf.string_to_hash_bucket_strong(strings, 9, [1, 2])])
    assert got.tolist() == wanted.tolist()


def test_a_vocabulary_is_a_tensor(graph):
    lookup = tf.contrib.lookup
    there, back = (
        lookup.index_table_from_tensor([9, 7], dtype=tf.int32),
        lookup.index_to_string_table_from_tensor(["x"]),
    )
    assert run(there.lookup([7, 8])).tolist() == [1, -1]
    assert run(back.lookup(np.int64([0, 1]))).tolist() == [b"x", b"UNK"]


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("a\tx\n", {}, "Field x in line 0 of .* is not a valid int64"),
        ("a\n", {}, r"Invalid number of columns in .* line 0 \(a\)"),
        ("a\t1\n", {"vocab_size": 2}, "Invalid vocab_size in .*: expected 2 but got 1"),
    ],
)
def test_a_file_that_does_not_fit_is_told(graph, tmp_path, text, options, told):
    (tmp_path / "file").write_text(text)
    entries = tf.lookup.TextFileInitializer(str(tmp_path / "file"), tf.string, 0, tf.int64, 1, **options)
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        run(tf.lookup.StaticHashTable(entries, -1).size())


def test_bad_input_is_told(graph, tmp_path):
    pairs = tf.lookup.KeyValueTensorInitializer(["a", "a"], np.int64([1, 2]))
    with pytest.raises(tf.errors.FailedPreconditionError, match="Key a has 1 and trying to add value 2"):
        run(tf.lookup.StaticHashTable(pairs, -1).size())
    with pytest.raises(TypeError, match="Keys must be dtype .*string.*, got .*int32"):
        ids().lookup([1])
    with pytest.raises(ValueError, match="Values must be dtype"):
        tf.lookup.TextFileInitializer("file", tf.string, -2, tf.int32, -1)
    with pytest.raises(ValueError, match="num_oov_buckets"):
        tf.contrib.lookup.index_table_from_tensor(["a"], num_oov_buckets=-1)
    with pytest.raises(ValueError, match="vocabulary_file must be specified"):
        tf.contrib.lookup.index_table_from_file("")
    with pytest.raises(ValueError, match="the same shape"):
        tf.lookup.KeyValueTensorInitializer(["a", "b"], np.int64([1]))
    with pytest.raises(ValueError, match="oov_buckets must be > 0"):
        tf.lookup.StaticVocabularyTable(None, 0)
