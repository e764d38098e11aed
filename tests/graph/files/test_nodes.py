"""Nodes that read and write files, and take apart what is in them."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

import weftwork as tf


def run(tensors, feed_dict=None):
    with tf.Session() as session:
        return session.run(tensors, feed_dict)


def test_a_file_is_read_when_the_node_runs_each_time_anew(graph, tmp_path):
    path, text = str(tmp_path / "in" / "deep" / "a.txt"), tf.placeholder(tf.string, [])
    write, read = tf.write_file(path, text), tf.read_file(path)
    with tf.Session() as session:
        with pytest.raises(tf.errors.NotFoundError, match=r"(?s)a.txt; No such file.*test_nodes.py"):
            session.run(read)
        for content in (b"one", b"two"):
            session.run(write, {text: content})
            assert session.run(read) == content
    assert run(tf.matching_files([str(tmp_path / "*" / "*" / "*.txt"), str(tmp_path / "none*")])).tolist() == [
        path.encode()
    ]


def test_files_are_looked_for_once(graph, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    names = tf.train.match_filenames_once(str(tmp_path / "*.txt"))
    assert names in tf.local_variables()
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        (tmp_path / "b.txt").write_text("b")
        assert [name[-5:] for name in session.run(names)] == [b"a.txt"]


def test_bytes_are_numbers(graph):
    strings = tf.placeholder(tf.string, [None])
    little, big = tf.decode_raw(strings, tf.int16), tf.decode_raw(strings, tf.int16, little_endian=False)
    assert little.shape.as_list() == [None, None]
    got = run([little, big], {strings: [b"\0\1\2\3", b"\4\5\6\7"]})
    assert [part.tolist() for part in got] == [[[256, 770], [1284, 1798]], [[1, 515], [1029, 1543]]]
    assert got[1].dtype == np.int16
    assert run(tf.decode_raw(b"\0\0\x80\x3f", tf.float32)).tolist() == [1.0]
    with pytest.raises(tf.errors.InvalidArgumentError, match="length 3 that is not a multiple of 2, the size of int16"):
        run(little, {strings: [b"abc"]})
    with pytest.raises(tf.errors.InvalidArgumentError, match="element 1 has size 2, and the first 1"):
        run(little, {strings: [b"a", b"bc"]})
    with pytest.raises(TypeError, match="string not in"):
        tf.decode_raw(b"ab", tf.string)


def test_a_compressed_string_is_unpacked(graph):
    packed = tf.io.decode_compressed([gzip.compress(b"text")], "GZIP")
    assert run(packed).tolist() == [b"text"]
    with pytest.raises(tf.errors.DataLossError):
        run(tf.io.decode_compressed([b"text"], "GZIP"))


def columns(records, defaults, **options):
    return [part.tolist() for part in run(tf.decode_csv(records, defaults, **options))]


def test_lines_of_csv_are_columns(graph):
    lines = ["1,2.5,x", '4,,"a ""b"", c"']
    assert columns(lines, [[0], [9.0], ["d"]]) == [[1, 4], [2.5, 9.0], [b"x", b'a "b", c']]
    made = tf.decode_csv(tf.placeholder(tf.string, [3]), [[0], tf.constant([], tf.float64)])
    assert [(part.dtype, part.shape.as_list()) for part in made] == [(tf.int32, [3]), (tf.float64, [3])]
    assert columns(["NA;7;8"], [["?"], [0]], field_delim=";", na_value="NA", select_cols=[0, 2]) == [[b"?"], [8]]
    assert columns(['a"b,'], [[""], [5]], use_quote_delim=False) == [[b'a"b'], [5]]
    assert run(tf.decode_csv("1,x", [[0], [""]])) == [1, b"x"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("1", "Expect 2 fields but have 1 in record 1"),
        ("x,y", "Field 0 in record 1 is not a valid int32: x"),
        ("3000000000,y", "is not a valid int32: 3000000000"),
        ("1_0,y", "is not a valid int32: 1_0"),
        ("1,", "Field 1 is required but missing in record 1!"),
        ('1,a"b', "Unquoted fields cannot have quotes/CRLFs inside"),
        ('1,"a', "Quoted field has to end with quote"),
        ('1,"a"b', "Quote inside a string has to be escaped"),
    ],
)
def test_a_line_that_does_not_fit_is_told(graph, line, text):
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        columns(["1,a", line], [[0], tf.constant([], tf.string)])


def test_bad_input_is_told(graph):
    with pytest.raises(ValueError, match="only 1 char"):
        tf.decode_csv("1", [[0]], field_delim=";;")
    with pytest.raises(ValueError, match="increasing"):
        tf.decode_csv("1", [[0], [0]], select_cols=[1, 0])
    with pytest.raises(TypeError, match="Default 0"):
        tf.decode_csv("1", [[True]])
    with pytest.raises(ValueError, match="rank 0"):
        tf.read_file(["a", "b"])
