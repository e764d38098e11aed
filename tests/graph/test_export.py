"""Graphs as plain data: pickled, listed."""

from __future__ import annotations

import json
import pickle

import cloudpickle
import pytest

import weftwork as tf
from weftwork.graph.export import structure, tensor_at
from weftwork.scheduler.compile.lowering import lower


@pytest.fixture
def built(graph):
    """A graph with a variable, a function, a control edge, a scope and a seed."""
    tf.set_random_seed(5)
    x = tf.placeholder(tf.float32, [2], name="x")
    w = tf.get_variable("w", initializer=[1.0, 2.0])
    with tf.name_scope("part"), tf.control_dependencies([w.assign_add([1.0, 1.0])]):
        y = tf.op(dtype=tf.float32, shape=[2])(lambda a: a * 10)(x * w)
    return {"graph": graph, "x": x, "w": w, "y": y, "r": tf.random_uniform([2])}


def test_a_pickled_graph_computes_the_same(built):
    copy = pickle.loads(cloudpickle.dumps(built))
    results = []
    for g in (built, copy):
        with tf.Session(graph=g["graph"], config=tf.ConfigProto(placement="caller")) as session:
            session.run(g["w"].initializer)
            results.append([v.tolist() for v in session.run([g["y"], g["w"], g["r"]], {g["x"]: [1.0, 1.0]})])
    assert results[0] == results[1]
    assert results[0][:2] == [[20.0, 30.0], [2.0, 3.0]]


def test_everything_pickled_together_comes_back_in_one_graph(built):
    copy = pickle.loads(cloudpickle.dumps(built))
    graph = copy["graph"]
    assert graph is not built["graph"]
    assert all(copy[key].graph is graph for key in "xwyr")
    assert graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES) == [copy["w"]]
    assert graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)[0] is copy["w"]
    assert [op.name for op in graph.get_operations()] == [op.name for op in built["graph"].get_operations()]
    assert copy["y"].op.source.text == built["y"].op.source.text
    with graph.as_default():
        assert tf.constant(1.0, name="x").op.name == "x_1"
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            assert tf.get_variable("w") is copy["w"]


def test_what_stands_for_an_operation_in_a_run_pickles_as_itself(graph):
    f = tf.op(dtype=tf.float32, shape=[])(lambda x: x)
    x = tf.placeholder(tf.float32, [None])
    y = tf.map_fn(f, x, parallel_iterations=3)
    ops = lower([y], [x]).ops
    copies = pickle.loads(cloudpickle.dumps(ops))
    assert [op.name for op in copies] == [op.name for op in ops]
    assert [op.name.rpartition("/")[2] for op in copies] == ["split", "part0", "part1", "part2", "join"]
    assert all(op.graph is copies[0].graph and op.listed.name == y.op.name for op in copies)
    assert copies[1].inputs[0] is copies[0].outputs[0]
    assert copies[-1].inputs[1] is copies[2].outputs[0]
    assert [op.defined_at for op in copies] == [op.defined_at for op in ops]


def test_a_tensor_that_an_older_version_pickled_is_found(graph):
    x = tf.constant(1.0)
    assert tensor_at(graph, x.op.index, 0) is x


def test_a_long_chain_pickles_without_recursion(graph):
    x = tf.placeholder(tf.float32, [])
    y = x
    for _ in range(5_000):
        y = y + 1.0
    copy_x, copy_y = pickle.loads(cloudpickle.dumps((x, y)))
    with tf.Session(graph=copy_y.graph) as session:
        assert session.run(copy_y, {copy_x: 0.0}) == 5_000.0


def test_a_finalized_graph_stays_finalized(graph):
    tf.constant(1.0)
    graph.finalize()
    assert pickle.loads(pickle.dumps(graph)).finalized


def test_the_structure_is_data_without_values(built):
    nodes = {node["name"]: node for node in json.loads(json.dumps(structure(built["graph"])))["node"]}
    assert nodes["x"]["output"] == [{"dtype": "float32", "shape": [2]}]
    assert nodes["part/mul"]["input"][:2] == ["x:0", "w/read:0"]
    assert "^part/AssignAdd" in nodes["part/mul"]["input"]
    assert "test_export.py:" in nodes["x"]["defined_at"]
