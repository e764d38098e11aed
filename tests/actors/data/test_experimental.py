"""tf.data.experimental: what is made of other transformations, further sources, how many elements there are."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

import weftwork as tf
from tests.actors.data.reading import read

Dataset, more = tf.data.Dataset, tf.data.experimental


def test_each_element_is_given_once(graph):
    assert read(Dataset.from_tensor_slices([1, 2, 1, 3, 2]).apply(more.unique())) == [1, 2, 3]
    assert read(Dataset.from_tensor_slices(["b", "a", "b"]).apply(more.unique())) == [b"b", b"a"]


def test_elements_of_one_key_become_one(graph):
    total = more.Reducer(lambda key: key * 100, lambda state, x: state + x, lambda state: state + 1)
    assert read(Dataset.range(7).apply(more.group_by_reducer(lambda x: x % 2, total))) == [13, 110]
    with pytest.raises(TypeError, match="must be a `tf.data.experimental.Reducer`"):
        more.group_by_reducer(lambda x: x, 3)


def test_elements_of_several_lengths_are_batched_as_sparse_tensors(graph):
    lengths = Dataset.from_generator(lambda: ([i] * i for i in (1, 2, 3)), tf.int32, [None])
    first, last = read(lengths.apply(more.dense_to_sparse_batch(2, [4])))
    assert (first.values.tolist(), first.dense_shape.tolist()) == ([1, 2, 2], [2, 4])
    assert last.indices.tolist() == [[0, 0], [0, 1], [0, 2]]


@pytest.mark.parametrize("initial", [[0.5, 0.5], None])
def test_resampling_gives_the_wanted_distribution(graph, initial):
    many = Dataset.range(400).map(lambda x: x % 2)
    resampled = many.apply(more.rejection_resample(lambda x: x, [0.9, 0.1], initial, seed=1))
    classes = [int(label) for label, _ in read(resampled, 1000)]
    assert 0.8 < classes.count(0) / len(classes) < 0.97


def test_files_of_records_are_sources(graph, tmp_path):
    (tmp_path / "a.csv").write_text("x,y,z\n1,a,2.5\n2,b,\n")
    columns = [tf.int32, tf.string, 0.5]
    assert read(more.CsvDataset(str(tmp_path / "a.csv"), columns, header=True)) == [(1, b"a", 2.5), (2, b"b", 0.5)]
    with sqlite3.connect(tmp_path / "d.db") as base:
        base.execute("create table t (n integer, word text)")
        base.executemany("insert into t values (?, ?)", [(2, "b"), (1, "a")])
    rows = more.SqlDataset("sqlite", str(tmp_path / "d.db"), "select n, word from t order by n", (tf.int32, tf.string))
    assert read(rows) == [(1, b"a"), (2, b"b")]
    with pytest.raises(tf.errors.InvalidArgumentError, match="mysql, is not supported by SqlDataset"):
        read(more.SqlDataset("mysql", "x", "y", (tf.int32,)))


def test_csv_files_come_as_batches_of_columns_whose_types_are_found_out(graph, tmp_path):
    (tmp_path / "a.csv").write_text("n,x,word,big\n1,0.5,a,5000000000\n2,NA,b,1\n")
    (tmp_path / "b.csv").write_text("n,x,word,big\n3,1.5,NA,2\n")
    make = more.make_csv_dataset
    plain = {"num_epochs": 1, "shuffle": False, "na_value": "NA"}
    dataset = make(str(tmp_path / "*.csv"), 2, label_name="n", **plain)
    assert [tensor.dtype.name for tensor in dataset.make_one_shot_iterator().get_next()[0].values()] == [
        "float32", "string", "int64",
    ]  # fmt: skip
    (first, label), (last, _) = read(dataset)
    assert label.tolist() == [1, 2]
    assert first["x"].tolist() == [0.5, 0]
    assert first["big"].tolist() == [5000000000, 1]
    assert last["word"].tolist() == [b""]
    (some,) = read(make(str(tmp_path / "a.csv"), 5, select_columns=["word", 0], column_defaults=[9, "-"], **plain))
    assert {key: value.tolist() for key, value in some.items()} == {"n": [1, 2], "word": [b"a", b"b"]}
    both = read(make([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], 3, shuffle_seed=1), 2)
    assert sorted(both[0]["n"].tolist()) == [1, 2, 3]
    for problem, text in (
        ({"label_name": "z"}, "must be one of the columns"),
        ({"header": False}, "Cannot infer column names"),
        ({"column_names": ["a", "a"]}, "duplicate column names"),
        ({"select_columns": ["z"]}, "is not the name of a column"),
        ({"column_defaults": [1]}, "but 1 defaults"),
    ):
        with pytest.raises(ValueError, match=text):
            make(str(tmp_path / "a.csv"), 2, **problem)
    (tmp_path / "c.csv").write_text("m\n1\n")
    with pytest.raises(ValueError, match="different column names"):
        make(str(tmp_path / "*.csv"), 2)
    with pytest.raises(ValueError, match="No files matched"):
        make(str(tmp_path / "*.txt"), 2)


def test_examples_in_files_come_as_batches_of_their_features(graph, tmp_path):
    def example(i):
        number = tf.train.Feature(int64_list=tf.train.Int64List(value=[i]))
        features = tf.train.Features(feature={"a": number, "label": number})
        return tf.train.Example(features=features).SerializeToString()

    path = str(tmp_path / "x.rec")
    write = more.TFRecordWriter(path, "GZIP").write(Dataset.from_tensor_slices([example(i) for i in range(3)]))
    with tf.Session() as session:
        session.run(write)
    one = tf.FixedLenFeature([], tf.int64)
    batches = more.make_batched_features_dataset(
        str(tmp_path / "*.rec"), 2, {"a": one, "label": one}, label_key="label", num_epochs=1, shuffle=False,
        reader_args=["GZIP"],
    )  # fmt: skip
    found = read(batches)
    assert [(sorted(given), given["a"].tolist(), label.tolist()) for given, label in found] == [
        (["a"], [0, 1], [0, 1]), (["a"], [2], [2]),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="No files matched"):
        more.make_batched_features_dataset(str(tmp_path / "none*"), 2, {"a": one})
    with pytest.raises(TypeError, match="must produce scalar `DT_STRING` tensors"):
        more.TFRecordWriter(path).write(Dataset.range(2))
    with pytest.raises(ValueError, match="Not a valid compression_type"):
        more.TFRecordWriter(path, "BZIP2")


def test_random_numbers_are_those_of_their_seed(graph):
    one, again = (read(more.RandomDataset(seed=3), 3) for _ in range(2))
    assert one == again
    assert all(0 <= number < 1 << 32 and number.dtype == np.int64 for number in one)


def test_how_many_elements_there_are_is_known_where_it_can_be(graph):
    five, unknown = Dataset.range(5), more.UNKNOWN_CARDINALITY
    expected = {
        five: 5, five.map(lambda x: x * 2).prefetch(1): 5, five.repeat(): more.INFINITE_CARDINALITY, five.repeat(2): 10,
        five.filter(lambda x: x > 1): unknown, five.batch(2): 3, five.batch(2, drop_remainder=True): 2,
        five.take(2): 2, five.take(-1): 5, five.skip(7): 0, five.shard(2, 1): 2, five.concatenate(five): 10,
        Dataset.zip((five, Dataset.range(3))): 3, Dataset.from_tensors(1): 1,
        Dataset.from_tensor_slices([[1], [2]]): 2, five.take(tf.placeholder(tf.int64, [])): unknown,
        five.repeat().take(3): 3, five.filter(lambda x: x > 1).skip(1): unknown,
    }  # fmt: skip
    with tf.Session() as session:
        assert session.run([more.cardinality(dataset) for dataset in expected]) == list(expected.values())
