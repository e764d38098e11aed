"""Files written here are read by TensorFlow, and the other way round. Needs the extra `bench`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import weftwork as tf

PEER = """
import sys
import tensorflow.compat.v1 as tf

folder = sys.argv[1]
for compression in ("", "GZIP", "ZLIB"):
    options = tf.python_io.TFRecordOptions(compression)
    found = []
    for record in tf.python_io.tf_record_iterator(f"{folder}/ours{compression}", options):
        features = tf.train.Example.FromString(record).features.feature
        found.append((list(features["size"].int64_list.value), list(features["name"].bytes_list.value)))
    assert found == [([1, -2], [b"one"]), ([3, 4], [b"two" * 999])], found
    with tf.python_io.TFRecordWriter(f"{folder}/theirs{compression}", compression) as writer:
        for size, height in (([5, -6], [0.5]), ([7, 8], [])):
            ints = tf.train.Feature(int64_list=tf.train.Int64List(value=size))
            floats = tf.train.Feature(float_list=tf.train.FloatList(value=height))
            features = tf.train.Features(feature={"size": ints, "height": floats})
            writer.write(tf.train.Example(features=features).SerializeToString())
"""


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_records_of_examples_go_both_ways(graph, tmp_path):
    for compression in ("", "GZIP", "ZLIB"):
        with tf.python_io.TFRecordWriter(str(tmp_path / f"ours{compression}"), compression) as writer:
            for size, name in (([1, -2], b"one"), ([3, 4], b"two" * 999)):
                ints = tf.train.Feature(int64_list=tf.train.Int64List(value=size))
                texts = tf.train.Feature(bytes_list=tf.train.BytesList(value=[name]))
                features = tf.train.Features(feature={"size": ints, "name": texts})
                writer.write(tf.train.Example(features=features).SerializeToString())
    done = subprocess.run([sys.executable, "-c", PEER, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    wanted = {"size": tf.FixedLenFeature([2], tf.int64), "height": tf.VarLenFeature(tf.float32)}
    for compression in ("", "GZIP", "ZLIB"):
        records = list(tf.python_io.tf_record_iterator(str(tmp_path / f"theirs{compression}"), compression))
        with tf.Session() as session:
            got = session.run(tf.parse_example(records, wanted))
        assert got["size"].tolist() == [[5, -6], [7, 8]]
        assert got["height"].values.tolist() == [0.5]
