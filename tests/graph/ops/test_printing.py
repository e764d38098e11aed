"""Nodes that print: in the program that runs the session, wherever their inputs were made."""

from __future__ import annotations

import sys

import pytest

import weftwork as tf


@pytest.mark.parametrize("placement", ["auto", "task"])
def test_print_hands_its_input_on_and_tells_the_values(ray_session, graph, capfd, placement):
    x = tf.placeholder(tf.float32, [None])
    y = tf.Print(x * 2, [x, tf.shape(x), "text"], "x and shape: ") + 1
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        assert session.run(y, {x: [1, 2.5, 3, 4]}).tolist() == [3, 6, 7, 9]
    assert capfd.readouterr().err.endswith("x and shape: [1 2.5 3...][4][text]\n")


def test_print_tells_the_first_runs_only_and_as_many_elements_as_asked_for(graph, capfd):
    x = tf.placeholder(tf.int32, [None])
    twice, all_of_it = tf.Print(x, [x], first_n=2), tf.Print(x, [x], summarize=-1)
    with tf.Session() as session:
        for _ in range(4):
            session.run(twice, {x: [1]})
        assert capfd.readouterr().err == "[1]\n[1]\n"
        session.run(all_of_it, {x: range(6)})
    assert capfd.readouterr().err == "[0 1 2 3 4 5]\n"


def test_gradients_flow_through_print(graph, capfd):
    x = tf.constant(3.0)
    (slope,) = tf.gradients(tf.Print(x * x, [x]), x)
    with tf.Session() as session:
        assert session.run(slope) == 6.0


def test_only_the_branch_that_is_taken_prints(graph, capfd):
    x = tf.placeholder(tf.int32, [])
    chosen = tf.cond(x > 0, lambda: tf.Print(x, ["more"]), lambda: tf.Print(-x, ["less"]))
    with tf.Session() as session:
        assert session.run(chosen, {x: 2}) == 2
        assert capfd.readouterr().err == "[more]\n"
        assert session.run(chosen, {x: -3}) == 3
    assert capfd.readouterr().err == "[less]\n"


def test_the_operation_print_takes_any_structures(graph, capsys, tmp_path):
    x = tf.placeholder(tf.int32, [None])
    to_file = tf.print("step", x[0], output_stream=f"file://{tmp_path / 'log'}")
    nodes = [
        tf.print("values:", x, {"first": x[0]}, [1, "two"], output_stream=sys.stdout),
        tf.print(x, x, sep="|", end="!\n", summarize=1),
    ]
    with tf.Session() as session:
        for number in (7, 8):
            session.run(to_file, {x: [number]})
        session.run(nodes[0], {x: range(10)})
        session.run(nodes[1], {x: range(4)})
    printed = capsys.readouterr()
    assert printed.out == "values: [0 1 2 ... 7 8 9] {'first': 0} [1, 'two']\n"
    assert printed.err == "[0 ... 3]|[0 ... 3]!\n"
    assert (tmp_path / "log").read_text() == "step 7\nstep 8\n"
    with pytest.raises(ValueError, match="Unsupported output stream"):
        tf.print(x, output_stream="nowhere")
