"""`log_device_placement`: where each node runs is printed, and logged."""

from __future__ import annotations

import re
import uuid

import weftwork as tf

CPU = "/job:localhost/replica:0/task:0/device:CPU:0"
LOGGED = tf.ConfigProto(log_device_placement=True)


@tf.op(num_cpus=1)
def weigh(x):
    """Runs in a worker, for it asks for a CPU."""
    return x


def lines(capfd):
    """What was said, the same on both streams."""
    out, err = capfd.readouterr()
    assert [line for line in err.splitlines() if line in out.splitlines()] == out.splitlines()
    return out.splitlines()


def test_every_node_of_a_run_is_printed_with_its_device_also_what_is_folded(graph, capfd):
    a = tf.constant([[1.0, 2.0]], name="a")
    b = tf.placeholder(tf.float32, [2, 1], name="b")
    c = tf.matmul(a, b, name="c")
    folded = tf.add(tf.constant(1, name="one"), 2, name="three")
    tf.constant(0, name="aside")
    with tf.Session(config=LOGGED) as session:
        mapping, *devices = lines(capfd)
        assert mapping == "Device mapping:"
        assert devices[0].startswith(CPU)
        session.run(c, {b: [[1.0], [1.0]]})
        assert lines(capfd) == [f"a: (Const): {CPU}", f"b: (Placeholder): {CPU}", f"c: (MatMul): {CPU}"]
        session.run(folded)
        assert f"three: (Add): {CPU}" in lines(capfd)
        session.run([c, folded], {b: [[1.0], [1.0]]})
        assert lines(capfd) == []  # they have been said


def test_nodes_of_branches_and_variables_are_printed_too(graph, capfd):
    w = tf.Variable(1.0, name="w")
    p = tf.placeholder(tf.bool, [])
    picked = tf.cond(p, lambda: tf.multiply(w, 2.0, name="twice"), lambda: w + 1.0)
    with tf.Session(config=LOGGED) as session:
        session.run(w.initializer)
        session.run(picked, {p: True})
        said = lines(capfd)
    assert f"w: (VariableV2): {CPU}" in said
    assert any(re.fullmatch(rf"cond/\S*twice: \(Mul\): {CPU}", line) for line in said)


def test_the_worker_s_kind_follows_the_device_also_in_a_shared_session(ray_session, graph, capfd):
    y = weigh(1.0)
    for name in ("", uuid.uuid4().hex):
        with tf.Session(config=tf.ConfigProto(log_device_placement=True, name=name)) as session:
            session.run(y)
            assert f"weigh: (PyFunc): {CPU}/ray:task" in lines(capfd)


def test_a_large_graph_that_needs_no_plan_says_where_it_runs(graph, capfd):
    x = tf.placeholder(tf.float32, [], name="x")
    y = x
    for k in range(50):
        y = tf.add(y, 1.0, name=f"n{k}")
    with tf.Session(config=LOGGED) as session:
        session.run(y, {x: 0.0})
    assert {f"n{k}: (Add): {CPU}" for k in range(50)} <= set(lines(capfd))
