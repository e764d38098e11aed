"""Graphs as GraphDefs: what TensorFlow has an operation for is written as that operation, and attributes are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import weftwork as tf
from tests.programs import Program

pytest.importorskip("tensorboard", reason="GraphDefs are TensorBoard's protocol buffers")


def nodes(graph):
    return {node.name: node for node in graph.as_graph_def().node}


def test_a_graph_def_has_the_nodes_in_order_with_inputs_and_controls(graph):
    a = tf.constant([1.0, 2.0], name="a")
    with tf.control_dependencies([a]):
        b = tf.placeholder(tf.float32, [None], name="b")
    tf.unstack(tf.add(a, b, name="c"), 2, name="d")
    definition = graph.as_graph_def()
    assert isinstance(definition, tf.GraphDef)
    assert [(n.name, n.op, list(n.input)) for n in definition.node] == [
        ("a", "Const", []),
        ("b", "Placeholder", ["^a"]),
        ("c", "Add", ["a", "b"]),
        ("d", "Unpack", ["c"]),
    ]
    assert definition.versions.producer == graph.graph_def_versions.producer > 0


def test_only_what_is_new_since_a_version_is_written(graph):
    tf.constant(1, name="a")
    version = graph.version
    tf.constant(2, name="b")
    assert [n.name for n in graph.as_graph_def(from_version=version).node] == ["b"]


def test_shapes_are_told_when_they_are_asked_for(graph):
    tf.placeholder(tf.float32, [None, 3], name="x")
    (plain,), (told,) = graph.as_graph_def().node, graph.as_graph_def(add_shapes=True).node
    assert "_output_shapes" not in plain.attr
    assert [d.size for d in told.attr["_output_shapes"].list.shape[0].dim] == [-1, 3]
    with tf.Session(config=tf.ConfigProto(graph_options=tf.GraphOptions(infer_shapes=True))) as session:
        assert "_output_shapes" in session.graph_def.node[0].attr


def test_an_axis_becomes_a_constant_input(graph):
    x = tf.placeholder(tf.float32, [2, 3], name="x")
    tf.reduce_sum(x, 1, keepdims=True, name="s")
    written = nodes(graph)
    assert list(written["s"].input) == ["x", "s/reduction_indices"]
    assert written["s"].attr["keep_dims"].b is True
    assert written["s/reduction_indices"].attr["value"].tensor.int_val == [1]


def test_an_operation_tells_its_attributes_as_tensorflow_does(graph):
    x = tf.placeholder(tf.float32, [2, 3], name="x")
    made = tf.matmul(x, x, transpose_b=True).op
    assert made.get_attr("T") is tf.float32
    assert (made.get_attr("transpose_a"), made.get_attr("transpose_b")) == (False, True)
    assert [d.size for d in x.op.get_attr("shape").dim] == [2, 3]
    assert tf.split(x, 3, 1)[0].op.get_attr("num_split") == 3
    with pytest.raises(ValueError, match="Operation 'MatMul' has no attr named 'nothing'"):
        made.get_attr("nothing")


def test_an_operation_tells_its_definition(graph):
    v = tf.Variable([1.0], name="v")
    assert (v.op.type, v.op.node_def.op, v.op.op_def.is_stateful) == ("VariableV2", "VariableV2", True)
    assert [arg.name for arg in v.initializer.op_def.input_arg] == ["ref", "value"]
    made = tf.op(len)(v)
    assert (made.op.op_def.name, len(made.op.op_def.input_arg)) == ("PyFunc", 1)


def test_constants_of_every_dtype_come_back(graph):
    values = [
        np.arange(6, dtype="f").reshape(2, 3),
        np.float64(1.5),
        np.array([1, -2], "i8"),
        np.array([[True], [False]]),
        np.array([1 + 2j], "c16"),
        np.float16(0.5),
        np.uint16(7),
        np.array([b"a", b"", b"\xff"], object),
        np.zeros([0, 2], "i4"),
    ]
    for number, value in enumerate(values):
        tf.constant(value, name=f"c{number}")
    definition = tf.GraphDef.FromString(graph.as_graph_def().SerializeToString())
    with tf.Graph().as_default() as other:
        tf.import_graph_def(definition, name="")
        with tf.Session() as session:
            back = session.run([f"c{number}:0" for number in range(len(values))])
    for value, found in zip(values, back, strict=True):
        assert np.shape(found) == np.shape(value)
        assert np.asarray(found).dtype == np.asarray(value).dtype
        np.testing.assert_array_equal(found, value)
    assert other.get_tensor_by_name("c7:0").dtype is tf.string


def test_an_error_tells_its_nodes_definition(graph):
    x = tf.placeholder(tf.float32, name="x")
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError) as caught:
        session.run(x)
    assert (caught.value.node_def.name, caught.value.node_def.op) == ("x", "Placeholder")


def test_a_graph_is_written_as_text_and_as_bytes(graph, tmp_path):
    tf.constant(1, name="a")
    text = tf.train.write_graph(graph, tmp_path / "new", "g.pbtxt")
    assert 'name: "a"' in Path(text).read_text()
    data = tf.train.write_graph(graph.as_graph_def(), tmp_path, "g.pb", as_text=False)
    assert [n.name for n in tf.GraphDef.FromString(Path(data).read_bytes()).node] == ["a"]


WITHOUT_TENSORBOARD = Program(
    script="""
import sys; sys.modules["tensorboard"] = None
import weftwork as tf
try: tf.constant(1).graph.as_graph_def()
except ImportError as error: assert "weftwork[tensorboard]" in str(error)
assert not hasattr(tf, "GraphDef")
try: tf.Session().run(tf.placeholder(tf.float32))
except tf.errors.InvalidArgumentError as error: assert error.op is not None
"""
)


def test_without_tensorboard_it_is_said_what_to_install():
    done = WITHOUT_TENSORBOARD.done()
    assert done.returncode == 0, done.stderr


def test_text_and_shapes_stay_on_the_cpu(graph):
    stays = tf.graph_util.must_run_on_cpu
    assert stays(tf.constant("a").op)
    assert stays(tf.constant(1).op.node_def)
    assert not stays(tf.constant(1.0).op)
    variable = tf.Variable(1.0)
    assert [stays(variable.op), stays(variable.op, pin_variables_on_cpu=True)] == [False, True]
