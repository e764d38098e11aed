"""Other inputs for operations that a graph has already, and the loops that a program makes this way by hand."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import weftwork as tf

raw = tf.raw_ops
FRAME = {"frame_name": "count", "is_constant": False}


def entered(value, frame="count"):
    return raw.Enter(data=value, frame_name=frame, is_constant=True)


def counting(start, limit, frame="count", body=None):
    """A loop made by hand: while i < limit: i = body(i)."""
    merge = raw.Merge(inputs=[raw.Enter(data=start, frame_name=frame)] * 2)[0]
    no, yes = raw.Switch(data=merge, pred=raw.LoopCond(input=tf.less(merge, entered(limit, frame))))
    following = tf.add(yes, entered(1, frame)) if body is None else body(yes)
    merge.op._update_input(1, raw.NextIteration(data=following))
    return raw.Exit(data=no)


def test_an_input_is_replaced_by_an_older_and_by_a_newer_tensor(graph, session):
    a, b = tf.constant(1.0), tf.constant(2.0)
    total = a + b
    twice = total * 2
    total.op._update_input(1, a)
    assert session.run(twice) == 4.0
    newer = tf.constant(3.0) * 2
    total.op._update_input(0, newer)
    assert [session.run(twice), session.run([total, twice])] == [14.0, [7.0, 14.0]]  # a session sees it, too
    assert (newer.consumers(), b.consumers()) == ([total.op], [])
    assert graph.get_operations().index(newer.op) < graph.get_operations().index(total.op)


def test_an_operation_may_wait_for_a_newer_one(graph, session):
    v = tf.Variable(1.0)
    read = tf.identity(tf.constant(5.0))
    written = v.assign(read + 1)
    first = tf.no_op()
    later = v.assign_add(10.0)
    first._add_control_input(later.op)
    session.run(v.initializer)
    session.run(first)
    assert session.run(v) == 11.0
    read.op._add_control_input(written.op)
    message = f"contains a cycle with 3 nodes, including: .*{read.op.name} waits for {written.op.name}"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        session.run(first)
    read.op._remove_all_control_inputs()
    session.run(first)


@pytest.mark.parametrize(
    ("number", "given", "error", "text"),
    [
        (2, lambda a: a, tf.errors.OutOfRangeError, r"Input index \[2\] is greater than the number of total inputs"),
        (0, lambda a: 3.0, TypeError, "tensor must be a Tensor: 3.0"),
        (1, lambda a: tf.constant(3), tf.errors.InvalidArgumentError, "was passed int32 from .* expected float"),
        (1, lambda a: tf.zeros([2]), tf.errors.InvalidArgumentError, r"edge, incompatible shapes: \[2\] and \[\]"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(graph, number, given, error, text):
    a = tf.constant(1.0)
    total = tf.add(a, a)
    with pytest.raises(error, match=text):
        total.op._update_input(number, given(a))


def test_a_session_refuses_a_cycle(graph, session):
    a = tf.constant(1.0)
    total = tf.add(a, a)
    total.op._update_input(1, total * 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Graph is invalid, contains a cycle with 2 nodes"):
        session.run(a)


def test_a_loop_made_by_hand_runs(graph, session):
    end = counting(tf.constant(0), tf.constant(5))
    assert (end.op.type, session.run(end), session.run(end * 2)) == ("Exit", 5, 10)


def test_several_variables_and_exits_made_before_the_back_edges(graph, session):
    start, rows = tf.placeholder(tf.int32, []), tf.constant([0])
    i = raw.Merge(inputs=[raw.Enter(data=start, **FRAME)] * 2)[0]
    x = raw.Merge(inputs=[raw.Enter(data=rows, **FRAME)] * 2)[0]
    test = raw.LoopCond(input=tf.less(i, entered(3)))
    no, yes = zip(*[raw.Switch(data=data, pred=test) for data in (i, x)], strict=True)
    ends = [raw.Exit(data=data) for data in no]
    after = tf.concat([ends[1], [ends[0]]], 0) * 2
    x.op._update_input(1, raw.NextIteration(data=tf.add(yes[1], yes[0])))
    i.op._update_input(1, raw.NextIteration(data=tf.add(yes[0], entered(1))))
    assert session.run([ends[0], after], {start: 0})[1].tolist() == [6, 6]
    assert session.run(after, {start: 5}).tolist() == [0, 10]
    with pytest.raises(ValueError, match="has been marked as not fetchable"):
        session.run(yes[1])


def test_loops_made_by_hand_nest(graph, session):
    def body(i):
        return tf.add(counting(i, entered(3, "outer"), "inner", lambda j: tf.add(j, step)), entered(1, "outer"))

    one = tf.constant(1)
    step = entered(entered(one, "outer"), "inner")
    assert session.run(counting(tf.constant(0), tf.constant(10), "outer", body)) == 10


def test_a_loop_made_by_hand_needs_no_loop_cond(graph, session):
    merge = raw.Merge(inputs=[raw.Enter(data=tf.constant(3), **FRAME)] * 2)[0]
    no, yes = raw.Switch(data=merge, pred=entered(tf.constant(False)))
    end = raw.Exit(data=no)
    merge.op._update_input(1, raw.NextIteration(data=yes))
    assert session.run(end) == 3


def test_a_loop_made_by_hand_may_be_finalized_and_pickled(graph, session):
    end = counting(tf.constant(0), tf.constant(5))
    graph.finalize()
    copy, same = pickle.loads(pickle.dumps((graph, end)))
    with tf.Session(graph=copy) as other:
        assert (session.run(end), other.run(same)) == (5, 5)


def test_a_loop_made_by_hand_is_written_as_one(graph, session):
    end = counting(tf.constant(0), tf.constant(5))
    session.run(end)
    with tf.Graph().as_default() as other:
        (again,) = tf.import_graph_def(graph.as_graph_def(), return_elements=[end.name])
        with tf.Session(graph=other) as there:
            assert there.run(again) == 5


def test_enter_has_the_attributes_of_its_frame(graph):
    enter = raw.Enter(data=1.0, frame_name="f", parallel_iterations=3).op
    assert [enter.get_attr(key) for key in ("frame_name", "is_constant", "parallel_iterations")] == [b"f", False, 3]


@pytest.mark.parametrize("passed", [raw.RefIdentity, raw.RefNextIteration, raw.RefExit])
def test_a_variable_is_written_through_what_passes_its_reference_on(graph, session, passed):
    v = tf.Variable(7)
    reference = passed(**{"input" if passed is raw.RefIdentity else "data": v._ref()})
    session.run(v.initializer)
    assert reference.dtype._is_ref_dtype
    assert (session.run(tf.assign_add(reference, 2)), session.run(v)) == (9, 9)


def test_a_reference_is_selected_by_number(graph, session):
    a, b, number = tf.Variable(7), tf.Variable(8), tf.placeholder(tf.int32, [])
    chosen = raw.RefSelect(index=number, inputs=[a._ref(), b._ref()])
    session.run([a.initializer, b.initializer])
    assert [session.run(chosen, {number: i}) for i in (0, 1)] == [7, 8]
    assert (chosen.dtype, chosen.shape) == (tf.int32._as_ref, ())
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Index 2 is out of range \[0, 2\)"):
        session.run(chosen, {number: 2})


def test_a_variable_is_written_through_the_side_of_a_switch_that_is_taken(graph, session):
    v, pred = tf.Variable(7), tf.placeholder(tf.bool, [])
    no, yes = raw.RefSwitch(data=v._ref(), pred=pred)
    add, subtract = tf.assign_add(yes, 1), tf.assign_sub(no, 5)
    merged = raw.RefMerge(inputs=[no, yes])[0]
    session.run(v.initializer)
    found = []
    for taken in (True, False):
        session.run([add.op, subtract.op], {pred: taken})
        found.append(session.run(merged, {pred: taken}))
    assert (found, merged.dtype) == ([8, 3], tf.int32._as_ref)


def test_without_control_dependencies_a_node_leaves_branches_and_loops(graph, session):
    made = []

    def body(i):
        with tf.control_dependencies(None):
            made.append(tf.constant(5, name="outside"))
        return i + made[-1]

    last = tf.while_loop(lambda i: i < 20, body, [tf.constant(0)])
    either = tf.cond(last > 0, lambda: body(last), lambda: last)
    assert [session.run(element) for element in (last, either, *made)] == [20, 25, 5, 5]
    assert all(graph.is_fetchable(t) and graph.is_feedable(t) for t in made)


def test_results_of_branches_and_loops_have_names_of_their_own(graph, session):
    x = tf.constant(1.0)
    found = tf.cond(x < 2, lambda: (x + 1, x * 2), lambda: (x, x))
    ends = tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * 2), [0, x])
    assert [t.name for t in (*found, *ends)] == ["cond/Merge:0", "cond/Merge_1:0", "while/Exit:0", "while/Exit_1:0"]
    assert graph.get_tensor_by_name("cond/Merge_1:0") is graph.get_tensor_by_name("cond/Merge:1") is found[1]
    assert graph.get_operation_by_name("while/Exit_1") is ends[0].op
    assert tf.constant(0, name="cond/Merge_1").name == "cond/Merge_1_1:0"
    assert session.run(["cond/Merge_1:0", "while/Exit_1:0"], {"cond/Merge_1:0": 7}) == [7, 8]
    names = [node.name for node in graph.as_graph_def().node]
    wanted = ["while/Merge", "while/Merge_1", "while/Identity", "while/Exit", "while/Exit_1", "cond/Merge_1"]
    assert set(wanted) <= set(names)
    with pytest.raises(KeyError, match="does not exist in the graph"):
        graph.get_tensor_by_name("cond/Merge_2:0")


def test_the_part_of_the_oldest_operation_comes_first_in_a_gradient(graph, session):
    w, x = tf.constant([[1.0]]), tf.constant([[1.0, 2.0]])
    first, second = tf.matmul(w, x), tf.matmul(w, x)
    total = tf.gradients(first + second, [w], colocate_gradients_with_ops=True)[0]
    assert total.op.colocation_groups() == first.op.colocation_groups()
    table = tf.Variable(np.zeros([3, 1], np.float32))
    rows = tf.gradients([tf.gather(table, [0]), tf.gather(table, [2])], table)[0]
    assert session.run(rows.indices).tolist() == [0, 2]


def test_the_sum_of_parts_on_several_devices_is_placed_with_their_tensor(graph):
    with tf.device("/cpu:1"):
        w = tf.constant([[1.0]])
    x, products = tf.constant([[1.0, 2.0]]), []
    for device in ("/task:1", "/task:2"):
        with tf.device(device):
            products.append(tf.matmul(w, x))
    total = tf.gradients(tf.add(*products), [w], colocate_gradients_with_ops=True)[0]
    assert (total.op.colocation_groups(), total.device) == (w.op.colocation_groups(), "/device:CPU:1")


def test_a_loop_makes_each_constant_once(graph):
    tf.while_loop(lambda i: i < 3, lambda i: i + 1, [0])
    assert [op.name for op in graph.get_operations() if op.type == "Const"] == [
        "while/Const",
        "while/Less/y",
        "while/add/y",
    ]


def test_operations_on_arrays_of_tensors_made_by_hand(graph, session):
    handle, flow = raw.TensorArrayV3(size=3, dtype=tf.float32)
    for index in range(3):
        flow = raw.TensorArrayWriteV3(handle=handle, index=index, value=[index + 0.5], flow_in=flow)
    array = {"handle": handle, "flow_in": flow}
    found = [
        raw.TensorArrayReadV3(index=1, dtype=tf.float32, **array),
        raw.TensorArrayGatherV3(indices=[2, 0], dtype=tf.float32, **array),
        *raw.TensorArrayConcatV3(dtype=tf.float32, **array),
        raw.TensorArraySizeV3(**array),
    ]
    expected = [[0.5 + 1], [[2.5], [0.5]], [0.5, 1.5, 2.5], [1, 1, 1], 3]
    assert [np.asarray(value).tolist() for value in session.run(found)] == expected


def test_a_read_of_a_handle_as_another_dtype_is_refused(graph):
    handle = raw.VarHandleOp(dtype=tf.int32, shape=[])
    raw.ReadVariableOp(resource=handle, dtype=tf.int32)
    with pytest.raises(ValueError, match="Trying to read variable with wrong dtype. Expected int32 got float"):
        raw.ReadVariableOp(resource=handle, dtype=tf.float32)
