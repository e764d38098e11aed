"""graph.visualize: pictures of graphs, as a reader gets them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

import weftwork as tf
from weftwork.graph.drawing.boxes import collapse

SVG = "{http://www.w3.org/2000/svg}"


def titles(svg: str) -> list[str]:
    """The first line of what each box says when one points at it."""
    return [title.text.splitlines()[0] for title in ElementTree.fromstring(svg).iter(f"{SVG}title")]


@pytest.fixture
def built(graph):
    """A graph with a variable, a function, a control edge and a scope."""
    x = tf.placeholder(tf.float32, [2], name="x")
    w = tf.get_variable("w", initializer=[1.0, 2.0])
    with tf.name_scope("part"), tf.control_dependencies([w.assign_add([1.0, 1.0])]):
        y = tf.op(dtype=tf.float32, shape=[2])(lambda a: a * 10)(x * w)
    tf.random_uniform([2])
    return y


def test_a_small_graph_is_drawn_node_by_node(built):
    svg = built.graph.visualize(built)
    assert {"x", "w", "part/mul"} <= set(titles(svg))
    assert not [title for title in titles(svg) if title.startswith("random_uniform")], "only what the fetches need"
    assert [title for title in titles(built.graph.visualize()) if title.startswith("random_uniform")]
    edges = [path for path in ElementTree.fromstring(svg).iter(f"{SVG}path") if path.get("class", "").startswith("e")]
    assert "e c" in [path.get("class") for path in edges], "control edges are dashed"


def test_equal_functions_and_scopes_collapse_until_they_fit(graph):
    work = tf.op(lambda x: x, name="work")
    for layer in range(4):
        with tf.name_scope(f"layer{layer}"):
            ends = [work(tf.constant(n)) for n in range(200)]
    picture = collapse(graph, None)
    assert sorted(box.title for box in picture.boxes)[-4:] == ["work x 200"] * 4
    with tf.name_scope("deep"):
        for part in range(70):
            with tf.name_scope(f"part{part}"):
                work(ends[0])
    found = {box.title: box.text for box in collapse(graph, None).boxes}
    assert found["deep/"] == "70 nodes"
    assert titles(graph.visualize(by="function")) == ["Const x 800", "work x 870"]


def test_numbered_scopes_collapse_to_one(graph):
    work = tf.op(lambda x: x, name="work")
    for _ in range(100):
        with tf.name_scope("tower"):
            work(tf.constant(1.0))
    assert titles(graph.visualize()) == ["tower/ x 100"]


def test_what_does_not_fit_at_all_is_one_box(graph):
    for number in range(500):
        tf.constant(number, name=f"c{number}x")
        tf.op(lambda: 0, name=f"f{number}x")()
    with tf.name_scope("a"):
        tf.constant(1.0)
    assert len(collapse(graph, None).boxes) <= 60


def test_each_node_can_have_its_box_up_to_a_bound(graph):
    for number in range(300):
        tf.constant(number)
    assert len(titles(graph.visualize(by="node"))) == 300
    tf.constant(1.0)
    with pytest.raises(ValueError, match='301 nodes are more than the 300 that can be drawn. by="scope" collapses'):
        graph.visualize(by="node")


def test_a_loop_shows_what_is_inside(graph):
    y = tf.while_loop(lambda i: i < 3, lambda i: i + tf.op(lambda: 1, name="inside", dtype=tf.int32, shape=[])(), [0])
    assert [title for title in titles(graph.visualize(y)) if title.endswith("inside")]


def test_dot_and_mermaid_show_nodes_edges_controls_and_variables(built):
    dot, mermaid = [built.graph.visualize([built], format=format) for format in ("dot", "mermaid")]
    assert 'label="w\\nVariableV2", shape=cylinder' in dot
    assert "[style=dashed]" in dot
    assert '[("w<br/>VariableV2")]' in mermaid
    assert "-.->" in mermaid
    assert "random_uniform" not in dot


def test_lambdas_are_called_as_their_nodes_are(graph):
    load, parse = tf.op(lambda: 0, name="load"), tf.op(lambda x: x, name="parse")
    for _ in range(3):
        parse(load())
    assert titles(graph.visualize(by="function")) == ["load x 3", "parse x 3"]


def test_names_that_mean_something_in_a_language_are_told_as_they_are(graph):
    def work():
        """A function with a name that no def gives."""

    work.__name__ = '<a>&"'
    tf.op(work, name="node")()
    assert "&lt;a&gt;&amp;&quot;" in graph.visualize()
    assert "#lt;a#gt;#amp;#quot;" in graph.visualize(format="mermaid")
    assert '<a>&\\"' in graph.visualize(format="dot")


def test_a_picture_is_written_whole(built, tmp_path):
    path = tmp_path / "graph.svg"
    assert built.graph.visualize(path=path) == path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["graph.svg"]
    with pytest.raises(tf.errors.NotFoundError, match="nowhere"):
        built.graph.visualize(path=tmp_path / "nowhere" / "graph.svg")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"by": "colour"}, "by must be one of 'scope', 'function', 'node', but got 'colour'"),
        ({"format": "png"}, "format must be one of 'svg', 'dot', 'mermaid', but got 'png'"),
        ({"color": "red"}, "color must be 'seconds', 'place' or None, but got 'red'"),
        ({"color": "place", "format": "dot"}, "Only SVG has colors"),
        ({"color": "seconds"}, "No run of this graph has been measured"),
    ],
)
def test_wrong_words_are_named(built, wrong, message):
    with pytest.raises(ValueError, match=message):
        built.graph.visualize(**wrong)


def test_graphs_and_tensors_show_themselves_in_a_notebook(built):
    assert "<svg" in built.graph._repr_html_()
    shown = built._repr_html_()
    assert "test_visualize.py:" in shown
    assert "<svg" in shown
    assert tf.Graph()._repr_html_() == "<code>&lt;tf.Graph with 0 operations&gt;</code>"
