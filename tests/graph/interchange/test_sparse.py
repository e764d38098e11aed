"""Sparse tensors as strings."""

from __future__ import annotations

import pytest

import weftwork as tf


def test_sparse_tensors_go_into_strings_and_come_back(graph):
    sparse = tf.SparseTensor([[0, 1], [2, 0], [2, 3]], [1.0, 2.0, 3.0], [3, 4])
    rows, whole = tf.serialize_many_sparse(sparse), tf.serialize_sparse(sparse)
    assert (rows.shape.as_list(), whole.shape.as_list()) == ([None, 3], [3])
    back = tf.deserialize_many_sparse(rows, tf.float32, rank=1)
    one = tf.deserialize_many_sparse(tf.expand_dims(whole, 0), tf.float32)
    with tf.Session() as session:
        found, single = session.run([back, one])
        with pytest.raises(tf.errors.InvalidArgumentError, match="Requested SparseTensor of type int32"):
            session.run(tf.deserialize_many_sparse(rows, tf.int32))
    assert found.indices.tolist() == [[0, 1], [2, 0], [2, 3]]
    assert found.values.tolist() == [1, 2, 3]
    assert found.dense_shape.tolist() == [3, 4]
    assert (single.indices.tolist()[1], single.dense_shape.tolist()) == ([0, 2, 0], [1, 3, 4])
    with pytest.raises(TypeError, match="must be a SparseTensor"):
        tf.serialize_sparse([1])
    with pytest.raises(TypeError, match="out_type must be string"):
        tf.serialize_sparse(sparse, out_type=tf.variant)
