"""Python functions whose arguments have TensorFlow's `numpy()`."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf


def test_arguments_have_the_method_numpy(graph):
    def joined(text, count, row):
        assert isinstance(text.numpy(), bytes)
        assert isinstance(count.numpy(), np.int32)
        assert row.shape == (2,)
        return text.numpy().decode() * count.numpy(), row.numpy() + 1, row * 2

    nodes = tf.py_function(joined, ["ab", 2, [1.0, 2.0]], [tf.string, tf.float32, tf.float32])
    with tf.Session() as session:
        text, plus, doubled = session.run(nodes)
    assert (text, plus.tolist(), doubled.tolist()) == (b"abab", [2, 3], [2, 4])
    assert nodes[0].op.name == "EagerPyFunc"


def test_text_in_a_dataset_is_read_with_numpy(graph):
    def length(line):
        return len(line.numpy().decode())

    dataset = tf.data.Dataset.from_tensor_slices(["a", "bcd"]).map(lambda x: tf.py_function(length, [x], tf.int64))
    element = tf.data.make_one_shot_iterator(dataset).get_next()
    with tf.Session() as session:
        assert [session.run(element) for _ in range(2)] == [1, 3]


def test_what_is_not_callable_is_refused(graph):
    with pytest.raises(ValueError, match="py_function expected func to be callable"):
        tf.py_function(3, [], tf.int32)
