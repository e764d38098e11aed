"""A plan can be read, and so can what a run waits for."""

from __future__ import annotations

import time

import pytest

import weftwork as tf
from tests.waiting import until


@tf.op(num_cpus=1)
def weigh(x):
    """Runs in a worker, for it asks for a CPU."""
    time.sleep(0.02)
    return x


@tf.op(num_cpus=1)
def hang():
    """Never returns by itself."""
    while True:
        time.sleep(0.05)


def test_an_explanation_lists_every_segment_with_its_place_and_reason(ray_session, graph):
    branches = [weigh(float(k)) for k in range(3)]
    total = tf.add_n([tf.cast(b, tf.float32) for b in branches])
    with tf.Session(config=tf.ConfigProto(placement="task")) as session:
        before = session.explain(total)
        assert before.runs == 0
        session.run(total)
        plan = session.explain(total)
    workers = [s for s in plan.segments if s.place == "task" and "CPU=1" in s.why]
    assert sorted(n for s in workers for n in s.nodes) == ["weigh", "weigh_1", "weigh_2"]
    assert all(s.measured is not None and s.measured >= 0.02 for s in workers)
    text = str(plan)
    assert "critical path" in text
    assert "bound: " in text


def test_a_plan_of_cheap_nodes_is_one_segment_in_the_caller(graph):
    x = tf.placeholder(tf.float32, [])
    with tf.Session() as session:
        plan = session.explain(x * 2 + 1, {x: 1.0})
    assert [s.place for s in plan.segments] == ["caller"]
    assert plan.segments[0].nodes == ("mul", "add")


def test_before_a_first_run_an_explanation_says_what_is_not_known(graph):
    new = tf.op(lambda x: x + 1, name="step")
    nodes = [new(k) for k in range(3)]
    with tf.Session() as session:
        plan = session.explain(nodes)
        assert plan.new == ("<lambda>",)
        assert plan.bound == "unknown until <lambda> has run once"
        assert str(plan).startswith("1 segment, not run yet")
        assert "critical path" not in str(plan)
        session.run(nodes)
        assert session.explain(nodes).new == ()


def test_the_error_of_a_time_limit_names_the_limit_and_what_the_run_waits_for(graph):
    slow = tf.op(time.sleep, name="slow")(60)
    with tf.Session() as session:
        with pytest.raises(tf.errors.DeadlineExceededError) as caught:
            session.run(slow, options=tf.RunOptions(timeout_in_ms=300))
    text = caught.value.message
    assert text.startswith("Timed out waiting for notification: the run took longer than its limit of 0.3 s, and is ")
    assert "waiting for slow (defined at" in text
    assert "test_explain.py:" in text


def test_the_error_of_a_time_limit_names_the_queue_that_is_empty(graph):
    queue = tf.FIFOQueue(1, tf.int32)
    with tf.Session() as session:
        with pytest.raises(tf.errors.DeadlineExceededError, match=r"waiting for fifo_queue_Dequeue \(defined at"):
            session.run(queue.dequeue(), options=tf.RunOptions(timeout_in_ms=200))


def test_a_session_says_which_node_a_stuck_run_waits_for(ray_session, graph):
    stuck = hang()
    with tf.Session() as session:
        future = session.submit(stuck)
        while not session.waiting():
            time.sleep(0.01)
        (item,) = session.waiting()
        future.cancel()
        assert isinstance(future.exception(), tf.errors.CancelledError)
        assert item.place == "task"
        assert "hang (defined at" in item.nodes[0]
        assert "test_explain.py:" in item.nodes[0]
        assert session.waiting() == []


def test_a_shared_out_run_waits_for_detached_nodes(ray_session, graph):
    """A node that asks for something is a run inside; others go to idle lanes meanwhile."""
    nodes = [hang(), *[tf.op(time.sleep, name=f"nap_{k}")(0.001) for k in range(3)]]
    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        future = session.submit(nodes)
        until(lambda: [item for item in session.waiting() if item.place == "task"])
        (item,) = [item for item in session.waiting() if item.place == "task"]
        future.cancel()
        assert isinstance(future.exception(), tf.errors.CancelledError)
    assert "hang (defined at" in item.nodes[0]


def test_structures_that_have_no_key_of_their_own_share_the_plan_of_their_elements(graph):
    class Fetches(list):
        pass

    x = tf.placeholder(tf.float32, [])
    y = x * 2
    with tf.Session() as session:
        results = [session.run(Fetches([y, y]), {x: k}) for k in range(3)]
        assert results == [[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]]
        assert session.explain(Fetches([y]), {x: 0.0}).runs == 3


def test_an_empty_graph_is_refused_by_every_way_to_run_it(graph):
    with tf.Session() as session:
        for run in (session.run, session.submit, session.make_callable, session.explain):
            with pytest.raises(RuntimeError, match="The Session graph is empty.  Add operations to the graph before"):
                run([])


def test_a_run_that_is_shared_out_has_its_longest_chain_as_its_critical_path(graph):
    def nap(seconds, *_):
        time.sleep(seconds)

    first = tf.op(nap, name="first")(0.1)
    second = tf.op(nap, name="second")(0.1, first)
    others = [tf.op(nap, name="other")(0.05) for _ in range(8)]
    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:

        def is_the_chain() -> bool:
            session.run([second, *others])
            return session.explain([second, *others]).critical_path == ("first", "second")

        until(is_the_chain)  # on a busy machine, another one may take as long once
        explained = session.explain([second, *others])
    assert 0.02 <= explained.critical_seconds < explained.work
    assert "shared among all that are idle" in explained.bound
    assert "idle lanes take what is ready" in str(explained)
