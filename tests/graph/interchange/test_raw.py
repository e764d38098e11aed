"""tf.raw_ops: TensorFlow's operations as functions of keyword arguments."""

import numpy as np
import pytest

import weftwork as tf


def run(tensors, graph):
    with tf.Session(graph=graph) as session:
        return session.run(tensors)


def test_a_function_takes_inputs_and_attributes_by_their_names(graph):
    total = tf.raw_ops.Add(x=1, y=2, name="total")
    product = tf.raw_ops.MatMul(a=[[1.0, 2.0]], b=[[3.0, 4.0]], transpose_b=True)
    assert (total.op.name, total.op.type) == ("total", "Add")
    assert [t.op.name for t in product.op.inputs] == ["MatMul/a", "MatMul/b"]
    assert run([total, product], graph) == [3, [[11.0]]]


def test_inputs_that_share_a_type_take_the_dtype_of_the_first_one(graph):
    assert tf.raw_ops.Add(x=1.0, y=2).dtype == tf.float32
    assert tf.raw_ops.Pack(values=[1, tf.constant(2, tf.int64)]).dtype == tf.int64
    assert tf.raw_ops.Cast(x=1, DstT=tf.float16).dtype == tf.float16


def test_several_outputs_come_as_a_namedtuple_a_number_of_outputs_as_a_list(graph):
    top = tf.raw_ops.TopKV2(input=[1.0, 3.0], k=1)
    parts = tf.raw_ops.Split(axis=0, value=[1.0, 2.0], num_split=2)
    assert top._fields == ("values", "indices")
    assert isinstance(parts, list)
    assert run([top.indices, parts[1]], graph) == [[1], [2.0]]
    assert isinstance(tf.raw_ops.NoOp(), tf.Operation)


def test_a_variable_is_given_by_its_reference(graph):
    v = tf.Variable([1.0])
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run(tf.raw_ops.AssignAdd(ref=v, value=[2.0])) == [3.0]
        assert session.run(v) == [3.0]


def test_derivatives_pass_through(graph):
    x = tf.constant(3.0)
    assert run(tf.gradients(tf.raw_ops.Square(x=x), x), graph) == [6.0]
    with pytest.raises(LookupError, match="Gradient explicitly disabled"):
        tf.gradients(tf.raw_ops.PreventGradient(input=x), x)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda raw: raw.Add(1, 2), r"only takes keyword args \(possible keys: \['x', 'y', 'name'\]\)"),
        (lambda raw: raw.Add(x=1), "missing 1 required positional argument: 'y'"),
        (lambda raw: raw.Cast(x=1), "missing 1 required positional argument: 'DstT'"),
        (lambda raw: raw.Add(x=1, y=2, z=3), "unexpected keyword argument 'z'"),
        (lambda raw: raw.Add(x=1, y="a"), "Expected int32 passed to parameter 'y' of op 'Add', got 'a' of type 'str'"),
        (lambda raw: raw.Pack(values=3), "Expected list for 'values' argument to 'Pack' Op"),
        (
            lambda raw: raw.Add(x=tf.constant(1), y=tf.constant(2.0)),
            "Input 'y' of 'Add' Op has type float32 that does not match type int32 of argument 'x'",
        ),
    ],
)
def test_what_does_not_fit_the_declaration_is_a_type_error(graph, call, text):
    with pytest.raises(TypeError, match=text):
        call(tf.raw_ops)


def test_only_declared_operations_are_there():
    assert {"Add", "Switch", "Conv2D"} <= set(dir(tf.raw_ops))
    with pytest.raises(AttributeError, match="no operation of the type 'Addition'"):
        _ = tf.raw_ops.Addition


def test_outputs_of_several_lists_are_told_apart(graph):
    text = tf.raw_ops.ParseSingleExample(
        serialized=tf.train.Example().SerializeToString(),
        dense_defaults=[np.float32([7])],
        num_sparse=0,
        sparse_keys=[],
        dense_keys=["a"],
        sparse_types=[],
        dense_shapes=[[1]],
    )
    assert text._fields == ("sparse_indices", "sparse_values", "sparse_shapes", "dense_values")
    assert [len(part) for part in text] == [0, 0, 0, 1]
