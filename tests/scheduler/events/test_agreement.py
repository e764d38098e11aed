"""What any run tells agrees with its graph, with what its functions saw, and with what is made of it."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weftwork as tf
from tests.scheduler.events.test_telling import is_first, pids_of, placed, where
from tests.scheduler.views.test_timeline import check_trace
from tests.tracing import CLOSE, check_order, check_run, of_kind, traced
from weftwork.scheduler.views.account import Account
from weftwork.scheduler.views.timeline import timeline_of


def check_views(events):
    """The timeline shows each node once, in its lane. The account has each once, and shares that are the whole run."""
    ran = Counter([(event.ops[0].name, event.lane.pid, event.lane.thread) for event in of_kind(events, "node")])
    shown = [event for event in check_trace(timeline_of(events).to_json()) if event.get("cat") == "node"]
    assert Counter([(event["name"], event["pid"], event["tid"]) for event in shown if event["ph"] == "X"]) == ran
    account = Account(events)
    assert sum(account.shares.values()) == pytest.approx(account.seconds)
    assert Counter([op.name for piece in account.pieces for op in piece.ops]) == Counter([name for name, *_ in ran])
    assert account.chain <= account.seconds + CLOSE


@settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_events_agree_with_the_graph_for_any_graph_and_placement(data):
    placement = data.draw(st.sampled_from(["caller", "thread", "resident", "dynamic"]))
    with tf.Graph().as_default():
        nodes = []
        for number in range(data.draw(st.integers(1, 12))):
            inputs = data.draw(st.lists(st.sampled_from(nodes), max_size=3)) if nodes else []
            spends = data.draw(st.sampled_from([0.0, 0.0005, 0.003]))
            nodes.append(tf.op(lambda *_, spends=spends: where(spends), name=f"node_{number}")(*inputs))
        with placed(placement) as session:
            for _ in range(2):
                values, events = traced(session, nodes)
                check_run(events)
                check_order(events)
                assert pids_of(events) == {n.op.name: v for n, v in zip(nodes, values, strict=True)}
                check_views(events)


def test_each_of_several_kills_shows_as_lost_with_the_node_under_which_it_came(graph, tmp_path):
    mine = os.getpid()

    def dies_once(k):
        mark = tmp_path / f"{k}"
        if k % 4 == 0 and os.getpid() != mine and is_first(mark):
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.005)
        return k

    nodes = [tf.op(dies_once, name=f"mortal_{k}")(k) for k in range(12)]
    with placed("dynamic") as session:
        values, events = traced(session, nodes)
    assert values == list(range(12))
    check_run(events)
    check_views(events)
    killed = {nodes[int(mark.name)].op: int(mark.read_text()) for mark in tmp_path.iterdir()}
    lost, ran = of_kind(events, "lost"), {event.ops[0]: event for event in of_kind(events, "node")}
    assert len(killed) > 0
    assert {event.lane.pid for event in lost} == set(killed.values())
    for op, pid in killed.items():
        (event,) = [event for event in lost if event.lane.pid == pid]
        assert op in event.ops
        assert event.start <= ran[op].start
        assert ran[op].lane.pid != pid
        assert ran[op].attempt > 1
