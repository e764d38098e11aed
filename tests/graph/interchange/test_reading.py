"""GraphDefs as nodes: names, inputs and outputs are chosen, what does not fit is refused, and nothing is unpickled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import weftwork as tf
from tests.models import FEED, expressions
from weftwork.graph.interchange.given import READERS

pytest.importorskip("tensorboard", reason="GraphDefs are TensorBoard's protocol buffers")


def definition(text: str):
    from google.protobuf import text_format

    return text_format.Parse(text, tf.GraphDef())


def node(name: str, op: str, *inputs: str, **types: str) -> str:
    """A node in protobuf's text."""
    attrs = "".join(f' attr {{ key: "{key}" value {{ type: DT_{kind} }} }}' for key, kind in types.items())
    return f'node {{ name: "{name}" op: "{op}" {" ".join(f"""input: "{text}" """ for text in inputs)}{attrs} }}\n'


A = node("A", "Placeholder", dtype="FLOAT")
ADD = node("B", "Add", "A", "A", T="FLOAT")


def test_names_get_a_prefix_and_elements_are_returned(graph):
    assert tf.import_graph_def(definition(A + ADD)) is None
    a, b = tf.import_graph_def(definition(A + ADD), return_elements=["A", b"B:0"], name="part")
    assert (a.name, a.type, b.name) == ("part/A", "Placeholder", "part/B:0")
    assert graph.get_operation_by_name("import/B").inputs[0].name == "import/A:0"
    (again,) = tf.import_graph_def(definition(A), return_elements=["A"])
    assert again.name == "import_1/A"
    tf.import_graph_def(definition(A + ADD), name="")
    assert graph.get_tensor_by_name("B:0").op.type == "Add"


def test_nodes_may_stand_in_any_order(graph):
    (b,) = tf.import_graph_def(definition(ADD + A), return_elements=["B:0"])
    with tf.Session() as session:
        assert session.run(b, {"import/A:0": 2.0}) == 4.0


def test_inputs_are_mapped(graph):
    x = tf.constant(3.0, name="x")
    (b,) = tf.import_graph_def(definition(A + ADD), {"A:0": x * 2}, ["B:0"])
    (c,) = tf.import_graph_def(definition(A + ADD), {"A": 5.0}, ["B:0"], name="numbers")
    with tf.Session() as session:
        assert session.run([b, c]) == [12.0, 10.0]


def test_a_control_input_is_mapped(graph):
    v = tf.Variable(0.0)
    gate = v.assign_add(1.0)
    text = node("A", "NoOp") + node("C", "NoOp", "^A")
    (c,) = tf.import_graph_def(definition(text), {"^A": gate}, ["C"])
    with tf.Session() as session:
        session.run(v.initializer)
        session.run(c)
        assert session.run(v) == 1.0


REFUSED = [
    (ADD, {}, "Node 'B': Unknown input node 'A'"),
    (A + node("B", "Add", "A:1", "A", T="FLOAT"), {}, "Node 'B': Connecting to invalid output 1 of source node A"),
    (node("B", "NoOp", "^A"), {}, r"Node 'B': Unknown input node '\^A'"),
    (A + node("B", "Neg", "^A", "A", T="FLOAT"), {}, "Node 'B': Control dependencies must come after regular"),
    (A + A, {}, "Node 'A' is not unique"),
    (
        A + node("B", "Add", "A", T="FLOAT"),
        {},
        "NodeDef expected inputs 'float, float' do not match 1 inputs specified",
    ),
    (A + node("B", "NoOp", "A"), {}, "NodeDef expected inputs '' do not match 1 inputs specified"),
    (
        node("A", "Placeholder", dtype="INT32") + ADD,
        {},
        "Input 0 of node import/B was passed int32 from import/A:0 incompatible with expected float.",
    ),
    (node("A", "Placeholder"), {}, "NodeDef missing attr 'dtype'"),
    (A, {"return_elements": ["B"]}, "Requested return node 'B' not found in graph def"),
    (A, {"return_elements": ["B:0"]}, "Requested return tensor 'B:0' not found in graph def"),
    (A, {"return_elements": ["A:1"]}, r"Invalid return output 1 of node 'A', which has 1 output\(s\)"),
    (A, {"return_elements": ["A:B:0"]}, "Cannot convert 'A:B:0' to a tensor name."),
    (A, {"input_map": {"B:0": 1.0}}, r"Attempted to map inputs that were not found in graph_def: \[B:0\]"),
    (A, {"input_map": {"A:0": 1.0}, "name": ""}, "requires a non-empty `name` if `input_map` contains non-Tensor"),
    (node("not a name", "NoOp"), {}, "Node name contains invalid characters"),
    (node("A", "Add", "B", "B", T="FLOAT") + node("B", "Add", "A", "A", T="FLOAT"), {}, "a cycle that is not a loop"),
]


