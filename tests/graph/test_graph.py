"""Building graphs: names, scopes, control inputs, devices, collections, and what is refused."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest

import weftwork as tf


def op_names(*requests: str) -> list[str]:
    """The names that nodes get which ask for these names."""
    return [tf.no_op(name=request).name for request in requests]


# Names


@pytest.mark.parametrize(
    ("requests", "given"),
    [
        (["foo", "foo", "foo"], ["foo", "foo_1", "foo_2"]),
        (["foo", "foo", "foo_1"], ["foo", "foo_1", "foo_1_1"]),
        (["foo", "Foo"], ["foo", "Foo_1"]),
        (["foo_2", "foo", "foo", "foo"], ["foo_2", "foo", "foo_1", "foo_3"]),
        (["a/b", "a/b"], ["a/b", "a/b_1"]),
        (["exact/", "x"], ["exact", "x"]),
    ],
)
def test_names_are_made_unique_without_regard_to_case(graph, requests, given):
    assert op_names(*requests) == given


@pytest.mark.parametrize("name", ["foo:0", "", "_foo", "-a", "a b", "ä", "\\x"])
def test_a_bad_node_name_is_refused(graph, name):
    text = f"'{name}' is not a valid node name" if name else "is not a valid node name"
    with pytest.raises(ValueError, match=re.escape(text)):
        graph.add(tf.no_op().kind, "NoOp", outputs=[], name=name or ":")


def test_an_exact_name_is_given_once(graph):
    tf.no_op(name="exact/")
    with pytest.raises(ValueError, match="Duplicate node name in graph: 'exact'"):
        tf.no_op(name="exact/")


@pytest.mark.parametrize("name", [3, b"x", ("x",)])
def test_a_name_is_a_string(graph, name):
    for make in (lambda: tf.no_op(name=name), lambda: tf.add(tf.constant(1), 1, name=name)):
        with pytest.raises(TypeError, match="name must be a string"):
            make()


def test_name_scopes_nest_are_made_unique_and_can_be_entered_again(graph):
    with tf.name_scope("outer") as outer:
        assert outer == "outer/"
        assert tf.no_op(name="x").name == "outer/x"
        with tf.name_scope("inner") as inner:
            assert inner == "outer/inner/"
        with tf.name_scope("inner") as again:
            assert again == "outer/inner_1/"
        with graph.name_scope(None) as root:
            assert (root, tf.no_op(name="top").name) == ("", "top")
        with graph.name_scope(""):
            assert tf.no_op(name="top").name == "top_1"
    with tf.name_scope("outer") as second:
        assert second == "outer_1/"
    with graph.name_scope(outer) as reentered:
        assert (reentered, tf.no_op(name="x").name) == ("outer/", "outer/x_1")
    assert tf.get_name_scope() == ""


@pytest.mark.parametrize("name", ["foo:0", "_outer", "-x", "a b"])
def test_a_bad_scope_name_is_refused(graph, name):
    with pytest.raises(ValueError, match="is not a valid scope name"), graph.name_scope(name):
        pass


def test_a_nested_scope_name_may_begin_with_more_characters(graph):
    with graph.name_scope("a"):
        for name in ("_b", "-b", "\\b"):
            with graph.name_scope(name) as inner:
                assert inner == f"a/{name}/"


def test_a_tensor_is_named_after_its_operation_and_output(graph):
    parts = tf.split(tf.constant([1.0, 2.0], name="pair"), 2, name="halves")
    assert [t.name for t in parts] == ["halves:0", "halves:1"]


# as_graph_element


def test_elements_are_found_by_name_bytes_or_themselves(graph):
    x = tf.constant(1.0, name="x")
    v = tf.Variable(1.0, name="v")
    assert graph.as_graph_element("x:0") is x
    assert graph.as_graph_element(b"x") is x.op
    assert graph.as_graph_element(x.op) is x.op
    assert graph.as_graph_element(v) is v._ref()
    assert graph.get_operation_by_name("x") is x.op
    assert graph.get_tensor_by_name("x:0") is x


@pytest.mark.parametrize(
    ("element", "error", "text"),
    [
        ("foo:0", KeyError, "The name 'foo:0' refers to a Tensor which does not exist. The operation, 'foo', does not"),
        ("x:5", KeyError, "refers to a Tensor which does not exist. The operation, 'x', exists but only has 1"),
        ("foo", KeyError, "The name 'foo' refers to an Operation not in the graph."),
        ("a:b:c", ValueError, "The name 'a:b:c' looks a like a Tensor name, but is not a valid one. Tensor names must"),
        (7, TypeError, "Can not convert a int into a Tensor or Operation."),
    ],
)
def test_what_is_no_element_is_refused_with_the_reason(graph, element, error, text):
    tf.constant(1.0, name="x")
    with pytest.raises(error, match=re.escape(text)):
        graph.as_graph_element(element)


def test_elements_of_another_graph_are_refused(graph):
    with tf.Graph().as_default():
        other = tf.constant(1.0)
    with pytest.raises(ValueError, match="is not an element of this graph"):
        graph.as_graph_element(other)
    with pytest.raises(ValueError, match="is not an element of this graph"):
        graph.as_graph_element(other.op)
    with pytest.raises(ValueError, match="must be from the same graph as"):
        _ = tf.constant(1.0) + other


def test_look_ups_by_name_take_strings_only(graph):
    with pytest.raises(TypeError, match="Operation names are strings"):
        graph.get_operation_by_name(tf.no_op())
    with pytest.raises(TypeError, match="Tensor names are strings"):
        graph.get_tensor_by_name(3)


# Default graphs


def test_default_graphs_nest_and_belong_to_the_thread():
    outer, inner = tf.Graph(), tf.Graph()
    seen = []
    with outer.as_default():
        with inner.as_default():
            assert tf.get_default_graph() is inner
        thread = threading.Thread(target=lambda: seen.append(tf.get_default_graph()))
        thread.start()
        thread.join()
        assert tf.get_default_graph() is outer
    assert seen[0] not in (outer, inner, tf.get_default_graph())


def test_the_default_graph_is_reset_only_outside_of_nesting():
    before = tf.get_default_graph()
    tf.reset_default_graph()
    assert tf.get_default_graph() is not before
    text = (
        "Do not use tf.reset_default_graph() to clear nested graphs. If you need a cleared graph, exit the nesting and "
        "create a new graph."
    )
    with tf.Graph().as_default(), pytest.raises(AssertionError, match=re.escape(text)):
        tf.reset_default_graph()


def test_leaving_graphs_out_of_order_is_an_error():
    one, two = tf.Graph().as_default(), tf.Graph().as_default()
    one.__enter__()
    two.__enter__()
    with pytest.raises(AssertionError, match="Nesting violated for default stack of <class"):
        one.__exit__(None, None, None)
    two.__exit__(None, None, None)
    from weftwork.graph import stacks

    stacks.local.graphs.clear()


def test_nodes_go_to_the_graph_of_their_inputs(graph):
    x = tf.constant(1.0)
    with tf.Graph().as_default():
        assert (x + 1.0).graph is graph
        assert tf.identity(x).graph is graph


def test_a_finalized_graph_cannot_change_but_runs(graph):
    x = tf.constant(2.0)
    graph.finalize()
    assert graph.finalized
    with pytest.raises(RuntimeError, match="Graph is finalized and cannot be modified."):
        tf.constant(1.0)
    with pytest.raises(RuntimeError, match="Graph is finalized and cannot be modified."):
        graph.add_to_collection("c", 1)
    with tf.Session() as session:
        assert session.run(x) == 2.0


# Control inputs


def test_control_dependencies_nest_and_none_clears_them(graph):
    a, b = tf.no_op(name="a"), tf.constant(1.0, name="b")
    with tf.control_dependencies([a]):
        with tf.control_dependencies([b]):
            assert tf.no_op().control_inputs == [a, b.op]
            with tf.control_dependencies(None):
                assert tf.no_op().control_inputs == []
        assert tf.no_op().control_inputs == [a]
    assert tf.no_op().control_inputs == []


def test_control_inputs_that_a_data_input_implies_are_left_out(graph):
    a = tf.no_op(name="a")
    x = tf.constant(1.0, name="x")
    with tf.control_dependencies([a, x]):
        first = tf.identity(x)
        second = tf.identity(first)
    assert first.op.control_inputs == [a]
    assert second.op.control_inputs == []


def test_a_control_input_must_be_an_element(graph):
    with pytest.raises(TypeError, match="Control input must be Operation or Tensor: 3"):
        tf.control_dependencies([3])


def test_variables_never_take_control_inputs(graph):
    gate = tf.no_op()
    with tf.control_dependencies([gate]):
        v = tf.Variable(1.0)
    assert [op.control_inputs for op in (v.op, v.initializer, v.value().op)] == [[], [], []]


# Devices, colocation, containers


@pytest.mark.parametrize(
    ("scopes", "device"),
    [
        (["/cpu:0"], "/device:CPU:0"),
        (["/job:w", "/task:1"], "/job:w/task:1"),
        (["/job:w/device:GPU:1", "/gpu:0"], "/job:w/device:GPU:0"),
        (["/gpu:1", ""], "/device:GPU:1"),
        (["/gpu:1", "/device:GPU:*"], "/device:GPU:1"),
        (["/gpu:1", None], ""),
        (["/gpu:1", None, "/cpu:0"], "/device:CPU:0"),
        ([lambda op: "/job:f", "/cpu:0"], "/job:f"),
        ([lambda op: "/job:f" + op.device, "/cpu:0"], "/job:f/device:CPU:0"),
        (["/job:f", lambda op: "/cpu:0"], "/job:f/device:CPU:0"),
        ([lambda op: "", "/cpu:0"], ""),
        ([tf.DeviceSpec(job="w", device_type="CPU", device_index=0)], "/job:w/device:CPU:0"),
        (["/job:worker/replica:0/task:1/device:CPU:0"], "/job:worker/replica:0/task:1/device:CPU:0"),
    ],
)
def test_the_innermost_device_wins_part_by_part(graph, scopes, device):
    contexts = [tf.device(scope) for scope in scopes]
    for context in contexts:
        context.__enter__()
    made = tf.no_op()
    for context in reversed(contexts):
        context.__exit__(None, None, None)
    assert made.device == device


def test_device_scopes_must_nest(graph):
    outer, inner = tf.device("/cpu:0"), tf.device("/cpu:1")
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(RuntimeError, match="Exiting device scope without proper scope nesting."):
        outer.__exit__(None, None, None)


def test_control_dependencies_must_nest(graph):
    outer, inner = tf.control_dependencies([tf.no_op()]), tf.control_dependencies([tf.no_op()])
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(AssertionError, match="Exiting control dependencies without proper scope nesting."):
        outer.__exit__(None, None, None)


def test_an_operation_lists_the_dtypes_of_its_inputs_and_outputs(graph):
    x = tf.Variable(1.0)
    both = [(op._input_types, op._output_types) for op in (x.op, x.value().op, tf.equal(x, x).op)]
    assert both == [([], [101]), ([tf.float32], [1]), ([tf.float32] * 2, [10])]


def test_a_device_function_does_not_see_what_is_placed_with_another_operation(graph):
    seen = []
    with graph.device(lambda op: seen.append(op.type) or "/cpu:1"):
        v = tf.Variable(1.0)
    assert seen == ["Const", "VariableV2"]
    assert v.initializer.device == v.value().device == "/device:CPU:1"


def test_colocation_overrides_devices_and_names_its_group(graph):
    with tf.device("/cpu:0"):
        v = tf.Variable(1.0, name="v")
    with tf.device("/gpu:1"), graph.colocate_with(v):
        made = tf.no_op()
    assert made.device == "/device:CPU:0"
    assert made.get_attr("_class") == [b"loc:@v"]
    assert v.assign(2.0).op.colocation_groups() == [b"loc:@v"]


def test_groups_of_nested_colocations_are_joined_and_can_be_left(graph):
    with tf.device("/cpu:1"):
        a = tf.constant(1.0, name="a")
    b = tf.constant(1.0, name="b")
    with graph.colocate_with(a), graph.colocate_with(b):
        both = tf.no_op()
        with graph.colocate_with(b, ignore_existing=True):
            alone = tf.no_op()
        with graph.colocate_with(None, ignore_existing=True):
            free = tf.no_op(name="free")
    assert (both.colocation_groups(), both.device) == ([b"loc:@a", b"loc:@b"], "/device:CPU:1")
    assert (alone.colocation_groups(), alone.device) == ([b"loc:@b"], "")
    assert free.colocation_groups() == [b"loc:@free"]
    with pytest.raises(ValueError, match="no attr named '_class'"):
        free.get_attr("_class")
    with pytest.raises(ValueError, match="ignore_existing is not True"):
        graph.colocate_with(None)


def test_a_device_asked_for_beside_a_node_that_asks_for_none_holds(graph):
    a = tf.constant(1.0)
    with tf.device("/cpu:1"), graph.colocate_with(a):
        here = tf.no_op()
        with tf.device("/gpu:0"):
            there = tf.no_op()
    assert (here.device, there.device) == ("", "/device:GPU:0")


def test_control_inputs_are_given_by_name_too_and_seen_from_both_sides(graph):
    a, b = tf.no_op(name="a"), tf.no_op(name="b")
    with graph.control_dependencies(["a"]):
        c = tf.no_op()
    c._add_control_input(b)
    assert c.control_inputs == [a, b]
    assert (a._control_outputs, b._control_outputs) == ([c], [c])


def test_a_container_is_remembered_by_what_is_made_in_it(graph):
    with tf.container("box"):
        v = tf.Variable(1.0)
    assert v.op.get_attr("container") == b"box"


def test_scopes_belong_to_the_graph_until_they_are_switched_to_threads(graph):
    def made_elsewhere() -> str:
        seen = []

        def build():
            with graph.as_default():
                seen.append(tf.no_op().device)

        thread = threading.Thread(target=build)
        thread.start()
        thread.join()
        return seen[0]

    with tf.device("/cpu:0"):
        assert made_elsewhere() == "/device:CPU:0"
        graph.switch_to_thread_local()
        assert made_elsewhere() == ""
        assert tf.no_op().device == "/device:CPU:0"


# Collections


def test_collections_are_lists_that_are_copied_or_aliased(graph):
    graph.add_to_collection("c", 1)
    graph.add_to_collection("c", 1)
    assert graph.get_collection("c") == [1, 1]
    graph.get_collection("c").append(2)
    assert graph.get_collection("c") == [1, 1]
    graph.get_collection_ref("c").append(2)
    assert graph.get_collection("c") == [1, 1, 2]
    graph.add_to_collections(["d", "d", "e"], 5)
    graph.add_to_collections("word", 6)
    assert (graph.get_collection("d"), graph.get_collection("word")) == ([5], [6])
    assert graph.get_collection_ref("empty") == []
    assert graph.get_all_collection_keys() == ["c", "d", "e", "word", "empty"]


def test_a_collection_s_scope_is_a_regular_expression_at_the_start_of_names(graph):
    a, b = tf.constant(1.0, name="in/a"), tf.constant(1.0, name="out/b")
    for item in (a, b, "nameless"):
        graph.add_to_collection("c", item)
    assert graph.get_collection("c", "in/") == [a]
    assert graph.get_collection("c", ".*b") == [b]


# Tensors


def test_a_tensor_is_no_value(graph):
    x = tf.constant([1.0, 2.0], name="x")
    with pytest.raises(TypeError, match="using a `tf.Tensor` as a Python `bool` is not allowed in Graph execution"):
        bool(x)
    with pytest.raises(TypeError, match="test_graph.py:"):
        bool(x)
    with pytest.raises(TypeError, match="iterating over `tf.Tensor` is not allowed"):
        iter(x)
    text = "Cannot convert a symbolic Tensor (x:0) to a numpy array."
    with pytest.raises(NotImplementedError, match=re.escape(text)):
        np.array(x)
    with pytest.raises(TypeError, match="run it"):
        float(x)


def test_tensors_are_equal_to_themselves_only(graph):
    x, y = tf.constant(1.0), tf.constant(1.0)
    assert x == x
    assert x != y
    assert len({x, y, x}) == 2


def test_set_shape_adds_what_is_known(graph):
    x = tf.placeholder(tf.float32, [None, 3])
    x.set_shape([2, None])
    assert x.shape.as_list() == [2, 3]
    with pytest.raises(ValueError, match="Dimension 0 in both shapes must be equal, but are 2 and 4"):
        x.set_shape([4, 3])


def test_every_node_remembers_the_line_that_made_it(graph):
    a = tf.constant(1.0)
    made = [a + 1.0, np.add(a, 1.0), tf.Variable(1.0).op.outputs[0], -a, a[()]]
    here = [t.op.source.text.rpartition(":")[0] for t in made]
    assert all(path.endswith("test_graph.py") for path in here), here
    assert made[0].op.source.function == "test_every_node_remembers_the_line_that_made_it"


def test_eval_and_run_need_a_session_of_the_same_graph(graph):
    x, nothing = tf.constant(1.0), tf.no_op()
    with pytest.raises(ValueError, match=re.escape("Cannot evaluate tensor using `eval()`: No default session is")):
        x.eval()
    with pytest.raises(ValueError, match=re.escape("Cannot execute operation using `run()`: No default session is")):
        nothing.run()
    other = tf.Session(graph=tf.Graph())
    with other.as_default(), pytest.raises(ValueError, match="Cannot use the default session to evaluate tensor: the"):
        x.eval()
    with pytest.raises(ValueError, match="Cannot use the given session to evaluate tensor: the tensor's graph is"):
        x.eval(session=other)
    with tf.Session() as session, session.as_default():
        assert x.eval() == 1.0
        nothing.run()


def test_an_operation_prints_as_its_definition(graph):
    pytest.importorskip("tensorboard", reason="definitions are TensorBoard's protocol buffers")
    assert 'name: "x"' in str(tf.placeholder(tf.float32, name="x").op)


def test_an_operation_tells_which_gradient_it_got(graph):
    with graph.gradient_override_map({"Identity": "Mine"}):
        y = tf.identity(1.0)
    assert y.op.get_attr("_gradient_op_type") == b"Mine"
    with pytest.raises(TypeError, match="dictionary"):
        with graph.gradient_override_map(["Identity"]):
            pass


# What TensorFlow's own programs do with operations


def test_an_operation_of_a_declared_type_is_made_from_its_inputs_and_runs(graph):
    x = tf.constant([[1.0, 4.0]], name="x")
    root = graph.create_op("Sqrt", [x], [tf.float32], name="root")
    assert (root.name, root.type, root.outputs[0].shape.as_list()) == ("root", "Sqrt", [1, 2])
    product = graph.create_op("MatMul", [x, x], [tf.float32], attrs={"transpose_b": tf.AttrValue(b=True)})
    again = graph.create_op("MatMul", [x, x], [tf.float32], attrs={"transpose_b": True, "_mine": tf.AttrValue(i=3)})
    whole = graph.create_op("Cast", [x], [tf.int32], attrs={"DstT": tf.AttrValue(type=3)})
    nothing = graph.create_op("NoOp", [], [], name="nothing")
    assert (product.name, again.name, again.get_attr("_mine"), nothing.outputs) == ("MatMul", "MatMul_1", 3, [])
    with tf.Session() as session:
        found = session.run([root.outputs[0], product.outputs[0], again.outputs[0], whole.outputs[0], nothing])
    assert [v.tolist() for v in found[:4]] == [[[1, 2]], [[17]], [[17]], [[1, 4]]]
    assert found[4] is None


def test_create_op_refuses_what_does_not_fit_the_declaration(graph):
    x = tf.constant(1.0)
    with pytest.raises(TypeError, match="Input #0 is not a tensor: 3"):
        graph.create_op("Sqrt", [3], [tf.float32])
    with pytest.raises(ValueError, match="An operation of type Sqrt takes"):
        graph.create_op("Sqrt", [x, x], [tf.float32])
    unknown = graph.create_op("NobodyKnows", [x], [tf.float32])
    with tf.Session() as session, pytest.raises(tf.errors.UnimplementedError, match="NobodyKnows"):
        session.run(unknown.outputs[0])


def test_operations_know_the_one_that_they_were_made_for(graph):
    a, b = tf.constant(1), tf.constant(2)
    with graph._original_op(a.op):
        with graph._original_op(b.op):
            inner = tf.identity(a)
        outer = tf.identity(a)
    assert (inner.op._original_op, outer.op._original_op, a.op._original_op) == (b.op, a.op, None)


def test_scopes_give_operations_attributes_and_labels_of_kernels(graph):
    with graph._attr_scope({"_word": tf.AttrValue(s=b"w"), "_called": lambda node: tf.AttrValue(s=node.op.encode())}):
        with graph._attr_scope({"_word": None}):
            inner = tf.constant(1)
        outer = tf.constant(1)
    assert (outer.op.get_attr("_word"), outer.op.get_attr("_called")) == (b"w", b"Const")
    assert outer.op.node_def.attr["_word"].s == b"w"
    assert inner.op.get_attr("_called") == b"Const"
    with pytest.raises(ValueError, match="no attr named '_word'"):
        inner.op.get_attr("_word")
    with graph._kernel_label_map({"Const": "mine"}):
        assert tf.constant(1).op.get_attr("_kernel") == b"mine"
    inner.op._set_attr("_later", tf.AttrValue(i=7))
    assert inner.op.get_attr("_later") == 7
    with pytest.raises(TypeError, match="attr_map must be a dictionary"):
        graph._attr_scope([1]).__enter__()
    with pytest.raises(TypeError, match="mapping strings to strings"):
        graph._kernel_label_map({"Add": 1}).__enter__()


def test_constants_that_an_operation_makes_are_named_after_it(graph):
    x = tf.constant([5, -7], name="x")
    made = [x * 2, 2 * x, tf.multiply(x, 3, name="times"), x > 0, x <= 1, (x > 0) & True, ~(x > 0)]
    assert [t.name for t in made] == [
        "mul:0", "mul_1:0", "times:0", "Greater:0", "LessEqual:0", "and:0", "LogicalNot:0",
    ]  # fmt: skip
    assert [t.op.type for t in made[5:]] == ["LogicalAnd", "LogicalNot"]
    assert [[t.name for t in made[i].op.inputs] for i in range(3)] == [
        ["x:0", "mul/y:0"], ["mul_1/x:0", "x:0"], ["x:0", "times/y:0"],
    ]  # fmt: skip
    parts = tf.convert_to_tensor([x, [1, 2]])
    assert [t.name for t in parts.op.inputs] == ["x:0", "packed/1:0"]
    assert parts.name == "packed:0"
    assert tf.SparseTensor([[0]], [1.0], [2]).dense_shape.name == "SparseTensor/dense_shape:0"
    assert tf.tuple([x, x], name="both")[1].name == "both/control_dependency_1:0"


def test_a_tensor_is_consumed_once_for_each_input_that_it_is(graph):
    x = tf.constant(1)
    twice, once = x + x, tf.identity(x)
    assert x.consumers() == [twice.op, twice.op, once.op]


def test_a_name_scope_can_be_opened_again(graph):
    scope = tf.name_scope("part")
    with scope as first:
        pass
    with scope as second:
        pass
    assert (scope.name, first, second) == ("part", "part/", "part_1/")
    with pytest.raises(TypeError, match="is not a string type"):
        tf.name_scope(None, [1])


def test_a_group_gathers_what_is_on_a_device_there_first(graph):
    with tf.device("/job:ps"):
        a = tf.constant(1)
    b = tf.constant(2)
    both = tf.group(a, b, name="both")
    assert (both.name, both.type) == ("both", "NoOp")
    assert sorted((op.name, op.device) for op in both.control_inputs) == [("both/NoOp", ""), ("both/NoOp_1", "/job:ps")]
    assert tf.group(b, tf.constant(3)).control_inputs[0] is b.op


def test_a_sparse_tensor_says_what_does_not_fit(graph):
    with pytest.raises(ValueError, match=r"Shape \(1,\) must have rank 2"):
        tf.SparseTensor([0], [1], [1])
    with pytest.raises(ValueError, match="Dimensions 2 and 1 are not compatible"):
        tf.SparseTensor([[0, 1]], [1], [1])
    slices = tf.IndexedSlices(tf.constant([1.0]), tf.constant([0]), tf.constant([3]))
    with pytest.raises(ValueError, match="requested dtype int32 for IndexedSlices with dtype float32"):
        tf.convert_to_tensor(slices, tf.int32)


def test_sparse_values_know_their_consumers_and_tensors_their_operators(graph):
    slices = tf.IndexedSlices(tf.constant([1.0]), tf.constant([0]))
    used = [tf.identity(slices.values).op, tf.stack([slices.indices, slices.indices]).op]
    assert slices.consumers() == used
    assert {"__add__", "__radd__", "__getitem__"} <= tf.Tensor.OVERLOADABLE_OPERATORS
    assert all(hasattr(tf.Tensor, name) for name in tf.Tensor.OVERLOADABLE_OPERATORS)


def test_the_control_inputs_of_an_operation_can_be_removed(graph):
    with tf.control_dependencies([tf.no_op("first")]):
        second = tf.no_op("second")
    second._remove_all_control_inputs()
    assert second.control_inputs == []


def test_nodes_are_found_by_number_and_by_name_as_in_tensorflow():
    with tf.Graph().as_default() as graph:
        a, b = tf.constant(1, name="a"), tf.constant(2, name="b")
    assert graph._nodes_by_name == {"a": a.op, "b": b.op}
    assert list(graph._nodes_by_id.values()) == [a.op, b.op]
    assert graph._nodes_by_id[b.op._id] is b.op
