"""Heavy branches and iterations: planned and run like any other part of a graph, and beside each other."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weftwork as tf
from tests.waiting import LONG, until
from weftwork.scheduler.segments import nested

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def session(graph):
    """A session on the test's graph."""
    with tf.Session(config=tf.ConfigProto(cancel_grace_in_ms=200)) as opened:
        yield opened


@pytest.fixture
def always(monkeypatch):
    """All control flow is nested, worth it or not, and loops overlap wherever they can."""
    monkeypatch.setattr(nested.Nesting, "_chosen", lambda self, flow, node, seconds: True)
    monkeypatch.setattr(nested.PlannedBody, "plain", property(lambda self: False))
    monkeypatch.setattr(nested, "_promises", lambda nesting, flow: True)


def meeting(folder):
    """A function that returns its number once it has been called with two: the first call waits for another one."""

    def meet(k):
        (folder / str(int(k))).touch()
        end = time.monotonic() + LONG
        while len(os.listdir(folder)) < 2:
            assert time.monotonic() < end, "no other call began while it ran"
            time.sleep(0.005)
        return np.int64(k)

    return tf.op(dtype=tf.int64, shape=[])(meet)


third = tf.op(dtype=tf.int64, shape=[])(lambda k: k // 3)


def places(session, fetches, feeds=None):
    return {segment.place for segment in session.explain(fetches, feeds).segments}


# What runs beside what


def test_the_nodes_of_a_branch_run_beside_each_other(session, tmp_path):
    meet = meeting(tmp_path)
    x = tf.placeholder(tf.int64, [])
    y = tf.cond(x > 0, lambda: meet(x * 0) + meet(x), lambda: x)
    assert session.run(y, {x: 1}) == 1
    assert session.run(y, {x: -1}) == -1


def test_iterations_that_do_not_need_each_other_overlap(session, tmp_path):
    meet = meeting(tmp_path)
    total = tf.while_loop(lambda i, t: i < 6, lambda i, t: (i + 1, t + meet(i)), [np.int64(0), np.int64(100)])[1]
    assert session.run(total) == 115


@pytest.mark.parametrize(
    ("sweep", "expected"), [(tf.foldl, 115), (tf.foldr, 115), (tf.scan, [100, 101, 103, 106, 110, 115])]
)
def test_calls_of_a_fold_overlap(session, tmp_path, sweep, expected):
    meet = meeting(tmp_path)
    made = sweep(lambda held, k: held + meet(k), tf.range(np.int64(6)), np.int64(100))
    np.testing.assert_array_equal(session.run(made), expected)


def test_what_a_condition_needs_from_the_body_is_waited_for(session):
    halve = tf.op(dtype=tf.int64, shape=[])(lambda k: k // 2)
    n, steps = tf.while_loop(lambda n, s: n > 1, lambda n, s: (halve(n), s + 1), [np.int64(1000), np.int64(0)])
    assert session.run([n, steps]) == [1, 9]


def test_no_iterations_overlap_where_only_one_is_allowed(session, tmp_path):
    def note(k):
        path = tmp_path / "running"
        assert not path.exists(), "another iteration is running"
        path.touch()
        time.sleep(0.02)
        path.unlink()
        return k

    alone = tf.op(dtype=tf.int64, shape=[])(note)
    start = [np.int64(0), np.int64(0)]
    total = tf.while_loop(lambda i, t: i < 8, lambda i, t: (i + 1, t + alone(i)), start, parallel_iterations=1)[1]
    assert [session.run(total) for _ in range(3)] == [28] * 3


# What is worth it


def test_a_loop_of_light_iterations_becomes_an_ordinary_node(session):
    add = tf.op(dtype=tf.int64, shape=[])(lambda a, b: a + b)
    x = tf.placeholder(tf.int64, [])
    total = tf.while_loop(lambda i, t: i < x, lambda i, t: (i + 1, add(t, add(i, i))), [np.int64(0), np.int64(0)])[1]

    def is_a_node() -> bool:
        assert session.run(total, {x: 30}) == 870
        return "nested" not in places(session, total, {x: 30})

    until(is_a_node)  # a busy machine needs more runs


def test_a_branch_that_is_one_function_is_a_node_like_any_other(session):
    @tf.op(dtype=tf.int64, shape=[])
    def slow(k):
        time.sleep(0.02)
        return k

    x = tf.placeholder(tf.int64, [])
    y = [tf.cond(x > k, lambda: slow(x), lambda: x) for k in range(3)]
    for _ in range(3):
        assert session.run(y, {x: 5}) == [5] * 3
    assert "nested" not in places(session, y, {x: 5})


def test_explain_says_that_a_heavy_loop_is_planned_by_itself(session):
    @tf.op(dtype=tf.int64, shape=[])
    def slow(k):
        time.sleep(0.01)
        return k

    total = tf.while_loop(lambda i, t: i < 8, lambda i, t: (i + 1, t + slow(i)), [np.int64(0), np.int64(0)])[1]
    for _ in range(3):
        assert session.run(total) == 28
    explanation = session.explain(total)
    assert "its branches or iterations are planned by themselves" in str(explanation)
    (loop,) = [segment for segment in explanation.segments if segment.place == "nested"]
    (eight,) = loop.inside
    assert sum("slow" in name for segment in eight.segments for name in segment.nodes) == 8
    assert str(eight).splitlines()[1] in str(explanation)
    assert "nested" in session.placements


def test_many_branches_at_once_take_their_turns(always, session):
    x = tf.placeholder(tf.int64, [])
    made = [tf.cond(x > k, lambda k=k: third(x) + third(x + k), lambda: x) for k in range(40)]
    before = threading.active_count()
    assert session.run(made, {x: 100}) == [33 + (100 + k) // 3 for k in range(40)]
    assert threading.active_count() - before < 30
    assert session.placements["nested"] == (40, 40)


# The same values as anywhere else


def grown(random, values, variables, depth):
    """A random tensor over some others: arithmetic, functions, draws, variables, branches and loops."""
    a, b = random.choice(values), random.choice(values)
    kind = random.randrange(9 if depth else 5)

    def section(more=()):
        inside = [*values, *more]
        for _ in range(random.randrange(1, 4)):
            inside.append(grown(random, inside, variables, depth - 1))
        return (inside[-1] + inside[-2]) % 1000

    if kind == 0:
        return a + b
    if kind == 1:
        return a * 2 - b
    if kind == 2:
        return third(a)
    if kind == 3:
        return a + tf.random_uniform([], maxval=50, dtype=tf.int64)
    if kind == 4:
        return tf.assign_add(random.choice(variables), a % 100) + b
    if kind <= 6:
        return tf.cond(a > b, section, section)
    times = random.randrange(14)
    if kind == 7:
        start = [np.int64(0), a, b]
        return tf.while_loop(lambda i, t, u: i < times, lambda i, t, u: (i + 1, section([i, t]), u + i), start)[1]
    return tf.foldl(lambda t, e: section([t, e]), tf.range(np.int64(times)) * 7, b)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), st.integers(-50, 50))
def test_random_control_flow_gives_the_same_nested(always, random, fed):
    with tf.Graph().as_default():
        tf.set_random_seed(7)
        x = tf.placeholder(tf.int64, [])
        variables = [tf.Variable(np.int64(k + 1), name=f"v{k}") for k in range(2)]
        values = [x, tf.constant(np.int64(3))]
        for _ in range(3):
            values.append(grown(random, values, variables, 2))
        seen = []
        for placement in ("caller", "auto"):
            with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
                session.run(tf.global_variables_initializer())
                runs = [session.run(values[2:], {x: fed}) for _ in range(3)]
                seen.append((runs, session.run(variables)))
        assert seen[0] == seen[1]


def test_a_loop_that_draws_and_writes_gives_the_same_nested(always, graph):
    tf.set_random_seed(3)
    v = tf.Variable(np.float64(0), name="v")

    def body(i, t):
        drawn = tf.random_uniform([], dtype=tf.float64)
        with tf.control_dependencies([v.assign_add(drawn)]):
            return i + 1, t + drawn * v.read_value()

    made = tf.while_loop(lambda i, t: i < 23, body, [tf.constant(0), tf.constant(0.0, tf.float64)])
    seen = []
    for placement in ("caller", "auto"):
        with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
            session.run(v.initializer)
            seen.append([*[session.run(made) for _ in range(3)], session.run(v)])
            ran = session.placements
    assert seen[0] == seen[1]
    assert ran["nested"] == (3, 3)


# What goes wrong


def test_an_error_names_the_node_of_the_iteration_and_nothing_is_written(always, session):
    v = tf.Variable(np.int64(5), name="v")
    divide = tf.op(dtype=tf.int64, shape=[], name="divide")(lambda k: 12 // int(k - 7))
    total = tf.while_loop(lambda i, t: i < 12, lambda i, t: (i + 1, t + divide(i)), [np.int64(0), np.int64(0)])[1]
    grown = v.assign_add(total)
    session.run(v.initializer)
    for _ in range(3):
        with pytest.raises(tf.errors.OpError, match=r"(?s)ZeroDivisionError.*divide.*test_nested.py"):
            session.run(grown)
    assert session.run(v) == 5


def test_a_variable_without_a_value_matters_to_the_branch_that_reads_it(always, session):
    v = tf.Variable(np.int64(5), name="v")
    x = tf.placeholder(tf.int64, [])
    y = tf.cond(x > 0, lambda: v + third(x), lambda: third(x))
    assert session.run(y, {x: -3}) == -1
    with pytest.raises(tf.errors.FailedPreconditionError, match="uninitialized value v"):
        session.run(y, {x: 3})


@pytest.mark.parametrize("how", ["timeout", "cancel", "error beside it"])
def test_an_endless_loop_is_ended_and_the_session_goes_on(always, session, tmp_path, how):
    x = tf.placeholder(tf.int64, [])

    @tf.op(dtype=tf.int64, shape=[])
    def note(k):
        (tmp_path / "running").touch()
        time.sleep(0.01)
        return k

    @tf.op
    def fail(k):
        while not (tmp_path / "running").exists():
            time.sleep(0.01)
        return 1 // int(1 - k)

    endless = tf.while_loop(lambda i, t: i < 3 + x * 2**40, lambda i, t: (i + 1, t + note(i)), [np.int64(0)] * 2)[1]
    assert session.run(endless, {x: 0}) == 3
    (tmp_path / "running").unlink()
    if how == "timeout":
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(endless, {x: 1}, options=tf.RunOptions(timeout_in_ms=500))
    elif how == "cancel":
        future = session.submit(endless, {x: 1})
        until((tmp_path / "running").exists)
        until(lambda: any("note" in node for item in session.waiting() for node in item.nodes))
        future.cancel()
        with pytest.raises(tf.errors.CancelledError):
            future.result()
    else:
        with pytest.raises(tf.errors.OpError, match="ZeroDivisionError"):
            session.run([endless, fail(x)], {x: 1})
    assert session.waiting() == []
    assert session.run(endless, {x: 0}) == 3


def test_an_iteration_whose_process_dies_is_done_again(session, tmp_path):
    here = os.getpid()

    @tf.op(dtype=tf.int64, shape=[])
    def once(k):
        died = tmp_path / str(int(k))
        if k % 4 == 1 and os.getpid() != here and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return k

    v = tf.Variable(np.int64(1), name="v")
    total = tf.while_loop(lambda i, t: i < 8, lambda i, t: (i + 1, t + once(i)), [np.int64(0), np.int64(0)])[1]
    grown = v.assign_add(total)
    session.run(v.initializer)
    assert [session.run(grown) for _ in range(3)] == [29, 57, 85]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_traced_run_tells_of_the_nodes_inside(always, session):
    x = tf.placeholder(tf.int64, [])
    y = tf.cond(x > 0, lambda: third(x, name="inside"), lambda: x)
    metadata = tf.RunMetadata()
    session.run(y, {x: 6}, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=metadata)
    assert "inside" in [
        node.node_name.split("/")[-1] for dev in metadata.step_stats.dev_stats for node in dev.node_stats
    ]