@pytest.mark.parametrize(("text", "arguments", "message"), REFUSED)
def test_what_does_not_fit_is_refused(graph, text, arguments, message):
    with pytest.raises(ValueError, match=message):
        tf.import_graph_def(definition(text), **arguments)


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        ({"min_consumer": 99999}, "GraphDef min consumer version 99999 above current version 134"),
        ({"bad_consumers": [134]}, "GraphDef disallows consumer version 134"),
        ({"producer": -1}, "GraphDef producer version -1 below min producer 0"),
    ],
)
def test_a_graph_for_other_versions_is_refused(graph, versions, message):
    given = definition(A + ADD)
    given.versions.MergeFrom(type(given.versions)(**versions))
    with pytest.raises(ValueError, match=message):
        tf.import_graph_def(given)


def test_imported_nodes_wait_for_the_open_control_dependencies(graph):
    with tf.Graph().as_default():
        source, gate = tf.constant(2.0, name="source"), tf.placeholder_with_default(True, [], "gate")
        tf.identity(tf.cond(gate, lambda: source + 1.0, lambda: source), name="chosen")
        tf.identity(tf.while_loop(lambda i: i < 3, lambda i: i + 1, [0]), name="counted")
        given = tf.get_default_graph().as_graph_def()
    names = ["source:0", "chosen:0", "counted:0"]
    v = tf.Variable(0.0)
    with tf.control_dependencies([v.assign_add(1.0)]):
        imported = tf.import_graph_def(given, return_elements=names)
    assert [control.type for control in imported[0].op.control_inputs] == ["AssignAdd"]
    in_branch = tf.cond(v > 0.0, lambda: tf.import_graph_def(given, return_elements=names), lambda: [0.0, 0.0, 0])
    with tf.Session() as session:
        session.run(v.initializer)
        for count, (tensor, value) in enumerate(zip(imported, [2.0, 3.0, 3], strict=True), 1):
            assert session.run(tensor) == value
            assert session.run(v) == count
        assert session.run(in_branch) == [2.0, 3.0, 3]


def test_a_node_whose_name_is_taken_gets_another_one(graph):
    for _ in range(2):
        tf.import_graph_def(definition(A), name="")
    variable = tf.Variable(2.0, name="w")
    there = tf.get_default_graph().as_graph_def()
    read, set_ = tf.import_graph_def(there, name="", return_elements=["w/read:0", "w/Assign"])
    assert [op.name for op in graph.get_operations() if op.name.startswith("A")][:2] == ["A", "A_1"]
    assert read.name == "w/read_1:0"
    with tf.Session() as session:
        session.run([variable.initializer, set_])
        session.run(variable.assign(5.0))
        assert session.run([variable, read]) == [5.0, 2.0]


def test_arguments_of_other_types_are_refused(graph):
    with pytest.raises(TypeError, match="graph_def must be a GraphDef proto."):
        tf.import_graph_def("")
    with pytest.raises(TypeError, match="input_map must be a dictionary mapping strings to Tensor objects."):
        tf.import_graph_def(definition(A), input_map=[1])
    with pytest.raises(TypeError, match="return_elements must be a list of strings."):
        tf.import_graph_def(definition(A), return_elements=[7])


def test_an_operation_that_nobody_knows_is_not_found(graph):
    with pytest.raises(tf.errors.NotFoundError, match="Op type not registered 'Foo'"):
        tf.import_graph_def(definition(node("A", "Foo")))


def test_an_operation_that_is_lacking_fails_when_it_runs(graph):
    text = A + node("B", "SigmoidGrad", "A", "A", T="FLOAT") + node("C", "SeluGrad", "A", "A", T="FLOAT")
    b, c = tf.import_graph_def(definition(text), {"A:0": 0.5}, ["B:0", "C:0"])
    with tf.Session() as session:
        assert session.run(b) == 0.125
        with pytest.raises(tf.errors.UnimplementedError, match="No OpKernel was registered to support Op 'SeluGrad'"):
            session.run(c)


# What Weftwork alone has


