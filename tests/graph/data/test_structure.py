"""What datasets know of their elements before anything runs, and what they refuse."""

from __future__ import annotations

import collections

import numpy as np
import pytest

import weftwork as tf

Dataset = tf.data.Dataset
Pair = collections.namedtuple("Pair", ["a", "b"])


def known(dataset):
    return dataset.output_types, dataset.output_shapes, dataset.output_classes


def test_elements_have_the_structure_of_what_they_are_made_of(graph):
    dataset = Dataset.from_tensor_slices({"x": np.ones((4, 2), np.float32), "y": (["a"] * 4, np.arange(4))})
    assert dataset.output_types == {"x": tf.float32, "y": (tf.string, tf.int64)}
    assert dataset.output_shapes == {"x": tf.TensorShape([2]), "y": (tf.TensorShape([]), tf.TensorShape([]))}
    assert dataset.output_classes == {"x": tf.Tensor, "y": (tf.Tensor, tf.Tensor)}
    assert tf.data.get_output_types(dataset) == dataset.output_types


def test_a_list_is_one_tensor_and_a_namedtuple_stays_one(graph):
    assert Dataset.from_tensors([1, 2]).output_shapes == tf.TensorShape([2])
    dataset = Dataset.from_tensors(Pair(1, 2.0)).map(lambda p: Pair(p.b, p.a))
    assert dataset.output_types == Pair(tf.float32, tf.int32)


def test_a_function_that_returns_a_list_makes_several_components(graph):
    assert Dataset.range(3).map(lambda x: [x, x]).output_types == (tf.int64, tf.int64)


def test_batches_know_their_rows_where_no_remainder_is_left(graph):
    dataset = Dataset.from_tensors(np.zeros((3, 2)))
    assert dataset.batch(5).output_shapes.as_list() == [None, 3, 2]
    assert dataset.batch(5, drop_remainder=True).output_shapes.as_list() == [5, 3, 2]
    assert dataset.padded_batch(5, [None, 4]).output_shapes.as_list() == [None, None, 4]
    assert dataset.unbatch().output_shapes.as_list() == [2]


def test_windows_are_datasets_and_sparse_tensors_stay_sparse(graph):
    assert Dataset.range(3).window(2).output_classes is Dataset
    sparse = Dataset.from_tensors(tf.SparseTensor([[0, 1]], [5], [2, 3]))
    assert sparse.output_classes is tf.SparseTensor
    assert sparse.map(lambda s: s.values).output_classes is tf.Tensor
    iterator = sparse.make_one_shot_iterator()
    assert isinstance(iterator.get_next(), tf.SparseTensor)


def test_concatenated_shapes_are_what_both_have(graph):
    dataset = Dataset.from_tensors(np.zeros((2, 3))).concatenate(Dataset.from_tensors(np.zeros((2, 4))))
    assert dataset.output_shapes.as_list() == [2, None]


def test_a_function_is_called_once_when_the_graph_is_built(graph):
    calls = []
    Dataset.range(9).map(lambda x: calls.append(x) or x * 2)
    assert [call.dtype for call in calls] == [tf.int64]


def test_a_tuple_is_given_as_several_arguments_and_a_dict_as_one(graph):
    pairs = Dataset.zip((Dataset.range(2), Dataset.range(2)))
    assert pairs.map(lambda a, b: a + b).output_types == tf.int64
    assert Dataset.zip({"a": Dataset.range(2)}).map(lambda d: d["a"]).output_types == tf.int64


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda d: Dataset.from_tensor_slices(3), ValueError, "rank >= 1"),
        (lambda d: Dataset.from_tensor_slices((np.arange(3), np.arange(4))), ValueError, "3 and 4"),
        (lambda d: Dataset.from_generator(3, tf.int32), TypeError, "callable"),
        (lambda d: Dataset.zip([d]), TypeError, "use a tuple instead"),
        (lambda d: Dataset.zip((d, 1)), TypeError, "nested structure of `Dataset`"),
        (lambda d: d.concatenate(Dataset.from_tensors(1.0)), TypeError, "different types"),
        (lambda d: d.filter(lambda x: x), ValueError, "`predicate` must return a scalar boolean tensor."),
        (lambda d: d.flat_map(lambda x: x), TypeError, "`map_func` must return a `Dataset` object."),
        (lambda d: d.map(lambda x: None), TypeError, "Unsupported return value"),
        (lambda d: d.map(3), TypeError, "callable"),
        (lambda d: d.apply(lambda x: 3), TypeError, "must return a Dataset"),
        (lambda d: d.unbatch(), ValueError, "scalar components"),
        (lambda d: Dataset.from_tensors(([1, 2], [1, 2, 3])).unbatch(), ValueError, "different batch sizes"),
        (lambda d: tf.data.experimental.get_single_element(3), TypeError, "must be a `tf.data.Dataset` object"),
        (lambda d: tf.data.experimental.map_and_batch(abs, 2, 1, num_parallel_calls=1), ValueError, "exclusive"),
        (lambda d: d.padded_batch(2, [3]), ValueError, "not compatible"),
        (lambda d: d.padded_batch(2, [], 1.5), TypeError, "does not match output type"),
        (lambda d: d.reduce(0, lambda a, b: a), None, ""),
        (lambda d: d.reduce(0, lambda a, b: b), TypeError, "must match the initial state"),
        (lambda d: iter(d), RuntimeError, "make an iterator"),
        (lambda d: tf.data.TextLineDataset(d), TypeError, "tf.string"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_graph_is_built(graph, make, error, text):
    if error is None:
        make(Dataset.range(5))
        return
    with pytest.raises(error, match=text):
        make(Dataset.range(5))


def test_a_one_shot_iterator_refuses_what_a_session_or_a_run_has(graph):
    fed, variable = tf.placeholder(tf.int64, []), tf.get_variable("v", initializer=1)
    with pytest.raises(ValueError, match="Cannot capture a placeholder"):
        Dataset.range(fed).make_one_shot_iterator()
    with pytest.raises(ValueError, match="make_initializable_iterator"):
        Dataset.range(3).map(lambda x: tf.cast(x, tf.int32) + variable).make_one_shot_iterator()
    with pytest.raises(ValueError, match="does not have an initializer"):
        _ = Dataset.range(3).make_one_shot_iterator().initializer


def test_an_iterator_of_a_structure_takes_datasets_of_its_types_and_shapes_only(graph):
    iterator = tf.data.Iterator.from_structure(tf.int64, tf.TensorShape([]))
    assert iterator.make_initializer(Dataset.range(3)).name == "make_initializer"
    with pytest.raises(TypeError, match="Expected output types"):
        iterator.make_initializer(Dataset.from_tensors(1.0))
    with pytest.raises(TypeError, match="Expected output shapes compatible with"):
        iterator.make_initializer(Dataset.range(3).batch(2))
    with pytest.raises(ValueError, match="nested structure"):
        iterator.make_initializer(Dataset.zip((Dataset.range(3), Dataset.range(3))))


def test_many_calls_of_get_next_are_warned_of(graph):
    iterator = Dataset.range(3).make_one_shot_iterator()
    for _ in range(32):
        iterator.get_next()
    with pytest.warns(UserWarning, match="unusually high number of `Iterator.get_next"):
        iterator.get_next()


def test_a_graph_with_datasets_is_pickled(graph):
    import pickle

    Dataset.range(4).map(lambda x: x + 1).batch(2).make_one_shot_iterator().get_next(name="batch")
    copy = pickle.loads(pickle.dumps(graph))
    with tf.Session(graph=copy) as session:
        assert session.run("batch:0").tolist() == [1, 2]
