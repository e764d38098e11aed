"""What runs tell of work that did not finish, and of what happens before they begin."""

from __future__ import annotations

import asyncio
import os
import time

import numpy as np
import pytest

import weftwork as tf
from tests.scheduler.events.test_telling import placed, where
from tests.scheduler.views.test_timeline import check_trace
from tests.tracing import CLOSE, check_run, of_kind, traced
from weftwork.scheduler.views.account import Account
from weftwork.scheduler.views.page import report
from weftwork.scheduler.views.timeline import timeline_of


def failing(session, fetches, nodes=True, **how):
    """The events of a run that fails."""
    heard = []
    with session.listen(heard.append, nodes=nodes), pytest.raises(tf.errors.OpError):
        session.run(fetches, **how)
    return heard


def check_views(events):
    """The views show what failed, and where the time went adds up."""
    account = Account(events)
    assert sum(account.shares.values()) == pytest.approx(account.seconds)
    assert account.chain <= account.seconds
    (failed, *_) = of_kind(events, "failed")
    shown = [event for event in check_trace(timeline_of(events).to_json()) if event.get("cat") == "failed"]
    assert failed.text in [event["args"]["text"] for event in shown if event["ph"] in "Xb"]
    assert failed.text in report([account])
    return account


@pytest.mark.parametrize("placement", ["caller", "thread", "resident", "dynamic", "task", "auto"])
def test_a_node_that_fails_shows_where_and_for_how_long_it_ran(graph, ray_session, tmp_path, placement):
    def fail(_):
        (tmp_path / "where").write_text(repr(where(0.03)))
        raise ValueError("no")

    good = tf.op(where, name="good")(0.01)
    bad = tf.op(fail, name="bad")(good)
    with placed(placement) as session:
        for nodes in (True, False, True):
            events = failing(session, bad, nodes)
            assert [events[0].kind, events[-1].kind] == ["began", "ended"]
            (failed,) = of_kind(events, "failed")
            assert failed.ops[-1] is bad.op
            assert (failed.lane.pid, failed.lane.thread) == eval((tmp_path / "where").read_text())
            assert failed.text == "ValueError: no"
            assert events[-1].start - CLOSE <= failed.start <= failed.end <= events[-1].end + CLOSE
            assert failed.seconds >= 0.03
            told = [op for event in of_kind(events, "segment", "failed") for op in event.ops]
            assert sorted(op.name for op in told) == ["bad", "good"]
            assert check_views(events).shares["work"] >= 0.03


@pytest.mark.parametrize("placement", ["caller", "thread", "dynamic", "task"])
def test_a_node_that_a_time_limit_stops_shows_too(graph, ray_session, placement):
    naps = tf.placeholder(tf.int32, [])
    node = tf.op(lambda naps: [time.sleep(0.005) for _ in range(naps)], name="slow")(naps)
    both = [node, tf.op(where)(0.0)]
    with placed(placement) as session:
        session.run(both, {naps: 1})  # now a process for it has started
        events = failing(session, both, feed_dict={naps: 400}, options=tf.RunOptions(timeout_in_ms=300))
    (failed,) = [event for event in of_kind(events, "failed") if node.op in event.ops]
    assert failed.seconds > 0.03
    assert "time" in events[-1].text.lower()
    check_views(events)


def test_waits_that_fail_show_beside_the_lanes(graph):
    async def fail():
        await asyncio.sleep(0.01)
        raise ValueError("no")

    queue = tf.FIFOQueue(1, [tf.int32], shapes=[[]])
    with placed("caller") as session:
        for node, place, limit in ((tf.op(fail)(), "loop", None), (queue.dequeue(), "queue", 30)):
            events = failing(session, node, options=tf.RunOptions(timeout_in_ms=limit or 0))
            (failed,) = of_kind(events, "failed")
            assert (failed.ops, failed.lane.place) == ((node.op,), place)
            check_views(events)


def test_a_run_begins_when_it_was_asked_for_and_compiling_is_planning(graph):
    def total():
        values = [tf.op(lambda k=k: k, name=f"v_{k}")() for k in range(300)]
        return tf.op(lambda *all_: sum(all_), name="total")(*values)

    first, second = total(), total()
    with placed("thread") as session:
        before = time.time()
        _, events = traced(session, first)
        (compiled,) = of_kind(events, "compiled")
        assert before - CLOSE <= events[-1].start <= compiled.start + CLOSE
        assert compiled.end <= min([event.start for event in of_kind(events, "node")]) + CLOSE
        account = Account(events)
        assert account.shares["planning"] >= compiled.seconds - CLOSE
        check_run(events)
        assert not of_kind(traced(session, first)[1], "compiled"), "once"
        session.explain(second)
        assert not of_kind(traced(session, second)[1], "compiled"), "the run did not wait for it"


@pytest.mark.parametrize("placement", ["caller", "resident", "dynamic", "task"])
def test_a_retry_is_told_with_the_process_and_the_time_of_the_call(graph, ray_session, tmp_path, placement):
    def flaky(run):
        mark = tmp_path / str(run)
        if not mark.exists():
            mark.touch()
            raise OSError("not yet")
        return where(0.01)

    run = tf.placeholder(tf.int32, [])
    node = tf.op(flaky, retries=tf.Retry(2, delay=0.01))(run)
    with placed(placement) as session:
        for number in range(2):  # the first message tells how far the clock of a process is off
            value, events = traced(session, node, {run: number})
    (retried,), (ran,) = of_kind(events, "retried"), of_kind(events, "node")
    assert (retried.lane.pid, retried.lane.thread) == value
    assert ran.start - CLOSE <= retried.start <= ran.end - 0.015


def test_what_takes_no_lane_and_moments_keep_the_rules_of_the_trace_format(graph):
    async def wait(k):
        await asyncio.sleep(0.001)
        return np.float64(k)

    variable = tf.Variable(np.float64(0.0), name="v")
    waits = [tf.op(wait, dtype=tf.float64, shape=[])(k) for k in range(3)]
    after = tf.op(lambda *all_: sum(all_), dtype=tf.float64, shape=[])(*waits)
    with placed("caller") as session:
        session.run(variable.initializer)
        _, events = traced(session, variable.assign_add(after))
    check_run(events)
    (committed,) = of_kind(events, "committed")
    assert committed.lane.pid == os.getpid()
    shown = check_trace(timeline_of(events).to_json())
    assert len([event for event in shown if event["ph"] == "b"]) == 3


def test_functions_that_a_worker_loads_are_no_pickling(graph):
    def loads():
        import decimal  # a module that this process has and a worker has not

        return decimal.Decimal(1)

    class Slow:
        """Takes a while to load."""

        def __reduce__(self):
            return time.sleep, (0.5,)  # longer than a busy machine takes to pickle it

    slow = Slow()
    node = tf.op(lambda: (slow, loads())[1])()
    with placed("dynamic") as session:
        session.run(tf.op(lambda: 0)())  # what pickling itself needs is loaded once
        _, events = traced(session, node)
    loading = sum([event.seconds for event in of_kind(events, "started") if "functions" in event.text])
    (segment,) = of_kind(events, "segment")
    if segment.lane.place == "resident":
        assert loading >= 0.5
        assert segment.packing < 0.5