def program():
    """A graph with what TensorFlow has no operation for: an optimizer's updates, a mapped function, derivatives."""
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    w = tf.get_variable("w", [2, 1], initializer=tf.ones_initializer())
    y = tf.map_fn(lambda row: row * 2 + w[0, 0], tf.matmul(x, w), name="y")
    loss = tf.reduce_mean(tf.square(y), name="loss")
    tf.train.AdamOptimizer(0.1).minimize(loss, name="train")
    tf.global_variables_initializer()


@pytest.mark.parametrize("prefix", ["", "part"])
def test_weftworks_own_operations_come_back_and_train(graph, prefix):
    program()
    with tf.Graph().as_default() as other:
        tf.import_graph_def(tf.GraphDef.FromString(graph.as_graph_def().SerializeToString()), name=prefix)
    losses = []
    for each, start in ((graph, ""), (other, prefix and f"{prefix}/")):
        with tf.Session(graph=each) as session:
            session.run(f"{start}init")
            feed = {f"{start}x:0": np.ones([3, 2], "f")}
            for _ in range(3):
                session.run(f"{start}train", feed)
            losses.append(session.run(f"{start}loss:0", feed))
    assert losses[0] == losses[1] < 25


def double(x):
    return x * 2


def test_a_users_function_is_refused_unless_it_is_asked_for(graph):
    tf.op(double, name="f")(tf.constant(4, name="c"))
    tf.op(lambda x: x, name="g")(tf.constant(1))
    written = graph.as_graph_def()
    known = tf.graph_util.extract_sub_graph(written, ["f"])
    assert "pickle" not in str(known)
    path = f"{__name__}:double"
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match=f"the graph calls the function {path}"):
            tf.import_graph_def(known)
        with pytest.raises(ValueError, match="which `functions` does not name"):
            tf.import_graph_def(known, functions={"other:f": abs})
        with pytest.raises(ValueError, match="no function is called"):
            tf.import_graph_def(written, functions=True)
        tf.import_graph_def(known, functions=True, name="any")
        tf.import_graph_def(known, functions={path: lambda x: -x}, name="mine")
        with tf.Session() as session:
            assert session.run(["any/f:0", "mine/f:0"]) == [8, -4]


@pytest.mark.parametrize("path", ["os:system", "numpy:save", "builtins:eval", "weftwork.graph.protos:protos"])
def test_no_function_is_called_that_does_more_than_compute(graph, path):
    text = b'["dict",[["kind","pure"],["kernel",["function","%s"]],["attrs",["dict",[]]],["outputs",["list",[]]]]]'
    written = tf.GraphDef()
    written.node.add(name="a", op="A").attr["_weftwork"].s = text % path.encode()
    with pytest.raises(ValueError, match="is not one of the library's functions that compute"):
        tf.import_graph_def(written)


def test_what_has_no_written_form_is_named(graph):
    class Thing:
        pass

    tf.constant(Thing(), tf.object, name="c")
    with pytest.raises(ValueError, match="Node 'c' cannot be imported: it holds a .*Thing"):
        tf.import_graph_def(graph.as_graph_def())


def test_a_damaged_text_is_refused(graph):
    written = tf.GraphDef()
    written.node.add(name="a", op="A").attr["_weftwork"].s = b'["tuple",[["nothing",1]]]'
    with pytest.raises(ValueError, match="Node 'a' cannot be imported"):
        tf.import_graph_def(written)


# Branches and loops


def flow(name):
    x = tf.placeholder(tf.float32, [], name="x")
    made = {
        "cond": lambda: tf.cond(x > 0, lambda: x * 2, lambda: x - 1),
        "several": lambda: tf.add_n(tf.cond(x > 0, lambda: [x, x * 3], lambda: [tf.constant(1.0), x])),
        "nested": lambda: tf.cond(x > 0, lambda: tf.cond(x > 5, lambda: x, lambda: x * 2), lambda: x),
        "loop": lambda: tf.while_loop(lambda i, a: i < 4, lambda i, a: (i + 1, a * 2 + x), [0, x])[1],
        "limited": lambda: tf.while_loop(lambda a: a < 1e6, lambda a: a * 2, [x + 1], maximum_iterations=np.int64(3)),
        "loop in loop": lambda: tf.while_loop(
            lambda i, a: i < 3,
            lambda i, a: (i + 1, tf.while_loop(lambda j, b: j < i, lambda j, b: (j + 1, b + x), [0, a])[1]),
            [0, x],
        )[1],
        "cond in loop": lambda: tf.while_loop(
            lambda i, a: i < 4, lambda i, a: (i + 1, tf.cond(i > 1, lambda: a * x, lambda: a + 1)), [0, x]
        )[1],
        "loop in cond": lambda: tf.cond(
            x > 0, lambda: tf.while_loop(lambda a: a < 50, lambda a: a * 2, [x]), lambda: x
        ),
        "gradient": lambda: tf.gradients(tf.cond(x > 0, lambda: x * x, lambda: x), x)[0],
    }[name]()
    tf.identity(made, name="out")


