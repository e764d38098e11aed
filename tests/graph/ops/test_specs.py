"""Descriptions of values: dtype and shape before there is a value."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import weftwork as tf
from weftwork.contrib.framework import BoundedTensorSpec


def test_a_tensor_is_described_by_its_shape_its_dtype_and_a_name():
    spec = tf.TensorSpec([1, None], tf.int32, "a")
    assert (spec.shape.as_list(), spec.dtype, spec.name, spec.value_type) == ([1, None], tf.int32, "a", tf.Tensor)
    assert str(spec) == "TensorSpec(shape=(1, ?), dtype=tf.int32, name='a')"
    assert spec == tf.TensorSpec([1, None], "int32", "a")
    assert hash(spec) == hash(tf.TensorSpec([1, None], "int32", "a"))
    others = [tf.TensorSpec([1, 2], tf.int32, "a"), tf.TensorSpec([1, None], name="a"), tf.TensorSpec([1, None]), None]
    assert all([spec != other for other in others])
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert tf.TensorSpec.from_spec(spec, "b").name == "b"
    with tf.Graph().as_default():
        x = tf.placeholder(tf.int32, [1, 2], name="x")
        assert tf.TensorSpec.from_tensor(x) == tf.TensorSpec([1, 2], tf.int32, "x")
        assert spec.is_compatible_with(x)
        assert not spec.is_compatible_with(tf.zeros([1, 2]))
        assert tf.type_spec_from_value(x) == tf.TensorSpec([1, 2], tf.int32)
    with pytest.raises(ValueError, match=r"`tensor` should be a tf\.Tensor"):
        tf.TensorSpec.from_tensor(np.zeros(2))  # type: ignore[arg-type]


def test_bounds_must_broadcast_to_the_shape():
    spec = BoundedTensorSpec([2, 3], tf.float32, 0, [1.0, 2.0, 3.0], name="b")
    assert spec.maximum.tolist() == [1, 2, 3]
    assert not spec.maximum.flags.writeable
    assert spec == BoundedTensorSpec([2, 3], tf.float32, [0, 0, 0], [1.0, 2.0, 3.0])
    assert spec != BoundedTensorSpec([2, 3], tf.float32, 0, 2)
    assert spec != tf.TensorSpec([2, 3], tf.float32, "b")
    assert BoundedTensorSpec.from_spec(tf.TensorSpec([2], tf.uint8)).maximum == 255
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(ValueError, match="minimum is not compatible with shape"):
        BoundedTensorSpec([2, 3], tf.float32, [1, 1], 2)
    with pytest.raises(ValueError, match="maximum must be provided"):
        BoundedTensorSpec([2, 3], tf.float32, 1, None)


class Pair(tf.TypeSpec):
    """A kind of a user's own."""

    def __init__(self, first, word):
        self.parts = (first, {"word": word})

    @property
    def value_type(self):
        return tuple

    def _serialize(self):
        return self.parts

    @classmethod
    def _deserialize(cls, serialization):
        return cls(serialization[0], serialization[1]["word"])


def test_descriptions_are_compared_and_joined():
    one, other = tf.SparseTensorSpec([3, None], tf.int32), tf.SparseTensorSpec([2, None], tf.int32)
    assert one.most_specific_compatible_type(other) == tf.SparseTensorSpec([None, None], tf.int32)
    assert one.is_compatible_with(tf.SparseTensorSpec([3, 5], tf.int32))
    assert not one.is_compatible_with(other)
    assert not one.is_compatible_with(tf.TensorSpec([3, None], tf.int32))
    with pytest.raises(ValueError, match="No TypeSpec is compatible with both"):
        one.most_specific_compatible_type(tf.TensorSpec([3, 2], tf.int32))
    with pytest.raises(ValueError, match="Values are not compatible"):
        one.most_specific_compatible_type(tf.SparseTensorSpec([3, None], tf.int64))
    joined = Pair(tf.TensorShape([2]), "a").most_specific_compatible_type(Pair(tf.TensorShape([3]), "a"))
    assert joined == Pair(tf.TensorShape([None]), "a")
    assert Pair(one, "a").is_compatible_with(Pair(tf.SparseTensorSpec([3, 4], tf.int32), "a"))
    assert not Pair(one, "a").is_compatible_with(Pair(one, "b"))
    with pytest.raises(ValueError, match="Types are not compatible"):
        Pair(one, "a").most_specific_compatible_type(Pair(1, "a"))


def test_composites_and_elements_of_datasets_are_described():
    with tf.Graph().as_default():
        sparse = tf.SparseTensor([[0]], [1.0], [2])
        assert tf.type_spec_from_value(sparse) == tf.SparseTensorSpec([2], tf.float32)
        slices = tf.IndexedSlices(tf.zeros([1, 2]), tf.constant([0]))
        described = tf.type_spec_from_value(slices)
        assert described == tf.IndexedSlicesSpec(None, tf.float32, tf.int32, None, [1])
        numbers = tf.data.Dataset.range(3)
        pairs = numbers.map(lambda x: {"a": (x, sparse)})
        scalar = tf.TensorSpec([], tf.int64)
        assert pairs.element_spec == {"a": (scalar, tf.SparseTensorSpec([2], tf.float32))}
        assert numbers.window(2).element_spec == tf.data.DatasetSpec(scalar)
        assert tf.data.experimental.get_structure(numbers.batch(2).make_one_shot_iterator()).shape.as_list() == [None]
        assert tf.data.experimental.TensorStructure(tf.int64, []) == scalar
        assert tf.data.experimental.SparseTensorStructure(tf.int32, [2]) == tf.SparseTensorSpec([2], tf.int32)
        with pytest.raises(TypeError, match="must be a Dataset or Iterator object"):
            tf.data.experimental.get_structure(1)
