"""Resource variables: which variables are, what they consist of, and what their reads give."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.errors import FailedPreconditionError

HERE = tf.ConfigProto(placement="caller")


@pytest.fixture
def by_default():
    """Variables are resource variables during the test."""
    tf.enable_resource_variables()
    yield
    tf.disable_resource_variables()


def initialize(session):
    """Give all variables their initial values."""
    session.run(tf.global_variables_initializer())


def names_and_types(graph):
    """The name and type of each operation."""
    return [(op.name, op.type) for op in graph.get_operations()]


# Which variables are


def test_an_argument_a_scope_or_the_default_makes_resource_variables(graph):
    def is_handle(variable):
        return variable.op.type == "VarHandleOp"

    assert is_handle(tf.Variable(1.0, use_resource=True))
    assert is_handle(tf.get_variable("a", [2], use_resource=True))
    assert not is_handle(tf.Variable(1.0))
    assert not is_handle(tf.get_variable("b", [2]))
    with tf.variable_scope("s", use_resource=True):
        assert is_handle(tf.Variable(1.0))
        assert is_handle(tf.get_variable("c", [2]))
        assert not is_handle(tf.Variable(1.0, use_resource=False))
        with tf.variable_scope("t", use_resource=False):
            assert not is_handle(tf.get_variable("d", [2]))
        parts = tf.get_variable("e", [4, 2], partitioner=tf.fixed_size_partitioner(2))
        assert all(is_handle(part) for part in parts)


def test_enabling_them_holds_until_they_are_disabled(graph, by_default):
    assert tf.resource_variables_enabled()
    assert tf.Variable(1.0).op.type == tf.get_variable("a", [2]).op.type == "VarHandleOp"
    assert tf.Variable(1.0, use_resource=False).op.type == "VariableV2"
    tf.disable_resource_variables()
    assert not tf.resource_variables_enabled()
    assert tf.Variable(1.0).op.type == "VariableV2"


def test_a_custom_getter_is_told_whether_to_make_one(graph):
    told = []

    def getter(inner, name, **options):
        told.append(options["use_resource"])
        return inner(name, **options)

    with tf.variable_scope("s", custom_getter=getter, use_resource=True):
        assert tf.get_variable("a", [1]).dtype is tf.float32
    assert told == [True]


# What one consists of


def test_a_resource_variable_has_a_handle_and_reads_and_writes_as_operations(graph):
    w = tf.Variable([1.0, 2.0], name="w", use_resource=True)
    assert names_and_types(graph) == [
        ("w/Initializer/initial_value", "Const"),
        ("w", "VarHandleOp"),
        ("w/IsInitialized/VarIsInitializedOp", "VarIsInitializedOp"),
        ("w/Assign", "AssignVariableOp"),
        ("w/Read/ReadVariableOp", "ReadVariableOp"),
    ]
    assert isinstance(w, tf.Variable)
    assert (w.name, w.op.name, w.dtype, w.shape) == ("w:0", "w", tf.float32, tf.TensorShape([2]))
    assert (w.handle.dtype, w.handle.shape, w.handle.op) == (tf.resource, tf.TensorShape([]), w.op)
    assert w.create is w.initializer
    assert repr(w) == "<tf.Variable 'w:0' shape=(2,) dtype=float32>"


def test_a_read_waits_for_the_control_inputs_of_its_place_and_is_made_once_there(graph):
    w = tf.Variable(1.0, use_resource=True)
    assert (w + 1).op.inputs[0] is (w * 2).op.inputs[0]
    written = w.assign(2.0)
    with tf.control_dependencies([written]):
        (read,) = {(w + 1).op.inputs[0].op, (w * 2).op.inputs[0].op}
    assert read.control_inputs == [written.op]
    assert w.read_value() is not w.read_value()


def test_the_result_of_a_write_is_the_variable_after_it(graph, session):
    w = tf.Variable(1.0, use_resource=True)
    more = w.assign_add(1.0, name="more")
    assert (more.name, more.op.type, more.dtype, more.handle) == ("more", "AssignAddVariableOp", tf.float32, w.handle)
    assert isinstance(w.assign(1.0, read_value=False), tf.Operation)
    again = more.assign_add(1.0)
    initialize(session)
    assert session.run(more * 10) == 20.0
    assert session.run([more, again]) == [3.0, 4.0]


def test_writing_without_reading_makes_no_read(graph):
    w = tf.Variable(1.0, use_resource=True)
    before = len(graph.get_operations())
    w.assign_sub(1.0, read_value=False)
    assert [op.type for op in graph.get_operations()[before:]] == ["Const", "AssignSubVariableOp"]


def test_it_has_no_value_while_the_graph_is_built(graph):
    w = tf.Variable(1.0, use_resource=True)
    with pytest.raises(NotImplementedError, match="only available when eager execution is enabled"):
        w.numpy()


# What reads give


def test_reads_give_the_value_at_their_place(graph, session):
    w = tf.Variable(1.0, use_resource=True)
    before = w + 0
    with tf.control_dependencies([before]):
        written = w.assign(5.0)
    with tf.control_dependencies([written]):
        after = w + 0
    initialize(session)
    assert session.run([before, written, after]) == [1.0, 5.0, 5.0]


def test_a_read_of_a_place_comes_before_writes_that_it_does_not_wait_for(graph, session):
    w = tf.Variable(1.0, use_resource=True)
    written, read = w.assign(5.0), w + 0
    initialize(session)
    assert session.run([written, read]) == [5.0, 1.0]


def test_reading_one_without_a_value_names_it(graph, session):
    w = tf.Variable(1.0, name="w", use_resource=True)
    p = tf.placeholder_with_default(True, [])
    for fetch in (w, w + 1, tf.cond(p, lambda: w + 1, lambda: tf.constant(0.0))):
        with pytest.raises(FailedPreconditionError, match="Error while reading resource variable w from Container"):
            session.run(fetch)


def test_branches_and_loops_read_and_write_them(graph, session):
    w = tf.Variable(1.0, use_resource=True)
    p = tf.placeholder(tf.bool)
    changed = tf.cond(p, lambda: w.assign_add(1.0), lambda: w.assign_sub(10.0))

    def step(i, total):
        with tf.control_dependencies([w.assign_add(2.0)]):
            return i + 1, total + w

    loop = tf.while_loop(lambda i, _: i < 3, step, [0, 0.0])
    initialize(session)
    assert [session.run(changed, {p: True}), session.run(changed, {p: False})] == [2.0, -8.0]
    assert session.run(loop) == (3, -6.0 + -4.0 + -2.0)


def test_the_methods_for_rows_and_slices_write_them(graph, session):
    w = tf.Variable([1.0, 2.0, 3.0], use_resource=True)
    row = tf.IndexedSlices(tf.constant([1.0]), tf.constant([0]))
    initialize(session)
    assert session.run(w.scatter_add(row)).tolist() == [2, 2, 3]
    assert session.run(tf.scatter_update(w, [2], [9.0])).tolist() == [2, 2, 9]
    assert session.run(tf.scatter_nd_sub(w, [[1]], [2.0])).tolist() == [2, 0, 9]
    assert session.run(w[1:].assign([5.0, 5.0])).tolist() == [2, 5, 5]
    assert session.run(w.sparse_read([2, 0])).tolist() == [5, 2]
    assert w.scatter_add(row).op.type == "ResourceScatterAdd"


def test_a_counter_and_one_initialized_from_another_work(graph, session):
    count = tf.Variable(0, use_resource=True)
    a = tf.Variable(2.0, use_resource=True)
    b = tf.Variable(a * 3.0, use_resource=True)
    initialize(session)
    assert session.run(b) == 6.0
    limited = count.count_up_to(1)
    assert session.run(limited) == 0
    with pytest.raises(tf.errors.OutOfRangeError, match="Reached limit of 1"):
        session.run(limited)


def test_a_caching_device_gives_one_cached_read(graph):
    w = tf.Variable(1.0, use_resource=True, caching_device="/cpu:0")
    assert w.value() is w.value()
    assert w.value().op.type == "Identity"


def test_every_place_of_a_run_gives_the_same(ray_session, graph):
    w = tf.Variable(np.ones([3], np.float32), use_resource=True)
    double = tf.op(dtype=tf.float32, shape=[3])(lambda x: 2 * x)
    with tf.control_dependencies([w.assign_add(double(w))]):
        after = w + 0.0
    for placement in ("caller", "task", "actor"):
        with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
            initialize(session)
            assert session.run(after).tolist() == [3, 3, 3]


# Derivatives and training


def test_the_gradient_with_respect_to_the_variable_and_to_its_handle_are_the_same(graph, session):
    w = tf.Variable([2.0, 3.0], use_resource=True)
    by_variable, by_handle = tf.gradients(w * w, [w, w.handle])
    rows = tf.gradients(tf.gather(w, [1, 1]), w.handle)[0]
    assert isinstance(rows, tf.IndexedSlices)
    initialize(session)
    assert session.run([by_variable, by_handle, tf.convert_to_tensor(rows)])[0].tolist() == [4, 6]
    assert session.run(by_handle).tolist() == [4, 6]
    assert session.run(tf.convert_to_tensor(rows)).tolist() == [0, 2]
    assert tf.gradients(tf.constant(1.0), w, unconnected_gradients="zero")[0].shape == [2]


def test_gradients_flow_out_of_branches_and_loops(graph, session):
    w, p = tf.Variable(2.0, use_resource=True), tf.placeholder(tf.bool)
    chosen = tf.cond(p, lambda: w * w, lambda: w + 1.0)
    powers = tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, x * w), [0, 1.0])[1]
    slope = tf.gradients(powers, w)[0]
    found = [tf.gradients(chosen, w)[0], slope, tf.gradients(slope, w.handle)[0]]
    initialize(session)
    assert session.run(found, {p: True}) == [4.0, 12.0, 12.0]
    assert session.run(found[0], {p: False}) == 1.0


def test_optimizers_train_them_with_slots_of_their_kind(graph, session):
    w = tf.get_variable("w", initializer=tf.ones([3, 1]), use_resource=True)
    rows = tf.nn.embedding_lookup(w, [1, 1])
    step = tf.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(rows * rows))
    slots = [v for v in tf.global_variables() if v.name.startswith("w/Adam")]
    assert len(slots) == 2
    assert all(slot.op.type == "VarHandleOp" for slot in slots)
    initialize(session)
    session.run(step)
    assert session.run(w).ravel() == pytest.approx([1.0, 0.9, 1.0])


# In and out


def test_a_checkpoint_and_a_meta_graph_keep_them(graph, session, tmp_path):
    w = tf.Variable([1.0, 2.0], name="w", use_resource=True)
    saver = tf.train.Saver()
    initialize(session)
    path = saver.save(session, str(tmp_path / "model"))
    session.run(w.assign([0.0, 0.0]))
    saver.restore(session, path)
    assert session.run(w).tolist() == [1, 2]
    with tf.Graph().as_default(), tf.Session(config=HERE) as other:
        tf.train.import_meta_graph(f"{path}.meta").restore(other, path)
        (found,) = tf.global_variables()
        assert found.op.type == "VarHandleOp"
        assert found.dtype is tf.float32
        assert other.run([found, found + 1])[1].tolist() == [2, 3]


def test_a_graph_def_has_the_operations_of_tensorflow(graph, session):
    w = tf.Variable([1.0, 2.0], name="w", use_resource=True)
    tf.add(w.assign_add([1.0, 1.0]), 1.0, name="y")
    w.scatter_add(tf.IndexedSlices(tf.constant([1.0]), tf.constant([0])))
    w.initialized_value()
    written = graph.as_graph_def()
    assert not [node.name for node in written.node if "_weftwork" in node.attr]
    handle = next(node for node in written.node if node.op == "VarHandleOp")
    assert (handle.attr["shared_name"].s, handle.attr["shape"].shape.dim[0].size) == (b"w", 2)
    with tf.Graph().as_default(), tf.Session(config=HERE) as other:
        tf.import_graph_def(written, name="")
        other.run("w/Assign")
        assert other.run("y:0").tolist() == [3, 4]


def test_raw_operations_make_read_and_write_a_handle(graph, session):
    raw = tf.raw_ops
    handle = raw.VarHandleOp(dtype=tf.float32, shape=[2], shared_name="state")
    has = raw.VarIsInitializedOp(resource=handle)
    assert not session.run(has)
    session.run(raw.AssignVariableOp(resource=handle, value=[1.0, 2.0]))
    session.run(raw.AssignAddVariableOp(resource=handle, value=[1.0, 1.0]))
    session.run(raw.ResourceScatterUpdate(resource=handle, indices=[0], updates=[7.0]))
    value = raw.ReadVariableOp(resource=handle, dtype=tf.float32)
    assert value.shape == [2]
    assert session.run([has, value])[1].tolist() == [7, 3]
    assert session.run(raw.ResourceGather(resource=handle, indices=[1], dtype=tf.float32)).tolist() == [3]
    assert session.run(raw.VariableShape(input=handle)).tolist() == [2]
    assert tf.gradients(value * value, handle)[0].shape == [2]


def test_its_definition_makes_it_again(graph, session):
    w = tf.Variable([1.0, 2.0], name="w", use_resource=True)
    definition = w.to_proto()
    assert definition.is_resource
    assert definition.snapshot_name == "w/Read/ReadVariableOp:0"
    same = tf.Variable(variable_def=definition)
    assert (same.handle, same.dtype, same.shape) == (w.handle, tf.float32, tf.TensorShape([2]))
    initialize(session)
    assert session.run(same + 1).tolist() == [2, 3]


def test_raw_updates_of_an_optimizer_train_a_handle(graph, session):
    raw = tf.raw_ops
    w, slot = (tf.Variable([1.0, 1.0], use_resource=True) for _ in range(2))
    step = raw.ResourceApplyMomentum(var=w.handle, accum=slot.handle, lr=0.1, grad=[1.0, 2.0], momentum=0.5)
    initialize(session)
    session.run(step)
    assert session.run(slot).tolist() == [1.5, 2.5]
    assert session.run(w).tolist() == pytest.approx([0.85, 0.75])


def test_a_variable_and_the_result_of_a_write_can_be_pickled(graph):
    more = tf.Variable(1.0, name="w", use_resource=True).assign_add(1.0)
    again = pickle.loads(pickle.dumps(more))
    (w,) = again.graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
    assert (w.op.type, again.name, again.handle) == ("VarHandleOp", more.name, w.handle)
    with tf.Session(graph=again.graph, config=HERE) as session:
        session.run(w.initializer)
        assert session.run([again, again * 10.0]) == [2.0, 20.0]


def test_a_traced_function_reads_and_writes_them_line_by_line(graph):
    w = tf.Variable(1.0, use_resource=True)

    @tf.function
    def step(x):
        w.assign_add(x)
        double = w * 2.0
        w.assign(w + 1.0)
        return double, w + 0.0

    assert [step(3.0), step(1.0)] == [(8.0, 5.0), (12.0, 7.0)]