@pytest.mark.parametrize(
    "name", "cond,several,nested,loop,limited,loop in loop,cond in loop,loop in cond,gradient".split(",")
)
def test_branches_and_loops_are_written_as_tensorflow_does_and_read(graph, name):
    flow(name)
    written = graph.as_graph_def()
    assert not any(n.attr["_weftwork"].s for n in written.node if "_weftwork" in n.attr)
    assert {"Merge", "Switch"} <= {n.op for n in written.node}
    with tf.Graph().as_default() as other:
        tf.import_graph_def(written, name="")
    for value in (-3.0, 2.0, 7.0):
        found = []
        for each in (graph, other):
            with tf.Session(graph=each) as session:
                found.append(session.run("out:0", {"x:0": value}))
        assert found[0] == found[1]


def test_a_loop_with_a_derivative_comes_back_too(graph):
    x = tf.placeholder(tf.float32, [], name="x")
    y = tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * x), [0, x])[1]
    tf.identity(tf.gradients(y, x)[0], name="out")
    with tf.Graph().as_default():
        tf.import_graph_def(graph.as_graph_def(), name="")
        with tf.Session() as session:
            assert session.run("out:0", {"x:0": 2.0}) == 32.0


def test_a_write_in_a_branch_happens_only_there(graph):
    p = tf.placeholder(tf.bool, [], name="p")
    v = tf.get_variable("v", [], initializer=tf.zeros_initializer())
    tf.identity(tf.cond(p, lambda: v.assign_add(2.0), lambda: tf.constant(0.0)), name="out")
    tf.global_variables_initializer()
    with tf.Graph().as_default():
        tf.import_graph_def(graph.as_graph_def(), name="")
        with tf.Session() as session:
            session.run("init")
            for truth, after in ((False, 0.0), (True, 2.0), (True, 4.0)):
                session.run("out:0", {"p:0": truth})
                assert session.run("v:0") == after


def test_the_docs_name_every_operation_that_can_be_read():
    text = (Path(__file__).parents[3] / "docs" / "graphs_in_and_out.md").read_text()
    assert [name for name in READERS if f"`{name}`" not in text] == []


def test_what_is_known_of_bounds_tells_the_shape(graph):
    x, i = tf.placeholder(tf.float32, [5, 4], name="x"), tf.placeholder(tf.int32, [], name="i")
    tf.identity(x[i], name="row")
    tf.identity(x[i:, 1:3], name="part")
    with tf.Graph().as_default() as other:
        tf.import_graph_def(graph.as_graph_def(), name="")
        assert other.get_tensor_by_name("row:0").shape.as_list() == [4]
        assert other.get_tensor_by_name("part:0").shape.as_list() == [None, 2]
        feed = {"x:0": np.arange(20, dtype="f").reshape(5, 4), "i:0": 3}
        with tf.Session() as session:
            row, part = session.run(["row:0", "part:0"], feed)
    assert row.tolist() == [12, 13, 14, 15]
    assert part.tolist() == [[13, 14], [17, 18]]


def test_every_operation_comes_back_and_computes_the_same(graph):
    made = expressions(tf)
    written = graph.as_graph_def()
    assert [node.name for node in written.node if "_weftwork" in node.attr] == []  # TensorFlow has all of them
    with tf.Session() as session:
        expected = session.run(made, {"x:0": FEED})
    with tf.Graph().as_default() as other, tf.Session() as session:
        tf.import_graph_def(written, name="")
        found = session.run({word: f"{tensor.op.name}:0" for word, tensor in made.items()}, {"x:0": FEED})
        for word, tensor in made.items():
            assert other.get_tensor_by_name(tensor.name).dtype is tensor.dtype, word
    for word, value in expected.items():
        np.testing.assert_allclose(found[word], value, 1e-5, 1e-6, err_msg=word)
