"""Values as TensorProtos."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

pytest.importorskip("tensorboard", reason="TensorProtos are TensorBoard's")


@pytest.fixture
def session(graph):
    with tf.Session() as session:
        yield session


@pytest.mark.parametrize("value", [3, [1.5, 2.5], [[True]], "text", np.arange(4)])
def test_a_value_comes_back(value):
    expected = np.array([b"a", b"b"], object) if isinstance(value, str) else np.asarray(value)
    made = tf.make_tensor_proto(["a", "b"] if isinstance(value, str) else value)
    np.testing.assert_array_equal(tf.make_ndarray(made), expected)


def test_shapes_of_tensor_protos():
    assert tf.make_ndarray(tf.make_tensor_proto(7, shape=[2, 2])).tolist() == [[7, 7], [7, 7]]
    with pytest.raises(TypeError, match="Expected Tensor's shape"):
        tf.make_tensor_proto(7, shape=[2], verify_shape=True)
    with pytest.raises(ValueError, match="Too many elements"):
        tf.make_tensor_proto([1, 2, 3], shape=[2])


def test_tensors_as_bytes(session):
    told = tf.serialize_tensor(tf.constant([[1, 2]]))
    assert session.run(tf.parse_tensor(told, tf.int32)).tolist() == [[1, 2]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Type mismatch between parsed tensor"):
        session.run(tf.parse_tensor(told, tf.float32))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Could not parse"):
        session.run(tf.parse_tensor(b"\xff\xff", tf.float32))
